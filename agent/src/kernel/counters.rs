//! What the programs count, read from their per-CPU map.

use aya::maps::{Map, MapData, PerCpuArray};
use cgtap_abi::Counters;

use super::KernelError;
use super::error::bpf;
use crate::model::{Hook, HookCounters};

/// Reads the programs' counters.
pub struct CounterReader {
    map: PerCpuArray<MapData, Counters>,
}

impl CounterReader {
    pub(super) fn new(map: Map) -> Result<Self, KernelError> {
        Ok(Self { map: PerCpuArray::try_from(map).map_err(bpf)? })
    }

    /// One hook's counters, all CPUs together.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn read(&self, hook: Hook) -> Result<HookCounters, KernelError> {
        let index = hook as u32;
        let per_cpu = self.map.get(&index, 0).map_err(bpf)?;
        let mut sum = HookCounters::default();
        for cpu in per_cpu.iter() {
            sum.seen += cpu.seen;
            sum.submitted += cpu.submitted;
            sum.dropped += cpu.dropped;
        }
        Ok(sum)
    }
}

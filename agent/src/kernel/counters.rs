//! What the programs count, read from their per-CPU map.

use aya::maps::{Map, MapData, PerCpuArray};
use cgtap_abi::{Counters, PROGRAMS, Program};

use super::KernelError;
use super::error::bpf;
use crate::model::{Hook, HookCounters};

// A hook has the number of its program: the place of its counters, and what its records say.
const _: () = {
    assert!(Hook::ALL.len() == PROGRAMS as usize);
    assert!(Hook::CgroupMkdir as u32 == Program::CgroupMkdir as u32);
    assert!(Hook::CgroupRmdir as u32 == Program::CgroupRmdir as u32);
    assert!(Hook::CgroupRename as u32 == Program::CgroupRename as u32);
    assert!(Hook::CgroupNotifyPopulated as u32 == Program::CgroupNotifyPopulated as u32);
    assert!(Hook::MarkVictim as u32 == Program::MarkVictim as u32);
    assert!(Hook::OomKillProcess as u32 == Program::OomKillProcess as u32);
    assert!(Hook::SchedProcessExit as u32 == Program::SchedProcessExit as u32);
};

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

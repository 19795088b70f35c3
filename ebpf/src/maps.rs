//! Rings, counters and the layout.
//!
//! Two rings: a flood of cgroups made by one container cannot push out an OOM kill. The agent sets their sizes.

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::map,
    maps::{Array, PerCpuArray, PerfEventArray, RingBuf},
};
use aya_log_ebpf::warn;
use cgtap_abi::{
    Counters, ExitRecord, Header, Layout, LifecycleRecord, OpenDecision, PROGRAMS, Program, TaskFacts,
};

/// Lifecycle records.
#[map]
pub static LIFECYCLE: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// OOM records.
#[map]
pub static OOM: RingBuf = RingBuf::with_byte_size(256 << 10, 0);

/// Exits of last tasks, each in the buffer of its own CPU. The thread that reads the buffer is bound to that CPU, so it runs
/// before the exit goes on. These must be perf buffers, because a ring wakes only one reader, on the CPU where that ran
/// last.
#[map]
pub static CPU_EXITS: PerfEventArray<ExitRecord> = PerfEventArray::new(0);

/// The same for a CPU without a thread, which came online later.
#[map]
pub static EXITS: RingBuf = RingBuf::with_byte_size(64 << 10, 0);

/// [`Counters`] of each [`Program`].
#[map]
pub static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(PROGRAMS, 0);

/// Where a lifecycle record is built: it is larger than the stack. The kernel fires the cgroup tracepoints with
/// interrupts off (`TRACE_CGROUP_PATH` holds a spin lock), so no two of them use one CPU's record at once.
#[map]
pub static SCRATCH: PerCpuArray<LifecycleRecord> = PerCpuArray::with_max_entries(1, 0);

/// The decision that the kernel carries out: at most one on a machine.
#[map]
pub static DECISION: Array<OpenDecision> = Array::with_max_entries(1, 0);

/// What `check_layout` read of the agent's own task.
#[map]
pub static CHECKED: Array<TaskFacts> = Array::with_max_entries(1, 0);

/// Set by the agent before the programs are loaded.
#[unsafe(no_mangle)]
pub static LAYOUT: Layout = Layout::UNKNOWN;

/// One run of a program: its number on this CPU, and where it counts.
pub struct Run {
    pub header: Header,
    counters: *mut Counters,
}

impl Run {
    /// Counts the run. `None` cannot happen, but the verifier wants it handled: the index is below [`PROGRAMS`].
    #[inline(always)]
    pub fn begin(program: Program) -> Option<Self> {
        let counters = COUNTERS.get_ptr_mut(program as u32)?;
        // SAFETY: the map gave the pointer, for this CPU alone; these tracepoints do not nest (see SCRATCH,
        // and `mark_victim` runs under `oom_lock`).
        let seq = unsafe {
            (*counters).seen += 1;
            (*counters).seen
        };
        // SAFETY: both helpers only read.
        let (cpu, ktime_nsec) = unsafe { (bpf_get_smp_processor_id(), bpf_ktime_get_ns()) };
        Some(Self { header: Header { program: program as u32, cpu, seq, ktime_nsec }, counters })
    }

    /// Counts the outcome of the record.
    #[inline(always)]
    pub fn end<C: aya_ebpf::EbpfContext>(&self, ctx: &C, submitted: bool) {
        // SAFETY: as in `begin`.
        unsafe {
            if submitted {
                (*self.counters).submitted += 1;
            } else {
                let dropped = (*self.counters).dropped + 1;
                (*self.counters).dropped = dropped;
                // Logs whenever the count has doubled: a line for each would keep a slow agent from reading the ring.
                if dropped & (dropped - 1) == 0 {
                    warn!(
                        ctx,
                        "program {}: no room in the ring for record {}, {} dropped on this CPU",
                        self.header.program,
                        self.header.seq,
                        dropped
                    );
                }
            }
        }
    }
}

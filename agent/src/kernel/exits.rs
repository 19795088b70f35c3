//! Where the programs report that the last task of a cgroup begins to exit: one buffer for each CPU, and a ring for those that
//! have none.
//!
//! The reader of last values competes with the exit itself and with the process that waits for it. A thread that is bound to the
//! CPU of the exit, and goes first there, takes the CPU from the exiting task at the next place where the kernel lets go of
//! it, and holds it while it reads. Woken on another CPU it has to be quicker than both: with one thread, 2 to 7 of 100
//! containers went without values on a machine with two virtual processors (6.18).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::perf::{PerfEvent, PerfEventArrayBuffer};
use aya::maps::{MapData, PerfEventArray, RingBuf};
use aya::util::online_cpus;

use super::decode;
use crate::model::CgroupKey;

/// Room for some seventy exits on one CPU while its thread does not get to run.
const CPU_PAGES: usize = 1;

/// Exits, read by a thread that waits for nothing else that is slow.
pub struct ExitFeed {
    /// The CPU whose exits these are; `None` for those of CPUs that have no feed of their own.
    pub cpu: Option<u32>,
    records: Records,
}

enum Records {
    Buffer(PerfEventArrayBuffer<MapData>),
    /// With the map of the buffers: the program refers to it also where no buffer could be opened.
    Ring(RingBuf<MapData>, #[expect(dead_code, reason = "held for its descriptor")] PerfEventArray<MapData>),
}

impl ExitFeed {
    /// The cgroups whose last task has begun to exit since the last call: that which paid for its memory, or where no
    /// controller does, that of v2. Losing a record only loses the early warning; the exit is still seen.
    pub fn drain(&mut self) -> Vec<CgroupKey> {
        let mut found = Vec::new();
        match &mut self.records {
            Records::Buffer(buffer) => buffer.for_each(|event| {
                if let PerfEvent::Sample { head, tail } = event {
                    found.extend(decode::exit(&[head, tail].concat()).ok());
                }
            }),
            Records::Ring(ring, _) => {
                while let Some(record) = ring.next() {
                    found.extend(decode::exit(&record).ok());
                }
            }
        }
        found
    }
}

impl AsFd for ExitFeed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.records {
            Records::Buffer(buffer) => buffer.as_fd(),
            Records::Ring(ring, _) => ring.as_fd(),
        }
    }
}

/// The feeds of these maps. A CPU whose buffer cannot be had is served by the ring.
pub(super) fn feeds(ring: RingBuf<MapData>, mut buffers: PerfEventArray<MapData>) -> Vec<ExitFeed> {
    let mut feeds = Vec::new();
    let cpus = online_cpus().unwrap_or_else(|(path, error)| {
        tracing::debug!(path, %error, "the CPUs are not known; the ring serves");
        Vec::new()
    });
    for cpu in cpus {
        match buffers.open(cpu, Some(CPU_PAGES)) {
            Ok(buffer) => feeds.push(ExitFeed { cpu: Some(cpu), records: Records::Buffer(buffer) }),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::debug!(cpu, error, "no buffer for the exits on this CPU; the ring serves");
            }
        }
    }
    feeds.push(ExitFeed { cpu: None, records: Records::Ring(ring, buffers) });
    feeds
}

/// Lets the calling thread run on this CPU alone.
///
/// # Errors
/// When this process may not run there (cpuset).
pub fn stay_on(cpu: u32) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    let cpu = usize::try_from(cpu).unwrap_or(usize::MAX);
    if cpu >= rustix::thread::CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    set.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

//! Counters of performance events: `perf_event_open(2)` of a cgroup or of everything, one processor at a time.
//!
//! The kernel counts while a descriptor is open, and only then. The counters of a group are on the processor together or
//! not at all, and one read of the first gives all of them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::perf::{self, Attr, PERF_EVENT_IOC_ENABLE};
use crate::model::PerfCode;

const FORMAT_TIME_ENABLED: u64 = 1;
const FORMAT_TIME_RUNNING: u64 = 1 << 1;
const FORMAT_GROUP: u64 = 1 << 3;
const ATTR_DISABLED: u64 = 1;
const PERF_FLAG_PID_CGROUP: libc::c_ulong = 4;
const PERF_IOC_FLAG_GROUP: libc::c_ulong = 1;

/// Whose events are counted.
#[derive(Clone, Copy, Debug)]
pub enum CountedIn<'a> {
    /// Those of a cgroup and of all below it; its directory, open for reading.
    Cgroup(BorrowedFd<'a>),
    /// Those of the whole processor, or of what it speaks for.
    Processor,
}

/// Counters that are read together. They end with the value.
#[derive(Debug)]
pub struct CounterGroup {
    /// Which of the events that were asked for, and its counter.
    counters: Vec<(usize, OwnedFd)>,
}

/// What a group has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupReading {
    /// For how long the group was to count: while a task of the cgroup ran.
    pub enabled_nsec: u64,
    /// For how long it did.
    pub running_nsec: u64,
    /// Which of the events that were asked for, and its raw count.
    pub counts: Vec<(usize, u64)>,
}

impl CounterGroup {
    /// Opens as many of the events as the kernel has; `refused` is called for each other one.
    pub fn open(
        codes: &[PerfCode],
        counted_in: CountedIn<'_>,
        cpu: u32,
        refused: &mut dyn FnMut(usize, io::Error),
    ) -> Self {
        let mut counters: Vec<(usize, OwnedFd)> = Vec::with_capacity(codes.len());
        for (index, &code) in codes.iter().enumerate() {
            let leader = counters.first().map_or(-1, |(_, leader)| leader.as_raw_fd());
            match open(code, counted_in, cpu, leader) {
                Ok(counter) => counters.push((index, counter)),
                Err(error) => refused(index, error),
            }
        }
        if let Some((index, leader)) = counters.first() {
            // SAFETY: the descriptor is open, and the request takes an integer.
            let failed =
                unsafe { libc::ioctl(leader.as_raw_fd(), PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP) };
            if failed < 0 {
                refused(*index, io::Error::last_os_error());
                counters.clear();
            }
        }
        Self { counters }
    }

    pub fn descriptors(&self) -> usize {
        self.counters.len()
    }

    /// Reads all counters at one moment; `None` of a group without any.
    ///
    /// # Errors
    /// When the kernel refuses, or its answer is not that of this group.
    pub fn read(&self) -> io::Result<Option<GroupReading>> {
        let Some((_, leader)) = self.counters.first() else { return Ok(None) };
        // The number of counters, both times, the counts.
        let mut buffer = vec![0; (3 + self.counters.len()) * size_of::<u64>()];
        let got = rustix::io::read(leader, &mut buffer)?;
        let words = buffer.get(..got).unwrap_or_default().chunks_exact(size_of::<u64>());
        let mut words = words.filter_map(|word| word.try_into().ok().map(u64::from_ne_bytes));
        let head = (words.next(), words.next(), words.next());
        let counts: Vec<u64> = words.collect();
        match head {
            (Some(_), Some(enabled_nsec), Some(running_nsec)) if counts.len() == self.counters.len() => {
                let indexes = self.counters.iter().map(|(index, _)| *index);
                Ok(Some(GroupReading { enabled_nsec, running_nsec, counts: indexes.zip(counts).collect() }))
            }
            // A group that could not be put on the processor in an error state reads as end of file.
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn open(code: PerfCode, counted_in: CountedIn<'_>, cpu: u32, leader: i32) -> io::Result<OwnedFd> {
    let mut attr = Attr::new(code.pmu, code.config);
    attr.read_format = FORMAT_TIME_ENABLED | FORMAT_TIME_RUNNING | FORMAT_GROUP;
    // The first begins when the group is whole, and the others with it.
    attr.flags = if leader < 0 { ATTR_DISABLED } else { 0 };
    let cpu = i32::try_from(cpu).map_err(io::Error::other)?;
    let (pid, flags) = match counted_in {
        CountedIn::Cgroup(dir) => (dir.as_raw_fd(), PERF_FLAG_PID_CGROUP),
        CountedIn::Processor => (-1, 0),
    };
    perf::open(&attr, pid, cpu, leader, flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE_FAULTS: PerfCode = PerfCode { pmu: 1, config: [2, 0, 0] };
    const TASK_CLOCK: PerfCode = PerfCode { pmu: 1, config: [1, 0, 0] };
    /// No unit has this number.
    const NONE: PerfCode = PerfCode { pmu: u32::MAX, config: [0, 0, 0] };

    #[test]
    fn what_the_kernel_does_not_have_is_refused_and_the_rest_counts() {
        let mut refused = Vec::new();
        let group = CounterGroup::open(
            &[NONE, PAGE_FAULTS, TASK_CLOCK],
            CountedIn::Processor,
            0,
            &mut |index, error| {
                refused.push((index, error.raw_os_error()));
            },
        );
        if refused.len() == 3 {
            assert!(refused.iter().all(|(_, errno)| errno.is_some()), "{refused:?}");
            return; // This user may not count.
        }
        assert_eq!(refused.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0]);
        assert_eq!(group.descriptors(), 2);
        let reading = group.read().unwrap().unwrap();
        assert_eq!(reading.counts.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2]);
        assert!(reading.running_nsec <= reading.enabled_nsec);
    }

    #[test]
    fn a_group_of_nothing_reads_as_nothing() {
        let group = CounterGroup::open(&[NONE], CountedIn::Processor, 0, &mut |_, _| {});
        assert_eq!((group.descriptors(), group.read().unwrap()), (0, None));
    }
}

//! Names of the performance events that every kernel knows, to the kernel's numbers.
//!
//! As `perf list` writes them, and as libpfm and the kernel's header do; in any case of letters.
//! Kernel text: `include/uapi/linux/perf_event.h`
//!
//! ```text
//! cache-misses
//! PERF_COUNT_HW_CACHE_MISSES
//! L1-dcache-load-misses
//! PERF_COUNT_HW_CACHE_L1D:READ:MISS
//! ```

use crate::model::PerfCode;

const HARDWARE: u32 = 0;
const SOFTWARE: u32 = 1;
const CACHE: u32 = 3;

/// The kernel's type and number, the header's name after `PERF_COUNT_`, and perf's names.
const GENERIC: &[(u32, u64, &str, &[&str])] = &[
    (HARDWARE, 0, "HW_CPU_CYCLES", &["cpu-cycles", "cycles"]),
    (HARDWARE, 1, "HW_INSTRUCTIONS", &["instructions"]),
    (HARDWARE, 2, "HW_CACHE_REFERENCES", &["cache-references"]),
    (HARDWARE, 3, "HW_CACHE_MISSES", &["cache-misses"]),
    (HARDWARE, 4, "HW_BRANCH_INSTRUCTIONS", &["branch-instructions", "branches"]),
    (HARDWARE, 5, "HW_BRANCH_MISSES", &["branch-misses"]),
    (HARDWARE, 6, "HW_BUS_CYCLES", &["bus-cycles"]),
    (HARDWARE, 7, "HW_STALLED_CYCLES_FRONTEND", &["stalled-cycles-frontend", "idle-cycles-frontend"]),
    (HARDWARE, 8, "HW_STALLED_CYCLES_BACKEND", &["stalled-cycles-backend", "idle-cycles-backend"]),
    (HARDWARE, 9, "HW_REF_CPU_CYCLES", &["ref-cycles"]),
    (SOFTWARE, 0, "SW_CPU_CLOCK", &["cpu-clock"]),
    (SOFTWARE, 1, "SW_TASK_CLOCK", &["task-clock"]),
    (SOFTWARE, 2, "SW_PAGE_FAULTS", &["page-faults", "faults"]),
    (SOFTWARE, 3, "SW_CONTEXT_SWITCHES", &["context-switches", "cs"]),
    (SOFTWARE, 4, "SW_CPU_MIGRATIONS", &["cpu-migrations", "migrations"]),
    (SOFTWARE, 5, "SW_PAGE_FAULTS_MIN", &["minor-faults"]),
    (SOFTWARE, 6, "SW_PAGE_FAULTS_MAJ", &["major-faults"]),
    (SOFTWARE, 7, "SW_ALIGNMENT_FAULTS", &["alignment-faults"]),
    (SOFTWARE, 8, "SW_EMULATION_FAULTS", &["emulation-faults"]),
    (SOFTWARE, 11, "SW_CGROUP_SWITCHES", &["cgroup-switches"]),
];

/// Each cache in the order of the kernel's numbers: the header's name, and perf's.
const CACHES: [(&str, &str); 7] = [
    ("L1D", "L1-dcache"),
    ("L1I", "L1-icache"),
    ("LL", "LLC"),
    ("DTLB", "dTLB"),
    ("ITLB", "iTLB"),
    ("BPU", "branch"),
    ("NODE", "node"),
];

/// What is done with a cache: the header's name, and perf's of each time and of a miss.
const OPERATIONS: [(&str, &str, &str); 3] = [
    ("READ", "loads", "load-misses"),
    ("WRITE", "stores", "store-misses"),
    ("PREFETCH", "prefetches", "prefetch-misses"),
];

/// The event of that name; `None` for one that only some processors have.
pub fn perf_event_name(name: &str) -> Option<PerfCode> {
    let name = strip_prefix(name, "perf::").unwrap_or(name);
    let header = strip_prefix(name, "PERF_COUNT_");
    let found = GENERIC.iter().find(|(_, _, full, names)| match header {
        Some(header) => header.eq_ignore_ascii_case(full),
        None => names.iter().any(|known| known.eq_ignore_ascii_case(name)),
    });
    if let Some(&(pmu, number, ..)) = found {
        return Some(PerfCode { pmu, config: [number, 0, 0] });
    }
    let config = match header {
        Some(header) => strip_prefix(header, "HW_CACHE_").and_then(header_cache)?,
        None => perf_cache(name)?,
    };
    Some(PerfCode { pmu: CACHE, config: [config, 0, 0] })
}

/// All names that [`perf_event_name`] knows, perf's; those of caches by an example of each cache.
pub fn perf_event_names() -> String {
    let generic = GENERIC.iter().flat_map(|(_, _, _, names)| names.iter().map(|&name| name.to_owned()));
    let caches = CACHES.iter().map(|(_, cache)| format!("{cache}-loads"));
    generic.chain(caches).collect::<Vec<_>>().join(", ")
}

/// `L1D:READ:MISS`
fn header_cache(name: &str) -> Option<u64> {
    let mut parts = name.split(':');
    let (cache, operation, result) = (parts.next()?, parts.next()?, parts.next()?);
    let cache = CACHES.iter().position(|(known, _)| known.eq_ignore_ascii_case(cache))?;
    let operation = OPERATIONS.iter().position(|(known, ..)| known.eq_ignore_ascii_case(operation))?;
    let result = ["ACCESS", "MISS"].iter().position(|known| known.eq_ignore_ascii_case(result))?;
    if parts.next().is_some() { None } else { cache_config(cache, operation, result) }
}

/// `L1-dcache-load-misses`
fn perf_cache(name: &str) -> Option<u64> {
    for (cache, (_, known)) in CACHES.iter().enumerate() {
        let Some(rest) = strip_prefix(name, known).and_then(|rest| rest.strip_prefix('-')) else { continue };
        for (operation, (_, all, misses)) in OPERATIONS.iter().enumerate() {
            if let Some(result) = [all, misses].iter().position(|known| known.eq_ignore_ascii_case(rest)) {
                return cache_config(cache, operation, result);
            }
        }
    }
    None
}

fn cache_config(cache: usize, operation: usize, result: usize) -> Option<u64> {
    u64::try_from(cache | operation << 8 | result << 16).ok()
}

/// Without regard to case.
fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    if head.eq_ignore_ascii_case(prefix) { text.get(prefix.len()..) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_perf_and_of_the_header_mean_the_same() {
        for (names, pmu, config) in [
            (
                &["cycles", "CPU-Cycles", "PERF_COUNT_HW_CPU_CYCLES", "perf::perf_count_hw_cpu_cycles"][..],
                0,
                0,
            ),
            (&["branches", "branch-instructions", "PERF_COUNT_HW_BRANCH_INSTRUCTIONS"], 0, 4),
            (&["page-faults", "faults", "PERF_COUNT_SW_PAGE_FAULTS"], 1, 2),
            (&["cs", "CONTEXT-SWITCHES"], 1, 3),
            (&["L1-dcache-loads", "PERF_COUNT_HW_CACHE_L1D:READ:ACCESS"], 3, 0),
            (&["LLC-load-misses", "PERF_COUNT_HW_CACHE_LL:READ:MISS"], 3, 0x1_0002),
            (&["dTLB-stores", "dtlb-stores"], 3, 0x103),
            (&["node-prefetch-misses"], 3, 0x1_0206),
        ] {
            for name in names {
                let wanted = PerfCode { pmu, config: [config, 0, 0] };
                assert_eq!(perf_event_name(name), Some(wanted), "{name}");
            }
        }
    }

    #[test]
    fn other_names_are_none() {
        for name in [
            "",
            "cyclez",
            "PERF_COUNT_",
            "PERF_COUNT_cycles",
            "L1-dcache",
            "L1-dcache-",
            "HW_CPU_CYCLES",
            "é",
            "PERF_COUNT_HW_CACHE_L1D:READ",
            "PERF_COUNT_HW_CACHE_L1D:READ:MISS:x",
        ] {
            assert_eq!(perf_event_name(name), None, "{name}");
        }
    }

    #[test]
    fn every_listed_name_is_known() {
        for name in perf_event_names().split(", ") {
            assert!(perf_event_name(name).is_some(), "{name}");
        }
    }
}

//! One entry for each reader of bytes from outside: the fuzz targets of `fuzz/` and the tests here call it.
//!
//! Each takes any bytes, and only a panic or an endless loop is a fault. No release build has the feature `fuzzing`. A new
//! reader gets its line here, its seed in `fuzzing/tests.rs`, and its file in `fuzz/fuzz_targets`.

use std::hint::black_box;

use aya::Endianness;
use cgtap_abi::TraceLayout;

use crate::events::wire::WireEvent;
use crate::identity::identify;
use crate::kernel::clock::Clock;
use crate::kernel::format::Format;
use crate::kernel::{decode, offsets, probe};
use crate::model::{CgroupPath, CpuStats, MemoryEvents, Source, TcpStates, UdpStats};
use crate::names;
use crate::parse::{self, LogRecord, OomLines};

/// A tracepoint's `format` file, as each of the programs asks it.
pub fn format(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(format) = Format::parse("fuzz", &text) {
        let mut layout = TraceLayout::UNKNOWN;
        let _ = black_box(offsets::add_cgroup_format(&mut layout, &format));
        let _ = black_box(offsets::add_populated_format(&mut layout, &format));
        let _ = black_box(offsets::add_victim_format(&mut layout, &format));
    }
}

/// The kernel's BTF: everything that is asked of it, and aya's reader, which reads what ours accepted.
pub fn btf(input: &[u8]) {
    if black_box(probe::read_btf(input.to_vec())).is_ok() {
        let _ = black_box(aya::Btf::parse(input, Endianness::default()));
    }
}

/// A record of either ring, on every rung.
pub fn ring_record(input: &[u8]) {
    let clock = Clock::now();
    let _ = black_box(decode::lifecycle(input, clock, |_| Source::TpBtf));
    let _ = black_box(decode::exit(input));
    for source in [Source::TpBtf, Source::Tracepoint, Source::Fentry, Source::Kprobe] {
        let _ = black_box(decode::oom(input, clock, source));
    }
}

/// The files of a cgroup, v1 and v2.
pub fn cgroup_files(input: &[u8]) {
    use parse::*;
    let mut cpu = CpuStats::default();
    let _ = black_box((value(input), limit(input), limit_v1(input), per_cpu_nsec(input), cpu_max(input)));
    let _ = black_box((cpu_stat(input, &mut cpu), cpuacct_stat(input, &mut cpu)));
    for with_detail in [false, true] {
        let _ = black_box((memory_stat_v1(input, with_detail), memory_stat_v2(input, with_detail)));
    }
    let _ = black_box((keyed::<MemoryEvents>(input), value_of(input, "oom_kill"), max_events(input)));
    let _ = black_box((io_stat(input), blkio_bytes(input), blkio_requests(input), pressure(input)));
    let _ =
        black_box((first_process(input), processes(input), numa_stat_v1(input), numa_stat_v2(input, 4096)));
}

/// The files of the machine and of a process.
pub fn machine_files(input: &[u8]) {
    use parse::*;
    let _ = black_box((net_dev(input), proc_stat(input), meminfo(input), diskstats(input)));
    let _ = black_box((perf_terms(input), cpu_list(input), resctrl_count(input), assignment(input, "A")));
    let _ = black_box(perf_format(input).map(|bits| bits.put(u64::MAX, &mut [0; 3])));
    let _ = black_box((schedstat(input), task_state(input), open_files_limit(input), tgid(input)));
    let _ = black_box((referenced_bytes(input), snmp(input, "Tcp"), proc_tcp(input), proc_udp(input)));
    mountinfo(input);
    self::proc_cgroup(input);
}

/// A datagram of netlink's answer about sockets.
pub fn sock_diag(input: &[u8]) {
    let (mut tcp, mut udp) = (TcpStates::default(), UdpStats::default());
    let _ = black_box((parse::diag_tcp(input, &mut tcp), parse::diag_udp(input, &mut udp)));
}

/// `/proc/<pid>/mountinfo`.
pub fn mountinfo(input: &[u8]) {
    for mount in parse::mounts(input).unwrap_or_default() {
        black_box((mount.option(b"upperdir"), mount.has_option("memory")));
    }
}

/// `/proc/<pid>/cgroup`, and whose cgroups they are.
pub fn proc_cgroup(input: &[u8]) {
    for line in parse::proc_cgroup(input).unwrap_or_default() {
        black_box(identify(&line.path));
    }
}

/// Whose cgroup a path of any bytes is.
pub fn path(input: &[u8]) {
    black_box(identify(&CgroupPath::from_bytes(input)));
}

/// What runtimes answer about containers, and the names of log files.
pub fn runtime_answers(input: &[u8]) {
    names::fuzz(input);
}

/// A record of the event log, as JSON.
pub fn event_record(input: &[u8]) {
    let _ = black_box(WireEvent::read(input).map(|record| serde_json::to_vec(&record)));
}

/// Records of `/dev/kmsg`, each on a line of its own, and the same lines as the kernel's text.
pub fn kernel_log(input: &[u8]) {
    let (mut records, mut texts) = (OomLines::default(), OomLines::default());
    for (at, line) in (0..).zip(input.split(|&b| b == b'\n')) {
        if let Ok(record) = parse::log_record(line) {
            black_box(records.push(&record));
        }
        let record = LogRecord { sequence: at, time_usec: at, of_kernel: true, text: line.into() };
        black_box(texts.push(&record));
    }
}

#[cfg(test)]
mod tests;

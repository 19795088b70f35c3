//! Every metric, declared once: name, help, type, set, kernel source, and the function that makes its samples.
//!
//! Names, types and labels are cAdvisor's. These rules differ on purpose:
//! - A value without a source on this kernel has no sample; it is never 0 instead.
//! - A memory limit of 0 means "no limit", as in cAdvisor; a cpu quota without limit has no sample.
//! - A removed cgroup keeps its last counters, its peaks and its OOM kills.

#[macro_use]
mod metric;

mod cgroup_detail;
mod cpu;
mod filesystem;
mod hugetlb;
mod io;
mod machine;
mod memory;
mod memory_detail;
mod memory_events;
mod network;
mod numa;
mod oom;
mod perf;
mod pressure;
mod process;
mod resctrl;
mod sockets;
mod spec;
mod tasks;
#[cfg(test)]
mod tests;
mod topology;
mod unit;

pub use metric::{Kind, Label, LabelValue, Metric, Scope, Value, Values};

/// All metrics, in the order in which they are printed.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    const AREAS: [&[Metric]; 21] = [
        spec::METRICS,
        unit::METRICS,
        cpu::METRICS,
        memory::METRICS,
        memory_events::METRICS,
        memory_detail::METRICS,
        numa::METRICS,
        hugetlb::METRICS,
        io::METRICS,
        filesystem::METRICS,
        network::METRICS,
        sockets::METRICS,
        process::METRICS,
        tasks::METRICS,
        pressure::METRICS,
        perf::METRICS,
        resctrl::METRICS,
        oom::METRICS,
        cgroup_detail::METRICS,
        machine::METRICS,
        topology::METRICS,
    ];
    AREAS.into_iter().flatten()
}

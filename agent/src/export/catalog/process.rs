//! Processes and threads: `cgroup.procs`, `pids.*` and `/proc/<pid>`. Off by default, as in cAdvisor.
//!
//! cAdvisor counts only the cgroup's own processes. Here those of the cgroups below it count too, as in every other
//! value of a cgroup.

use super::metric::LabelValue::Text;
use super::metric::{Emit, Metric, Value};
use crate::model::{Limit, MetricSet, PidsStats, ProcessStats};
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::Process);
    gauge "container_processes", "Number of processes running inside the container.",
        both "cgroup.procs, with those below", count |s| processes(s)?.count;
    gauge "container_file_descriptors", "Number of open file descriptors for the container.",
        both "/proc/<pid>/fd", count |s| processes(s)?.file_descriptors;
    gauge "container_sockets", "Number of open sockets for the container.",
        both "/proc/<pid>/fd, links to socket:", count |s| processes(s)?.sockets;
    gauge "container_threads", "Number of threads running inside the container.",
        both "pids.current", count |s| pids(s)?.current;
    gauge "container_threads_max", "Most threads allowed inside the container; 0 is no limit.",
        both "pids.max", count |s| pids(s)?.limit.map(|limit| limit.value().unwrap_or(0));
    peak "container_threads_peak", "Most threads that ran inside the container at once.",
        both "pids.peak (since 6.1)", count |s| pids(s)?.peak;
    counter "container_threads_limit_events_total", "Times that a thread could not be started for the limit.",
        both "pids.events max", count |s| pids(s)?.limit_events;
    gauge "container_ulimits_soft", "Soft limits of the container's first process; -1 is no limit.",
        both "/proc/<pid>/limits", labels &["ulimit"], many |s, _, emit| ulimits(s, emit);
}

fn processes(sample: &CgroupSample) -> Option<&ProcessStats> {
    sample.stats.tasks.processes.as_ref()
}

fn pids(sample: &CgroupSample) -> Option<&PidsStats> {
    sample.stats.pids.as_ref()
}

fn ulimits(sample: &CgroupSample, emit: &mut Emit<'_>) {
    let Some(limit) = processes(sample).and_then(|processes| processes.open_files_limit) else { return };
    let value = match limit {
        Limit::Max => Value::MinusOne,
        Limit::Value(files) => Value::Count(files),
    };
    emit(&[("ulimit", Text("max_open_files"))], value);
}

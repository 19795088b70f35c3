//! From the settings to what the parts want.

use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Config, ConfigError};
use crate::events::DiskOptions;
use crate::export::prometheus::{ExpositionOptions, View};
use crate::files::{HostRoot, ReadSets, UsageSettings, perf_plan};
use crate::model::{MetricSet, MetricSets, PerfPlan, RungChoice, RungChoices, Source};
use crate::snapshot::{CollectOptions, FilesystemCollector, Shown};

/// What `/metrics` shows.
pub(crate) fn exposition(config: &Config) -> ExpositionOptions {
    ExpositionOptions {
        sets: config.sets,
        labels: config.label_set,
        view: View::Standalone,
        timestamps: config.timestamps,
        max_series: config.max_series,
    }
}

/// Which files are read for it.
pub(crate) fn reads(sets: MetricSets) -> ReadSets {
    ReadSets { metrics: sets, spec: true, peaks: false }
}

/// What a reading reads beside the cgroups' own files.
pub(crate) fn collect(config: &Config) -> Result<CollectOptions, ConfigError> {
    let shown = Shown::new(&config.cgroup_include, &config.cgroup_exclude)
        .map_err(|error| ConfigError::at("--cgroup-include or --cgroup-exclude", error))?;
    Ok(CollectOptions {
        sets: config.sets,
        shown,
        load: config.enable_load_reader,
        referenced_reset: config.referenced_reset_interval,
        perf: perf(config)?,
        perf_descriptors: 0,
    })
}

/// What is read of file systems for it; `None` for nothing.
pub(crate) fn filesystems(config: &Config, host: &HostRoot, sets: MetricSets) -> Option<FilesystemCollector> {
    let looks = sets.has(MetricSet::Disk) && !config.fs_walk_interval.is_zero();
    let written = looks.then_some(UsageSettings {
        interval: config.fs_walk_interval,
        entries_per_second: config.fs_walk_entries_per_second,
    });
    let is_wanted = sets.has_any(&[MetricSet::Disk, MetricSet::DiskIo]);
    is_wanted.then(|| FilesystemCollector::new(host, sets, written))
}

/// Which performance events are counted on this host.
fn perf(config: &Config) -> Result<PerfPlan, ConfigError> {
    let (Some(path), Some(wishes)) = (&config.perf_events_config, &config.perf_events) else {
        return Ok(PerfPlan::default());
    };
    perf_plan(&HostRoot::new(&config.host_root), wishes)
        .map_err(|error| ConfigError::at(&format!("--perf-events-config {}", path.display()), error))
}

/// The rungs of kills below BPF that the settings allow, best first.
pub(crate) fn kill_rungs(config: &Config) -> Vec<Source> {
    let mut rungs = vec![Source::MemoryEvents, Source::OomControl, Source::Kmsg];
    rungs.retain(|&rung| [RungChoice::Auto, RungChoice::Only(rung)].contains(&config.oom_source));
    rungs
}

/// Whether the settings allow to watch the directories of cgroups.
pub(crate) fn watches_tree(config: &Config) -> bool {
    matches!(config.lifecycle_source, RungChoice::Auto | RungChoice::Only(Source::Inotify))
}

/// Which rungs are wanted.
pub(crate) fn rungs(config: &Config) -> RungChoices {
    RungChoices { lifecycle: config.lifecycle_source, oom: config.oom_source }
}

/// How the event log is kept on disk.
pub(crate) fn event_log(config: &Config, dir: PathBuf) -> DiskOptions {
    DiskOptions {
        dir,
        max_bytes: config.event_log_bytes,
        max_age: config.event_log_age,
        max_segments: config.event_log_segments,
        fsync: config.event_sync,
    }
}

/// Descriptors of cgroup files that may stay open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenFiles {
    /// For scrapes.
    pub(crate) scrapes: usize,
    /// For the last values of containers: about eight for each that runs. One that has none is read as well, only later.
    pub(crate) exits: usize,
}

/// What the reader of last values may keep, however much there is.
const MAX_FOR_EXITS: usize = 4096;

impl OpenFiles {
    fn of(all: usize) -> Self {
        let exits = (all / 8).min(MAX_FOR_EXITS);
        Self { scrapes: all - exits, exits }
    }
}

/// The setting, else nine tenths of what the process may open; the limit itself is raised as far as it goes.
pub(crate) fn max_open_files(config: &Config) -> OpenFiles {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(error) = raised {
        tracing::debug!(%error, "RLIMIT_NOFILE stays as it is");
    }
    let budget = config.max_open_files.unwrap_or_else(|| may_open() / 10 * 9);
    OpenFiles::of(usize::try_from(budget).unwrap_or(usize::MAX))
}

fn may_open() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(1 << 20)
}

/// Descriptors for performance events, whatever the process may open: each costs the kernel some 2 KiB, and each switch
/// between cgroups the time to tell the processor what to count.
const MAX_FOR_PERF: u64 = 16_384;

/// Half of the tenth that cgroup files leave, so that sockets are never refused for it.
pub(crate) fn perf_descriptors() -> usize {
    usize::try_from((may_open() / 20).min(MAX_FOR_PERF)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readers_together_keep_to_the_setting() {
        for (all, exits) in [(0, 0), (7, 0), (800, 100), (1 << 20, MAX_FOR_EXITS)] {
            assert_eq!(OpenFiles::of(all), OpenFiles { scrapes: all - exits, exits });
        }
    }
}

//! What a scrape reads beside cAdvisor's sets, and how much of it a page shows.

use std::time::Duration;

use super::check::{duration, number, refused};
use super::{ConfigError, Settings};

/// The checked settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadingConfig {
    /// Globs of cgroups to show; empty is all.
    pub cgroup_include: Vec<String>,
    /// Globs of cgroups not to show.
    pub cgroup_exclude: Vec<String>,
    /// Samples of cgroups on a page at most; `None` is no limit.
    pub max_series: Option<u64>,
    /// Whether states of threads and load averages are read.
    pub enable_load_reader: bool,
    /// Readings after which referenced memory is cleared; 0 is never.
    pub referenced_reset_interval: u64,
    /// Between two looks at what a container has written; zero is never.
    pub fs_walk_interval: Duration,
    /// How many files and directories a walk may look at in a second.
    pub fs_walk_entries_per_second: u32,
}

impl ReadingConfig {
    pub(super) fn check(settings: &Settings) -> Result<Self, ConfigError> {
        let entries = settings.fs_walk_entries_per_second.unwrap_or(20_000);
        let (minute, day) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));
        let max_series = settings.max_series.map(|series| number("max_series", series, 1..=1 << 40));
        Ok(Self {
            cgroup_include: globs("cgroup_include", settings.cgroup_include.as_deref())?,
            cgroup_exclude: globs("cgroup_exclude", settings.cgroup_exclude.as_deref())?,
            max_series: max_series.transpose()?,
            enable_load_reader: settings.enable_load_reader.unwrap_or(false),
            referenced_reset_interval: settings.referenced_reset_interval.unwrap_or(0),
            fs_walk_interval: duration(
                "fs_walk_interval",
                settings.fs_walk_interval,
                minute,
                Duration::ZERO..=day,
            )?,
            fs_walk_entries_per_second: number("fs_walk_entries_per_second", entries, 10..=100_000_000)?,
        })
    }
}

/// Paths begin with `/`: a glob that does not can match none of them.
fn globs(key: &'static str, given: Option<&[String]>) -> Result<Vec<String>, ConfigError> {
    let globs = given.unwrap_or_default();
    match globs.iter().find(|glob| !glob.starts_with(['/', '*', '{'])) {
        Some(glob) => Err(refused(key, glob, "a glob of a cgroup's path, as /system.slice/*.service")),
        None => Ok(globs.to_vec()),
    }
}

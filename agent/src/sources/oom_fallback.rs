//! The rungs of the OOM ladder below BPF, and the kernel log beside all of them.

use super::counts::CountedKills;
use super::kernel_log::LogFeed;
use crate::config::OomChoice;
use crate::files::{HostRoot, KillCounters};
use crate::model::{CgroupVersion, Hierarchy, Source};

/// What serves where BPF does not.
#[derive(Default)]
pub(crate) struct OomFallback {
    /// The rung that serves; none where BPF does.
    pub(crate) source: Option<Source>,
    pub(crate) counted: Option<CountedKills>,
    /// The log: as the rung, or to fill in what another rung lacks.
    pub(crate) log: Option<LogFeed>,
    /// The record of the log behind which there may be kills that nobody has told of.
    log_after: Option<u64>,
    /// Why better rungs do not serve.
    pub(crate) refused: Vec<String>,
}

/// The rungs in question, best first.
fn rungs(choice: OomChoice) -> &'static [Source] {
    match choice {
        OomChoice::Auto => &[Source::MemoryEvents, Source::OomControl, Source::Kmsg],
        OomChoice::MemoryEvents => &[Source::MemoryEvents],
        OomChoice::OomControl => &[Source::OomControl],
        OomChoice::Kmsg => &[Source::Kmsg],
        _ => &[],
    }
}

impl OomFallback {
    /// Opens the best rung that the settings allow, unless BPF serves; and the log beside it, where there is one.
    ///
    /// Of the log, what was there before is of interest behind the record `log_after`. Must run inside a tokio runtime with I/O enabled.
    pub(crate) fn open(
        host: &HostRoot,
        hierarchies: &[Hierarchy],
        choice: OomChoice,
        has_bpf: bool,
        log_after: Option<u64>,
    ) -> Self {
        let mut found = Self { log_after, ..Self::default() };
        if !has_bpf {
            found.take_first(host, hierarchies, rungs(choice));
        }
        if (has_bpf || found.source.is_some()) && found.log.is_none() {
            match LogFeed::open(host, log_after) {
                Ok(log) => found.log = Some(log),
                Err(error) => tracing::info!(%error, "the kernel log fills nothing in"),
            }
        }
        found
    }

    fn take_first(&mut self, host: &HostRoot, hierarchies: &[Hierarchy], rungs: &[Source]) {
        for source in rungs {
            let opened = match source {
                Source::MemoryEvents => self.count(hierarchies, CgroupVersion::V2, *source),
                Source::OomControl => self.count(hierarchies, CgroupVersion::V1, *source),
                _ => LogFeed::open(host, self.log_after)
                    .map(|log| self.log = Some(log))
                    .map_err(|error| error.to_string()),
            };
            match opened {
                Ok(()) => {
                    self.source = Some(*source);
                    return;
                }
                Err(why) => self.refused.push(format!("{}: {why}", source.as_str())),
            }
        }
    }

    fn count(
        &mut self,
        hierarchies: &[Hierarchy],
        version: CgroupVersion,
        source: Source,
    ) -> Result<(), String> {
        let counters = KillCounters::open(hierarchies, version)?;
        self.counted = Some(CountedKills::new(counters, source).map_err(|error| error.to_string())?);
        Ok(())
    }
}

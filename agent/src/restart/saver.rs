//! Saves what the next agent needs to know, on threads that may block, and only what the log has on disk.

use std::io;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::saved::{SavedAgent, SavedCgroups, Settled, StateDir};
use crate::events::EventLog;
use crate::model::Checkpoint;

/// A start reads no more of the log than about this, to know what was before it.
const RECORDS_BEHIND: u64 = 10_000;
/// How long the disk may take to have what is referred to; then it is tried again later.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is saved, and whether it is under way.
pub(crate) struct Saver {
    dir: StateDir,
    events: EventLog,
    agent: SavedAgent,
    /// What `agent.json` says; the log has on disk what this refers to.
    in_file: SavedAgent,
    is_saved: bool,
    /// The number that the saved cgroups are of.
    cgroups_seq: Option<u64>,
    job: Option<JoinHandle<io::Result<Job>>>,
    has_failed: bool,
    /// Failures of the log that were seen.
    disk_errors: u64,
}

/// Files to write.
#[derive(Debug)]
struct Job {
    agent: Option<SavedAgent>,
    cgroups: Option<SavedCgroups>,
}

impl Saver {
    /// `agent` is what was saved at the start.
    pub(crate) fn new(dir: StateDir, events: EventLog, agent: SavedAgent) -> Self {
        Self {
            dir,
            events,
            in_file: agent.clone(),
            agent,
            is_saved: true,
            cgroups_seq: None,
            job: None,
            has_failed: false,
            disk_errors: 0,
        }
    }

    /// Says at once that an agent runs: one that ends before it says more has crashed.
    pub(crate) fn note_start(&mut self) {
        if let Err(error) = self.dir.save_agent(&self.agent) {
            self.fail(&error);
        }
    }

    /// Everything that the kernel has counted is in the log of events now.
    pub(crate) fn checkpoint(&mut self, Checkpoint { kernel_kills, log_sequence }: Checkpoint) {
        let seq = self.events.last_seq();
        self.settle(Settled { kernel_kills, seq, log_sequence });
    }

    fn settle(&mut self, settled: Settled) {
        let before = self.agent.settled;
        // An agent that does not read the log knows no record behind which its own kills are.
        let without_kills = before.filter(|before| before.kernel_kills == settled.kernel_kills);
        let log_sequence = settled.log_sequence.or(without_kills.and_then(|before| before.log_sequence));
        let known = |before: Settled| {
            before.kernel_kills == settled.kernel_kills
                && before.log_sequence.is_some() == log_sequence.is_some()
        };
        if !before.is_some_and(known) {
            self.is_saved = false;
        }
        // The newer, the less of the log a start has to read; but that alone is no reason to write.
        self.agent.settled = Some(Settled { log_sequence, ..settled });
    }

    /// So much of what the programs have dropped was told.
    pub(crate) fn told_drops(&mut self, told: &[u64]) {
        if self.agent.told_drops != told {
            self.agent.told_drops = told.to_vec();
            self.is_saved = false;
        }
    }

    /// Whether the saved cgroups are so old that a start would have much to read.
    pub(crate) fn wants_cgroups(&self) -> bool {
        let works = self.events.disk().is_some_and(|disk| disk.failing.is_none());
        let behind = |seq: u64| self.events.last_seq().saturating_sub(seq) > RECORDS_BEHIND;
        works && self.job.is_none() && self.cgroups_seq.is_none_or(behind)
    }

    /// Begins to save what is new, unless that is under way. Called now and then.
    pub(crate) fn save(&mut self, cgroups: Option<SavedCgroups>) {
        if self.job.is_some() || self.events.disk().is_none() || (self.is_saved && cgroups.is_none()) {
            return;
        }
        let agent = (!self.is_saved || cgroups.is_some()).then(|| self.agent.clone());
        let job = Job { agent, cgroups };
        let (dir, events) = (self.dir.clone(), self.events.clone());
        self.is_saved = true;
        self.job = Some(tokio::task::spawn_blocking(move || carry_out(&dir, &events, job)));
    }

    /// Whether the last saving is done; asks without waiting.
    pub(crate) async fn check(&mut self) {
        let errors = self.events.disk().map_or(0, |disk| disk.errors);
        if errors != std::mem::replace(&mut self.disk_errors, errors) {
            // The files may have gone with the log's.
            (self.is_saved, self.cgroups_seq) = (false, None);
        }
        let Some(job) = self.job.take_if(|job| job.is_finished()) else { return };
        match job.await {
            Ok(Ok(done)) => {
                self.has_failed = false;
                if let Some(agent) = done.agent {
                    self.in_file = agent;
                }
                if let Some(cgroups) = done.cgroups {
                    self.cgroups_seq = Some(cgroups.seq);
                }
            }
            Ok(Err(error)) => self.fail(&error),
            Err(error) => self.fail(&io::Error::other(error)),
        }
    }

    /// Notes that the agent was told to end, before the log is closed: however long the disk takes for the rest, the next
    /// start is no start after a crash. All else in the file stays as it was, so it is never ahead of the log.
    pub(crate) async fn note_end(&mut self) {
        if self.events.disk().is_none() {
            return;
        }
        // A job that runs would write later that an agent runs.
        if let Some(job) = self.job.take()
            && let Ok(Ok(Job { agent: Some(agent), .. })) = job.await
        {
            self.in_file = agent;
        }
        let (dir, agent) = (self.dir.clone(), SavedAgent { running: false, ..self.in_file.clone() });
        let noted = tokio::task::spawn_blocking(move || dir.save_agent(&agent)).await;
        if let Err(error) = noted.unwrap_or_else(|panicked| Err(io::Error::other(panicked))) {
            tracing::error!(%error, "the end cannot be noted; the next start takes it for a crash");
        }
    }

    /// Saves all. The end must be noted and the log closed.
    ///
    /// Without `cgroups` those that are saved hold, with what the log has behind them.
    pub(crate) async fn finish(mut self, cgroups: Option<SavedCgroups>) {
        if self.events.disk().is_none() {
            return;
        }
        self.agent.running = false;
        let job = Job { agent: Some(self.agent.clone()), cgroups };
        let (dir, events) = (self.dir.clone(), self.events.clone());
        let saved = tokio::task::spawn_blocking(move || carry_out(&dir, &events, job)).await;
        if let Err(error) = saved.unwrap_or_else(|panicked| Err(io::Error::other(panicked))) {
            tracing::error!(%error, "the state for the next start was not saved");
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.is_saved = false;
        if !std::mem::replace(&mut self.has_failed, true) {
            tracing::warn!(%error, "the state for the next start cannot be saved; it is tried again");
        }
    }
}

fn carry_out(dir: &StateDir, events: &EventLog, job: Job) -> io::Result<Job> {
    let settled = job.agent.as_ref().and_then(|agent| agent.settled).map_or(0, |settled| settled.seq);
    let seq = settled.max(job.cgroups.as_ref().map_or(0, |cgroups| cgroups.seq));
    let until = Instant::now() + PATIENCE;
    while events.disk().is_some_and(|disk| disk.written_seq < seq) {
        if Instant::now() > until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the event log is not on disk"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // The cgroups first: with an agent that has saved none, a start would not know what was before.
    if let Some(cgroups) = &job.cgroups {
        dir.save_cgroups(cgroups)?;
    }
    if let Some(agent) = &job.agent {
        dir.save_agent(agent)?;
    }
    Ok(job)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::events::DiskOptions;
    use crate::model::{EventDraft, EventKind, EventNames, EventSync, Source};

    fn log(dir: &StateDir) -> EventLog {
        let options = DiskOptions {
            dir: dir.events(),
            max_bytes: 1 << 20,
            max_age: Duration::from_secs(3600),
            max_segments: 4,
            fsync: EventSync::None,
        };
        EventLog::on_disk(8, options, "").unwrap()
    }

    fn agent() -> SavedAgent {
        SavedAgent { boot_id: "b".to_owned(), running: true, ..SavedAgent::default() }
    }

    fn draft() -> EventDraft {
        EventDraft {
            time: SystemTime::UNIX_EPOCH,
            source: Source::Agent,
            cgroup: None,
            identity: None,
            names: EventNames::default(),
            kind: EventKind::CgroupCreated { renamed_from: None },
        }
    }

    /// Told to end before it was ready: that is no crash, and the cgroups that are saved hold.
    #[tokio::test]
    async fn an_agent_that_ends_before_it_is_ready_has_not_crashed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::unlocked(folder.path());
        let events = log(&dir);
        let cgroups = SavedCgroups { seq: 7, ..SavedCgroups::default() };
        dir.save_cgroups(&cgroups).unwrap();
        let mut saver = Saver::new(dir.clone(), events.clone(), agent());
        saver.note_start();
        assert!(dir.agent().unwrap().running);
        saver.note_end().await;
        events.close(Duration::from_secs(20));
        saver.finish(None).await;
        assert!(!dir.agent().unwrap().running);
        assert_eq!(dir.cgroups(), Some(cgroups));
    }

    /// A disk that takes nothing of the log in time.
    #[tokio::test]
    async fn an_end_that_the_log_is_too_slow_for_is_no_crash() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::unlocked(folder.path());
        std::fs::write(dir.events(), "in the way").unwrap();
        let events = log(&dir);
        let mut saver = Saver::new(dir.clone(), events.clone(), agent());
        saver.note_start();
        events.append(draft());
        saver.settle(Settled { kernel_kills: 3, seq: 1, log_sequence: None });
        saver.note_end().await;
        events.close(Duration::ZERO);
        saver.finish(None).await;
        let saved = dir.agent().unwrap();
        assert!(!saved.running);
        assert_eq!(saved.settled, None, "ahead of the log");
    }

    #[test]
    fn a_place_in_the_kernel_log_holds_until_the_next_kill() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::unlocked(folder.path());
        let mut saver = Saver::new(dir.clone(), log(&dir), agent());
        for (kernel_kills, log_sequence, wanted) in [
            (3, None, None),
            (3, Some(40), Some(40)),
            // This agent does not read it.
            (3, None, Some(40)),
            (4, None, None),
            (4, Some(70), Some(70)),
        ] {
            saver.settle(Settled { kernel_kills, seq: 1, log_sequence });
            assert_eq!(saver.agent.settled.unwrap().log_sequence, wanted, "{kernel_kills} {log_sequence:?}");
        }
    }

    /// What was begun to be saved while the agent ran waits for the log's record 1, and with that for the disk.
    #[test]
    fn the_last_word_is_that_the_agent_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::unlocked(folder.path());
        let events = log(&dir);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut saver = Saver::new(dir.clone(), events.clone(), agent());
            saver.save(Some(SavedCgroups { seq: 1, ..SavedCgroups::default() }));
            let written = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                events.append(draft());
            };
            let end = async {
                saver.note_end().await;
                saver.finish(None).await;
            };
            tokio::join!(end, written);
        });
        // Its end waits for all that still runs.
        drop(runtime);
        assert_eq!(dir.cgroups().map(|cgroups| cgroups.seq), Some(1), "nothing was under way");
        assert!(!dir.agent().unwrap().running);
    }
}

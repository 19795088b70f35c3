//! Saves what the next agent must know, on threads that may block, and never what the log does not have on disk.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::saved::{SavedAgent, SavedCgroups, SavedCheckpoint, StateDir};
use crate::events::EventLog;
use crate::model::Checkpoint;
use crate::telemetry::Telemetry;

/// A start reads no more of the log than about this, to know what was before it.
const RECORDS_BEHIND: u64 = 10_000;
/// How long the log may take to reach the disk; then it is tried again later.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is saved, and whether that is under way.
pub(crate) struct Saver {
    dir: StateDir,
    events: EventLog,
    agent: SavedAgent,
    is_saved: bool,
    /// The number that the saved cgroups are of.
    cgroups_seq: Option<u64>,
    /// It answers with that number if it saves cgroups.
    job: Option<JoinHandle<io::Result<Option<u64>>>>,
    has_failed: bool,
    /// Failures of the log that were seen.
    disk_errors: u64,
    telemetry: Arc<Telemetry>,
}

impl Saver {
    /// `agent` is what is saved at the start.
    pub(crate) fn new(dir: StateDir, events: EventLog, agent: SavedAgent, telemetry: Arc<Telemetry>) -> Self {
        Self {
            dir,
            events,
            agent,
            is_saved: true,
            cgroups_seq: None,
            job: None,
            has_failed: false,
            disk_errors: 0,
            telemetry,
        }
    }

    /// Notes at once that an agent runs: one that ends before it notes more has crashed. Blocks.
    pub(crate) fn note_start(&mut self) {
        if let Err(error) = self.dir.save_agent(&self.agent) {
            self.fail(&error);
        }
    }

    /// Everything that the kernel has counted is in the log of events now.
    pub(crate) fn checkpoint(&mut self, Checkpoint { kernel_kills, log_sequence }: Checkpoint) {
        let same = self.agent.checkpoint.filter(|before| before.kernel_kills == kernel_kills);
        // An agent that does not read the kernel log keeps the place in it until the next kill.
        let log_sequence = log_sequence.or(same.and_then(|same| same.log_sequence));
        // The newer, the less of the log a start has to read; but that alone is no reason to write.
        self.is_saved &= same.is_some_and(|same| same.log_sequence.is_some() == log_sequence.is_some());
        self.agent.checkpoint =
            Some(SavedCheckpoint { kernel_kills, seq: self.events.last_seq(), log_sequence });
    }

    /// Whether the saved cgroups are so old that a start would have much to read. Called now and then.
    pub(crate) async fn wants_cgroups(&mut self) -> bool {
        let Some(disk) = self.events.disk() else { return false };
        if disk.errors != std::mem::replace(&mut self.disk_errors, disk.errors) {
            // The files may have gone with the log's.
            (self.is_saved, self.cgroups_seq) = (false, None);
        }
        if let Some(job) = self.job.take_if(|job| job.is_finished()) {
            self.end_job(job).await;
        }
        let is_old = |seq: u64| self.events.last_seq().saturating_sub(seq) > RECORDS_BEHIND;
        disk.failing.is_none() && self.job.is_none() && self.cgroups_seq.is_none_or(is_old)
    }

    /// Begins to save what is new, unless that is under way.
    pub(crate) fn save(&mut self, reported_drops: &[u64], cgroups: Option<SavedCgroups>) {
        self.note_drops(reported_drops);
        if self.job.is_some() || self.events.disk().is_none() || (self.is_saved && cgroups.is_none()) {
            return;
        }
        self.is_saved = true;
        self.job = Some(self.job(cgroups));
    }

    /// Notes that the agent was ordered to end, before the log is closed: however long the disk takes for the rest, and even if it
    /// is full, the next start is no start after a crash.
    pub(crate) async fn note_end(&mut self) {
        if self.events.disk().is_none() {
            return;
        }
        // A job that runs would write later that an agent runs.
        if let Some(job) = self.job.take() {
            self.end_job(job).await;
        }
        let dir = self.dir.clone();
        let noted = done(tokio::task::spawn_blocking(move || dir.note_end())).await;
        if let Err(error) = noted {
            tracing::error!(%error, "the end cannot be noted; the next start takes it for a crash");
        }
    }

    /// Saves all. The end must be noted and the log closed.
    ///
    /// Without `cgroups` those that are saved hold, with the records of the log after them.
    pub(crate) async fn finish(mut self, reported_drops: &[u64], cgroups: Option<SavedCgroups>) {
        if self.events.disk().is_none() {
            return;
        }
        self.note_drops(reported_drops);
        self.agent.running = false;
        if let Err(error) = done(self.job(cgroups)).await {
            tracing::error!(%error, "the state for the next start was not saved");
        }
    }

    /// Records that the programs have dropped and that were reported.
    fn note_drops(&mut self, reported: &[u64]) {
        if self.agent.reported_drops != reported {
            self.agent.reported_drops = reported.to_vec();
            self.is_saved = false;
        }
    }

    fn job(&self, cgroups: Option<SavedCgroups>) -> JoinHandle<io::Result<Option<u64>>> {
        let (dir, events, agent) = (self.dir.clone(), self.events.clone(), self.agent.clone());
        tokio::task::spawn_blocking(move || save(&dir, &events, &agent, cgroups.as_ref()))
    }

    async fn end_job(&mut self, job: JoinHandle<io::Result<Option<u64>>>) {
        match done(job).await {
            Ok(cgroups_seq) => {
                self.has_failed = false;
                self.cgroups_seq = cgroups_seq.or(self.cgroups_seq);
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.is_saved = false;
        self.telemetry.state_save_errors.inc();
        if !std::mem::replace(&mut self.has_failed, true) {
            tracing::warn!(%error, "the state for the next start cannot be saved; it is tried again");
        }
    }
}

async fn done<T>(job: JoinHandle<io::Result<T>>) -> io::Result<T> {
    job.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
}

/// Saves when the log has on disk what this refers to. The number of the cgroups.
fn save(
    dir: &StateDir,
    events: &EventLog,
    agent: &SavedAgent,
    cgroups: Option<&SavedCgroups>,
) -> io::Result<Option<u64>> {
    let cgroups_seq = cgroups.map(|cgroups| cgroups.seq);
    let seq = agent.checkpoint.map(|checkpoint| checkpoint.seq).max(cgroups_seq);
    let until = Instant::now() + PATIENCE;
    while events.disk().is_some_and(|disk| Some(disk.written_seq) < seq) {
        if Instant::now() > until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the event log is not on disk"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // The cgroups first: after an agent that has saved none, a start would not know what was before.
    if let Some(cgroups) = cgroups {
        dir.save_cgroups(cgroups)?;
    }
    dir.save_agent(agent)?;
    Ok(cgroups_seq)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::events::DiskOptions;
    use crate::model::{EventDraft, EventKind, EventNames, Source};

    fn log(dir: &StateDir) -> EventLog {
        let options = DiskOptions::fixture(dir.path());
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

    /// Ordered to end before it was ready: that is no crash, and the cgroups that are saved hold.
    #[tokio::test]
    async fn an_agent_that_ends_before_it_is_ready_has_not_crashed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::unlocked(folder.path());
        let events = log(&dir);
        let cgroups = SavedCgroups { seq: 7, ..SavedCgroups::default() };
        dir.save_cgroups(&cgroups).unwrap();
        let mut saver = Saver::new(dir.clone(), events.clone(), agent(), Arc::default());
        saver.note_start();
        assert!(dir.agent().unwrap().running);
        saver.note_end().await;
        events.close(Duration::from_secs(20));
        saver.finish(&[], None).await;
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
        let mut saver = Saver::new(dir.clone(), events.clone(), agent(), Arc::default());
        saver.note_start();
        events.append(draft());
        saver.checkpoint(Checkpoint { kernel_kills: 3, log_sequence: None });
        saver.note_end().await;
        events.close(Duration::ZERO);
        saver.finish(&[], None).await;
        let saved = dir.agent().unwrap();
        assert!(!saved.running);
        assert_eq!(saved.checkpoint, None, "ahead of the log");
    }

    /// A disk that takes nothing.
    #[tokio::test]
    async fn an_end_on_a_full_disk_is_no_crash_and_what_is_not_saved_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::unlocked(folder.path());
        let events = log(&dir);
        let telemetry = Arc::<Telemetry>::default();
        let mut saver = Saver::new(dir.clone(), events.clone(), agent(), telemetry.clone());
        saver.note_start();
        // Where a file is written before it replaces the old one.
        std::fs::create_dir(folder.path().join("agent.new")).unwrap();
        saver.save(&[1], None);
        saver.note_end().await;
        assert_eq!(telemetry.state_save_errors.get(), 1);
        saver.finish(&[1], None).await;
        assert_eq!(dir.agent(), Some(SavedAgent { running: false, ..agent() }));
    }

    #[test]
    fn a_place_in_the_kernel_log_holds_until_the_next_kill() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::unlocked(folder.path());
        let mut saver = Saver::new(dir.clone(), log(&dir), agent(), Arc::default());
        for (kernel_kills, log_sequence, wanted) in [
            (3, None, None),
            (3, Some(40), Some(40)),
            // This agent does not read it.
            (3, None, Some(40)),
            (4, None, None),
            (4, Some(70), Some(70)),
        ] {
            saver.checkpoint(Checkpoint { kernel_kills, log_sequence });
            assert_eq!(
                saver.agent.checkpoint.unwrap().log_sequence,
                wanted,
                "{kernel_kills} {log_sequence:?}"
            );
        }
    }

    /// What was begun to be saved while the agent ran waits for the log's record 1, and with that for the disk.
    #[test]
    fn a_save_that_runs_does_not_undo_the_note_of_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::unlocked(folder.path());
        let events = log(&dir);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut saver = Saver::new(dir.clone(), events.clone(), agent(), Arc::default());
            saver.save(&[], Some(SavedCgroups { seq: 1, ..SavedCgroups::default() }));
            let written = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                events.append(draft());
            };
            let end = async {
                saver.note_end().await;
                saver.finish(&[], None).await;
            };
            tokio::join!(end, written);
        });
        // Its end waits for all that still runs.
        drop(runtime);
        assert_eq!(dir.cgroups().map(|cgroups| cgroups.seq), Some(1), "nothing was under way");
        assert!(!dir.agent().unwrap().running);
    }
}

//! The thread of one endpoint: rounds of questions, and pauses between them.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::cri::CriConnection;
use super::docker::DockerConnection;
use super::endpoint::RuntimeEndpoint;
use super::error::AskError;
use super::round::{Answers, ask_all};
use super::{docker, logs};
use crate::identity::{KeptLabels, Names, OpenWants};
use crate::model::{Backoff, NamesSource, Runtime};

/// A runtime knows a container within milliseconds of its cgroup.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How often the thread asks about containers that no runtime knows.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// All questions of one round together: a guard for questions that have no deadline.
const ROUND_LIMIT: Duration = Duration::from_secs(20);
/// A pause lasts this many times as long as the round before it, so that a processor has time for other work.
const PAUSE_PER_ROUND: u32 = 2;
/// How often the thread reads the health of containers that have a health check.
const HEALTH_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Asker {
    table: Weak<Names>,
    endpoint: RuntimeEndpoint,
    /// The index of this endpoint among the sources of the table's status.
    slot: usize,
    wants: watch::Receiver<u64>,
    /// The runtime that answered first; a socket belongs to one runtime.
    runtime: Option<Runtime>,
    rounds: u64,
}

impl Asker {
    pub(super) fn new(table: &Arc<Names>, endpoint: RuntimeEndpoint) -> Self {
        let place = endpoint.paths.first().map(|path| path.display().to_string()).unwrap_or_default();
        let slot = table.add_source(endpoint.source, place);
        let wants = table.follow();
        Self { table: Arc::downgrade(table), endpoint, slot, wants, runtime: None, rounds: 0 }
    }

    pub(super) fn run_thread(self) {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(self.run()),
            Err(error) => tracing::error!(%error, "cannot ask for names"),
        }
    }

    async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            self.wants.borrow_and_update();
            let Some((took, is_cut)) = self.round().await else { return };
            if is_cut {
                backoff.reset();
            } else {
                sleep((took * PAUSE_PER_ROUND).clamp(FIRST_PAUSE, LONGEST_PAUSE)).await;
            }
            let Some(pause) = self.pause(&mut backoff) else { return };
            tokio::select! {
                changed = self.wants.changed() => match changed {
                    Ok(()) => backoff.reset(),
                    Err(_dropped) => return,
                },
                () = sleep(pause) => {}
            }
        }
    }

    /// How long to wait for a new want before the next round; `None` when the table is dropped.
    fn pause(&self, backoff: &mut Backoff) -> Option<Duration> {
        let (table, source) = (self.table.upgrade()?, self.endpoint.source);
        let for_names = if table.is_wanted(source) { backoff.pause() } else { Duration::MAX };
        let for_health = if table.with_health(source).is_empty() { Duration::MAX } else { HEALTH_INTERVAL };
        Some(for_names.min(for_health))
    }

    /// Asks once, if the endpoint exists and names are wanted: how long it took, and whether it ended before all was asked. `None`
    /// when the table is dropped.
    async fn round(&mut self) -> Option<(Duration, bool)> {
        let (table, source) = (self.table.upgrade()?, self.endpoint.source);
        let nothing_done = Some((Duration::ZERO, false));
        // Most endpoints exist on no host, so this is tried first.
        if self.endpoint.existing().is_none() {
            self.report(&table, &Answers::failed(AskError::Absent));
            return nothing_done;
        }
        let mut wanted = table.wanted(source);
        wanted.ids.extend(table.with_health(source));
        if wanted.ids.is_empty() {
            return nothing_done;
        }
        self.rounds += 1;
        if self.rounds.is_multiple_of(2) {
            // Containers that never get an answer must not keep the oldest from being asked about.
            wanted.ids.reverse();
        }
        let (began, mut answers) = (Instant::now(), Answers::default());
        let asked = timeout(ROUND_LIMIT, self.ask(&wanted, &table.kept_labels, &mut answers)).await;
        if let Err(why) = asked.map_err(AskError::from).flatten() {
            answers.fail(why);
        }
        self.report(&table, &answers);
        // Without a final answer the next round would ask the same questions at once.
        let is_cut = answers.is_cut && answers.containers.iter().any(|answer| answer.is_final);
        answers.pods.into_iter().for_each(|(uid, pod)| table.put_pod(&uid, pod));
        table.put(wanted.number, answers.containers);
        Some((began.elapsed(), is_cut))
    }

    async fn ask(
        &mut self,
        wanted: &OpenWants,
        kept_labels: &KeptLabels,
        answers: &mut Answers,
    ) -> Result<(), AskError> {
        let path = self.endpoint.existing().ok_or(AskError::Absent)?;
        match self.endpoint.source {
            NamesSource::Logs => logs::ask(path, wanted, answers),
            NamesSource::Cri => {
                let mut connection = CriConnection::open(path, self.runtime, kept_labels).await?;
                self.runtime = Some(connection.runtime);
                ask_all(&mut connection, &wanted.ids, answers).await
            }
            source @ (NamesSource::Docker | NamesSource::Podman) => {
                let mut connection = DockerConnection { socket: path, source, kept_labels };
                ask_all(&mut connection, &wanted.ids, answers).await?;
                self.runtime = Some(docker::runtime(source));
                Ok(())
            }
        }
    }

    /// Reports the round in the status, and logs a change. An endpoint that does not exist is no failure.
    fn report(&self, table: &Names, answers: &Answers) {
        table.note(self.slot, |status| {
            status.runtime = self.runtime;
            let (was_up, place) = (status.up, status.place.as_str());
            match &answers.why {
                None => {
                    (status.up, status.failing) = (Some(true), None);
                    if was_up != Some(true) {
                        tracing::info!(place, source = status.source.as_str(), "reports names of containers");
                    }
                }
                Some(AskError::Absent) => (status.up, status.failing) = (None, None),
                Some(why) => {
                    if was_up != Some(false) {
                        tracing::warn!(place, %why, "cannot read names of containers; will try again");
                    }
                    status.errors += answers.errors;
                    (status.up, status.failing) = (Some(false), Some(why.to_string()));
                }
            }
        });
    }
}

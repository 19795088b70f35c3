//! Whoever can be asked for names: each on a thread of its own, for ever.
//!
//! A source that hangs, floods, lies or is not there delays itself alone. It is asked when there is somebody to ask for
//! and otherwise left in peace; what it does not know yet is asked again soon, then ever more seldom.

mod backoff;
mod cri;
mod docker;
mod error;
mod kubernetes;
mod logs;
mod places;
mod wanted;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::identity::{Answer, Names, Wanted};
use crate::model::{NamesSource, Runtime};
use backoff::Backoff;
use cri::Cri;
use docker::Docker;
use error::AskError;
use logs::Logs;

pub use places::Place;
pub use wanted::{compare, want_changed};

/// After so long a round asks no more and tells what it has heard: whoever is new meanwhile is asked for first.
const ROUND: Duration = Duration::from_millis(500);
/// For all questions of one round together, should one hang that has no deadline of its own.
const ROUND_LIMIT: Duration = Duration::from_secs(20);
/// A round is followed by a pause of so many times its length, so that neither we nor the runtime do nothing else.
const PAUSE_PER_ROUND: u32 = 2;
/// How often containers with health checks of their own are looked at.
const HEALTH_INTERVAL: Duration = Duration::from_secs(10);
/// Containers that are asked for one by one; for more than these a list is cheaper.
const FEW: usize = 8;
/// Questions for one container each in a round, where lists cannot be had.
const MANY: usize = 256;

/// What one round gave.
struct Heard {
    runtime: Option<Runtime>,
    answers: Vec<Answer>,
    /// Questions that failed while others did not.
    errors: u64,
    why: Option<AskError>,
    /// It ended before all was asked.
    is_cut: bool,
}

enum Source {
    Cri(Cri),
    Docker(Docker),
    Logs(Logs),
}

impl Source {
    fn at(place: &Place) -> Self {
        match place {
            Place::Cri(path) => Self::Cri(Cri::new(path.clone())),
            Place::Docker(paths) => Self::Docker(Docker::new(Runtime::Docker, paths.clone())),
            Place::Podman(paths) => Self::Docker(Docker::new(Runtime::Podman, paths.clone())),
            Place::Logs(dir) => Self::Logs(Logs::new(dir.clone())),
        }
    }

    fn kind(&self) -> NamesSource {
        match self {
            Self::Cri(_) => NamesSource::Cri,
            Self::Docker(docker) => docker.kind(),
            Self::Logs(_) => NamesSource::Logs,
        }
    }

    /// Most sources are on no host: what costs nothing to see is not asked.
    fn is_there(&self) -> bool {
        match self {
            Self::Cri(cri) => cri.socket.exists(),
            Self::Docker(docker) => docker.sockets.iter().any(|socket| socket.exists()),
            Self::Logs(logs) => logs.dir.exists(),
        }
    }

    async fn ask(&mut self, names: &Names, wanted: &Wanted) -> Result<Heard, AskError> {
        match self {
            Self::Cri(cri) => cri.ask(&wanted.ids, names.wishes()).await,
            Self::Docker(docker) => docker.ask(&wanted.ids, names.wishes()).await,
            Self::Logs(logs) => logs.ask(names, wanted),
        }
    }
}

/// Starts a thread for each place. They end when the table is dropped.
pub fn start(names: &Arc<Names>, places: &[Place]) {
    for place in places {
        let source = Source::at(place);
        let slot = names.add_source(source.kind(), place.to_string());
        let (weak, follow) = (Arc::downgrade(names), names.follow());
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(Asker { names: weak, source, slot, follow, rounds: 0 }.run()),
                Err(error) => tracing::error!(%error, "names cannot be asked for"),
            }
        };
        let thread = std::thread::Builder::new().name(format!("names-{}", place.kind()));
        if let Err(error) = thread.spawn(work) {
            tracing::error!(%error, %place, "there is no thread to ask for names");
        }
    }
}

/// One source and how it fares.
struct Asker {
    names: Weak<Names>,
    source: Source,
    slot: usize,
    follow: watch::Receiver<u64>,
    rounds: u64,
}

/// What a round cost, and whether it left some out.
struct Round {
    took: Duration,
    is_cut: bool,
}

impl Asker {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            self.follow.borrow_and_update();
            let Some(Round { took, is_cut }) = self.round().await else { return };
            if is_cut {
                backoff = Backoff::default();
            } else {
                sleep((took * PAUSE_PER_ROUND).clamp(Backoff::FIRST, Backoff::LAST)).await;
            }
            let Some((open, checked)) = self.open() else { return };
            let wait = match (open, checked) {
                (true, false) => backoff.next(),
                (true, true) => backoff.next().min(HEALTH_INTERVAL),
                (false, true) => HEALTH_INTERVAL,
                (false, false) => Duration::MAX,
            };
            tokio::select! {
                changed = self.follow.changed() => match changed {
                    Ok(()) => backoff = Backoff::default(),
                    Err(_dropped) => return,
                },
                () = sleep_for(wait) => {}
            }
        }
    }

    /// Whether there is somebody to ask for, and somebody whose health changes; `None` when the table has gone.
    fn open(&self) -> Option<(bool, bool)> {
        let names = self.names.upgrade()?;
        let kind = self.source.kind();
        Some((names.is_wanted(kind), !names.with_health(kind).is_empty()))
    }

    /// Asks once, if there is somebody to ask for; `None` when the table has gone.
    async fn round(&mut self) -> Option<Round> {
        let names = self.names.upgrade()?;
        if !self.source.is_there() {
            self.note(&names, None, Err((AskError::Absent, 0)));
            return Some(Round { took: Duration::ZERO, is_cut: false });
        }
        let kind = self.source.kind();
        let mut wanted = names.wanted(kind);
        wanted.ids.extend(names.with_health(kind));
        if wanted.ids.is_empty() {
            return Some(Round { took: Duration::ZERO, is_cut: false });
        }
        self.rounds += 1;
        if self.rounds.is_multiple_of(2) {
            // Those that never have an answer must not be in the way of the oldest for ever.
            wanted.ids.reverse();
        }
        let began = Instant::now();
        let mut is_cut = false;
        let heard = timeout(ROUND_LIMIT, self.source.ask(&names, &wanted)).await;
        let (runtime, result) = match heard.unwrap_or(Err(AskError::Late)) {
            Ok(Heard { runtime, answers, errors, why, is_cut: more }) => {
                // Else it would be the same questions again at once.
                is_cut = more && answers.iter().any(|answer| answer.is_final);
                names.put(wanted.number, answers);
                (runtime, why.map_or(Ok(()), |why| Err((why, errors))))
            }
            Err(why) => (None, Err((why, 1))),
        };
        self.note(&names, runtime, result);
        Some(Round { took: began.elapsed(), is_cut })
    }

    /// A source that is not there is no fault; one that fails is told of once.
    fn note(&self, names: &Names, runtime: Option<Runtime>, result: Result<(), (AskError, u64)>) {
        names.note(self.slot, |status| {
            status.runtime = runtime.or(status.runtime);
            let (was, place) = (status.up, status.place.as_str());
            match result {
                Ok(()) => {
                    (status.up, status.failing) = (Some(true), None);
                    if was != Some(true) {
                        tracing::info!(place, source = status.source.as_str(), "tells names of containers");
                    }
                }
                Err((AskError::Absent, _)) => (status.up, status.failing) = (None, None),
                Err((why, errors)) => {
                    if was != Some(false) {
                        tracing::warn!(place, %why, "a source of names of containers fails; it is asked again");
                    }
                    status.errors += errors;
                    (status.up, status.failing) = (Some(false), Some(why.to_string()));
                }
            }
        });
    }
}

/// Every reader of what a runtime says, on any bytes.
#[cfg(any(test, feature = "fuzzing"))]
pub fn fuzz(input: &[u8]) {
    use std::hint::black_box;
    let wishes = crate::identity::Wishes { env_prefixes: vec![String::new()], ..Default::default() };
    let _ = black_box(docker::fuzz(input, &wishes));
    black_box(cri::fuzz(input, &wishes));
    black_box(logs::fuzz(&String::from_utf8_lossy(input)));
}

async fn sleep_for(wait: Duration) {
    if wait == Duration::MAX { std::future::pending().await } else { sleep(wait).await }
}

//! The threads that read what a container used, in time.
//!
//! One for each CPU, bound to it, waits for the record that the last task of a cgroup begins to exit there. One more serves
//! the requests of the event path, and exits on CPUs that came later. Between that record and the earliest moment at which the
//! directory can go are some hundred microseconds; the files are open by then, and the threads have a real-time priority where
//! the agent may set one.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::Builder;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use tokio::sync::mpsc::Sender;

use super::values::Containers;
use crate::kernel::{self, ExitFeed};
use crate::model::{LastRequest, LastValues};
use crate::telemetry::Telemetry;

/// Requests that wait for the thread, and answers that wait for the event path. Containers beyond that go without values.
pub(super) const MAX_WAITING: usize = 1024;

/// They read a file into a buffer that is elsewhere, and parse it.
const STACK_BYTES: usize = 256 << 10;

/// The way to the threads. They end with it.
pub(super) struct Requests {
    sender: SyncSender<LastRequest>,
    signals: Arc<Signals>,
    telemetry: Arc<Telemetry>,
}

/// What the threads wait for beside exits: eventfds.
struct Signals {
    wake: OwnedFd,
    stop: OwnedFd,
    forgets_all: AtomicBool,
}

impl Signals {
    fn new() -> io::Result<Arc<Self>> {
        let new = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Ok(Arc::new(Self { wake: new()?, stop: new()?, forgets_all: AtomicBool::new(false) }))
    }
}

impl Requests {
    /// When there is no room, the container goes without values.
    pub(super) fn send(&self, request: LastRequest) {
        match self.sender.try_send(request) {
            Err(TrySendError::Full(LastRequest::Read(..))) => count("dropped", &self.telemetry),
            // What is kept of it must not stay for ever.
            Err(TrySendError::Full(LastRequest::Forget(_))) => {
                self.signals.forgets_all.store(true, Ordering::Release);
            }
            _ => {}
        }
        signal(&self.signals.wake);
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        signal(&self.signals.stop);
    }
}

fn count(outcome: &str, telemetry: &Telemetry) {
    telemetry.final_samples.with_label_values(&[outcome]).inc();
}

fn signal(eventfd: &OwnedFd) {
    // It fails only after some 2^64 signals that no thread has read.
    let _ = rustix::io::write(eventfd, &1u64.to_ne_bytes());
}

/// Starts the threads. One of a CPU that cannot be started is a line in the log: exits there are read late.
///
/// # Errors
/// When there can be no more descriptors, or not even the thread that answers.
pub(super) fn start(
    containers: Containers,
    feeds: Vec<ExitFeed>,
    answers: Sender<LastValues>,
    telemetry: &Arc<Telemetry>,
) -> io::Result<Requests> {
    let (sender, requests) = sync_channel(MAX_WAITING);
    let containers = Arc::new(containers);
    let signals = Signals::new()?;
    let (of_cpus, feeds): (Vec<_>, Vec<_>) = feeds.into_iter().partition(|feed| feed.cpu.is_some());
    for feed in of_cpus {
        let (containers, signals) = (containers.clone(), signals.clone());
        let name = format!("cgtap-exits-{}", feed.cpu.unwrap_or_default());
        let thread = Builder::new().name(name.clone()).stack_size(STACK_BYTES);
        if let Err(error) = thread.spawn(move || read_early(feed, &containers, &signals.stop)) {
            tracing::warn!(%error, thread = name, "last values of containers that end on this CPU may be missed");
        }
    }
    let server = Server {
        feeds,
        signals: signals.clone(),
        telemetry: telemetry.clone(),
        requests,
        containers,
        answers,
    };
    Builder::new().name("cgtap-finals".into()).stack_size(STACK_BYTES).spawn(move || server.run())?;
    Ok(Requests { sender, signals, telemetry: telemetry.clone() })
}

fn raise_priority() {
    if let Err(error) = kernel::go_first() {
        tracing::debug!(%error, "a thread that reads last values has no priority");
    }
}

/// Waits. False when the first of these is the order to stop, or when there is nothing left to wait for: a thread of this priority must
/// not spin.
fn is_to_go_on(fds: &mut [PollFd<'_>]) -> bool {
    match poll(fds, None) {
        // An interruption is a look too many.
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => {
            tracing::error!(%error, "a thread that reads last values cannot wait any more");
            return false;
        }
    }
    let broken = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    fds.first().is_some_and(|stop| stop.revents().is_empty())
        && !fds.iter().any(|fd| fd.revents().intersects(broken))
}

/// Reads early, on one CPU.
fn read_early(mut feed: ExitFeed, containers: &Containers, stop: &OwnedFd) {
    if let Some(cpu) = feed.cpu
        && let Err(error) = kernel::stay_on(cpu)
    {
        tracing::debug!(cpu, %error, "the thread that reads last values on this CPU runs elsewhere");
    }
    raise_priority();
    loop {
        let mut fds = [PollFd::new(stop, PollFlags::IN), PollFd::new(&feed, PollFlags::IN)];
        if !is_to_go_on(&mut fds) {
            return;
        }
        for cgroup in feed.drain() {
            containers.read_early(cgroup);
        }
    }
}

/// Serves the requests.
struct Server {
    feeds: Vec<ExitFeed>,
    signals: Arc<Signals>,
    requests: Receiver<LastRequest>,
    containers: Arc<Containers>,
    answers: Sender<LastValues>,
    telemetry: Arc<Telemetry>,
}

impl Server {
    fn run(mut self) {
        raise_priority();
        while self.wait() {
            self.look_early();
            loop {
                match self.requests.try_recv() {
                    Ok(request) => self.serve(request),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
                self.look_early();
            }
            // After the requests: one of them may have opened what is to be forgotten.
            if self.signals.forgets_all.swap(false, Ordering::Acquire) {
                self.containers.forget_all();
            }
        }
    }

    fn wait(&self) -> bool {
        let Signals { wake, stop, .. } = &*self.signals;
        let mut fds = vec![PollFd::new(stop, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        fds.extend(self.feeds.iter().map(|feed| PollFd::new(feed, PollFlags::IN)));
        let goes_on = is_to_go_on(&mut fds);
        let _ = rustix::io::read(wake, &mut [0; 8]);
        goes_on
    }

    fn look_early(&mut self) {
        for cgroup in self.feeds.iter_mut().flat_map(ExitFeed::drain) {
            self.containers.read_early(cgroup);
        }
    }

    fn serve(&self, request: LastRequest) {
        match request {
            LastRequest::Open(path, members) => self.containers.open(path, members),
            LastRequest::Read(path, members, exit) => {
                let stats = self.containers.last(&path, &members);
                let outcome = if stats.is_some() { "read" } else { "missed" };
                let sent = self.answers.try_send(LastValues { path, exit, stats });
                count(if sent.is_ok() { outcome } else { "dropped" }, &self.telemetry);
            }
            LastRequest::Forget(path) => self.containers.forget(&path),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Write, pipe};

    use super::*;
    use crate::model::{CgroupPath, ExitNumber};

    /// What a thread would do that waits for the reading end of a pipe.
    fn goes_on(stop: &OwnedFd, reading: &PipeReader) -> bool {
        is_to_go_on(&mut [PollFd::new(stop, PollFlags::IN), PollFd::new(reading, PollFlags::IN)])
    }

    #[test]
    fn a_thread_goes_on_until_it_is_stopped_or_can_wait_for_nothing() {
        let signals = Signals::new().unwrap();
        let stop = &signals.stop;
        let (reading, mut writing) = pipe().unwrap();
        writing.write_all(b"x").unwrap();
        assert!(goes_on(stop, &reading), "there is something to read");
        drop(writing);
        assert!(!goes_on(stop, &reading), "nothing comes any more, and each wait would end at once");
        let (reading, _writing) = pipe().unwrap();
        signal(stop);
        assert!(!goes_on(stop, &reading));
    }

    /// The thread does not get to run.
    #[test]
    fn requests_without_room_are_counted_and_what_they_would_forget_is_forgotten() {
        let (sender, _requests) = sync_channel(1);
        let asked = Requests { sender, signals: Signals::new().unwrap(), telemetry: Arc::default() };
        let path = || CgroupPath::from("/a");
        let dropped = || asked.telemetry.final_samples.with_label_values(&["dropped"]).get();
        asked.send(LastRequest::Open(path(), Vec::new()));
        assert_eq!(dropped(), 0);
        asked.send(LastRequest::Read(path(), Vec::new(), ExitNumber(1)));
        assert_eq!(dropped(), 1);
        assert!(!asked.signals.forgets_all.load(Ordering::Relaxed));
        asked.send(LastRequest::Forget(path()));
        assert!(asked.signals.forgets_all.load(Ordering::Relaxed));
    }

    /// The event path does not get to run.
    #[test]
    fn an_answer_without_room_is_dropped_and_counted() {
        let (answers, _full) = tokio::sync::mpsc::channel(1);
        let (_asked, requests) = sync_channel(1);
        let server = Server {
            feeds: Vec::new(),
            signals: Signals::new().unwrap(),
            requests,
            containers: Containers::new(&crate::files::HostRoot::new("/nowhere"), Arc::from([]), 0).into(),
            answers,
            telemetry: Arc::default(),
        };
        for exit in [1, 2, 3] {
            server.serve(LastRequest::Read(CgroupPath::from("/a"), Vec::new(), ExitNumber(exit)));
        }
        let counted =
            ["missed", "dropped"].map(|o| server.telemetry.final_samples.with_label_values(&[o]).get());
        assert_eq!(counted, [1, 2]);
    }
}

//! The threads that read what a container used, in time.
//!
//! One for each CPU, bound to it, waits for the word that the last task of a cgroup begins to exit there. One more serves
//! the requests of the event path, and exits on CPUs that came later. Between that word and the earliest moment at which the
//! directory can go are some hundred microseconds; the files are open by then, and the threads go before others where they
//! may.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::Builder;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use tokio::sync::mpsc::UnboundedSender;

use super::Final;
use super::values::LastValues;
use crate::kernel::{self, ExitFeed};
use crate::model::{CgroupKey, CgroupPath};

/// Containers that are waiting to be opened or read; more at once go without.
const MAX_WAITING: usize = 1024;

/// They read a file into a buffer that is elsewhere, and parse it.
const STACK_BYTES: usize = 256 << 10;

/// What is asked of a container.
pub(crate) enum Request {
    /// It runs: its files are opened, so that they need not be when there is no time.
    Opens(CgroupPath, Vec<CgroupKey>),
    /// Its last process has ended: read, and answer.
    Exited(CgroupPath, Vec<CgroupKey>, u64),
    /// It is gone.
    Gone(CgroupPath),
}

/// The way to the threads. They end with it.
pub(crate) struct Requests {
    sender: SyncSender<Request>,
    wake: Arc<OwnedFd>,
    stop: Arc<OwnedFd>,
    /// Containers that are gone, of which there was no room to tell: what is kept of them must not stay for ever.
    gone: Vec<CgroupPath>,
}

impl Requests {
    /// When there is no room, the container goes without values; that it is gone is told later.
    pub(crate) fn send(&mut self, request: Request) {
        while let Some(path) = self.gone.pop() {
            if let Err(error) = self.sender.try_send(Request::Gone(path)) {
                self.remember(error);
                break;
            }
        }
        if let Err(error) = self.sender.try_send(request) {
            self.remember(error);
        }
        ring(&self.wake);
    }

    fn remember(&mut self, error: TrySendError<Request>) {
        if let TrySendError::Full(Request::Gone(path)) = error {
            self.gone.push(path);
        }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        ring(&self.stop);
    }
}

fn ring(bell: &OwnedFd) {
    // It fails only when it has been rung some 2^64 times.
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

fn bell() -> io::Result<Arc<OwnedFd>> {
    Ok(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
}

/// Starts the threads. One of a CPU that cannot be started is a line in the log: exits there are read late.
///
/// # Errors
/// When there can be no more descriptors, or not even the thread that answers.
pub(crate) fn start(
    values: LastValues,
    feeds: Vec<ExitFeed>,
    answers: UnboundedSender<Final>,
) -> io::Result<Requests> {
    let (sender, requests) = sync_channel(MAX_WAITING);
    let values = Arc::new(values);
    let asked = Requests { sender, wake: bell()?, stop: bell()?, gone: Vec::new() };
    let (mine, others): (Vec<_>, Vec<_>) = feeds.into_iter().partition(|feed| feed.cpu().is_some());
    for feed in mine {
        let (values, stop) = (values.clone(), asked.stop.clone());
        let name = format!("cgtap-exits-{}", feed.cpu().unwrap_or_default());
        let thread = Builder::new().name(name.clone()).stack_size(STACK_BYTES);
        if let Err(error) = thread.spawn(move || follow(feed, &values, &stop)) {
            tracing::warn!(%error, thread = name, "what containers used that end on this CPU may be missed");
        }
    }
    let clerk = Clerk {
        feeds: others,
        wake: asked.wake.clone(),
        stop: asked.stop.clone(),
        requests,
        values,
        answers,
    };
    Builder::new().name("cgtap-finals".into()).stack_size(STACK_BYTES).spawn(move || clerk.run())?;
    Ok(asked)
}

fn go_first() {
    if let Err(error) = kernel::go_first() {
        tracing::debug!(%error, "a thread that reads last values has no priority");
    }
}

/// Waits. False when it is to stop, which the first of these tells, or when there is nothing left to wait for: a thread that
/// goes before all others must not spin.
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
fn follow(mut feed: ExitFeed, values: &LastValues, stop: &OwnedFd) {
    if let Some(cpu) = feed.cpu()
        && let Err(error) = kernel::stay_on(cpu)
    {
        tracing::debug!(cpu, %error, "the thread that reads last values on this CPU runs elsewhere");
    }
    go_first();
    loop {
        let mut fds = [PollFd::new(stop, PollFlags::IN), PollFd::new(&feed, PollFlags::IN)];
        if !is_to_go_on(&mut fds) {
            return;
        }
        for cgroup in feed.drain() {
            values.read_early(cgroup);
        }
    }
}

/// Serves what is asked.
struct Clerk {
    feeds: Vec<ExitFeed>,
    wake: Arc<OwnedFd>,
    stop: Arc<OwnedFd>,
    requests: Receiver<Request>,
    values: Arc<LastValues>,
    answers: UnboundedSender<Final>,
}

impl Clerk {
    fn run(mut self) {
        go_first();
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
        }
    }

    fn wait(&self) -> bool {
        let mut fds = vec![PollFd::new(&self.stop, PollFlags::IN), PollFd::new(&self.wake, PollFlags::IN)];
        fds.extend(self.feeds.iter().map(|feed| PollFd::new(feed, PollFlags::IN)));
        let goes_on = is_to_go_on(&mut fds);
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        goes_on
    }

    fn look_early(&mut self) {
        for cgroup in self.feeds.iter_mut().flat_map(ExitFeed::drain) {
            self.values.read_early(cgroup);
        }
    }

    fn serve(&self, request: Request) {
        match request {
            Request::Opens(path, members) => self.values.open(path, members),
            Request::Exited(path, members, exit) => {
                let stats = self.values.last(&path, &members);
                // Whoever asked may be gone; then the next look at the requests ends the thread.
                let _ = self.answers.send(Final { path, exit, stats });
            }
            Request::Gone(path) => self.values.forget(&path),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Write, pipe};

    use super::*;

    /// What a thread would do that waits for the reading end of a pipe.
    fn goes_on(stop: &OwnedFd, reading: &PipeReader) -> bool {
        is_to_go_on(&mut [PollFd::new(stop, PollFlags::IN), PollFd::new(reading, PollFlags::IN)])
    }

    #[test]
    fn a_thread_goes_on_until_it_is_stopped_or_can_wait_for_nothing() {
        let stop = bell().unwrap();
        let (reading, mut writing) = pipe().unwrap();
        writing.write_all(b"x").unwrap();
        assert!(goes_on(&stop, &reading), "there is something to read");
        drop(writing);
        assert!(!goes_on(&stop, &reading), "nothing comes any more, and each wait would end at once");
        let (reading, _writing) = pipe().unwrap();
        ring(&stop);
        assert!(!goes_on(&stop, &reading));
    }
}

//! The thread that reads what a container used, in time.
//!
//! It waits for two things: the ring that tells that the last task of a cgroup begins to exit, and what the core task asks.
//! Between that word and the earliest moment at which the directory can go are some hundred microseconds; the files are
//! open by then, and the thread goes before others where it may.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use tokio::sync::mpsc::UnboundedSender;

use super::Final;
use crate::files::{CgroupReader, HostRoot, ReadSets};
use crate::kernel::{self, ExitRing};
use crate::model::{CgroupKey, CgroupPath, CgroupStats, Hierarchy};

/// Containers that are waiting to be opened or read; more at once go without.
const MAX_WAITING: usize = 1024;

/// What is read: what only grows while a container lives, and what it had at most.
const SETS: ReadSets = ReadSets {
    cpu: true,
    percpu: false,
    memory: false,
    io: true,
    pids: false,
    pressure: false,
    network: false,
    spec: false,
    peaks: true,
};

/// What the thread is told of a container.
pub(super) enum Request {
    /// It runs: its files are opened, so that they need not be when there is no time.
    Opens(CgroupPath, Vec<CgroupKey>),
    /// Its last process has ended: read, and answer.
    Exited(CgroupPath, Vec<CgroupKey>, u64),
    /// It is gone.
    Gone(CgroupPath),
}

/// The way to the thread.
pub(super) struct Requests {
    sender: SyncSender<Request>,
    wake: Arc<OwnedFd>,
    /// Containers that are gone, of which there was no room to tell: what is kept of them must not stay for ever.
    gone: Vec<CgroupPath>,
}

impl Requests {
    /// When there is no room, the container goes without values; that it is gone is told later.
    pub(super) fn send(&mut self, request: Request) {
        while let Some(path) = self.gone.pop() {
            if let Err(error) = self.sender.try_send(Request::Gone(path)) {
                self.remember(error);
                break;
            }
        }
        if let Err(error) = self.sender.try_send(request) {
            self.remember(error);
        }
        // It fails only when it has been rung some 2^64 times.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn remember(&mut self, error: TrySendError<Request>) {
        if let TrySendError::Full(Request::Gone(path)) = error {
            self.gone.push(path);
        }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

/// Runs on the thread.
pub(super) struct ExitReader {
    reader: CgroupReader,
    exits: Option<ExitRing>,
    wake: Arc<OwnedFd>,
    requests: Receiver<Request>,
    answers: UnboundedSender<Final>,
    /// Containers that run, by each of their directories.
    running: HashMap<CgroupKey, CgroupPath>,
    /// The directories of each.
    members: HashMap<CgroupPath, Vec<CgroupKey>>,
    /// What was read of containers whose last task began to exit.
    early: HashMap<CgroupPath, Box<CgroupStats>>,
}

impl ExitReader {
    /// Starts the thread. It ends with the requests' sender.
    ///
    /// # Errors
    /// When there can be no more threads or descriptors.
    pub(super) fn start(
        host: HostRoot,
        hierarchies: Arc<[Hierarchy]>,
        exits: Option<ExitRing>,
        max_open_files: usize,
        answers: UnboundedSender<Final>,
    ) -> io::Result<Requests> {
        let (sender, requests) = sync_channel(MAX_WAITING);
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let thread = Self {
            reader: CgroupReader::new(host, hierarchies, SETS, max_open_files),
            exits,
            wake: wake.clone(),
            requests,
            answers,
            running: HashMap::new(),
            members: HashMap::new(),
            early: HashMap::new(),
        };
        std::thread::Builder::new().name("cgtap-finals".into()).spawn(move || thread.run())?;
        Ok(Requests { sender, wake, gone: Vec::new() })
    }

    fn run(mut self) {
        if let Err(error) = kernel::go_first() {
            tracing::debug!(%error, "the thread that reads last values has no priority");
        }
        loop {
            self.wait();
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

    fn wait(&self) {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(2);
        fds.push(PollFd::new(&self.wake, PollFlags::IN));
        fds.extend(self.exits.as_ref().map(|ring| PollFd::new(ring, PollFlags::IN)));
        // An interruption is a look too many.
        let _ = poll(&mut fds, None);
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    fn look_early(&mut self) {
        let Some(exits) = &mut self.exits else { return };
        for key in exits.drain() {
            let Some(path) = self.running.get(&key) else { continue };
            let members = self.members.get(path).map(Vec::as_slice).unwrap_or_default();
            if let Ok(reading) = self.reader.read(path, members) {
                self.early.insert(path.clone(), Box::new(reading.stats));
            }
        }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Opens(path, members) => {
                self.read(&path, &members);
                self.running.extend(members.iter().map(|key| (*key, path.clone())));
                self.members.insert(path, members);
            }
            Request::Exited(path, members, number) => {
                let late = self.read(&path, &members);
                let stats = whole(late, self.early.remove(&path));
                // Whoever asked may be gone; then the next look at the requests ends the thread.
                let _ = self.answers.send(Final { path, number, stats });
            }
            Request::Gone(path) => {
                self.early.remove(&path);
                for key in self.members.remove(&path).unwrap_or_default() {
                    self.running.remove(&key);
                }
                self.reader.forget(&path);
            }
        }
    }

    fn read(&mut self, path: &CgroupPath, members: &[CgroupKey]) -> Option<Box<CgroupStats>> {
        self.reader.read(path, members).ok().map(|reading| Box::new(reading.stats))
    }
}

/// The later values, unless the directories went while they were read; then the earlier ones, which lack the moment of
/// the exit.
fn whole(late: Option<Box<CgroupStats>>, early: Option<Box<CgroupStats>>) -> Option<Box<CgroupStats>> {
    let parts = |stats: &CgroupStats| {
        let used = stats.cpu.as_ref().is_some_and(|cpu| cpu.usage_nsec.is_some());
        (used, stats.memory.is_some(), stats.io.is_some())
    };
    let (Some(late), Some(early)) = (&late, &early) else {
        return late.or(early).filter(|stats| parts(stats).0);
    };
    Some(if parts(late) >= parts(early) { late.clone() } else { early.clone() })
        .filter(|stats| parts(stats).0)
}

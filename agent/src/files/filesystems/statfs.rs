//! Asks file systems how full they are, by threads: the kernel answers nothing while a server is dead or a disk hangs,
//! and a scrape does not wait for that.
//!
//! What did not answer in time keeps the thread that asked it, and is not asked again before it has answered.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::fs::{OFlags, fstat, fstatvfs};

use crate::files::HostRoot;

/// How long one thread may take before a second one helps. Most often one asks all within a millisecond.
const HELP_AFTER: Duration = Duration::from_millis(10);

/// They open a file and ask; a megabyte each would be waste.
const STACK_BYTES: usize = 128 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Major and minor number of the file system.
    pub(super) device: (u32, u32),
    /// Where the host has mounted it.
    pub(super) path: PathBuf,
    /// Whether files on it have that device number.
    pub(super) exact: bool,
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) size_bytes: u64,
    /// Free blocks, those for root included.
    pub(super) free_bytes: u64,
    /// All inodes; `None` where they are made as they are wanted (btrfs).
    pub(super) inodes: Option<u64>,
    pub(super) inodes_free: u64,
}

/// Asks the kernel. `None` for what cannot be reached, has no blocks, or lies below another mount.
pub(super) fn space(host: &HostRoot, target: &Target) -> Option<Space> {
    let dir = host.open_with(&target.path, OFlags::PATH).ok()?;
    let device = fstat(&dir).ok()?.st_dev;
    if target.exact && (rustix::fs::major(device), rustix::fs::minor(device)) != target.device {
        return None;
    }
    let found = fstatvfs(&dir).ok().filter(|found| found.f_blocks > 0)?;
    Some(Space {
        size_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        free_bytes: found.f_bfree.saturating_mul(found.f_frsize),
        inodes: (found.f_files > 0).then_some(found.f_files),
        inodes_free: found.f_ffree,
    })
}

pub(super) type Ask = Arc<dyn Fn(&Target) -> Option<Space> + Send + Sync>;

/// Threads that ask, as many as are needed and a fixed number at most. They end with it, but those that hang.
pub(super) struct Pool {
    shared: Arc<Shared>,
    max_threads: usize,
}

struct Shared {
    ask: Ask,
    state: Mutex<State>,
    work: Condvar,
    done: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Arc<Target>>,
    /// Being asked now, whichever round asked for it.
    running: HashSet<(u32, u32)>,
    /// Of this round.
    answers: HashMap<(u32, u32), Space>,
    /// Of this round, not answered yet.
    open: usize,
    round: u64,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Pool {
    pub(super) fn new(max_threads: usize, ask: Ask) -> Self {
        let (work, done) = (Condvar::new(), Condvar::new());
        Self { shared: Arc::new(Shared { ask, state: Mutex::default(), work, done }), max_threads }
    }

    /// Begins a round: asks all of these that are not being asked already.
    pub(super) fn ask(&self, targets: impl Iterator<Item = Arc<Target>>) {
        let mut state = self.shared.state.lock();
        state.round += 1;
        state.answers.clear();
        let State { queue, running, .. } = &mut *state;
        queue.clear();
        queue.extend(targets.filter(|target| !running.contains(&target.device)));
        state.open = state.queue.len();
        self.help(&mut state);
    }

    /// Ends it: what was answered until the deadline.
    pub(super) fn answers(&self, deadline: Instant) -> HashMap<(u32, u32), Space> {
        let mut state = self.shared.state.lock();
        while state.open > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            // No thread is left to ask the rest, so waiting is of no use.
            let stuck = state.threads == state.running.len() && state.open == state.queue.len();
            if left.is_zero() || (stuck && state.threads >= self.max_threads) {
                break;
            }
            if self.shared.done.wait_for(&mut state, left.min(HELP_AFTER)).timed_out() {
                self.help(&mut state);
            }
        }
        state.queue.clear();
        state.round += 1;
        std::mem::take(&mut state.answers)
    }

    /// Devices that have not answered yet.
    pub(super) fn hung(&self) -> u64 {
        self.shared.state.lock().running.len() as u64
    }

    /// Wakes or starts a thread if there is something to ask.
    fn help(&self, state: &mut State) {
        if state.queue.is_empty() {
            return;
        }
        if state.idle > 0 {
            self.shared.work.notify_one();
        } else if state.threads < self.max_threads {
            let shared = self.shared.clone();
            let name = "cgtap-statfs".to_owned();
            match Builder::new().name(name).stack_size(STACK_BYTES).spawn(move || shared.serve()) {
                Ok(_) => state.threads += 1,
                Err(error) => tracing::debug!(%error, "no thread to ask file systems"),
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn serve(&self) {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return;
            }
            let Some(target) = state.queue.pop_front() else {
                state.idle += 1;
                self.work.wait(&mut state);
                state.idle -= 1;
                continue;
            };
            state.running.insert(target.device);
            let round = state.round;
            drop(state);
            let answer = (self.ask)(&target);
            state = self.state.lock();
            state.running.remove(&target.device);
            // An answer after its round is dropped: that round has reported it absent.
            if state.round == round {
                state.answers.extend(answer.map(|answer| (target.device, answer)));
                state.open -= 1;
                if state.open == 0 {
                    self.done.notify_all();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

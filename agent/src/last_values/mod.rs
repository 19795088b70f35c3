//! The last values of a container, read between the end of its last process and the end of its directory.
//!
//! The kernel reports that a cgroup is empty before its last process can be waited for, and whoever waits may remove the
//! directory at once: the first to read or to remove wins. So threads of their own do nothing but wait for exits and read.

mod threads;
mod values;

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::files::HostRoot;
use crate::kernel::ExitFeed;
use crate::model::{CgroupPath, CgroupStats, Hierarchy};
pub(crate) use threads::Request;
use threads::Requests;
use values::LastValues;

/// The last values of a container; `None` when its directory was gone already.
pub(crate) struct Final {
    pub(crate) path: CgroupPath,
    /// The exit that was asked about.
    pub(crate) exit: u64,
    pub(crate) stats: Option<Box<CgroupStats>>,
}

/// The threads that read, and what they have read.
pub(crate) struct Finals {
    requests: Requests,
    answers: UnboundedReceiver<Final>,
}

impl Finals {
    /// Starts the threads.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(crate) fn start(
        host: &HostRoot,
        hierarchies: Arc<[Hierarchy]>,
        exits: Vec<ExitFeed>,
        max_open_files: usize,
    ) -> io::Result<Self> {
        let (sender, answers) = unbounded_channel();
        let requests = threads::start(LastValues::new(host, hierarchies, max_open_files), exits, sender)?;
        Ok(Self { requests, answers })
    }

    /// When the threads have too much to do already, an exit is not answered.
    pub(crate) fn ask(&mut self, request: Request) {
        self.requests.send(request);
    }

    /// The next values; waits for ever when nothing was asked for. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Final {
        match self.answers.recv().await {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }

    /// Values that are here already.
    pub(crate) fn ready(&mut self) -> Option<Final> {
        self.answers.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cgroup_that_is_gone_has_no_values() {
        let mut finals = Finals::start(&HostRoot::new("/nowhere"), Arc::from([]), Vec::new(), 0).unwrap();
        finals.ask(Request::Exited(CgroupPath::from("/a"), Vec::new(), 7));
        let found = finals.next().await;
        assert_eq!((found.path, found.exit), (CgroupPath::from("/a"), 7));
        assert!(found.stats.is_none());
        assert!(finals.ready().is_none());
    }
}

//! The last values of a container, read between the end of its last process and the end of its directory.
//!
//! The kernel reports that a cgroup is empty before its last process can be waited for, and the process that waits may remove
//! the directory at once: the first to read or to remove wins. So threads of their own only wait for exits and read.

mod threads;
mod values;

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, channel};

use crate::files::HostRoot;
use crate::kernel::ExitFeed;
use crate::model::{Hierarchy, LastRequest, LastValues};
use crate::telemetry::Telemetry;
use threads::{MAX_WAITING, Requests};
use values::Containers;

/// The threads that read, and what they have read.
pub(crate) struct Finals {
    requests: Requests,
    answers: Receiver<LastValues>,
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
        telemetry: &Arc<Telemetry>,
    ) -> io::Result<Self> {
        let (sender, answers) = channel(MAX_WAITING);
        let containers = Containers::new(host, hierarchies, max_open_files);
        Ok(Self { requests: threads::start(containers, exits, sender, telemetry)?, answers })
    }

    /// When the threads have too much to do already, an exit is not answered.
    pub(crate) fn ask(&self, request: LastRequest) {
        self.requests.send(request);
    }

    /// The next values; waits for ever when nothing was asked for. Cancel-safe.
    pub(crate) async fn next(&mut self) -> LastValues {
        match self.answers.recv().await {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }

    /// Values that are here already.
    pub(crate) fn ready(&mut self) -> Option<LastValues> {
        self.answers.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CgroupPath, ExitNumber};

    #[tokio::test]
    async fn a_cgroup_that_is_gone_has_no_values() {
        let (host, telemetry) = (HostRoot::new("/nowhere"), Arc::default());
        let mut finals = Finals::start(&host, Arc::from([]), Vec::new(), 0, &telemetry).unwrap();
        finals.ask(LastRequest::Read(CgroupPath::from("/a"), Vec::new(), ExitNumber(7)));
        let found = finals.next().await;
        assert_eq!((found.path, found.exit), (CgroupPath::from("/a"), ExitNumber(7)));
        assert!(found.stats.is_none());
        assert!(finals.ready().is_none());
        assert_eq!(telemetry.final_samples.with_label_values(&["missed"]).get(), 1);
    }
}

//! A source that opens files has a thread of its own, so that the thread of the event path opens none.
//!
//! The source's reports come through a bounded queue. Everything from before a barrier is in front of it in the
//! queue. Where the story needs an order between two sources, the event path asks for one.

use std::io;
use std::sync::mpsc::sync_channel;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::model::BARRIER_WITHIN;

/// Reports that wait for the event path; the source reads no further meanwhile.
const MAX_REPORTS: usize = 64;
/// Requests that wait for the source.
const MAX_REQUESTS: usize = 4096;

/// What runs on the thread.
pub(super) trait ThreadedSource {
    /// What it reports.
    type Report: Send + 'static;
    /// What it is asked to do.
    type Request: Send + 'static;

    /// Waits for the next report. Cancel-safe.
    async fn next(&mut self) -> io::Result<Self::Report>;

    /// What must be reported before a barrier, within moments: of events, everything that happened before this call.
    async fn drain(&mut self) -> io::Result<Self::Report>;

    /// Does what it is asked; what there is to report of it.
    fn serve(&mut self, _request: Self::Request) -> Option<Self::Report> {
        None
    }
}

enum Item<T> {
    Report(T),
    Barrier(u64),
}

enum Ask<T> {
    Serve(T),
    /// After the last one the source is not read any more.
    Barrier {
        number: u64,
        is_last: bool,
    },
}

/// A source on its thread, as the event path sees it. The thread ends when this is dropped.
pub(crate) struct OnThread<Request, Report> {
    requests: Sender<Ask<Request>>,
    reports: Receiver<io::Result<Item<Report>>>,
    barriers: u64,
}

impl<Request: Send + 'static, Report: Send + 'static> OnThread<Request, Report> {
    /// Starts the thread, which makes the source. Returns when it is made.
    ///
    /// # Errors
    /// When the thread cannot be started, or the source cannot be made.
    pub(super) fn start<S>(
        name: &str,
        make: impl FnOnce() -> io::Result<S> + Send + 'static,
    ) -> io::Result<Self>
    where
        S: ThreadedSource<Report = Report, Request = Request>,
    {
        let (requests, asked) = channel(MAX_REQUESTS);
        let (out, reports) = channel(MAX_REPORTS);
        let (made, is_made) = sync_channel(1);
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let source = runtime.and_then(|runtime| {
                let inside = runtime.enter();
                let source = make()?;
                drop(inside);
                Ok((runtime, source))
            });
            match source {
                Ok((runtime, source)) => {
                    let _ = made.send(Ok(()));
                    runtime.block_on(follow(source, asked, out));
                }
                Err(error) => drop(made.send(Err(error))),
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(body)?;
        is_made.recv().map_err(io::Error::other)??;
        Ok(Self { requests, reports, barriers: 0 })
    }

    /// The next report. Cancel-safe.
    ///
    /// # Errors
    /// When the source cannot go on; it reports nothing more.
    pub(crate) async fn next(&mut self) -> io::Result<Report> {
        loop {
            match self.reports.recv().await {
                Some(Ok(Item::Report(report))) => return Ok(report),
                // A barrier whose wait timed out.
                Some(Ok(Item::Barrier(_))) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(io::Error::other("its thread has ended")),
            }
        }
    }

    /// All reports of what happened before this call.
    ///
    /// # Errors
    /// When the source cannot go on.
    pub(crate) async fn drain(&mut self) -> io::Result<Vec<Report>> {
        self.barrier(false).await
    }

    /// The same at the end: the thread reads no further. What it would read, the next agent must find in a pinned ring.
    ///
    /// # Errors
    /// When the source cannot go on.
    pub(crate) async fn finish(&mut self) -> io::Result<Vec<Report>> {
        self.barrier(true).await
    }

    async fn barrier(&mut self, is_last: bool) -> io::Result<Vec<Report>> {
        let mut found = Vec::new();
        self.barriers += 1;
        let all = tokio::time::timeout(BARRIER_WITHIN, self.until_barrier(is_last, &mut found)).await;
        match all {
            Ok(Ok(())) => {}
            Ok(Err(error)) if found.is_empty() => return Err(error),
            // What came before that is not lost; the next call has the error.
            Ok(Err(error)) => tracing::warn!(%error, "a source ended while it was asked for its reports"),
            Err(_elapsed) => tracing::warn!("a source is slow; its reports may come late"),
        }
        Ok(found)
    }

    async fn until_barrier(&mut self, is_last: bool, found: &mut Vec<Report>) -> io::Result<()> {
        let ended = || io::Error::other("its thread has ended");
        let mut has_asked = false;
        loop {
            let item = tokio::select! {
                place = self.requests.reserve(), if !has_asked => {
                    let barrier = Ask::Barrier { number: self.barriers, is_last };
                    place.map_err(|_closed| ended())?.send(barrier);
                    has_asked = true;
                    continue;
                }
                // Taken also while there is no room to ask: a source that has no room to report serves no request.
                item = self.reports.recv() => item.ok_or_else(ended)??,
            };
            match item {
                Item::Report(report) => found.push(report),
                Item::Barrier(number) if number == self.barriers => return Ok(()),
                Item::Barrier(_) => {}
            }
        }
    }

    /// Asks the source to do something. False when too much waits already.
    pub(crate) fn ask(&self, request: Request) -> bool {
        self.requests.try_send(Ask::Serve(request)).is_ok()
    }
}

async fn follow<S: ThreadedSource>(
    mut source: S,
    mut asked: Receiver<Ask<S::Request>>,
    out: Sender<io::Result<Item<S::Report>>>,
) {
    loop {
        let mut is_last = false;
        let (report, barrier) = tokio::select! {
            report = source.next() => (report.map(Some), None),
            ask = asked.recv() => match ask {
                None => return,
                Some(Ask::Serve(request)) => (Ok(source.serve(request)), None),
                Some(Ask::Barrier { number, is_last: last }) => {
                    is_last = last;
                    (source.drain().await.map(Some), Some(number))
                }
            },
        };
        let has_failed = report.is_err();
        let items =
            [report.map(|report| report.map(Item::Report)).transpose(), barrier.map(Item::Barrier).map(Ok)];
        for item in items.into_iter().flatten() {
            if out.send(item).await.is_err() || has_failed {
                return;
            }
        }
        if is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Reports what it is asked to, and what it has had until a barrier.
    #[derive(Default)]
    struct Echo {
        seen: Vec<u32>,
    }

    impl ThreadedSource for Echo {
        type Report = Vec<u32>;
        type Request = u32;

        async fn next(&mut self) -> io::Result<Vec<u32>> {
            std::future::pending().await
        }

        async fn drain(&mut self) -> io::Result<Vec<u32>> {
            Ok(std::mem::take(&mut self.seen))
        }

        fn serve(&mut self, request: u32) -> Option<Vec<u32>> {
            if request.is_multiple_of(2) {
                return Some(vec![request]);
            }
            self.seen.push(request);
            None
        }
    }

    #[tokio::test]
    async fn everything_from_before_a_barrier_is_in_front_of_it() {
        let mut source = OnThread::start("echo", || Ok(Echo::default())).unwrap();
        for request in [1, 2, 3, 4] {
            assert!(source.ask(request));
        }
        assert_eq!(source.drain().await.unwrap().concat(), [2, 4, 1, 3]);
        source.ask(6);
        assert_eq!(source.next().await.unwrap(), [6]);
    }

    /// Both queues are full: the source waits for room to report, and there is no room to ask.
    #[tokio::test]
    async fn a_barrier_makes_room_for_itself() {
        let mut source = OnThread::start("echo", || Ok(Echo::default())).unwrap();
        // One report more is in the source's hands.
        let all = MAX_REQUESTS + MAX_REPORTS + 1;
        for _ in 0..all {
            while !source.ask(2) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        assert!(!source.ask(2));
        assert_eq!(source.drain().await.unwrap().concat().len(), all);
    }

    #[tokio::test]
    async fn a_source_that_is_finished_reads_no_further() {
        let mut source = OnThread::start("echo", || Ok(Echo::default())).unwrap();
        source.ask(1);
        assert_eq!(source.finish().await.unwrap().concat(), [1]);
        source.ask(2);
        assert!(source.next().await.is_err());
    }

    #[tokio::test]
    async fn a_source_that_cannot_be_made_is_an_error_of_the_start() {
        let made = OnThread::start("echo", || Err::<Echo, _>(io::Error::other("no")));
        assert_eq!(made.err().unwrap().to_string(), "no");
    }
}

//! An agent without a kernel, and a client for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::config::ListenAddr;
use crate::events::EventLog;
use crate::model::{CgroupPath, CgroupRef, EventDraft, EventKind, EventNames, Source};
use crate::registry::Registry;
use crate::serve::readiness::Alive;
use crate::serve::scrape::{Exposition, WriteBody};
use crate::serve::shutdown::ShutdownTrigger;
use crate::serve::*;
use crate::snapshot::AgentView;
use crate::telemetry::Telemetry;

/// Much longer than anything here takes. A test that hangs fails after this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// As long as the pieces of a real exposition.
pub(super) const TEXT_BYTES: usize = 64 * 1024;

pub(super) struct Agent {
    pub(super) address: SocketAddr,
    pub(super) services: Services,
    pub(super) alive: Option<Alive>,
    pub(super) trigger: ShutdownTrigger,
    pub(super) server: JoinHandle<()>,
}

/// A scrape that answers with the request's `accept` and then `body`.
pub(super) fn exposition_of(body: Bytes) -> ScrapeSource {
    ScrapeSource::Fake(Arc::new(move |accept| {
        let asked = format!("# accept {accept:?}\n");
        let body = Bytes::from([asked.as_bytes(), &body].concat());
        let write: WriteBody = Box::new(move |sink| {
            let _ = body.chunks(TEXT_BYTES).try_for_each(sink);
        });
        Box::pin(async move { Ok(Exposition { content_type: "text/plain; version=0.0.4", write }) })
    }))
}

pub(super) fn services(log: EventLog) -> Services {
    Services {
        agent: AgentView::fixture(Registry::new(0), log),
        metrics: exposition_of(Bytes::from_static(b"up 1\n")),
        kubelet_metrics: exposition_of(Bytes::from_static(b"up 2\n")),
        readiness: Readiness::default(),
        liveness: Liveness::default(),
    }
}

impl Agent {
    pub(super) async fn start() -> Self {
        Self::with(Limits::new(64), EventLog::new(1000), |_| {}).await
    }

    pub(super) async fn with(limits: Limits, log: EventLog, change: impl FnOnce(&mut Services)) -> Self {
        let mut services = services(log);
        let alive = Some(services.liveness.begin());
        change(&mut services);
        let listeners = bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
        let ListenAddr::Tcp(address) = listeners[0].address else { panic!("asked for TCP") };
        let (trigger, shutdown) = Shutdown::new();
        let server = tokio::spawn(serve(listeners, services.clone(), limits, shutdown));
        Self { address, services, alive, trigger, server }
    }

    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.services.agent.telemetry
    }

    pub(super) fn append(&self, path: &str) -> u64 {
        let cgroup = CgroupRef { path: CgroupPath::from(path), key: None, path_cut: false };
        self.services.agent.events.append(EventDraft {
            time: UNIX_EPOCH,
            source: Source::TpBtf,
            cgroup: Some(cgroup),
            identity: None,
            names: EventNames::default(),
            kind: EventKind::CgroupRemoved,
        })
    }

    pub(super) async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response<Incoming> {
        open(self.address, method, path, headers).await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[]).await
    }

    pub(super) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        patient(async {
            let (head, body) = self.open(method, path, headers).await.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Reply { status: head.status, headers: head.headers, body }
        })
        .await
    }

    /// Waits until the agent's counts or state are as the test needs them.
    pub(super) async fn until(&self, what: impl Fn(&Services) -> bool) {
        patient(async {
            while !what(&self.services) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

pub(super) async fn patient<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("hangs")
}

async fn open(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "agent");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap());
    patient(response).await.unwrap()
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|err| panic!("{err}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The numbers of a stream in which every record is an event.
    pub(super) fn seqs(&self) -> Vec<u64> {
        let lines = self.text().lines();
        lines
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap())
            .collect()
    }
}

/// Reads a body until it has this text. More may have been read with it.
pub(super) async fn read_to(body: &mut Incoming, end: &str) -> String {
    patient(async {
        let mut text = String::new();
        while !text.contains(end) {
            let frame = body.frame().await.unwrap_or_else(|| panic!("ended after {text:?}")).unwrap();
            text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
        text
    })
    .await
}

/// Sends bytes as they are and reads until the agent closes.
pub(super) async fn raw_exchange(stream: &mut TcpStream, request: &[u8]) -> String {
    patient(async {
        stream.write_all(request).await.unwrap();
        read_to_close(stream).await
    })
    .await
}

/// Reads until the agent closes. A reset counts as closing.
pub(super) async fn read_to_close(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match patient(stream.read_to_end(&mut answer)).await {
        Ok(_) => {}
        Err(err) => assert_eq!(err.kind(), std::io::ErrorKind::ConnectionReset),
    }
    String::from_utf8(answer).unwrap()
}

//! `/metrics` as a stream: it is whole or visibly cut, and it ends when its client is gone.

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime};

use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::StatusCode;

use super::support::*;
use crate::events::EventLog;
use crate::export::prometheus::{ExpositionOptions, Format, exposition, exposition_in_chunks};
use crate::model::{CgroupPath, CgroupStats, Identity, Machine, MemoryStats};
use crate::serve::scrape::Exposition;
use crate::serve::*;
use crate::snapshot::{CgroupSample, NodeSnapshot, Reading};

const ENCODINGS: [&str; 2] = ["identity", "gzip"];

async fn agent_with(limits: Limits, metrics: ScrapeSource) -> Agent {
    Agent::with(limits, EventLog::new(1), |services| services.metrics = metrics).await
}

fn source(write: impl Fn(&mut dyn FnMut(&[u8]) -> ControlFlow<()>) + Send + Sync + 'static) -> ScrapeSource {
    let write = Arc::new(write);
    ScrapeSource::Fake(Arc::new(move |_| {
        let write = write.clone();
        Box::pin(async move {
            Ok(Exposition { content_type: "text/plain", write: Box::new(move |sink| write(sink)) })
        })
    }))
}

/// Bytes that gzip can hardly compress.
fn noise() -> Vec<u8> {
    let mut random = 1_u32;
    let bytes = std::iter::repeat_with(|| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random.to_be_bytes()[0]
    });
    bytes.take(TEXT_BYTES).collect()
}

/// A text without an end, and counts of its readings.
#[derive(Clone, Default)]
struct Endless {
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
}

impl Endless {
    fn source(&self) -> ScrapeSource {
        let this = self.clone();
        source(move |sink| {
            this.begun.fetch_add(1, Ordering::SeqCst);
            let text = noise();
            while sink(&text).is_continue() {
                this.bytes.fetch_add(text.len(), Ordering::SeqCst);
            }
            this.ended.fetch_add(1, Ordering::SeqCst);
        })
    }

    async fn until_ended(&self, agent: &Agent) {
        agent.until(|_| self.ended.load(Ordering::SeqCst) == self.begun.load(Ordering::SeqCst)).await;
        assert!(self.begun.load(Ordering::SeqCst) > 0);
    }
}

fn large_node() -> NodeSnapshot {
    let sample = |number: u64| CgroupSample {
        path: CgroupPath::from(format!("/kubepods/burstable/pod{number:08}").as_str()),
        identity: Arc::new(Identity::default()),
        names: None,
        pod: None,
        unit_description: None,
        stats: CgroupStats {
            memory: Some(MemoryStats { usage_bytes: Some(number * 4096), ..MemoryStats::default() }),
            ..CgroupStats::default()
        },
        oom_kills: number % 3,
        last_seen: SystemTime::now(),
        removed: false,
    };
    NodeSnapshot {
        taken: SystemTime::now(),
        machine: Arc::new(Machine::default()),
        cgroups: (0..10_000).map(sample).collect(),
        reading: Reading::default(),
    }
}

#[tokio::test]
async fn the_stream_is_the_whole_exposition() {
    let node = Arc::new(large_node());
    let whole = exposition(&node, &[], &ExpositionOptions::default(), Format::Text);
    assert!(whole.len() > 20 * TEXT_BYTES, "{} bytes", whole.len());
    let metrics = source(move |sink| {
        exposition_in_chunks(&node, &[], &ExpositionOptions::default(), Format::Text, sink);
    });
    let agent = agent_with(Limits::new(8), metrics).await;
    for encoding in ENCODINGS {
        let reply = agent.ask("GET", "/metrics", &[("accept-encoding", encoding)]).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.header("transfer-encoding"), "chunked");
        let mut text = Vec::new();
        if encoding == "gzip" {
            assert_eq!(reply.header("content-encoding"), "gzip");
            MultiGzDecoder::new(&reply.body[..]).read_to_end(&mut text).unwrap();
        } else {
            text.extend_from_slice(&reply.body);
        }
        assert!(text == whole, "{encoding}: {} bytes of {}", text.len(), whole.len());
    }
}

#[tokio::test]
async fn the_thread_ends_when_its_client_goes_away() {
    for encoding in ENCODINGS {
        let endless = Endless::default();
        let agent = agent_with(Limits::new(8), endless.source()).await;
        let mut reply = agent.open("GET", "/metrics", &[("accept-encoding", encoding)]).await;
        for _ in 0..20 {
            assert!(reply.body_mut().frame().await.unwrap().is_ok());
        }
        drop(reply);
        endless.until_ended(&agent).await;
        agent.until(|services| services.agent.telemetry.http_connections.get() == 0).await;
    }
}

#[tokio::test]
async fn a_stalled_client_costs_a_few_pieces_until_it_is_dropped() {
    for encoding in ENCODINGS {
        let endless = Endless::default();
        let limits = Limits { stalled_response: Duration::from_millis(50), ..Limits::new(8) };
        let agent = agent_with(limits, endless.source()).await;
        let stuck = agent.open("GET", "/metrics", &[("accept-encoding", encoding)]).await;
        agent.until(|services| services.agent.telemetry.http_stalled_connections.get() == 1).await;
        endless.until_ended(&agent).await;
        // All that the kernel's buffers took, and ours.
        assert!(endless.bytes.load(Ordering::SeqCst) < 32 << 20);
        drop(stuck);
    }
}

#[tokio::test]
async fn head_makes_one_piece_at_most() {
    for encoding in ENCODINGS {
        let endless = Endless::default();
        let agent = agent_with(Limits::new(8), endless.source()).await;
        let head = agent.ask("HEAD", "/metrics", &[("accept-encoding", encoding)]).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
        assert_eq!(head.header("content-type"), "text/plain");
        assert_eq!(head.header("content-encoding"), if encoding == "gzip" { "gzip" } else { "" });
        endless.until_ended(&agent).await;
        assert!(endless.bytes.load(Ordering::SeqCst) < 1 << 20);
    }
}

#[tokio::test]
async fn a_failure_before_the_first_piece_is_a_500() {
    for encoding in ENCODINGS {
        let agent = agent_with(Limits::new(8), source(|_| panic!("on purpose, for a test"))).await;
        let reply = agent.ask("GET", "/metrics", &[("accept-encoding", encoding)]).await;
        assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(reply.json()["error"].as_str().unwrap().contains("panic"), "{reply:?}");
        assert_eq!(reply.header("content-encoding"), "");
        assert_eq!(agent.telemetry().http_failed_scrapes.get(), 1);
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_ends_the_body_with_an_error() {
    for encoding in ENCODINGS {
        let metrics = source(|sink| {
            let text = noise();
            for _ in 0..100 {
                let _ = sink(&text);
            }
            panic!("on purpose, for a test");
        });
        let agent = agent_with(Limits::new(8), metrics).await;
        let reply = agent.open("GET", "/metrics", &[("accept-encoding", encoding)]).await;
        assert_eq!(reply.status(), StatusCode::OK);
        assert!(patient(reply.into_body().collect()).await.is_err(), "{encoding}");
        assert_eq!(agent.get("/healthz").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_scrape_keeps_its_permit_until_its_end() {
    let endless = Endless::default();
    let limits = Limits { max_scrapes: 1, ..Limits::new(8) };
    let agent = agent_with(limits, endless.source()).await;
    let mut first = agent.open("GET", "/metrics", &[]).await;
    // Between two pieces hyper has nothing left to send.
    for _ in 0..20 {
        assert!(first.body_mut().frame().await.unwrap().is_ok());
        assert_eq!(agent.get("/metrics").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    drop(first);
    agent.until(|services| services.agent.telemetry.http_connections.get() == 0).await;
    assert_eq!(agent.open("GET", "/metrics", &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_scrape_that_has_begun_is_finished_at_shutdown() {
    let (go_on, gate) = mpsc::channel::<()>();
    let (gate, last) = (Mutex::new(gate), AtomicBool::new(false));
    let metrics = source(move |sink| {
        let _ = sink(&[b'a'; TEXT_BYTES]);
        gate.lock().unwrap().recv().unwrap();
        let _ = sink(&[b'b'; TEXT_BYTES]);
        assert!(!last.swap(true, Ordering::SeqCst));
    });
    let agent = agent_with(Limits { drain: Duration::from_secs(60), ..Limits::new(8) }, metrics).await;
    let reply = agent.open("GET", "/metrics", &[]).await;
    agent.trigger.order();
    go_on.send(()).unwrap();
    let body = patient(reply.into_body().collect()).await.unwrap().to_bytes();
    assert!(body == [[b'a'; TEXT_BYTES], [b'b'; TEXT_BYTES]].concat());
    patient(agent.server).await.unwrap();
}

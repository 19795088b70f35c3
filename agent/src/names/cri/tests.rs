use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::messages::{
    ContainerMetadata, ContainerStatus, ImageSpec, ListContainersResponse, ListPodSandboxResponse,
    PodSandboxMetadata,
};
use super::*;
use crate::identity::{KeptLabels, Names};
use crate::model::NamesSource;
use crate::names::{RuntimeEndpoint, start};

/// A runtime with these containers.
#[derive(Default)]
struct Fake {
    containers: Mutex<Vec<Container>>,
    sandboxes: Mutex<Vec<PodSandbox>>,
    calls: AtomicUsize,
    /// How long the status of a container takes.
    slowness: Duration,
}

impl Fake {
    fn answer(&self, path: &str, body: &Bytes) -> Vec<u8> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let filter = ListRequest::decode(body.get(5..).unwrap_or_default()).ok().and_then(|list| list.filter);
        let wanted = |id: &str| filter.as_ref().is_none_or(|filter| filter.id == id);
        match path {
            VERSION => VersionResponse { runtime_name: "containerd".to_owned() }.encode_to_vec(),
            LIST_CONTAINERS => {
                let containers = self.containers.lock().unwrap().clone();
                let containers = containers.into_iter().filter(|one| wanted(&one.id)).collect();
                ListContainersResponse { containers }.encode_to_vec()
            }
            LIST_SANDBOXES => {
                let items = self.sandboxes.lock().unwrap().clone();
                let items = items.into_iter().filter(|one| wanted(&one.id)).collect();
                ListPodSandboxResponse { items }.encode_to_vec()
            }
            CONTAINER_STATUS => {
                let image = ImageSpec { image: "shop/web:1".to_owned(), ..ImageSpec::default() };
                let status = ContainerStatus { started_at: 2_000_000_000, image: Some(image) };
                let spec = r#"{"runtimeSpec":{"process":{"env":["APP_A=b=c","PATH=/bin"]}}}"#;
                let info = [("info".to_owned(), spec.to_owned())].into();
                ContainerStatusResponse { status: Some(status), info }.encode_to_vec()
            }
            _ => {
                let info = [("info".to_owned(), r#"{"image":"pause:3"}"#.to_owned())].into();
                PodSandboxStatusResponse { info }.encode_to_vec()
            }
        }
    }

    /// Serves until it is dropped.
    fn serve(self: &Arc<Self>, socket: &Path) -> Server {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        let fake = self.clone();
        Server(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let fake = fake.clone();
                let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let fake = fake.clone();
                    async move { Ok::<_, Infallible>(respond(fake, request).await) }
                });
                let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                connections.spawn(http2.serve_connection(TokioIo::new(stream), service));
            }
        }))
    }
}

async fn respond(
    fake: Arc<Fake>,
    request: Request<Incoming>,
) -> Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if path == CONTAINER_STATUS {
        tokio::time::sleep(fake.slowness).await;
    }
    let message = fake.answer(&path, &body);
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.extend_from_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(frame.freeze()).with_trailers(async move { Some(Ok(trailers)) });
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}

struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn id(number: u32) -> String {
    format!("{number:064x}")
}

fn container(number: u32) -> Container {
    let labels = [
        ("io.kubernetes.container.name", "web"),
        ("io.kubernetes.pod.name", "web-1"),
        ("io.kubernetes.pod.namespace", "shop"),
        ("io.kubernetes.pod.uid", "u"),
    ];
    Container {
        id: id(number),
        metadata: Some(ContainerMetadata { name: "web".to_owned(), attempt: 1 }),
        image: Some(ImageSpec { image: "sha256:0a".to_owned(), ..ImageSpec::default() }),
        image_ref: "sha256:0b".to_owned(),
        created_at: 1_000_000_000,
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        annotations: [("io.kubernetes.container.restartCount".to_owned(), "3".to_owned())].into(),
    }
}

fn sandbox(number: u32) -> PodSandbox {
    PodSandbox {
        id: id(number),
        metadata: Some(PodSandboxMetadata {
            name: "web-1".to_owned(),
            uid: "u".to_owned(),
            namespace: "shop".to_owned(),
        }),
        created_at: 1_000_000_000,
        labels: [("team".to_owned(), "x".to_owned())].into(),
    }
}

/// A table whose only source is that socket.
fn names_from(socket: &Path) -> Arc<Names> {
    let names =
        Arc::new(Names::new(KeptLabels { env_prefixes: vec!["APP_".to_owned()], ..KeptLabels::default() }));
    start(&names, vec![RuntimeEndpoint::new(NamesSource::Cri, socket)]);
    names
}

/// Fails by taking a minute.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

async fn until_known(names: &Names, number: u32) {
    until("names", || names.get(&id(number)).is_some()).await;
}

#[tokio::test]
async fn all_names_of_a_container_and_a_sandbox_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let fake = Arc::new(Fake::default());
    fake.containers.lock().unwrap().push(container(1));
    fake.sandboxes.lock().unwrap().push(sandbox(2));
    let _server = fake.serve(&socket);
    let names = names_from(&socket);
    names.want(&id(1), Some("u"));
    names.want(&id(2), Some("u"));
    until_known(&names, 1).await;
    until_known(&names, 2).await;
    let web = names.get(&id(1)).unwrap();
    assert_eq!(web.title.name, Some(id(1)));
    assert_eq!(web.title.container.as_deref(), Some("web"));
    assert_eq!(web.title.image.as_deref(), Some("shop/web:1"));
    assert_eq!(web.started, Some(UNIX_EPOCH + Duration::from_secs(2)));
    assert_eq!(web.created, Some(UNIX_EPOCH + Duration::from_secs(1)));
    assert_eq!((web.restart_count, web.is_sandbox, web.source), (Some(3), false, NamesSource::Cri));
    assert_eq!(web.labels.get("restartcount").map(String::as_str), Some("3"));
    assert_eq!(web.envs, [("APP_A".to_owned(), "b=c".to_owned())].into());
    assert_eq!(web.pod.as_ref().unwrap().namespace.as_deref(), Some("shop"));
    let pause = names.get(&id(2)).unwrap();
    assert!(pause.is_sandbox && pause.title.container.is_none());
    assert_eq!(pause.title.image.as_deref(), Some("pause:3"));
    assert_eq!(names.pod("u").unwrap().name.as_deref(), Some("web-1"));
    until("nothing more is wanted", || names.wanted(NamesSource::Cri).ids.is_empty()).await;
}

#[tokio::test]
async fn a_runtime_that_starts_late_or_restarts_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let fake = Arc::new(Fake::default());
    fake.containers.lock().unwrap().push(container(1));
    let names = names_from(&socket);
    names.want(&id(1), None);
    until("it looked", || names.wanted(NamesSource::Cri).number > 0).await;
    assert_eq!(names.status().sources[0].up, None, "what is not there does not fail");
    let server = fake.serve(&socket);
    until_known(&names, 1).await;
    drop(server);
    names.want(&id(2), None);
    until("it fails", || names.status().sources[0].up != Some(true)).await;
    fake.containers.lock().unwrap().push(container(2));
    let _server = fake.serve(&socket);
    until_known(&names, 2).await;
    until("it serves", || names.status().sources[0].up == Some(true)).await;
}

#[tokio::test]
async fn the_thread_asks_until_the_runtime_knows_the_container() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let fake = Arc::new(Fake::default());
    let _server = fake.serve(&socket);
    let names = names_from(&socket);
    names.want(&id(1), None);
    until("asked", || fake.calls.load(Ordering::Relaxed) >= 5).await;
    fake.containers.lock().unwrap().push(container(1));
    until_known(&names, 1).await;
}

/// On a large node a round ends before all is asked, and the next one continues.
#[tokio::test]
async fn many_containers_get_names_in_several_rounds() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let fake = Arc::new(Fake { slowness: Duration::from_millis(20), ..Fake::default() });
    fake.containers.lock().unwrap().extend((0..100).map(container));
    let _server = fake.serve(&socket);
    let names = names_from(&socket);
    (0..100).for_each(|number| assert!(names.want(&id(number), None)));
    until("all", || names.status().resolved == 100 && names.wanted(NamesSource::Cri).ids.is_empty()).await;
    assert_eq!(names.status().sources[0].errors, 0);
}

#[tokio::test]
async fn labels_of_64_mib_do_not_harm_other_containers() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let fake = Arc::new(Fake::default());
    let mut monster = container(0);
    monster.labels.insert("huge".to_owned(), "x".repeat(64 << 20));
    fake.containers.lock().unwrap().push(monster);
    fake.containers.lock().unwrap().extend((1..20).map(container));
    let _server = fake.serve(&socket);
    let names = names_from(&socket);
    (0..20).for_each(|number| assert!(names.want(&id(number), None)));
    for number in 1..20 {
        until_known(&names, number).await;
    }
    assert!(names.get(&id(0)).is_none());
    // A round that ended before it asked about that container did not fail.
    until("its failure is in the status", || {
        let source = &names.status().sources[0];
        source.errors > 0 && source.failing.as_ref().is_some_and(|why| why.contains("16777216 bytes"))
    })
    .await;
}

/// Each of these runs beside a runtime that works and must stay unharmed.
#[tokio::test]
async fn a_runtime_that_hangs_babbles_or_floods_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    let fake = Arc::new(Fake::default());
    fake.containers.lock().unwrap().push(container(1));
    let _server = fake.serve(&good);
    let bad = ["hangs", "babbles", "floods", "closes"];
    let mut tasks = Vec::new();
    for kind in bad {
        let listener = UnixListener::bind(folder.path().join(kind)).unwrap();
        tasks.push(Server(tokio::spawn(misbehave(listener, kind))));
    }
    let names = Arc::new(Names::new(KeptLabels::default()));
    let endpoints = bad.iter().chain(&["good"]);
    let endpoints = endpoints.map(|kind| RuntimeEndpoint::new(NamesSource::Cri, folder.path().join(kind)));
    start(&names, endpoints.collect());
    names.want(&id(1), None);
    names.want(&id(2), None);
    until_known(&names, 1).await;
    until("all bad ones fail", || {
        names.status().sources.iter().filter(|one| one.up == Some(false)).count() == 4
    })
    .await;
    assert_eq!(names.status().sources[4].up, Some(true));
}

async fn misbehave(listener: UnixListener, kind: &'static str) {
    let mut kept = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        match kind {
            "closes" => drop(stream),
            "hangs" => kept.push(tokio::spawn(async move {
                let mut sink = [0; 4096];
                while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {}
            })),
            "babbles" => kept.push(tokio::spawn(async move {
                let _ = stream.write_all(b"220 mail.example.org ESMTP\r\n\0\xff\xfe").await;
                tokio::time::sleep(Duration::from_secs(60)).await;
            })),
            // Empty settings frames for ever: each must be acknowledged.
            _ => kept.push(tokio::spawn(async move {
                let frames = [0, 0, 0, 4, 0, 0, 0, 0, 0].repeat(1000);
                while stream.write_all(&frames).await.is_ok() {
                    tokio::task::yield_now().await;
                }
            })),
        }
    }
}

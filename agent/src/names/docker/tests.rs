use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::super::round::ask_all;
use super::*;
use crate::identity::Names;
use crate::model::Health;
use crate::names::{RuntimeEndpoint, start};

const INSPECT: &str = r#"{"Id":"x","Name":"/shop_web_1","Created":"2026-01-02T03:04:05.000000006Z","RestartCount":2,
    "State":{"Running":true,"StartedAt":"2026-01-02T03:04:06Z","Health":{"Status":"healthy"},"Pid":7},
    "Config":{"Image":"web:1","Labels":{"team":"shop"},"Env":["APP_Key=v","PATH=/bin"]},"Mounts":[]}"#;

fn kept_labels() -> KeptLabels {
    KeptLabels { env_prefixes: vec!["APP_".to_owned()], ..KeptLabels::default() }
}

fn answer(body: &str) -> serde_json::Result<crate::identity::NamesAnswer> {
    inspect::answer("x", body.as_bytes(), NamesSource::Docker, &kept_labels())
}

#[test]
fn an_inspected_container_has_its_names() {
    let answer = answer(INSPECT).unwrap();
    let names = &answer.names;
    assert!(answer.is_final);
    assert_eq!(names.title.name.as_deref(), Some("shop_web_1"));
    assert_eq!(names.title.image.as_deref(), Some("web:1"));
    assert_eq!((names.health, names.restart_count), (Some(Health::Healthy), Some(2)));
    let wanted = [("restartcount", "2"), ("team", "shop")];
    assert_eq!(names.labels, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert_eq!(names.envs, [("app_key".to_owned(), "v".to_owned())].into());
    assert_eq!(
        names.started.unwrap().duration_since(names.created.unwrap()).unwrap().as_nanos(),
        999_999_994
    );
    assert_eq!(names.pod, None);
}

#[test]
fn a_stopped_container_has_no_start_and_is_asked_about_again() {
    let stopped = answer(&INSPECT.replace("true", "false")).unwrap();
    assert!(!stopped.is_final && stopped.names.started.is_none());
    let never = answer(&INSPECT.replace("2026-01-02T03:04:06Z", "0001-01-01T00:00:00Z")).unwrap();
    assert!(!never.is_final && never.names.started.is_none());
    let bare = answer("{}").unwrap();
    assert_eq!((bare.names.title.name.clone(), bare.names.health), (None, Some(Health::None)));
    assert!(answer("[]").is_err() && answer("").is_err());
}

/// Answers each path with the status and body that `of` returns.
fn serve(socket: &Path, of: fn(&str) -> (u16, Vec<u8>)) {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
                        let (status, body) = of(text.split(' ').nth(1).unwrap());
                        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                        let sent = stream.write_all(answer.as_bytes()).await;
                        if sent.is_err() || stream.write_all(&body).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
}

async fn ask(socket: &Path, ids: &[&str]) -> (Answers, Result<(), AskError>) {
    let (ids, kept_labels) = (ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>(), kept_labels());
    let mut connection = DockerConnection { socket, source: NamesSource::Podman, kept_labels: &kept_labels };
    let mut answers = Answers::default();
    let result = ask_all(&mut connection, &ids, &mut answers).await;
    (answers, result)
}

async fn ask_server(of: fn(&str) -> (u16, Vec<u8>), ids: &[&str]) -> Answers {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    serve(&socket, of);
    let (answers, result) = ask(&socket, ids).await;
    result.unwrap();
    answers
}

const MANY_IDS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

#[tokio::test]
async fn few_containers_are_asked_about_and_many_are_listed() {
    let few = |path: &str| match path {
        "/containers/1/json" => (200, INSPECT.into()),
        _ => (404, b"{}".to_vec()),
    };
    let answers = ask_server(few, &["1", "2"]).await;
    assert_eq!((answers.containers.len(), answers.errors), (1, 0));
    let many = |path: &str| match path {
        "/containers/json?all=1" => (200, br#"[{"Id":"3","Names":["/x"]}]"#.to_vec()),
        "/containers/3/json" => (200, INSPECT.into()),
        _ => (500, Vec::new()),
    };
    let answers = ask_server(many, &MANY_IDS).await;
    assert_eq!((answers.containers.len(), answers.containers[0].id.as_str(), answers.errors), (1, "3", 0));
    assert_eq!(answers.containers[0].names.source, NamesSource::Podman);
}

#[tokio::test]
async fn an_answer_too_large_or_broken_harms_no_other() {
    let of = |path: &str| match path {
        "/containers/json?all=1" | "/containers/4/json" => (200, vec![b' '; MAX_BYTES + 1]),
        "/containers/5/json" => (200, b"\xff{".to_vec()),
        "/containers/6/json" => (500, b"no".to_vec()),
        _ => (200, INSPECT.into()),
    };
    let answers = ask_server(of, &MANY_IDS).await;
    assert_eq!((answers.containers.len(), answers.errors), (7, 4), "{:?}", answers.why);
}

#[tokio::test]
async fn a_missing_runtime_is_absent_and_a_hanging_one_late() {
    let (_, absent) = ask(Path::new("/nowhere"), &["a"]).await;
    assert!(matches!(absent, Err(AskError::Absent)));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    let (_, late) = ask(&socket, &["a"]).await;
    assert!(matches!(late, Err(AskError::Late)));
}

/// Health changes without a start, so it is read again.
#[tokio::test]
async fn health_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    serve(&socket, |_| {
        static ASKED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let asked = ASKED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let health = if asked == 0 { "starting" } else { "healthy" };
        (200, INSPECT.replace("healthy", health).into())
    });
    let names = Arc::new(Names::new(kept_labels()));
    start(
        &names,
        vec![RuntimeEndpoint { source: NamesSource::Docker, paths: vec!["/nowhere".into(), socket] }],
    );
    names.want("x", None);
    for wanted in [Health::Starting, Health::Healthy] {
        while names.get("x").and_then(|names| names.health) != Some(wanted) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

//! Binding addresses, and files that must not be replaced.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::support::*;
use crate::config::ListenAddr;
use crate::events::EventLog;
use crate::serve::*;

async fn take(path: &Path) -> Result<Vec<Listener>, String> {
    bind(&[ListenAddr::Unix(path.to_owned())]).await.map_err(|err| err.to_string())
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_it() {
    let taken = bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let address = taken[0].address.clone();
    let err = bind(std::slice::from_ref(&address)).await.unwrap_err().to_string();
    assert!(err.contains(&address.to_string()) && err.contains("in use"), "{err}");
}

#[tokio::test]
async fn a_unix_socket_serves_and_is_removed_with_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cgtap.sock");
    let listeners = take(&path).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let services = services(EventLog::new(1));
    let _alive = services.liveness.begin();
    let (trigger, shutdown) = Shutdown::new();
    let server = tokio::spawn(serve(listeners, services, Limits::new(4), shutdown));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    patient(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
    trigger.order();
    patient(server).await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cgtap.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "std leaves the file, as a killed agent does");
    let living = take(&path).await.unwrap();
    let err = take(&path).await.unwrap_err();
    assert!(err.contains("unix:") && err.contains("another process answers"), "{err}");
    drop(living);
    std::fs::write(&path, "precious").unwrap();
    let err = take(&path).await.unwrap_err();
    assert!(err.contains("no socket"), "{err}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn the_socket_of_another_process_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cgtap.sock");
    let ours = take(&path).await.unwrap();
    std::fs::rename(&path, dir.path().join("old")).unwrap();
    let theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
    drop(ours);
    assert!(path.exists());
    drop(theirs);
}

#[tokio::test]
async fn a_missing_folder_is_an_error_that_names_it() {
    let err = take(Path::new("/nonexistent/cgtap.sock")).await.unwrap_err();
    assert!(err.contains("unix:/nonexistent/cgtap.sock"), "{err}");
}

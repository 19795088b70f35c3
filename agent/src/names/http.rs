//! One HTTP/1 question over a connection of its own: for Docker, Podman and our own command line.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Sends the request and waits for the head of the answer. The connection ends when the body is read or dropped.
///
/// # Errors
/// The connection breaks, or the other end speaks no HTTP.
pub async fn exchange<Io>(io: Io, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, hyper::Error>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

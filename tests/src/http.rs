//! A small HTTP/1.1 client over loopback: whole answers, and streams of lines.
//!
//! It is no library, so that the tests see the bytes that the agent sends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

/// How long an answer may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer encoding.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body).context("the body is not UTF-8")
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| String::from_utf8_lossy(&self.body).into_owned())
    }
}

/// `GET path`.
///
/// # Errors
/// No connection, or no HTTP answer.
pub fn get(to: SocketAddr, path: &str) -> Result<Answer> {
    request(to, "GET", path, &[])
}

/// Any request without a body.
///
/// # Errors
/// No connection, or no HTTP answer.
pub fn request(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let mut open = send(to, method, path, headers)?;
    let mut body = Vec::new();
    if method != "HEAD" {
        open.body.read_to_end(&mut body).with_context(|| format!("body of {path}"))?;
    }
    Ok(Answer { status: open.status, headers: open.headers, body })
}

struct Open {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

fn send(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<Open> {
    let mut stream = TcpStream::connect_timeout(&to, TIMEOUT).with_context(|| to.to_string())?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let status = status_of(&line(&mut reader)?)?;
    let headers = read_headers(&mut reader)?;
    let shape = Shape::of(&headers)?;
    Ok(Open { status, headers, body: Body { reader, shape } })
}

fn status_of(line: &str) -> Result<u16> {
    let code = line.split(' ').nth(1).filter(|_| line.starts_with("HTTP/1."));
    code.and_then(|c| c.parse().ok()).with_context(|| format!("no HTTP status line: {line:?}"))
}

fn read_headers(reader: &mut impl BufRead) -> Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').with_context(|| format!("no header line: {line:?}"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn line(reader: &mut impl BufRead) -> Result<String> {
    let mut text = String::new();
    if reader.read_line(&mut text)? == 0 {
        bail!("the connection ended inside a header");
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// How much of the body is still to come.
#[derive(Debug)]
enum Shape {
    /// This many bytes.
    Length(u64),
    /// This many bytes of the current chunk.
    Chunked(u64),
    /// Until the last chunk was read.
    Ended,
    /// Until the connection closes.
    Close,
}

impl Shape {
    fn of(headers: &[(String, String)]) -> Result<Self> {
        if find(headers, "transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            return Ok(Self::Chunked(0));
        }
        match find(headers, "content-length") {
            Some(length) => Ok(Self::Length(length.parse().context("content-length")?)),
            None => Ok(Self::Close),
        }
    }
}

struct Body {
    reader: BufReader<TcpStream>,
    shape: Shape,
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if let Shape::Chunked(0) = self.shape {
            self.next_chunk()?;
        }
        let left = match self.shape {
            Shape::Ended => return Ok(0),
            Shape::Close => return self.reader.read(out),
            Shape::Length(left) | Shape::Chunked(left) => left,
        };
        let read = (&mut self.reader).take(left).read(out)?;
        if read == 0 && left > 0 && !out.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the body was cut"));
        }
        if let Shape::Length(left) | Shape::Chunked(left) = &mut self.shape {
            *left -= read as u64;
            if *left == 0 && matches!(self.shape, Shape::Chunked(_)) {
                self.chunk_line()?;
            }
        }
        Ok(read)
    }
}

impl Body {
    fn next_chunk(&mut self) -> std::io::Result<()> {
        let text = self.chunk_line()?;
        let size = u64::from_str_radix(text.split(';').next().unwrap_or_default(), 16).map_err(|e| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, format!("chunk size {text:?}: {e}"))
        })?;
        self.shape = if size == 0 { Shape::Ended } else { Shape::Chunked(size) };
        Ok(())
    }

    fn chunk_line(&mut self) -> std::io::Result<String> {
        let mut text = String::new();
        if self.reader.read_line(&mut text)? == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the chunks were cut"));
        }
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// A stream of JSON lines. A thread of its own reads it, so that the agent never waits for the test.
#[derive(Debug)]
pub struct Lines {
    lines: Receiver<(SystemTime, String)>,
    stream: TcpStream,
}

impl Lines {
    /// Opens the stream; when this returns, the agent has sent its headers and so has subscribed us.
    ///
    /// # Errors
    /// No connection, or a status other than 200.
    pub fn open(to: SocketAddr, path: &str) -> Result<Self> {
        let open = send(to, "GET", path, &[])?;
        if open.status != 200 {
            bail!("{path} answered {}", open.status);
        }
        let stream = open.body.reader.get_ref().try_clone()?;
        // A stream without lines is no error.
        stream.set_read_timeout(None)?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(open.body).lines() {
                let Ok(line) = line else { return };
                if !line.is_empty() && sender.send((SystemTime::now(), line)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { lines, stream })
    }

    /// The next line; `None` when none came in time or the stream ended.
    ///
    /// # Errors
    /// The line is not JSON.
    pub fn next(&self, within: Duration) -> Result<Option<serde_json::Value>> {
        self.next_as(within)
    }

    /// The same, parsed into a smaller type: for very many lines.
    ///
    /// # Errors
    /// The line is not JSON, or does not fit the type.
    pub fn next_as<T: DeserializeOwned>(&self, within: Duration) -> Result<Option<T>> {
        match self.lines.recv_timeout(within) {
            Ok((_, line)) => Ok(Some(serde_json::from_str(&line).with_context(|| line.clone())?)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
        }
    }

    /// The next line and the time of its arrival.
    ///
    /// # Errors
    /// The line is not JSON.
    pub fn next_with_arrival(&self, within: Duration) -> Result<Option<(SystemTime, serde_json::Value)>> {
        match self.lines.recv_timeout(within) {
            Ok((came, line)) => Ok(Some((came, serde_json::from_str(&line).with_context(|| line.clone())?))),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
        }
    }

    /// Lines up to and with the first for which `done` is true, or until none comes for `quiet`.
    ///
    /// # Errors
    /// A line is not JSON.
    pub fn until(
        &self,
        quiet: Duration,
        mut done: impl FnMut(&serde_json::Value) -> bool,
    ) -> Result<Vec<serde_json::Value>> {
        let mut found = Vec::new();
        while let Some(value) = self.next(quiet)? {
            let last = done(&value);
            found.push(value);
            if last {
                break;
            }
        }
        Ok(found)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answer_with(bytes: &'static [u8]) -> Result<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let to = listener.local_addr()?;
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            assert!(client.read(&mut request).unwrap() > 0);
            client.write_all(bytes).unwrap();
        });
        let answer = get(to, "/x");
        server.join().unwrap();
        answer
    }

    #[test]
    fn bodies_of_every_shape_are_read() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{\"\":"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"\"\r\n1\r\n:\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n{\"\":",
        ] {
            assert_eq!(answer_with(bytes).unwrap().body, b"{\"\":");
        }
    }

    #[test]
    fn a_cut_body_is_an_error() {
        assert!(answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").is_err());
        assert!(answer_with(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc").is_err());
        assert!(answer_with(b"nonsense\r\n\r\n").is_err());
    }
}

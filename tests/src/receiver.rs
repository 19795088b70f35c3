//! The server that a webhook posts to. It can refuse a post or break off.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

/// One post.
#[derive(Clone, Debug)]
pub struct Posted {
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// How the receiver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// 200.
    Content,
    /// 503; the post is not kept.
    Refusing,
    /// Keeps the post and breaks off before the answer.
    BreakingOff,
    /// This status; the post is not kept.
    Answering(u16),
    /// 422 to posts with the word `poison`, and 200 to all others.
    RefusingPoison,
}

/// A server on a loopback address. It ends on drop.
#[derive(Debug)]
pub struct Receiver {
    /// Its address.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    posted: Mutex<Vec<Posted>>,
    requests: AtomicU64,
    mood: Mutex<Mood>,
    ended: AtomicBool,
}

impl Receiver {
    /// Listens at this address.
    ///
    /// # Errors
    /// It is taken.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| address.to_string())?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            posted: Mutex::new(Vec::new()),
            requests: AtomicU64::new(0),
            mood: Mutex::new(Mood::Content),
            ended: AtomicBool::new(false),
        });
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if server.ended.load(Ordering::Relaxed) {
                    return;
                }
                let server = Arc::clone(&server);
                std::thread::spawn(move || serve(&client, &server));
            }
        });
        Ok(Self { address, shared })
    }

    /// All posts that were kept, in their order.
    #[must_use]
    pub fn posted(&self) -> Vec<Posted> {
        self.shared.posted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Number of requests with any answer.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// From now on.
    pub fn set_mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the thread, which then checks whether to end.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(client: &TcpStream, shared: &Shared) {
    let _ = client.set_read_timeout(Some(Duration::from_secs(30)));
    let mut reader = BufReader::new(client);
    while let Ok(Some(posted)) = read(&mut reader) {
        let mood = *shared.mood.lock().unwrap_or_else(PoisonError::into_inner);
        let is_poison = posted.body.windows(6).any(|word| word == b"poison");
        let status = match mood {
            Mood::Content | Mood::BreakingOff => 200,
            Mood::Refusing => 503,
            Mood::Answering(status) => status,
            Mood::RefusingPoison => {
                if is_poison {
                    422
                } else {
                    200
                }
            }
        };
        shared.requests.fetch_add(1, Ordering::Relaxed);
        if status == 200 {
            shared.posted.lock().unwrap_or_else(PoisonError::into_inner).push(posted);
        }
        if mood == Mood::BreakingOff {
            return;
        }
        let answer = format!("HTTP/1.1 {status} Because\r\ncontent-length: 4\r\n\r\nbusy");
        let mut writer = client;
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Result<Option<Posted>> {
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").context("no content-length")?.parse()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Posted { headers, body }))
}

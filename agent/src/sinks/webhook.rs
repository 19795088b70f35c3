//! A webhook: batches of events as a JSON array, by POST, signed where there is a secret.
//!
//! `X-Cgtap-Signature: sha256=HEX` is the HMAC-SHA-256 of the body; `X-Cgtap-Node` the host's name; `X-Cgtap-First-Seq` and
//! `X-Cgtap-Last-Seq` are the batch's numbers, by which a receiver knows a batch that comes again.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::{Line, Outlet};

/// Of an answer that refuses, so much is told.
const TOLD_BYTES: u64 = 256;

/// Where to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookOptions {
    /// `http://` or `https://`.
    pub url: String,
    /// Holds the key of the signature; read for each batch, so that it can be replaced.
    pub secret_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// For one batch, from the connection to the answer.
    pub timeout: Duration,
    /// The host's name.
    pub node: String,
}

/// Why there can be no such webhook.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The certificates cannot be used.
    #[error("ca_file {}: {why}", path.display())]
    Certificates {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// A client that keeps its connection.
pub struct WebhookOutlet {
    options: WebhookOptions,
    agent: Agent,
}

impl WebhookOutlet {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The certificates cannot be read.
    pub fn new(options: WebhookOptions) -> Result<Self, WebhookError> {
        let mut config = Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .http_status_as_error(false)
            // A batch that is taken elsewhere would be signed for somebody else.
            .max_redirects(0)
            .user_agent(concat!("cgtap/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &options.ca_file {
            let certificates =
                certificates(path).map_err(|why| WebhookError::Certificates { path: path.clone(), why })?;
            let roots = RootCerts::new_with_certs(&certificates);
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(Self { options, agent: config.build().into() })
    }

    fn signature(&self, body: &[u8]) -> io::Result<Option<String>> {
        let Some(path) = &self.options.secret_file else { return Ok(None) };
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let key = std::fs::read(path).map_err(told)?;
        Ok(Some(sign(key.trim_ascii_end(), body)))
    }
}

fn certificates(path: &PathBuf) -> Result<Vec<Certificate<'static>>, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| error.to_string())? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err("it has no certificate in PEM form".to_owned()) } else { Ok(found) }
}

/// As many others do it, so that receivers have the code for it already.
fn sign(key: &[u8], body: &[u8]) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

impl Outlet for WebhookOutlet {
    fn deliver(&mut self, lines: &[Line]) -> io::Result<()> {
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Ok(()) };
        let mut body = Vec::from(*b"[");
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&line.json);
        }
        body.push(b']');
        let mut request = self
            .agent
            .post(&self.options.url)
            .header("content-type", "application/json")
            .header("x-cgtap-node", &self.options.node)
            .header("x-cgtap-first-seq", first.seq.to_string())
            .header("x-cgtap-last-seq", last.seq.to_string());
        if let Some(signature) = self.signature(&body)? {
            request = request.header("x-cgtap-signature", signature);
        }
        let mut response = request.send(&body[..]).map_err(io::Error::other)?;
        if response.status().is_success() {
            return Ok(());
        }
        let said = response.body_mut().with_config().limit(TOLD_BYTES).lossy_utf8(true).read_to_string();
        let said = said.unwrap_or_default();
        Err(io::Error::other(format!("{} answers {}: {}", self.options.url, response.status(), said.trim())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn a_signature_is_the_standards() {
        assert_eq!(
            sign(b"Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn certificates_that_are_none_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        for text in ["", "nonsense"] {
            std::fs::write(&path, text).unwrap();
            let options = WebhookOptions {
                url: "https://127.0.0.1:1/".to_owned(),
                secret_file: None,
                ca_file: Some(path.clone()),
                timeout: Duration::from_secs(1),
                node: String::new(),
            };
            let refused = WebhookOutlet::new(options).map(drop).unwrap_err().to_string();
            assert!(refused.contains("ca.pem"), "{refused}");
        }
    }
}

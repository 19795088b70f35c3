//! A webhook: batches of events as a JSON array, by POST, signed where there is a secret.
//!
//! `X-Cgtap-Signature: sha256=HEX` is the HMAC-SHA-256 of the body; `X-Cgtap-Node` the host's name; `X-Cgtap-First-Seq` and
//! `X-Cgtap-Last-Seq` are the batch's numbers, by which a receiver knows a batch that comes again.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::{Fault, Outlet, Record, Undelivered};
use crate::config::{WebhookSettings, read_file, without_credentials};

/// How much of a refusing answer's body is logged.
const SHOWN_BYTES: u64 = 256;

/// A client that keeps its connection.
pub(super) struct WebhookOutlet {
    settings: WebhookSettings,
    /// The host's name.
    node: String,
    agent: Agent,
}

impl WebhookOutlet {
    /// Connects to nothing yet.
    pub(super) fn new(settings: WebhookSettings, node: String) -> Self {
        let mut config = Agent::config_builder()
            .timeout_global(Some(settings.timeout))
            .http_status_as_error(false)
            // The signature is meant for the receiver that the settings name.
            .max_redirects(0)
            .user_agent(concat!("cgtap/", env!("CARGO_PKG_VERSION")));
        if settings.ca_file.is_some() {
            let own = settings.certificates.iter().map(|der| Certificate::from_der(der).to_owned());
            let roots = RootCerts::Specific(Arc::new(own.collect()));
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Self { settings, node, agent: config.build().into() }
    }

    /// Sends one request; the fault that the answer names, and the first bytes of its body.
    fn post(&self, records: &[Record]) -> io::Result<Option<(Fault, String)>> {
        let seq = |record: Option<&Record>| record.map_or(0, |record| record.seq).to_string();
        let body = body(records);
        let mut request = self
            .agent
            .post(&self.settings.url)
            .header("content-type", "application/json")
            .header("x-cgtap-node", &self.node)
            .header("x-cgtap-first-seq", seq(records.first()))
            .header("x-cgtap-last-seq", seq(records.last()));
        if let Some(signature) = self.signature(&body)? {
            request = request.header("x-cgtap-signature", signature);
        }
        let mut response = request.send(&body[..]).map_err(io::Error::other)?;
        let status = response.status();
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| parse_retry_after(value, SystemTime::now()));
        let Some(fault) = fault(status.as_u16(), retry_after) else { return Ok(None) };
        let mut text = Vec::new();
        // The status says enough where the rest of the answer does not come.
        let _ = response.body_mut().as_reader().take(SHOWN_BYTES).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        Ok(Some((fault, format!("answers {status}: {}", text.trim()))))
    }

    fn signature(&self, body: &[u8]) -> io::Result<Option<String>> {
        let Some(path) = &self.settings.secret_file else { return Ok(None) };
        let key = read_file(path)
            .map_err(|error| io::Error::other(format!("secret_file {}: {error}", path.display())))?;
        Ok(Some(sign(key.trim_ascii_end(), body)))
    }
}

impl Outlet for WebhookOutlet {
    fn send(&mut self, records: &[Record]) -> Result<(), Undelivered> {
        let (fault, why) = match self.post(records) {
            Ok(None) => return Ok(()),
            Ok(Some((fault, why))) => (fault, why),
            Err(error) => (Fault::Passing { retry_after: None }, error.to_string()),
        };
        let url = without_credentials(&self.settings.url);
        Err(Undelivered { taken: 0, fault, why: format!("{url}: {why}") })
    }
}

/// What an answer's status says about the batch; `None` for one that took it.
fn fault(status: u16, retry_after: Option<Duration>) -> Option<Fault> {
    match status {
        200..=299 => None,
        400 | 406 | 413 | 415 | 422 => Some(Fault::Refused),
        410 => Some(Fault::Gone),
        300..=399 | 401 | 403 | 404 | 405 => Some(Fault::Settings { status }),
        _ => Some(Fault::Passing { retry_after }),
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

fn body(records: &[Record]) -> Vec<u8> {
    let records: Vec<&[u8]> = records.iter().map(|record| &record.json[..]).collect();
    [b"[", &records.join(&b","[..])[..], b"]"].concat()
}

/// The form that GitHub and others use: receivers have code for it.
fn sign(key: &[u8], body: &[u8]) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn a_signature_is_that_of_the_standard() {
        assert_eq!(
            sign(b"Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn each_status_has_its_fault() {
        let after = Some(Duration::from_secs(7));
        for (statuses, wanted) in [
            (&[200, 201, 202, 204, 299][..], None),
            (&[400, 406, 413, 415, 422], Some(Fault::Refused)),
            (&[410], Some(Fault::Gone)),
            (
                &[402, 408, 418, 425, 429, 500, 502, 503, 504, 599],
                Some(Fault::Passing { retry_after: after }),
            ),
        ] {
            for status in statuses {
                assert_eq!(fault(*status, after), wanted, "{status}");
            }
        }
        for status in [301, 302, 303, 304, 307, 308, 401, 403, 404, 405] {
            assert_eq!(fault(status, after), Some(Fault::Settings { status }));
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, wanted) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(parse_retry_after(value, now), wanted.map(Duration::from_secs), "{value}");
        }
    }
}

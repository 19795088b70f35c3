//! journald, by its native protocol: a datagram of `NAME=value` lines, or `NAME`, a length and bytes where the value has
//! newlines (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).

use std::borrow::Cow;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use rustix::io::Errno;

use super::{Fault, Outlet, Record, Undelivered};
use crate::events::wire::WireEvent;
use crate::export::human;
use crate::model::EventKind;

/// The journal's socket.
pub(super) struct JournaldOutlet {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl JournaldOutlet {
    /// Connects when there is a record to send.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, socket: None }
    }

    fn send_one(&mut self, datagram: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&self.path)?;
                socket
            }
        };
        socket.send(datagram)?;
        // A socket that failed is not kept: the journal may have restarted.
        self.socket = Some(socket);
        Ok(())
    }
}

impl Outlet for JournaldOutlet {
    fn send(&mut self, records: &[Record]) -> Result<(), Undelivered> {
        for (taken, record) in records.iter().enumerate() {
            self.send_one(&datagram(record)).map_err(|error| {
                let failed = Undelivered::passing(taken, self.path.display(), &error);
                match Errno::from_io_error(&error) {
                    // Larger than any datagram of this socket.
                    Some(Errno::MSGSIZE) => Undelivered { fault: Fault::Refused, ..failed },
                    _ => failed,
                }
            })?;
        }
        Ok(())
    }
}

fn datagram(record: &Record) -> Vec<u8> {
    let text = String::from_utf8_lossy(&record.json);
    let event = WireEvent::read(&record.json).unwrap_or_default();
    let mut out = Vec::new();
    field(&mut out, "MESSAGE", &message(&event));
    field(&mut out, "PRIORITY", priority(record, &event));
    field(&mut out, "SYSLOG_IDENTIFIER", "cgtap");
    for (name, value) in fields(&event) {
        value.iter().for_each(|value| field(&mut out, name, value));
    }
    field(&mut out, "CGTAP_JSON", &text);
    out
}

/// Fields of the journal, with what an event has for them.
fn fields<'a>(event: &'a WireEvent<'_>) -> [(&'static str, Option<Cow<'a, str>>); 14] {
    let (pod, victim) = (event.pod(), event.victim.as_deref());
    let limit_owner = event.limit_owner.as_deref();
    let text = |text: Option<&'a str>| text.map(Cow::Borrowed);
    let number = |number: Option<u64>| number.map(|number| number.to_string().into());
    [
        ("CGTAP_SEQ", number(event.seq)),
        ("CGTAP_TYPE", text(Some(&event.type_name))),
        ("CGTAP_SOURCE", text(event.source.as_deref())),
        ("CGTAP_TIME", text(event.time.as_deref())),
        ("CGTAP_CGROUP", text(event.path())),
        ("CGTAP_CONTAINER_ID", text(event.container_id())),
        ("CGTAP_POD_UID", text(pod.and_then(|pod| pod.uid.as_deref()))),
        ("CGTAP_POD_NAME", text(pod.and_then(|pod| pod.name.as_deref()))),
        ("CGTAP_POD_NAMESPACE", text(pod.and_then(|pod| pod.namespace.as_deref()))),
        ("CGTAP_CONSTRAINT", text(event.constraint.as_deref())),
        ("CGTAP_LIMIT_OWNER", text(limit_owner.and_then(|owner| owner.path.as_deref()))),
        ("CGTAP_VICTIM_PID", number(victim.and_then(|victim| victim.tgid).map(u64::from))),
        ("CGTAP_VICTIM_COMM", text(victim.and_then(|victim| victim.comm.as_deref()))),
        ("CGTAP_INCIDENT", number(event.incident)),
    ]
}

/// The type and the details; the journal adds the time.
fn message(event: &WireEvent<'_>) -> String {
    format!("{} {}", event.type_name.replace('_', " "), human::details(event))
}

/// The levels of syslog: a kill is an error; lost events and a crash are warnings; the rest is information.
fn priority(record: &Record, event: &WireEvent<'_>) -> &'static str {
    let crashed = event.reason.as_deref() == Some("crash");
    match &*event.type_name {
        EventKind::OOM_KILL => "3",
        EventKind::LOST => "4",
        _ if record.is_lost || crashed => "4",
        _ => "6",
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: &str) -> Record {
        Record { seq: 7, is_lost: false, json: json.to_owned().into() }
    }

    #[test]
    fn an_event_is_fields() {
        let kill = record(
            r#"{"seq":7,"type":"oom_kill","cgroup":{"path":"/a\nb"},"victim":{"tgid":9,"comm":"hog"}}"#,
        );
        let sent = datagram(&kill);
        let text = String::from_utf8_lossy(&sent);
        for wanted in [
            "PRIORITY=3\n",
            "SYSLOG_IDENTIFIER=cgtap\n",
            "CGTAP_SEQ=7\n",
            "CGTAP_VICTIM_PID=9\n",
            "CGTAP_VICTIM_COMM=hog\n",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is not in {text}");
        }
        let cgroup = b"CGTAP_CGROUP\n\x04\0\0\0\0\0\0\0/a\nb\n";
        assert!(sent.windows(cgroup.len()).any(|part| part == cgroup), "{text}");
        for (json, wanted) in [
            (r#"{"type":"lost"}"#, "4"),
            (r#"{"type":"agent_started","reason":"crash"}"#, "4"),
            (r#"{"type":"agent_started","reason":"restart"}"#, "6"),
        ] {
            let record = record(json);
            assert_eq!(priority(&record, &WireEvent::read(json.as_bytes()).unwrap()), wanted);
        }
    }

    #[test]
    fn a_batch_goes_on_with_the_record_that_was_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut outlet = JournaldOutlet::new(path.clone());
        let batch: Vec<Record> = (1..=3)
            .map(|seq| Record { seq, ..record(&format!(r#"{{"seq":{seq},"type":"lost"}}"#)) })
            .collect();
        let refused = outlet.send(&batch).unwrap_err();
        assert!(refused.taken == 0 && refused.why.contains("socket"), "{refused:?}");
        let journal = UnixDatagram::bind(&path).unwrap();
        outlet.send(&batch[2..]).unwrap();
        let mut buffer = [0; 4096];
        let bytes = journal.recv(&mut buffer).unwrap();
        assert!(String::from_utf8_lossy(&buffer[..bytes]).contains("CGTAP_SEQ=3"));
        journal.set_nonblocking(true).unwrap();
        assert!(journal.recv(&mut buffer).is_err(), "nothing else");
    }

    #[test]
    fn a_record_larger_than_a_datagram_is_refused_after_those_before_it_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _journal = UnixDatagram::bind(&path).unwrap();
        let huge = record(&format!(r#"{{"seq":2,"comm":"{}"}}"#, "x".repeat(16 << 20)));
        let refused = JournaldOutlet::new(path).send(&[record(r#"{"seq":1}"#), huge]).unwrap_err();
        assert_eq!((refused.taken, refused.fault), (1, Fault::Refused), "{}", refused.why);
    }
}

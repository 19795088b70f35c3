//! Whole sinks against a real HTTP server, for each answer that it may give.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::*;
use crate::config::{FileSettings, WebhookSettings};
use crate::events::{EventLog, Filter};
use crate::model::{Backoff, EventDraft, EventKind, EventNames, SinkState, SinkStatus, Source};
use crate::telemetry::{SharedSinkStatus, Telemetry};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request: when it came, and the numbers of its events.
type Request = (Instant, Vec<u64>);

/// An HTTP server that answers each request with the status and the headers that `answer` gives for its events.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn start(mut answer: impl FnMut(usize, &[u64]) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::<Request>::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let events = read_events(&mut BufReader::new(&client));
                let number = seen.lock().unwrap().len();
                let (status, headers) = answer(number, &events);
                seen.lock().unwrap().push((Instant::now(), events));
                let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 4\r\n");
                let _ = (&client).write_all(format!("{head}{headers}\r\nbody").as_bytes());
            }
        });
        Self { address, requests }
    }

    fn webhook(&self) -> Box<dyn Outlet> {
        let timeout = PATIENCE;
        let settings =
            WebhookSettings { url: format!("http://{}/", self.address), timeout, ..Default::default() };
        Box::new(WebhookOutlet::new(settings, "node".to_owned()))
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    fn numbers(&self) -> Vec<Vec<u64>> {
        self.requests().into_iter().map(|(_, numbers)| numbers).collect()
    }
}

fn read_events(client: &mut impl BufRead) -> Vec<u64> {
    let (mut length, mut line) = (0, String::new());
    while line != "\r\n" {
        line.clear();
        client.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).unwrap();
    let events: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap();
    events.iter().map(|event| event["seq"].as_u64().unwrap()).collect()
}

/// A log with the events 1 to `count`.
fn log_of(count: u64) -> EventLog {
    let log = EventLog::new(1000);
    for _ in 0..count {
        append(&log);
    }
    log
}

fn append(log: &EventLog) {
    log.append(EventDraft {
        time: UNIX_EPOCH,
        source: Source::TpBtf,
        cgroup: None,
        identity: None,
        names: EventNames::default(),
        kind: EventKind::CgroupRemoved,
    });
}

/// One sink, its log and what it logs.
struct Case {
    log: EventLog,
    folder: tempfile::TempDir,
    longest_pause: Duration,
    logged: Logged,
}

#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Case {
    fn new(count: u64) -> Self {
        let (folder, longest_pause) = (tempfile::tempdir().unwrap(), Duration::from_millis(20));
        Self { log: log_of(count), folder, longest_pause, logged: Logged::default() }
    }

    fn sink(&self, outlet: Box<dyn Outlet>) -> Sink {
        Sink {
            name: "pager".to_owned(),
            filter: Filter::default(),
            outlet,
            batch_events: 100,
            backoff: Backoff::new(Duration::from_millis(5), self.longest_pause),
            cursor: self.cursor(),
        }
    }

    fn cursor(&self) -> Cursor {
        Cursor::new(self.folder.path(), "pager")
    }

    /// Runs the sink until it has come so far or stops by itself.
    fn run(&self, outlet: Box<dyn Outlet>, until: impl Fn(&SinkStatus) -> bool) -> SinkStatus {
        let logged = self.logged.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || logged.clone()).finish();
        let _logs = tracing::subscriber::set_default(subscriber);
        let status = SharedSinkStatus::default();
        let follow = self.sink(outlet).follow(self.log.clone(), "boot".into(), 0, Arc::clone(&status));
        let arrived = async {
            let began = Instant::now();
            while !until(&status.lock()) {
                assert!(began.elapsed() < PATIENCE, "{:?}", status.lock());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                () = follow => {}
                () = arrived => {}
            }
        });
        status.lock().clone()
    }

    /// How many lines of the log have this text.
    fn logged(&self, text: &str) -> usize {
        let bytes = self.logged.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().filter(|line| line.contains(text)).count()
    }
}

#[test]
fn records_that_are_refused_for_good_are_dropped_counted_and_logged_and_hold_up_no_other() {
    for status in [400, 406, 413, 415, 422] {
        let poison = [2, 3, 17];
        let server = Server::start(move |_, events| {
            let is_refused = events.iter().any(|seq| poison.contains(seq));
            (if is_refused { status } else { 200 }, String::new())
        });
        let case = Case::new(20);
        let end = case.run(server.webhook(), |now| now.seq == 20);
        assert_eq!((end.sent, end.refused, end.dropped, end.retried), (17, 3, 0, 0), "{status}");
        assert_eq!(end.state, SinkState::Delivering);
        let taken =
            server.numbers().into_iter().filter(|batch| !batch.iter().any(|seq| poison.contains(seq)));
        let wanted: Vec<u64> = (1..=20).filter(|seq| !poison.contains(seq)).collect();
        assert_eq!(taken.flatten().collect::<Vec<u64>>(), wanted, "once and in order");
        assert_eq!(case.cursor().load(), Some(20));
        assert_eq!(case.logged("drops an event"), 1, "the others are counted and not logged");
        assert_eq!(case.logged("seq=2 "), 1);
        assert_eq!(case.logged(&format!("answers {status}")), 1);
    }
}

#[test]
fn a_target_that_limits_the_size_of_a_batch_gets_each_record() {
    let server = Server::start(|_, events| (if events.len() > 3 { 413 } else { 200 }, String::new()));
    let end = Case::new(20).run(server.webhook(), |now| now.seq == 20);
    assert_eq!((end.sent, end.refused), (20, 0));
    let taken = server.numbers().into_iter().filter(|batch| batch.len() <= 3);
    assert_eq!(taken.flatten().collect::<Vec<u64>>(), (1..=20).collect::<Vec<u64>>());
}

#[test]
fn a_target_that_is_gone_stops_the_sink() {
    let server = Server::start(|number, _| (if number == 0 { 410 } else { 200 }, String::new()));
    let case = Case::new(3);
    let end = case.run(server.webhook(), |_| false);
    assert!(matches!(&end.state, SinkState::Stopped(why) if why.contains("410")), "{end:?}");
    append(&case.log);
    assert_eq!(server.numbers(), [[1, 2, 3]], "nothing more is sent");
    assert_eq!((end.sent, end.refused, end.dropped, end.seq), (0, 0, 0, 0));
    assert_eq!((case.logged("ERROR"), case.logged("a sink is stopped")), (1, 1));
    let again = case.run(server.webhook(), |now| now.seq == 4);
    assert_eq!(again.sent, 4, "the next agent tries again");
}

#[test]
fn a_fault_of_the_settings_is_logged_once_for_each_answer_and_drops_nothing() {
    for status in [401, 403, 404, 405, 301, 302, 307, 308] {
        let other = Server::start(|_, _| (200, String::new()));
        let location = format!("location: http://{}/\r\n", other.address);
        let server = Server::start(move |number, _| match number {
            0..3 => (status, location.clone()),
            3..5 => (499 - (status % 2), String::new()),
            5 => (if status == 403 { 401 } else { 403 }, String::new()),
            _ => (200, String::new()),
        });
        let case = Case::new(7);
        let end = case.run(server.webhook(), |now| now.seq == 7);
        let all: Vec<u64> = (1..=7).collect();
        assert_eq!(server.numbers(), vec![all; 7], "the same batch each time");
        assert_eq!(other.numbers().len(), 0, "no redirect is followed");
        assert_eq!((end.sent, end.retried, end.refused, end.dropped), (7, 6, 0, 0), "{status}");
        assert_eq!(case.logged("ERROR"), 2, "the first answer, and the one that differs");
        assert_eq!(case.logged(&format!("answers {status}")), 1);
        assert_eq!((case.logged("WARN"), case.logged("delivers again")), (0, 1));
    }
}

#[test]
fn a_fault_of_the_settings_is_tried_again_after_the_longest_pause() {
    let server = Server::start(|number, _| (if number < 2 { 404 } else { 200 }, String::new()));
    let case = Case { longest_pause: Duration::from_millis(300), ..Case::new(1) };
    case.run(server.webhook(), |now| now.seq == 1);
    let times: Vec<Instant> = server.requests().into_iter().map(|(at, _)| at).collect();
    assert_eq!(times.len(), 3);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= case.longest_pause), "{times:?}");
}

#[test]
fn retry_after_is_honoured_in_both_forms() {
    let date = || {
        let later = SystemTime::now() + Duration::from_secs(2);
        httpdate::fmt_http_date(later)
    };
    for status in [429, 503, 500] {
        for is_date in [false, true] {
            let server = Server::start(move |number, _| {
                let value = if is_date { date() } else { "1".to_owned() };
                (if number == 0 { status } else { 200 }, format!("retry-after: {value}\r\n"))
            });
            let end = Case::new(2).run(server.webhook(), |now| now.seq == 2);
            assert_eq!((end.sent, end.retried), (2, 1));
            let times: Vec<Instant> = server.requests().into_iter().map(|(at, _)| at).collect();
            // A date has whole seconds, so it may name one second less.
            assert!(times[1] - times[0] >= Duration::from_millis(990), "{status} {times:?}");
        }
    }
}

#[test]
fn other_answers_and_broken_connections_are_tried_again() {
    let server = Server::start(|number, _| {
        ([500, 502, 504, 408, 507, 200].get(number).copied().unwrap_or(200), String::new())
    });
    let case = Case::new(4);
    let end = case.run(server.webhook(), |now| now.seq == 4);
    assert_eq!((end.sent, end.retried, end.refused), (4, 5, 0));
    assert_eq!((case.logged("WARN"), case.logged("ERROR"), case.logged("delivers again")), (1, 0, 1));
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let absent = Server { address: free, requests: Arc::default() };
    let case = Case::new(4);
    let failing = case.run(absent.webhook(), |now| now.retried >= 3);
    let names_target = |why: &str| why.starts_with(&format!("http://{free}/: "));
    assert!(matches!(&failing.state, SinkState::Failing(why) if names_target(why)), "{failing:?}");
    assert_eq!(failing.seq, 0);
}

#[test]
fn the_reason_of_a_failure_names_its_target_without_credentials() {
    let server = Server::start(|_, _| (403, String::new()));
    let settings = WebhookSettings {
        url: format!("http://user:hunter2@{}/hook?key=hunter3", server.address),
        timeout: PATIENCE,
        ..Default::default()
    };
    let mut outlet = WebhookOutlet::new(settings, String::new());
    let record = Record { seq: 1, is_lost: false, json: "{\"seq\":1}".into() };
    let why = outlet.send(std::slice::from_ref(&record)).unwrap_err().why;
    let address = format!("@{}/hook", server.address);
    assert!(why.contains(&address) && why.contains("answers 403") && !why.contains("hunter"), "{why}");
    let path = PathBuf::from("/nonexistent/events.json");
    let file = FileSettings { path, max_bytes: 4096, max_files: 0 };
    let why = FileOutlet::new(file).send(&[record]).unwrap_err().why;
    assert!(why.starts_with("/nonexistent/events.json: "), "{why}");
}

/// An outlet whose `send` is a closure.
struct Scripted<F>(F);

impl<F: FnMut(&[Record]) -> Result<(), Undelivered> + Send> Outlet for Scripted<F> {
    fn send(&mut self, records: &[Record]) -> Result<(), Undelivered> {
        (self.0)(records)
    }
}

#[test]
fn records_that_were_taken_before_a_failure_are_not_sent_again() {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&taken);
    let mut calls = 0;
    let outlet = Scripted(move |records: &[Record]| {
        calls += 1;
        let count = if calls % 2 == 0 { 0 } else { records.len().min(3) };
        seen.lock().unwrap().extend(records.iter().take(count).map(|record| record.seq));
        if count == records.len() { Ok(()) } else { Err(Undelivered::passing(count, "disk", "full")) }
    });
    let case = Case::new(10);
    let end = case.run(Box::new(outlet), |now| now.seq == 10);
    assert_eq!(*taken.lock().unwrap(), (1..=10).collect::<Vec<u64>>());
    assert_eq!((end.sent, end.retried), (10, 6));
    assert_eq!(case.cursor().load(), Some(10));
}

#[test]
fn the_cursor_is_saved_with_each_part_that_is_taken() {
    let case = Case::new(10);
    let outlet = Scripted(|records: &[Record]| match records.len() {
        10 => Err(Undelivered::passing(4, "disk", "full")),
        _ => Err(Undelivered::passing(0, "disk", "full")),
    });
    case.run(Box::new(outlet), |now| now.retried >= 3);
    assert_eq!(case.cursor().load(), Some(4));
}

/// The log was deleted, and its numbers begin anew.
#[test]
fn a_cursor_beyond_the_log_begins_anew() {
    let case = Case::new(3);
    case.cursor().save(5000).unwrap();
    let server = Server::start(|_, _| (200, String::new()));
    let end = case.run(server.webhook(), |now| now.sent == 3);
    assert_eq!((end.seq, case.cursor().load()), (3, Some(3)));
    assert_eq!(case.logged("begins with the oldest"), 1);
}

#[test]
fn a_sink_blocks_a_thread_of_its_own_and_a_panic_stops_it() {
    let case = Case::new(1);
    let (sender, receiver) = std::sync::mpsc::channel();
    let outlet = Scripted(move |_: &[Record]| {
        sender.send(std::thread::current().name().map(str::to_owned)).unwrap();
        panic!("on purpose");
    });
    let telemetry = Telemetry::default();
    start(case.sink(Box::new(outlet)), &case.log, &"boot".into(), 0, &telemetry, std::future::pending());
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().as_deref(), Some("sink-pager"));
    let began = Instant::now();
    while !matches!(telemetry.sinks()[0].state, SinkState::Stopped(_)) {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(telemetry.sinks()[0].name, "pager");
}

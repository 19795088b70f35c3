//! Sinks: each event arrives once and in order, through failures of the target and crashes of the agent.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cgtap_tests::agent::{Agent, Options, Signal, free_address};
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{find_program, memory_cgroups, mounts, program, skip_unless};
use cgtap_tests::load;
use cgtap_tests::log::{QUIET, kind, wait_for};
use cgtap_tests::receiver::{Mood, Posted, Receiver};
use cgtap_tests::soak::rounds;
use hmac::Mac;
use serde_json::Value;

mod answers;

/// An agent with these sinks, in a state directory of the test.
struct Node {
    folder: tempfile::TempDir,
    agent: Option<Agent>,
}

impl Node {
    fn start(sinks: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cgtap.toml"), sinks).unwrap();
        let mut node = Self { folder, agent: None };
        node.begin();
        node
    }

    fn begin(&mut self) {
        let config = self.folder.path().join("cgtap.toml");
        let mut options = Options::new(&["--config", config.to_str().unwrap()]).unwrap();
        options.stdout = Some(self.folder.path().join("stdout"));
        options.state_dir = Some(self.folder.path().join("state"));
        self.agent = Some(Agent::start_with(&options).unwrap());
    }

    /// Kills it.
    fn crash(&mut self) {
        self.agent.as_ref().unwrap().signal(Signal::KILL).unwrap();
        self.agent = None;
        self.begin();
    }

    fn agent(&self) -> &Agent {
        self.agent.as_ref().unwrap()
    }

    fn sink(&self, name: &str) -> Value {
        let status = self.agent().get("/status").unwrap().json().unwrap();
        let sinks = status["events"]["sinks"].as_array().unwrap();
        sinks.iter().find(|sink| sink["name"] == name).unwrap().clone()
    }
}

/// The events of the log that pass this filter.
fn wanted(node: &Node, filter: &str) -> Vec<Value> {
    let path = format!("/events?since_seq=0{filter}");
    let lines = cgtap_tests::http::Lines::open(node.agent().address, &path).unwrap();
    lines.until(QUIET, |_| false).unwrap()
}

fn events_of(posted: &[Posted]) -> Vec<Value> {
    posted.iter().flat_map(|posted| serde_json::from_slice::<Vec<Value>>(&posted.body).unwrap()).collect()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_webhook_that_was_down_gets_every_event_in_order_and_signed() {
    let name = "sinks::a_webhook_that_was_down_gets_every_event_in_order_and_signed";
    if skip_unless(name, memory_cgroups()) {
        return;
    }
    let bursts = rounds(100, 5000);
    let (cgroup, address) = (TestCgroup::new().unwrap(), free_address().unwrap());
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "key\n").unwrap();
    let types = "cgroup_created,cgroup_removed";
    let mut node = Node::start(&format!(
        "[[sink]]\nkind = \"webhook\"\nname = \"pager\"\nurl = \"http://{address}/hook\"\nsecret_file = {:?}\n\
         types = [\"cgroup_created\", \"cgroup_removed\"]\ncgroup = \"{}\"\nlongest_pause = \"200ms\"\nbatch_events = 50\n",
        secret.path(),
        cgroup.path()
    ));
    let dir = cgroup.memory_dir().unwrap();
    load::burst(dir, bursts).unwrap();
    wait_for("a retry", QUIET, || node.sink("pager")["retried"].as_u64() > Some(1));
    assert_eq!(node.sink("pager")["state"], "failing");
    node.crash();
    load::burst(dir, bursts).unwrap();
    let receiver = Receiver::start(address).unwrap();
    let filter = format!("&types={types}&cgroup={}", cgroup.path());
    let arrived = || {
        let wanted = wanted(&node, &filter);
        (wanted.len() >= 4 * bursts as usize && events_of(&receiver.posted()).len() >= wanted.len())
            .then_some(wanted)
    };
    wait_for("the last event", QUIET, || arrived().is_some());
    assert_eq!(events_of(&receiver.posted()), arrived().unwrap(), "all, in order, none twice");
    for posted in receiver.posted() {
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"key").unwrap();
        mac.update(&posted.body);
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(posted.headers["x-cgtap-signature"], format!("sha256={hex}"));
        let events: Vec<Value> = serde_json::from_slice(&posted.body).unwrap();
        assert!(events.len() <= 50);
        assert_eq!(posted.headers["x-cgtap-first-seq"], events[0]["seq"].to_string());
        assert_eq!(posted.headers["x-cgtap-last-seq"], events[events.len() - 1]["seq"].to_string());
    }
    wait_for("the counters", QUIET, || node.sink("pager")["state"] == "ok");
    let metrics = node.agent().metrics().unwrap();
    let sent = metrics.one("cgtap_sink_events_total", &[("sink", "pager"), ("outcome", "sent")]).unwrap();
    assert_eq!(sent, Some(f64::from(4 * bursts)));
}

/// The window in which an event may come twice: the target took it, and the agent does not know.
#[test]
fn a_webhook_that_breaks_off_gets_the_same_batch_again_and_a_refusal_delays_nothing_else() {
    let name = "sinks::a_webhook_that_breaks_off_gets_the_same_batch_again_and_a_refusal_delays_nothing_else";
    if skip_unless(name, memory_cgroups()) {
        return;
    }
    let cgroup = TestCgroup::new().unwrap();
    let receiver = Receiver::start(free_address().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.json");
    let filter = format!("types = [\"cgroup_created\"]\ncgroup = \"{}\"", cgroup.path());
    let node = Node::start(&format!(
        "[[sink]]\nkind = \"webhook\"\nurl = \"http://{}/\"\nlongest_pause = \"100ms\"\n{filter}\n\
         [[sink]]\nkind = \"file\"\npath = {file:?}\n{filter}\n",
        receiver.address
    ));
    receiver.set_mood(Mood::BreakingOff);
    load::burst(cgroup.memory_dir().unwrap(), 5).unwrap();
    wait_for("the same again", QUIET, || receiver.posted().len() >= 3);
    wait_for("the file", QUIET, || lines(&file).len() == 5);
    receiver.set_mood(Mood::Refusing);
    wait_for("a refusal", QUIET, || {
        node.sink("webhook")["why"].as_str().is_some_and(|why| why.contains("503"))
    });
    receiver.set_mood(Mood::Content);
    wait_for("the end of it", QUIET, || node.sink("webhook")["sent"] == 5);
    let mut seqs: Vec<u64> =
        events_of(&receiver.posted()).iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(seqs.len() > 5, "the window was hit");
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), 5);
}

#[test]
fn a_file_and_standard_output_have_each_line_once_over_crashes() {
    let name = "sinks::a_file_and_standard_output_have_each_line_once_over_crashes";
    if skip_unless(name, memory_cgroups()) {
        return;
    }
    let cgroup = TestCgroup::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.json");
    let own = format!("cgroup = \"{}\"", cgroup.path());
    let mut node = Node::start(&format!(
        "[[sink]]\nkind = \"file\"\npath = {file:?}\nmax_bytes = 16384\nmax_files = 1000\n{own}\n\
         [[sink]]\nkind = \"stdout\"\ntypes = [\"cgroup_removed\"]\n{own}\n"
    ));
    for _ in 0..rounds(4, 50) {
        load::burst(cgroup.memory_dir().unwrap(), 100).unwrap();
        node.crash();
    }
    // The agent may have seen few events before each crash. It sees all of these.
    load::burst(cgroup.memory_dir().unwrap(), 100).unwrap();
    let own = format!("&cgroup={}", cgroup.path());
    // When the last of them is in the log, all are.
    let marker = cgroup.memory_dir().unwrap().join("marker");
    std::fs::create_dir(&marker).unwrap();
    std::fs::remove_dir(&marker).unwrap();
    let is_last = |event: &Value| {
        kind(event) == "cgroup_removed"
            && event["cgroup"]["path"].as_str().is_some_and(|path| path.ends_with("/marker"))
    };
    wait_for("the last event", QUIET, || wanted(&node, &own).last().is_some_and(is_last));
    let log = wanted(&node, &own);
    let last = log.last().unwrap()["seq"].as_u64();
    wait_for("the end of the log", QUIET, || node.sink("file")["seq"].as_u64() >= last);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 2, "it was rotated: {files:?}");
    assert!(files.iter().all(|file| std::fs::metadata(file).unwrap().len() <= 16384));
    let number =
        |file: &PathBuf| file.extension().and_then(|end| end.to_str()?.parse::<u32>().ok()).unwrap_or(0);
    files.sort_by_key(|file| std::cmp::Reverse(number(file)));
    let written: Vec<Value> = files.iter().flat_map(|file| lines(file)).collect();
    let seqs =
        |events: &[Value]| events.iter().map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>();
    assert!(log.len() > 200, "{}", log.len());
    assert_eq!(seqs(&written), seqs(&log), "the file is the log");
    assert_eq!(written, log);
    let wanted = wanted(&node, &format!("&types=cgroup_removed&cgroup={}", cgroup.path()));
    let stdout = node.folder.path().join("stdout");
    wait_for("standard output", QUIET, || lines(&stdout).len() >= wanted.len());
    // A line can be there twice if the agent was killed between the write and saving its cursor.
    let mut printed = lines(&stdout);
    printed.dedup();
    printed.sort_by_key(|event| event["seq"].as_u64());
    printed.dedup();
    assert_eq!(printed, wanted);
}

/// A journald of our own in a mount namespace of its own, killed by its id on drop.
struct Journald(Child);

impl Journald {
    fn start() -> Self {
        let script = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/log/journal \
            && exec /lib/systemd/systemd-journald";
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let journald = Self(command.spawn().unwrap());
        wait_for("journald's socket", QUIET, || journald.run("systemd/journal/socket").exists());
        journald
    }

    fn run(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/run/{path}", self.0.id()))
    }

    fn entries(&self) -> Vec<Value> {
        let mut command = Command::new(find_program("journalctl").unwrap());
        command.arg("-D").arg(self.run("log/journal")).args(["-o", "json", "SYSLOG_IDENTIFIER=cgtap"]);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn journald_has_each_event_with_its_fields_and_priority() {
    let name = "sinks::journald_has_each_event_with_its_fields_and_priority";
    let check = memory_cgroups()
        .and_then(|()| mounts())
        .and_then(|()| program("journalctl", "systemd"))
        .and_then(|()| program("unshare", "util-linux"));
    if skip_unless(name, check) {
        return;
    }
    let (journald, cgroup) = (Journald::start(), TestCgroup::new().unwrap());
    cgroup.limit_memory(8 << 20).unwrap();
    let node = Node::start(&format!(
        "[[sink]]\nkind = \"journald\"\npath = {:?}\ncgroup = \"{}\"\n",
        journald.run("systemd/journal/socket"),
        cgroup.path()
    ));
    let alone = load::the_only_kills();
    let killed = load::hog(crate::support::load(), cgroup.memory_dir().unwrap(), 64).unwrap();
    drop(alone);
    load::burst(cgroup.memory_dir().unwrap(), 10).unwrap();
    let filter = format!("&cgroup={}", cgroup.path());
    let begun = Instant::now();
    let (entries, wanted) = loop {
        let (entries, wanted) = (journald.entries(), wanted(&node, &filter));
        if entries.len() >= wanted.len() && wanted.iter().any(|event| kind(event) == "oom_kill") {
            break (entries, wanted);
        }
        assert!(begun.elapsed() < QUIET, "{} of {} entries", entries.len(), wanted.len());
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(entries.len(), wanted.len());
    for (entry, event) in entries.iter().zip(&wanted) {
        let json: Value = serde_json::from_str(entry["CGTAP_JSON"].as_str().unwrap()).unwrap();
        assert_eq!(&json, event, "in order");
        assert_eq!(entry["CGTAP_SEQ"], event["seq"].to_string());
        assert_eq!(entry["PRIORITY"], if kind(event) == "oom_kill" { "3" } else { "6" });
    }
    let kill = entries.iter().find(|entry| entry["CGTAP_TYPE"] == "oom_kill").unwrap();
    assert_eq!(kill["CGTAP_VICTIM_PID"], killed.pid.to_string());
    assert!(kill["MESSAGE"].as_str().unwrap().contains(&format!("pid={}", killed.pid)), "{kill}");
}

/// An HTTPS server of its own: `openssl s_server` shows what it decrypts and sends what it is given. Killed by its id on drop.
struct Tls(Child);

impl Tls {
    fn start(folder: &Path, port: u16) -> Self {
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (key, certificate) = (file("key.pem"), file("ca.pem"));
        let make = [
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ];
        let subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
        // A certificate that may sign others is refused as a server's own.
        let leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
        let made = Command::new("openssl").args(make).args(subject).args(leaf).stderr(Stdio::null()).status();
        assert!(made.unwrap().success());
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
        command.args(["-cert", &certificate, "-key", &key]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Reads one request and answers it, on a thread of its own. Returns the body.
    fn answer(&mut self) -> std::thread::JoinHandle<(Vec<u8>, std::process::ChildStdin)> {
        use std::io::{BufRead, BufReader, Read, Write};
        let mut request = BufReader::new(self.0.stdout.take().unwrap());
        let mut stdin = self.0.stdin.take().unwrap();
        std::thread::spawn(move || {
            let (mut length, mut line) = (0, String::new());
            while line.trim() != "" || length == 0 {
                line.clear();
                request.read_line(&mut line).unwrap();
                let lower = line.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            request.read_exact(&mut body).unwrap();
            stdin.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            stdin.flush().unwrap();
            // The server ends with its input.
            (body, stdin)
        })
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_webhook_over_tls_trusts_the_certificates_that_it_is_given_and_no_others() {
    let name = "sinks::a_webhook_over_tls_trusts_the_certificates_that_it_is_given_and_no_others";
    if skip_unless(name, memory_cgroups().and_then(|()| program("openssl", "openssl"))) {
        return;
    }
    let (cgroup, folder) = (TestCgroup::new().unwrap(), tempfile::tempdir().unwrap());
    let port = free_address().unwrap().port();
    let mut server = Tls::start(folder.path(), port);
    let table = |name: &str, more: &str| {
        format!(
            "[[sink]]\nkind = \"webhook\"\nname = \"{name}\"\nurl = \"https://127.0.0.1:{port}/\"\n\
             types = [\"cgroup_created\"]\ncgroup = \"{}\"\nlongest_pause = \"1s\"\n{more}\n",
            cgroup.path()
        )
    };
    let node = Node::start(&table("public", ""));
    load::burst(cgroup.memory_dir().unwrap(), 1).unwrap();
    wait_for("a refusal", QUIET, || {
        let why = node.sink("public")["why"].as_str().unwrap_or_default().to_ascii_lowercase();
        why.contains("certificate") || why.contains("issuer")
    });
    drop(node);
    let answering = server.answer();
    let node = Node::start(&table("own", &format!("ca_file = {:?}", folder.path().join("ca.pem"))));
    load::burst(cgroup.memory_dir().unwrap(), 1).unwrap();
    wait_for("its delivery", QUIET, || node.sink("own")["sent"] == 1);
    let (body, _stdin) = answering.join().unwrap();
    let events: Vec<Value> = serde_json::from_slice(&body).unwrap();
    assert_eq!(events[0]["cgroup"]["path"], format!("{}/burst0", cgroup.path()));
}

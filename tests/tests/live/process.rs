//! Exit codes and SIGTERM.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use cgtap_tests::agent::{Agent, run_to_end};

/// Runs `cgtap` with arguments that it must refuse with exit code 2. Returns its message.
fn refused(args: &[&str]) -> String {
    let output = run_to_end(args).unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
    message
}

#[test]
fn what_cannot_be_done_ends_with_2_and_a_name() {
    assert!(refused(&["serve", "--no-such-flag"]).contains("--no-such-flag"));
    assert!(refused(&["no-such-command"]).contains("no-such-command"));
    let message = refused(&["serve", "--lifecycle-source", "magic"]);
    assert!(message.contains("magic") && message.contains("tp_btf") && message.contains("walk"), "{message}");
    assert!(refused(&["serve", "--listen", "nowhere"]).contains("nowhere"));
    assert!(refused(&["serve", "--config", "/no/such/file.toml"]).contains("/no/such/file.toml"));
}

#[test]
fn a_bad_configuration_file_is_named_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cgtap.toml");
    std::fs::write(&file, "no_such_key = 1\n").unwrap();
    let message = refused(&["serve", "--config", file.to_str().unwrap()]);
    assert!(message.contains("no_such_key") && message.contains("cgtap.toml"), "{message}");
}

#[test]
fn a_port_in_use_ends_with_2_and_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let state = tempfile::tempdir().unwrap();
    let message = refused(&["serve", "--listen", &address, "--state-dir", state.path().to_str().unwrap()]);
    assert!(message.contains(&address), "{message}");
}

#[test]
fn sigterm_ends_it_in_2_seconds_with_followers() {
    let mut agent = Agent::start(&["--lifecycle-source", "walk", "--oom-source", "none"]).unwrap();
    let followers: Vec<_> = (0..5).map(|_| agent.follow("").unwrap()).collect();
    let (status, _) = agent.terminate(Duration::from_secs(2)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", agent.log());
    for follower in followers {
        // The stream sends its remaining events and then ends.
        follower.until(Duration::from_secs(10), |_| false).unwrap();
    }
}

/// Its client is never answered: the end waits for it, and not for ever.
#[test]
fn sigterm_ends_it_within_its_time_while_a_request_is_unfinished() {
    let mut agent = Agent::start(&["--lifecycle-source", "walk", "--oom-source", "none"]).unwrap();
    let mut client = TcpStream::connect(agent.address).unwrap();
    client.write_all(b"GET /events HTTP/1.1\r\nHost: a\r\nX: ").unwrap();
    // The agent has read that.
    std::thread::sleep(Duration::from_millis(200));
    let (status, _) = agent.terminate(Duration::from_secs(20)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", agent.log());
}

#[test]
fn version_and_help_are_there() {
    let version = run_to_end(&["--version"]).unwrap();
    assert!(version.status.success());
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("cgtap "), "{version:?}");
    let help = run_to_end(&["serve", "--help"]).unwrap();
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    for flag in
        ["--listen", "--host-root", "--state-dir", "--min-interval", "--lifecycle-source", "--oom-source"]
    {
        assert!(text.contains(flag), "{flag} is not in the help:\n{text}");
    }
}

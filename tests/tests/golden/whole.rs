//! The whole output of the agent on a recorded host, byte for byte.
//!
//! `CGTAP_BLESS=1 cargo test -p cgtap-tests --test golden` writes the files anew; read what changed before you commit.

use std::collections::BTreeSet;

use crate::host::{Host, folder, lasting_text};

fn check(name: &str) {
    let host = Host::recorded(name);
    let agent = host.serve();
    let found = lasting_text(&agent);
    let file = folder("golden").join(format!("{name}.prom"));
    if std::env::var_os("CGTAP_BLESS").is_some() {
        std::fs::write(&file, &found).unwrap();
    }
    let wanted = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    assert!(found == wanted, "{} is not what is served:\n{}", file.display(), difference(&wanted, &found));
    // The files are the kernel's, so none may be refused.
    assert_eq!(
        agent.metrics().unwrap().one("cgtap_read_errors_total", &[]).unwrap(),
        Some(0.0),
        "{}",
        agent.log()
    );
}

/// The lines that only one of the texts has. The whole texts are too long to read.
fn difference(wanted: &str, found: &str) -> String {
    let (was, is): (BTreeSet<&str>, BTreeSet<&str>) = (wanted.lines().collect(), found.lines().collect());
    let gone = was.difference(&is).map(|line| format!("- {line}\n"));
    let come = is.difference(&was).map(|line| format!("+ {line}\n"));
    let lines: String = gone.chain(come).collect();
    if lines.is_empty() { "the same lines in another order\n".to_owned() } else { lines }
}

#[test]
fn v1_hybrid_6_18() {
    check("v1-6.18");
}

#[test]
fn v2_6_12() {
    check("v2-6.12");
}

#[test]
fn v2_6_1_without_stall_times_and_io() {
    check("v2-6.1-few");
}

#[test]
fn a_difference_is_shown_by_its_lines() {
    assert_eq!(difference("a\nb\n", "a\nc\n"), "- b\n+ c\n");
    assert_eq!(difference("a\nb\n", "b\na\n"), "the same lines in another order\n");
}

//! No name of a cgroup breaks an output.

use std::time::{Duration, Instant};

use cgtap_tests::agent::Agent;
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::host::{Rung, bpf, memory_cgroups, skip_unless};
use cgtap_tests::log::QUIET;

use crate::support::{Lent, path};

/// The suffix of the name, and how the whole path is shown when the part before it is `P`.
const NAMES: [(&[u8], &str); 6] = [
    (b" a space", "P a space"),
    (b"-\"quotes\"", "P-\"quotes\""),
    (b"-back\\slash\\n", "P-back\\slash\\n"),
    (b"-{brace=\"1\",}", "P-{brace=\"1\",}"),
    ("-größe-\u{1f40b}".as_bytes(), "P-größe-\u{1f40b}"),
    // Not UTF-8: quoted as `ls --quoting-style=c` does.
    (b"-\xff\xfe\"\\", "\"P-\\xff\\xfe\\\"\\\\\""),
];

#[test]
fn odd_names_are_the_same_text_in_metrics_and_events() {
    let name = "names::odd_names_are_the_same_text_in_metrics_and_events";
    if skip_unless(name, memory_cgroups().and(bpf(Rung::TpBtf))) {
        return;
    }
    let agent = Lent::of_defaults();
    let stream = agent.follow("&types=cgroup_created").unwrap();
    for (suffix, shown) in NAMES {
        let cgroup = TestCgroup::with_suffix(suffix).unwrap();
        let bytes = cgroup.path_bytes();
        let plain = String::from_utf8(bytes[..bytes.len() - suffix.len()].to_vec()).unwrap();
        let wanted = shown.replacen('P', &plain, 1);
        let events = stream.until(QUIET, |e| path(e) == wanted).unwrap();
        assert_eq!(events.last().map(path), Some(wanted.as_str()), "{events:?}");
        assert_has_memory(&agent, &wanted);
    }
}

/// On v1 the event comes with the first hierarchy; the memory hierarchy may follow a moment later.
fn assert_has_memory(agent: &Agent, id: &str) {
    let deadline = Instant::now() + QUIET;
    loop {
        let metrics = agent.metrics().unwrap();
        if metrics.one("container_memory_usage_bytes", &[("id", id)]).unwrap().is_some() {
            return;
        }
        assert!(Instant::now() < deadline, "no memory of {id:?} among {:?}", metrics.label_values("id"));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_kernel_refuses_a_newline() {
    if skip_unless("names::the_kernel_refuses_a_newline", memory_cgroups()) {
        return;
    }
    // Both outputs rely on it. A kernel that allows it must fail here, not at a user.
    assert!(TestCgroup::with_suffix(b"-new\nline").is_err());
}

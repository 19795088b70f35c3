//! Where a refusal comes from, and that it has a bound.

use super::super::declare::Origin;
use super::{Config, Given, load, parse};

#[test]
fn a_value_of_the_environment_is_refused_by_the_name_of_its_variable() {
    let mut given = Given::default();
    given.values.insert("max_connections".to_owned(), (0.into(), Origin::Environment));
    let err = given.check().unwrap_err().to_string();
    assert!(err.starts_with("CGTAP_MAX_CONNECTIONS: 0 is not allowed"), "{err}");
}

#[test]
fn a_message_has_a_bound_and_keeps_its_place_and_what_is_allowed() {
    let names = vec!["nothing"; 90_000].join("\", \"");
    let err = load(&format!("timestamps = false\nlabels = [\"{names}\", \"\"]"), &[]).unwrap_err();
    assert!(err.len() < 5000, "{}", err.len());
    assert!(err.contains("line 2: labels") && err.ends_with("none of them empty"), "{err}");
    let key = "\u{e9}".repeat(100_000);
    let err = load(&format!("{key:?} = 1"), &[]).unwrap_err();
    assert!(err.len() < 5000 && err.contains("line 1") && err.contains("client_timeout"), "{err}");
}

#[test]
fn a_file_that_is_a_pipe_or_too_long_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (pipe, long) = (dir.path().join("pipe"), dir.path().join("long"));
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    std::fs::write(&long, vec![b' '; 2 << 20]).unwrap();
    for (path, wanted) in [(&pipe, "a pipe"), (&long, "too long")] {
        for flag in ["config", "perf-events-config"] {
            let flags = parse(&[&format!("--{flag}={}", path.display())]).unwrap();
            let err = Config::load(flags).unwrap_err().to_string();
            assert!(err.contains(wanted) && err.contains(path.to_str().unwrap()), "{err}");
        }
    }
    let flags = parse(&["--config=/dev/null"]).unwrap();
    assert_eq!(Config::load(flags).unwrap(), Given::default().check().unwrap());
}

/// A flag replaces a mistake of the file. `cgtap config check` still reports it.
#[test]
fn a_flag_wins_over_a_value_of_the_file_that_is_not_allowed() {
    for file in ["max_connections = 0", "max_connections = \"many\""] {
        assert_eq!(load(file, &["--max-connections=7"]).unwrap().max_connections, 7);
        load(file, &[]).unwrap_err();
    }
}

//! Facts about a kernel that tests find: lines for the table in `docs/kernels.md`.

use std::io::Write;

/// The file to which tests add their lines.
pub const FACTS: &str = "CGTAP_TEST_FACTS";

/// Notes that `rung` gave events of this kind with these fields on this kernel. Without [`FACTS`] it does nothing.
pub fn note<'a>(kind: &str, rung: &str, fields: impl IntoIterator<Item = &'a str>) {
    let fields: Vec<&str> = fields.into_iter().collect();
    let line = format!("fact: {kind} {rung} {}\n", fields.join(","));
    if let Some(path) = std::env::var_os(FACTS) {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        // The comparison of the table reports a missing fact.
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

//! What the tests learn of a kernel beside whether they pass: lines for a table in the documentation.

use std::io::Write;

/// The file to which tests add their lines.
pub const FACTS: &str = "CGTAP_TEST_FACTS";

/// Notes that on this kernel `rung` gave events of that kind with these fields. Without [`FACTS`] nothing is kept.
pub fn note<'a>(kind: &str, rung: &str, fields: impl IntoIterator<Item = &'a str>) {
    let fields: Vec<&str> = fields.into_iter().collect();
    let line = format!("fact: {kind} {rung} {}\n", fields.join(","));
    if let Some(path) = std::env::var_os(FACTS) {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        // A fact that is not kept is missed where the table is compared.
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

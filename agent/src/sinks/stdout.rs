//! Standard output: one JSON object a line, for a collector of what services print.

use std::io::{self, Write};

use super::{Outlet, Record, Undelivered};

/// The process's standard output.
pub(super) struct StdoutOutlet;

impl Outlet for StdoutOutlet {
    fn send(&mut self, records: &[Record]) -> Result<(), Undelivered> {
        let mut out = io::stdout().lock();
        for (taken, record) in records.iter().enumerate() {
            // One write for the whole line: what fails is not kept in a buffer and written later.
            let line = [&record.json, &b"\n"[..]].concat();
            out.write_all(&line).map_err(|error| Undelivered::passing(taken, "standard output", error))?;
        }
        Ok(())
    }
}

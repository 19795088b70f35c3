//! Standard output: one JSON object a line, for whoever collects what services print.

use std::io::{self, Write};

use super::{Line, Outlet};

/// The process's standard output.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdoutOutlet;

impl Outlet for StdoutOutlet {
    fn deliver(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for line in lines {
            out.write_all(&line.json)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}

//! The newest number that was served while the disk failed: no record has it, and the next agent must not give it again.
//!
//! The file gets its length while the disk works, and is written in place: that needs no room on a full disk.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::durable;

const NAME: &str = "served";
/// Digits of the greatest number, and a newline.
const BYTES: usize = 21;

/// Makes the file if it is missing or cut.
pub(super) fn prepare(dir: &Path) -> io::Result<()> {
    let file = durable::open(&dir.join(NAME), OpenOptions::new().write(true).create(true))?;
    if file.metadata()?.len() == BYTES as u64 { Ok(()) } else { file.write_all_at(&text(0), 0) }
}

/// Notes that all numbers up to this one are given.
pub(super) fn note(dir: &Path, seq: u64) -> io::Result<()> {
    durable::open(&dir.join(NAME), OpenOptions::new().write(true))?.write_all_at(&text(seq), 0)
}

/// The newest number noted; 0 where there is none.
pub(in crate::events) fn read(dir: &Path) -> u64 {
    let text = durable::read_file(&dir.join(NAME), BYTES as u64).ok();
    text.and_then(|text| str::from_utf8(&text).ok()?.trim_end().parse().ok()).unwrap_or_default()
}

fn text(seq: u64) -> Vec<u8> {
    format!("{seq:0width$}\n", width = BYTES - 1).into_bytes()
}

//! The newest number that was served while the disk failed: no record has it, and the next agent must not give it again.
//!
//! It is the name of an empty file: a full disk has no room for a record, and takes a rename.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::MAX_SEQ;

const PREFIX: &str = "served.";

/// Notes that all numbers up to this one are given.
pub(super) fn note(dir: &Path, seq: u64) -> io::Result<()> {
    let new = dir.join(format!("{PREFIX}{seq:020}"));
    match newest(dir) {
        Some((noted, _)) if noted >= seq => Ok(()),
        Some((_, old)) => fs::rename(old, new),
        None => File::create(new).map(drop),
    }
}

/// The newest number noted; 0 where there is none.
pub(in crate::events) fn read(dir: &Path) -> u64 {
    newest(dir).map_or(0, |(seq, _)| seq)
}

fn newest(dir: &Path) -> Option<(u64, PathBuf)> {
    let names = fs::read_dir(dir).ok()?.flatten().filter_map(|entry| {
        let seq = entry.file_name().to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
        Some((seq, entry.path()))
    });
    names.filter(|(seq, _)| *seq <= MAX_SEQ).max()
}

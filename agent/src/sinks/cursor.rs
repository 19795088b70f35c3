//! How far a sink has come: a file with one number, which outlives the agent.

use std::io;
use std::path::{Path, PathBuf};

use crate::durable::{read_file, replace_file};

/// More than a number has.
const MAX_FILE_BYTES: u64 = 100;

/// The file that has the number of the last event delivered.
#[derive(Debug)]
pub(super) struct Cursor {
    path: PathBuf,
}

impl Cursor {
    /// The cursor of that name below `dir`.
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self { path: dir.join(format!("{name}.seq")) }
    }

    /// The last event delivered; `None` for a sink that is new. A cursor that cannot be read is 0: no event is passed over.
    pub(super) fn load(&self) -> Option<u64> {
        let text = match read_file(&self.path, MAX_FILE_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            text => text.unwrap_or_default(),
        };
        let seq = str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
        if seq.is_none() {
            tracing::warn!(path = %self.path.display(), "the cursor of a sink is no number; it begins with the oldest event");
        }
        Some(seq.unwrap_or_default())
    }

    /// Replaces the file: a crash leaves the old number or the new one.
    pub(super) fn save(&self, seq: u64) -> io::Result<()> {
        replace_file(&self.path, format!("{seq}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_number_is_loaded_and_nonsense_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cursor = Cursor::new(&folder.path().join("sinks"), "pager");
        assert_eq!(cursor.load(), None);
        for seq in [0, 7, u64::MAX] {
            cursor.save(seq).unwrap();
            assert_eq!(cursor.load(), Some(seq));
        }
        std::fs::write(folder.path().join("sinks/pager.seq"), "x").unwrap();
        assert_eq!(cursor.load(), Some(0));
    }
}

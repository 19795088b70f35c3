//! How far a sink has come, in a file of its own that outlives the agent.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file: one number, the last event that was delivered.
#[derive(Clone, Debug)]
pub struct Cursor {
    path: PathBuf,
}

impl Cursor {
    /// The cursor of that name below `dir`.
    #[must_use]
    pub fn new(dir: &Path, name: &str) -> Self {
        Self { path: dir.join(format!("{name}.seq")) }
    }

    /// The last event that was delivered; `None` for a sink that has not begun.
    #[must_use]
    pub fn load(&self) -> Option<u64> {
        let text = fs::read_to_string(&self.path).ok()?;
        let seq = text.trim().parse().ok();
        if seq.is_none() {
            tracing::warn!(path = %self.path.display(), "a sink's cursor cannot be read; it begins anew");
        }
        seq
    }

    /// Replaces the file: a crash leaves the old number or the new one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, seq: u64) -> io::Result<()> {
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        let new = self.path.with_extension("new");
        let mut file = fs::File::create(&new)?;
        writeln!(file, "{seq}")?;
        fs::rename(&new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_and_nonsense_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let cursor = Cursor::new(&folder.path().join("sinks"), "pager");
        assert_eq!(cursor.load(), None);
        for seq in [0, 7, u64::MAX] {
            cursor.save(seq).unwrap();
            assert_eq!(cursor.load(), Some(seq));
        }
        fs::write(folder.path().join("sinks/pager.seq"), "x").unwrap();
        assert_eq!(cursor.load(), None);
    }
}

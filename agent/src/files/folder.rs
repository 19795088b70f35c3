//! The names in a folder.

use std::fs;
use std::io;
use std::path::Path;

/// The names of at most that many entries of a folder, those that are no UTF-8 left out.
///
/// # Errors
/// It is not there, or may not be read.
pub fn entry_names(folder: &Path, max_entries: usize) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)?.take(max_entries) {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(entry_names(folder.path(), 2).unwrap().len(), 2);
        let mut all = entry_names(folder.path(), 9).unwrap();
        all.sort_unstable();
        assert_eq!(all, ["a", "b", "c"]);
        assert_eq!(entry_names(&folder.path().join("none"), 9).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

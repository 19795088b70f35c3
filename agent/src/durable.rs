//! Files that must survive a crash, and locks that keep a second agent out.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// An agent that ends gives its locks back within this time.
const HANDOVER: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(20);

/// Replaces a file: a reader finds the old text or the new one, also after a crash or a power failure. Makes its directory.
///
/// # Errors
/// The disk refuses; the old text is still there.
pub fn replace_file(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(text)?;
    file.sync_data()?;
    fs::rename(&new, path)
}

/// Locks an open file or directory for this process; waits for another agent that is about to end.
///
/// # Errors
/// `WouldBlock` if another process keeps its lock, else what the system says.
pub fn lock(file: &File) -> Result<(), TryLockError> {
    lock_within(file, HANDOVER)
}

fn lock_within(file: &File, patience: Duration) -> Result<(), TryLockError> {
    let until = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(RETRY),
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_in_a_directory_that_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/number");
        for text in ["1", "22", ""] {
            replace_file(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(folder.path().join("made")).unwrap().count(), 1);
    }

    #[test]
    fn a_lock_waits_for_the_other_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = [(); 2].map(|()| File::open(folder.path()).unwrap());
        lock(&first).unwrap();
        assert!(matches!(lock_within(&second, Duration::ZERO), Err(TryLockError::WouldBlock)));
        let ends = std::thread::spawn(move || {
            std::thread::sleep(RETRY);
            drop(first);
        });
        lock_within(&second, Duration::from_secs(60)).unwrap();
        ends.join().unwrap();
    }
}

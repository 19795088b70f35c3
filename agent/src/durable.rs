//! Files that must survive a crash, and locks that keep a second agent out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// An agent that ends gives its locks back within this time.
const HANDOVER: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(20);

/// Opens a file that may be in place of another: a pipe or socket is refused, as it waits for its other end.
///
/// # Errors
/// The file cannot be opened or is of another kind.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.custom_flags(libc::O_NONBLOCK).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_fifo() || kind.is_socket() {
        return Err(io::Error::other("a pipe or socket; wanted: a file"));
    }
    Ok(file)
}

/// Reads a file of at most this many bytes.
///
/// # Errors
/// The file cannot be read, is of another kind or is too long.
pub fn read_file(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = open(path, OpenOptions::new().read(true))?;
    if file.take(max_bytes + 1).read_to_end(&mut bytes)? as u64 > max_bytes {
        return Err(io::Error::other(format!("the file is too long; wanted: at most {max_bytes} bytes")));
    }
    Ok(bytes)
}

/// Replaces a file: a reader finds the old text or the new one, also after a crash or a power failure. Makes its directory.
///
/// # Errors
/// The disk refuses; the old text is still there.
pub fn replace_file(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let new = path.with_extension("new");
    let opened = open(&new, OpenOptions::new().write(true).create(true).truncate(true));
    let written = opened.and_then(|mut file| file.write_all(text).and_then(|()| file.sync_data()));
    written.map_err(at(&new))?;
    fs::rename(&new, path).map_err(at(path))
}

/// Names the file in its error.
pub fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Locks an open file or directory for this process; waits for another agent that is about to end, but not once this one `is_over`.
///
/// # Errors
/// `WouldBlock` if another process keeps its lock, else what the system says.
pub fn lock(file: &File, is_over: impl Fn() -> bool) -> Result<(), TryLockError> {
    let until = Instant::now() + HANDOVER;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < until && !is_over() => {
                std::thread::sleep(RETRY);
            }
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
    fn a_pipe_in_place_of_a_file_is_refused() {
        use rustix::fs::{CWD, Mode, mkfifoat};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        for pipe in [&path, &path.with_extension("new")] {
            mkfifoat(CWD, pipe, Mode::RUSR | Mode::WUSR).unwrap();
        }
        assert!(read_file(&path, 10).unwrap_err().to_string().contains("pipe"));
        replace_file(&path, b"1").unwrap_err();
    }

    #[test]
    fn a_file_that_is_too_long_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        replace_file(&path, b"123").unwrap();
        assert_eq!(read_file(&path, 3).unwrap(), b"123");
        assert!(read_file(&path, 2).unwrap_err().to_string().contains("at most 2"));
    }

    #[test]
    fn a_lock_waits_for_the_other_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = [(); 2].map(|()| File::open(folder.path()).unwrap());
        lock(&first, || false).unwrap();
        assert!(matches!(lock(&second, || true), Err(TryLockError::WouldBlock)));
        let ends = std::thread::spawn(move || {
            std::thread::sleep(RETRY);
            drop(first);
        });
        lock(&second, || false).unwrap();
        ends.join().unwrap();
    }
}

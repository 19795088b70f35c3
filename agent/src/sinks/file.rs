//! A file of JSON lines that is rotated by size: `PATH`, then `PATH.1` and so on, the oldest last.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::{Outlet, Record, Undelivered};
use crate::config::FileSettings;
use crate::durable;

/// How much of the newest files is read to find what a crash left undone.
const TAIL_BYTES: u64 = 1 << 20;

/// A file that is open while the sink writes to it.
pub(super) struct FileOutlet {
    settings: FileSettings,
    open: Option<OpenFile>,
    /// Lines that a previous agent wrote and may not have noted in its cursor. `None` before the first delivery.
    known: Option<HashSet<Vec<u8>>>,
}

struct OpenFile {
    file: File,
    /// The file's length, which ends with a whole line.
    bytes: u64,
}

impl FileOutlet {
    /// Opens nothing yet.
    pub(super) fn new(settings: FileSettings) -> Self {
        Self { settings, open: None, known: None }
    }

    /// Opens the file and cuts a line that a crash has left unfinished.
    fn open(settings: &FileSettings) -> io::Result<OpenFile> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&settings.path)?;
        let (tail, from) = tail(&mut file)?;
        let whole = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if whole < tail.len() {
            file.set_len(from + whole as u64)?;
        }
        Ok(OpenFile { file, bytes: from + whole as u64 })
    }

    /// The last lines of this file and of those rotated before it: a batch may be in many small files.
    fn known(&self) -> HashSet<Vec<u8>> {
        let rotated = (1..=self.settings.max_files).map(|number| self.numbered(number));
        let rotated = rotated.take_while(|path| path.exists());
        let (mut known, mut read_bytes) = (HashSet::new(), 0);
        for path in std::iter::once(self.settings.path.clone()).chain(rotated) {
            let read =
                durable::open(&path, OpenOptions::new().read(true)).and_then(|mut file| tail(&mut file));
            let (tail, _) = read.unwrap_or_default();
            known.extend(
                tail.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec),
            );
            read_bytes += tail.len() as u64;
            if read_bytes >= TAIL_BYTES {
                break;
            }
        }
        known
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.settings.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.open = None;
        for number in (1..self.settings.max_files).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.settings.max_files == 0 {
            fs::remove_file(&self.settings.path)
        } else {
            fs::rename(&self.settings.path, self.numbered(1))
        }
    }

    fn current(&mut self) -> io::Result<&mut OpenFile> {
        use std::os::unix::fs::MetadataExt;
        // Another program may have rotated or removed the file.
        let same = |open: &OpenFile| {
            let there = fs::metadata(&self.settings.path).ok()?;
            let held = open.file.metadata().ok()?;
            Some((there.dev(), there.ino()) == (held.dev(), held.ino()))
        };
        let open = match self.open.take().filter(|open| same(open) == Some(true)) {
            Some(open) => open,
            None => Self::open(&self.settings)?,
        };
        Ok(self.open.insert(open))
    }

    /// Writes as many records as the file has room for, or rotates a full file; how many it wrote.
    fn write_some(&mut self, records: &[Record]) -> io::Result<usize> {
        let known = self.known.take().unwrap_or_else(|| self.known());
        let written = self.write_unknown(records, &known);
        self.known = Some(known);
        written
    }

    fn write_unknown(&mut self, records: &[Record], known: &HashSet<Vec<u8>>) -> io::Result<usize> {
        let limit = self.settings.max_bytes;
        let open = self.current()?;
        let (mut text, mut count) = (Vec::new(), 0);
        for record in records {
            let bytes = open.bytes + text.len() as u64;
            if known.contains(&record.json[..]) {
                count += 1;
                continue;
            }
            if bytes > 0 && bytes + record.json.len() as u64 + 1 > limit {
                break;
            }
            count += 1;
            text.extend_from_slice(&record.json);
            text.push(b'\n');
        }
        if count == 0 {
            self.rotate()?;
            return Ok(0);
        }
        if let Err(error) = open.file.write_all(&text) {
            // Not even a part of a line stays.
            let _ = open.file.set_len(open.bytes);
            return Err(error);
        }
        open.bytes += text.len() as u64;
        Ok(count)
    }
}

impl Outlet for FileOutlet {
    fn send(&mut self, records: &[Record]) -> Result<(), Undelivered> {
        let mut taken = 0;
        while let Some(rest) = records.get(taken..).filter(|rest| !rest.is_empty()) {
            let written = self.write_some(rest);
            let path = self.settings.path.display();
            taken += written.map_err(|error| Undelivered::passing(taken, path, error))?;
        }
        // From here on the cursor says what is written.
        self.known = Some(HashSet::new());
        Ok(())
    }
}

/// The last bytes of a file, and where they begin.
fn tail(file: &mut File) -> io::Result<(Vec<u8>, u64)> {
    let from = file.metadata()?.len().saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    Ok((tail, from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> Record {
        Record { seq: number, is_lost: false, json: format!("{{\"seq\":{number:04}}}").into() }
    }

    fn lines(path: &std::path::Path) -> Vec<String> {
        fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_file_is_rotated_by_size_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let settings = FileSettings { path: path.clone(), max_bytes: 40, max_files: 2 };
        let mut outlet = FileOutlet::new(settings);
        for number in 0..12 {
            outlet.send(&[record(number)]).unwrap();
        }
        let kept = |name: &str| lines(&folder.path().join(name));
        assert_eq!(kept("events.json"), [r#"{"seq":0009}"#, r#"{"seq":0010}"#, r#"{"seq":0011}"#]);
        assert_eq!(kept("events.json.1")[0], r#"{"seq":0006}"#);
        assert_eq!(kept("events.json.2")[0], r#"{"seq":0003}"#);
        assert!(!folder.path().join("events.json.3").exists());
    }

    #[test]
    fn after_a_crash_no_line_is_torn_or_written_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let settings = FileSettings { path: path.clone(), max_bytes: 1 << 20, max_files: 2 };
        FileOutlet::new(settings.clone()).send(&[record(1), record(2)]).unwrap();
        fs::write(&path, [fs::read(&path).unwrap(), b"{\"seq\":00".to_vec()].concat()).unwrap();
        let mut after = FileOutlet::new(settings);
        after.send(&[record(2), record(3)]).unwrap();
        after.send(&[record(3)]).unwrap();
        let wanted = [record(1), record(2), record(3), record(3)]
            .map(|record| String::from_utf8(record.json.to_vec()).unwrap());
        assert_eq!(lines(&path), wanted, "a record that is sent twice later is written twice");
    }

    #[test]
    fn a_batch_that_was_rotated_before_a_crash_is_not_written_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let settings = FileSettings { path: path.clone(), max_bytes: 40, max_files: 9 };
        // The last file has one line, the four before it three each.
        let batch: Vec<Record> = (1..=13).map(record).collect();
        FileOutlet::new(settings.clone()).send(&batch).unwrap();
        let mut after = FileOutlet::new(settings);
        after.send(&[&batch[..], &[record(14)]].concat()).unwrap();
        let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let written: Vec<String> = files.flat_map(|file| lines(&file)).collect();
        assert_eq!(written.len(), 14, "{written:?}");
    }

    #[test]
    fn a_file_that_was_moved_away_is_created_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let mut outlet =
            FileOutlet::new(FileSettings { path: path.clone(), max_bytes: 1 << 20, max_files: 2 });
        outlet.send(&[record(1)]).unwrap();
        fs::rename(&path, folder.path().join("moved")).unwrap();
        outlet.send(&[record(2)]).unwrap();
        assert_eq!(lines(&path).len(), 1);
    }
}

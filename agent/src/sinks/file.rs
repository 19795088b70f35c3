//! A file of JSON lines that is rotated by size: `PATH`, then `PATH.1` and so on, the oldest last.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::{Line, Outlet};

/// What of the end of a file is looked at, for what a crash left undone.
const TAIL_BYTES: u64 = 1 << 20;

/// Which file, and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// The file that is written.
    pub path: PathBuf,
    /// It is rotated before it gets larger.
    pub max_bytes: u64,
    /// Rotated files that are kept.
    pub max_files: u32,
}

/// The open file.
#[derive(Debug)]
pub struct FileOutlet {
    options: FileOptions,
    open: Option<Open>,
    /// Of a batch that failed, by its first event, so many lines are written.
    done: Option<(u64, usize)>,
    /// Lines that were there before this agent: a crash came between them and the note of that. `None` before the first
    /// delivery.
    known: Option<HashSet<Vec<u8>>>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Whole lines.
    bytes: u64,
}

impl FileOutlet {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(options: FileOptions) -> Self {
        Self { options, open: None, done: None, known: None }
    }

    /// Opens the file and cuts what a crash has left of a line.
    fn open(options: &FileOptions) -> io::Result<Open> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&options.path)?;
        let (tail, from) = tail(&mut file)?;
        let whole = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if whole < tail.len() {
            file.set_len(from + whole as u64)?;
        }
        Ok(Open { file, bytes: from + whole as u64 })
    }

    /// The last lines, also of the file before: a batch may be in both.
    fn known(&self) -> HashSet<Vec<u8>> {
        let mut known = HashSet::new();
        for path in [self.numbered(1), self.options.path.clone()] {
            let read = File::open(path).and_then(|mut file| tail(&mut file));
            let (tail, _) = read.unwrap_or_default();
            known.extend(
                tail.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec),
            );
        }
        known
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.options.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.open = None;
        for number in (1..self.options.max_files).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.options.max_files == 0 {
            fs::remove_file(&self.options.path)
        } else {
            fs::rename(&self.options.path, self.numbered(1))
        }
    }

    fn current(&mut self) -> io::Result<&mut Open> {
        use std::os::unix::fs::MetadataExt;
        // Somebody else may rotate it, or take it away.
        let same = |open: &Open| {
            let there = fs::metadata(&self.options.path).ok()?;
            let held = open.file.metadata().ok()?;
            Some((there.dev(), there.ino()) == (held.dev(), held.ino()))
        };
        let open = match self.open.take().filter(|open| same(open) == Some(true)) {
            Some(open) => open,
            None => Self::open(&self.options)?,
        };
        Ok(self.open.insert(open))
    }
}

impl FileOutlet {
    /// Writes as many lines as the file has room for, at least one; how many.
    fn write_some(&mut self, lines: &[Line]) -> io::Result<usize> {
        let limit = self.options.max_bytes;
        let mut known = self.known.take().unwrap_or_else(|| self.known());
        let written = self.write_unknown(lines, limit, &mut known);
        self.known = Some(known);
        written
    }

    fn write_unknown(
        &mut self,
        lines: &[Line],
        limit: u64,
        known: &mut HashSet<Vec<u8>>,
    ) -> io::Result<usize> {
        let open = self.current()?;
        let (mut text, mut count) = (Vec::new(), 0);
        for line in lines {
            let bytes = open.bytes + text.len() as u64;
            if known.contains(&line.json[..]) {
                count += 1;
                continue;
            }
            if bytes > 0 && bytes + line.json.len() as u64 + 1 > limit {
                break;
            }
            count += 1;
            text.extend_from_slice(&line.json);
            text.push(b'\n');
        }
        if count == 0 {
            self.rotate()?;
            return Ok(0);
        }
        if let Err(error) = open.file.write_all(&text) {
            // A part of a line is no line.
            let _ = open.file.set_len(open.bytes);
            return Err(error);
        }
        open.bytes += text.len() as u64;
        Ok(count)
    }
}

impl Outlet for FileOutlet {
    fn deliver(&mut self, lines: &[Line]) -> io::Result<()> {
        let first = lines.first().map_or(0, |line| line.seq);
        let mut done = self.done.take().filter(|(seq, _)| *seq == first).map_or(0, |(_, done)| done);
        while let Some(rest) = lines.get(done..).filter(|rest| !rest.is_empty()) {
            match self.write_some(rest) {
                Ok(written) => done += written,
                Err(error) => {
                    self.done = Some((first, done));
                    return Err(error);
                }
            }
        }
        // From here on the cursor tells.
        self.known = Some(HashSet::new());
        Ok(())
    }
}

/// The end of a file, and where it begins.
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

    fn line(number: u64) -> Line {
        Line { seq: number, is_lost: false, json: format!("{{\"seq\":{number:04}}}").into() }
    }

    fn lines(path: &std::path::Path) -> Vec<String> {
        fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    #[test]
    fn it_is_rotated_by_size_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let options = FileOptions { path: path.clone(), max_bytes: 40, max_files: 2 };
        let mut outlet = FileOutlet::new(options);
        for number in 0..12 {
            outlet.deliver(&[line(number)]).unwrap();
        }
        let kept = |name: &str| lines(&folder.path().join(name));
        assert_eq!(kept("events.json"), [r#"{"seq":0009}"#, r#"{"seq":0010}"#, r#"{"seq":0011}"#]);
        assert_eq!(kept("events.json.1")[0], r#"{"seq":0006}"#);
        assert_eq!(kept("events.json.2")[0], r#"{"seq":0003}"#);
        assert!(!folder.path().join("events.json.3").exists());
    }

    #[test]
    fn after_a_crash_no_line_is_torn_and_none_is_there_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let options = FileOptions { path: path.clone(), max_bytes: 1 << 20, max_files: 2 };
        FileOutlet::new(options.clone()).deliver(&[line(1), line(2)]).unwrap();
        fs::write(&path, [fs::read(&path).unwrap(), b"{\"seq\":00".to_vec()].concat()).unwrap();
        let mut after = FileOutlet::new(options);
        after.deliver(&[line(2), line(3)]).unwrap();
        after.deliver(&[line(3)]).unwrap();
        let wanted =
            [line(1), line(2), line(3), line(3)].map(|line| String::from_utf8(line.json.to_vec()).unwrap());
        assert_eq!(lines(&path), wanted, "what is asked for twice later is written twice");
    }

    #[test]
    fn a_batch_that_was_rotated_before_a_crash_is_not_written_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let options = FileOptions { path: path.clone(), max_bytes: 40, max_files: 9 };
        let batch: Vec<Line> = (1..=4).map(line).collect();
        FileOutlet::new(options.clone()).deliver(&batch).unwrap();
        let mut after = FileOutlet::new(options);
        after.deliver(&[&batch[..], &[line(5)]].concat()).unwrap();
        let written = [lines(&folder.path().join("events.json.1")), lines(&path)].concat();
        assert_eq!(written.len(), 5, "{written:?}");
    }

    #[test]
    fn a_file_that_somebody_took_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.json");
        let mut outlet =
            FileOutlet::new(FileOptions { path: path.clone(), max_bytes: 1 << 20, max_files: 2 });
        outlet.deliver(&[line(1)]).unwrap();
        fs::rename(&path, folder.path().join("moved")).unwrap();
        outlet.deliver(&[line(2)]).unwrap();
        assert_eq!(lines(&path).len(), 1);
    }
}

//! The files of the log: their names, which part of them is sound, which of them are deleted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::reader::read_record;
use super::{DiskOptions, EventSync, MAX_SEQ};
use crate::durable;

const SUFFIX: &str = ".log";

/// A start reads no more of the last segment than this. By default a segment is smaller.
const MAX_TAIL_BYTES: u64 = 16 << 20;

/// A segment: `00000000000000000042.log`, by the number of its first record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::events) struct Segment {
    pub(super) first_seq: u64,
    pub(super) path: PathBuf,
}

impl Segment {
    pub(super) fn open(&self) -> io::Result<File> {
        durable::open(&self.path, OpenOptions::new().read(true)).map_err(durable::at(&self.path))
    }
}

/// The segments of a directory, oldest first; none in a missing one. Other files are ignored.
///
/// # Errors
/// The directory cannot be listed.
pub(super) fn list(dir: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let first_seq = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
        let first_seq = first_seq.filter(|first_seq| *first_seq <= MAX_SEQ);
        found.extend(first_seq.map(|first_seq| Segment { first_seq, path: dir.join(&name) }));
    }
    found.sort_unstable_by_key(|segment| segment.first_seq);
    Ok(found)
}

/// The end of the log as a start finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::events) struct LogEnd {
    /// The last number that was given, as far as the disk knows.
    pub(in crate::events) last_seq: u64,
    /// The last segment, and how many bytes of it are whole lines.
    pub(super) last: Option<(Segment, u64)>,
    /// Bytes after those: a record that a crash has cut.
    pub(super) torn_bytes: u64,
    /// Whole lines after the last sound one. Each had a number, which is not given again.
    pub(in crate::events) damaged: u64,
}

/// Reads the end of the log and changes nothing. A missing directory is an empty log.
///
/// # Errors
/// The directory or the last segment cannot be read.
pub(in crate::events) fn read_end(dir: &Path) -> io::Result<LogEnd> {
    let segments = list(dir)?;
    let Some(last) = segments.last() else { return Ok(LogEnd::default()) };
    let mut bytes = Vec::new();
    // A file that is too large, by a bug or a foreign hand, is not read into memory as a whole.
    let mut file = last.open()?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(MAX_TAIL_BYTES)))?;
    file.take(MAX_TAIL_BYTES).read_to_end(&mut bytes)?;
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let whole = bytes.get(..end).unwrap_or_default();
    let torn_bytes = (bytes.len() - end) as u64;
    let mut damaged = 0;
    let mut last_seq = None;
    for line in whole.split_inclusive(|&byte| byte == b'\n').rev() {
        last_seq = read_record(line).map(|(seq, ..)| seq);
        if last_seq.is_some() {
            break;
        }
        damaged += 1;
    }
    let before = last_seq.unwrap_or_else(|| last.first_seq.saturating_sub(1));
    Ok(LogEnd {
        last_seq: before.saturating_add(damaged),
        last: Some((last.clone(), size - torn_bytes)),
        torn_bytes,
        damaged,
    })
}

/// The files, as their one writer knows them.
#[derive(Debug)]
pub(super) struct Segments {
    options: DiskOptions,
    closed: Vec<Closed>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Closed {
    segment: Segment,
    bytes: u64,
    /// When its last record was written.
    ended: SystemTime,
}

#[derive(Debug)]
struct Open {
    segment: Segment,
    file: File,
    /// Whole records.
    bytes: u64,
    began: SystemTime,
    is_synced: bool,
}

impl Segments {
    /// Opens the directory, makes it if it is missing, and removes a record that a crash has cut.
    ///
    /// # Errors
    /// The directory or the last segment cannot be written.
    pub(super) fn open(options: &DiskOptions) -> io::Result<(Self, LogEnd)> {
        fs::create_dir_all(&options.dir)?;
        let found = read_end(&options.dir)?;
        let mut segments = Self { options: options.clone(), closed: Vec::new(), open: None };
        for segment in list(&options.dir)? {
            let metadata = fs::metadata(&segment.path)?;
            let ended = metadata.modified().unwrap_or_else(|_| SystemTime::now());
            segments.closed.push(Closed { bytes: metadata.len(), ended, segment });
        }
        if let Some((last, whole)) = &found.last {
            let file = durable::open(&last.path, OpenOptions::new().append(true))?;
            if found.torn_bytes > 0 {
                file.set_len(*whole)?;
            }
            let began = segments.closed.pop().map_or_else(SystemTime::now, |closed| closed.ended);
            segments.open =
                Some(Open { segment: last.clone(), file, bytes: *whole, began, is_synced: false });
        }
        Ok((segments, found))
    }

    /// Writes whole lines; `first_seq` is the number of the first.
    ///
    /// # Errors
    /// The disk did not take all of them, or the file is no longer in its directory; then none of them counts.
    pub(super) fn append(&mut self, first_seq: u64, lines: &[u8], now: SystemTime) -> io::Result<()> {
        self.roll_if_due(lines.len() as u64, now)?;
        if self.open.is_none() {
            self.open = Some(begin(&self.options, first_seq, now)?);
        }
        self.check()?;
        let Some(open) = &mut self.open else { return Ok(()) };
        if let Err(error) = open.file.write_all(lines) {
            // Readers skip a part of a record that stays here.
            let _ = open.file.set_len(open.bytes);
            return Err(error);
        }
        open.bytes += lines.len() as u64;
        open.is_synced = false;
        self.prune(now);
        Ok(())
    }

    /// Syncs the written records.
    ///
    /// # Errors
    /// The disk refuses; a power failure may lose what was written since the last time.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|open| !open.is_synced) else { return Ok(()) };
        open.file.sync_data()?;
        open.is_synced = true;
        Ok(())
    }

    /// Checks that the open file is still in its directory.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn check(&self) -> io::Result<()> {
        match &self.open {
            Some(open) if open.file.metadata()?.nlink() == 0 => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} was deleted", open.segment.path.display()),
            )),
            _ => Ok(()),
        }
    }

    /// Deletes the oldest segments while there are too many, or too old ones; never the open one.
    pub(super) fn prune(&mut self, now: SystemTime) {
        while let Some(oldest) = self.closed.first() {
            let age = now.duration_since(oldest.ended).unwrap_or_default();
            let many = self.closed.len() as u64 + u64::from(self.open.is_some())
                > u64::from(self.options.max_segments);
            if !many && self.bytes() <= self.options.max_bytes && age <= self.options.max_age {
                return;
            }
            if let Err(error) = fs::remove_file(&oldest.segment.path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %oldest.segment.path.display(), %error, "cannot delete an old segment of the event log");
            }
            self.closed.remove(0);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, |open| open.bytes);
        self.closed.iter().map(|closed| closed.bytes).sum::<u64>() + open
    }

    pub(super) fn count(&self) -> u64 {
        self.closed.len() as u64 + u64::from(self.open.is_some())
    }

    pub(super) fn first_seq(&self) -> Option<u64> {
        let oldest = self.closed.first().map(|closed| closed.segment.first_seq);
        oldest.or_else(|| Some(self.open.as_ref()?.segment.first_seq))
    }

    /// Closes a segment that is full, or that would keep old records past their time.
    fn roll_if_due(&mut self, more_bytes: u64, now: SystemTime) -> io::Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        let age = now.duration_since(open.began).unwrap_or(Duration::ZERO);
        let full = open.bytes > 0 && open.bytes + more_bytes > self.options.segment_bytes();
        if !full && age <= self.options.max_age / 8 {
            return Ok(());
        }
        if self.options.fsync != EventSync::None {
            self.sync()?;
        }
        if let Some(Open { segment, bytes, .. }) = self.open.take() {
            self.closed.push(Closed { segment, bytes, ended: now });
        }
        Ok(())
    }
}

/// Begins a segment. A file of the same name has no record that was ever served.
fn begin(options: &DiskOptions, first_seq: u64, now: SystemTime) -> io::Result<Open> {
    let path = options.dir.join(format!("{first_seq:020}{SUFFIX}"));
    let file = OpenOptions::new().append(true).create(true).open(&path)?;
    file.set_len(0)?;
    if options.fsync != EventSync::None {
        // The name of the file must survive a power failure too.
        File::open(&options.dir)?.sync_all()?;
    }
    Ok(Open { segment: Segment { first_seq, path }, file, bytes: 0, began: now, is_synced: true })
}

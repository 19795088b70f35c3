//! The files of the log: their names, what of them holds, which of them go.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::stored::{Head, read_line};
use super::{DiskOptions, Fsync};

const SUFFIX: &str = ".log";

/// A segment: `00000000000000000042.log`, by the number of its first record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::events) struct Segment {
    pub(super) first_seq: u64,
    pub(super) path: PathBuf,
}

/// The segments of a directory, oldest first. Other files are none of ours.
///
/// # Errors
/// The directory cannot be listed.
pub(super) fn list(dir: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let first_seq = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
        found.extend(first_seq.map(|first_seq| Segment { first_seq, path: dir.join(&name) }));
    }
    found.sort_unstable_by_key(|segment| segment.first_seq);
    Ok(found)
}

/// What a start finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::events) struct Found {
    /// The last number that was given, as far as the disk knows.
    pub(in crate::events) last_seq: u64,
    /// The last segment, and how much of it is whole lines.
    pub(super) last: Option<(Segment, u64)>,
    /// Behind that.
    pub(super) torn_bytes: u64,
    /// Whole lines behind the last good one. Each had a number, which is not given again.
    pub(super) damaged: u64,
}

/// Looks at the end of the log and changes nothing. A directory that is not there is an empty log.
///
/// # Errors
/// What is there cannot be read.
pub(in crate::events) fn look(dir: &Path) -> io::Result<Found> {
    let segments = match list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::default()),
        listed => listed?,
    };
    let Some(last) = segments.last() else { return Ok(Found::default()) };
    let mut bytes = Vec::new();
    // What a bug or a foreign hand made larger is not read into memory as a whole.
    let mut file = File::open(&last.path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(MAX_TAIL_BYTES)))?;
    file.take(MAX_TAIL_BYTES).read_to_end(&mut bytes)?;
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let whole = bytes.get(..end).unwrap_or_default();
    let torn_bytes = (bytes.len() - end) as u64;
    let mut damaged = 0;
    let lines = whole.split(|&byte| byte == b'\n').rev().skip(1);
    let mut last_seq = None;
    for line in lines {
        last_seq = read_line(line).and_then(Head::read).map(|head| head.seq);
        if last_seq.is_some() {
            break;
        }
        damaged += 1;
    }
    let before = last_seq.unwrap_or_else(|| last.first_seq.saturating_sub(1));
    Ok(Found {
        last_seq: before.saturating_add(damaged),
        last: Some((last.clone(), size - torn_bytes)),
        torn_bytes,
        damaged,
    })
}

/// The largest segment is a few megabytes unless the settings say otherwise; its end is enough.
const MAX_TAIL_BYTES: u64 = 16 << 20;

/// The files as their one writer has them.
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
    /// Opens the directory, makes it when it is not there, and cuts what a crash has left of a record.
    ///
    /// # Errors
    /// The directory or the last segment cannot be written.
    pub(super) fn open(options: &DiskOptions) -> io::Result<(Self, Found)> {
        fs::create_dir_all(&options.dir)?;
        let found = look(&options.dir)?;
        let mut segments = Self { options: options.clone(), closed: Vec::new(), open: None };
        for segment in list(&options.dir)? {
            let metadata = fs::metadata(&segment.path)?;
            let ended = metadata.modified().unwrap_or_else(|_| SystemTime::now());
            segments.closed.push(Closed { bytes: metadata.len(), ended, segment });
        }
        if let Some((last, whole)) = &found.last {
            let file = OpenOptions::new().append(true).open(&last.path)?;
            if found.torn_bytes > 0 {
                file.set_len(*whole)?;
            }
            let began = segments.closed.pop().map_or_else(SystemTime::now, |closed| closed.ended);
            segments.open =
                Some(Open { segment: last.clone(), file, bytes: *whole, began, is_synced: false });
        }
        Ok((segments, found))
    }

    /// Writes whole lines, of which the first has that number.
    ///
    /// # Errors
    /// Not all was written, or the file is no longer in its directory; then none of it counts.
    pub(super) fn append(&mut self, first_seq: u64, lines: &[u8], now: SystemTime) -> io::Result<()> {
        self.roll_if_due(lines.len() as u64, now)?;
        if self.open.is_none() {
            self.open = Some(begin(&self.options, first_seq, now)?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if is_deleted(&open.file)? {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} was deleted", open.segment.path.display()),
            ));
        }
        if let Err(error) = open.file.write_all(lines) {
            // A part of a record is no record. Where it stays, readers pass over it.
            let _ = open.file.set_len(open.bytes);
            return Err(error);
        }
        open.bytes += lines.len() as u64;
        open.is_synced = false;
        self.prune(now);
        Ok(())
    }

    /// Forces what was written to the disk.
    ///
    /// # Errors
    /// The disk refuses; what was written since the last time may be lost with the machine.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|open| !open.is_synced) else { return Ok(()) };
        open.file.sync_data()?;
        open.is_synced = true;
        Ok(())
    }

    /// Whether the open file is still in its directory.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn check(&self) -> io::Result<()> {
        match &self.open {
            Some(open) if is_deleted(&open.file)? => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} was deleted", open.segment.path.display()),
            )),
            _ => Ok(()),
        }
    }

    /// Takes away what is too much or too old; never what is being written.
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
                tracing::warn!(path = %oldest.segment.path.display(), %error, "an old part of the event log stays");
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

    /// A segment ends when it is full, or when it would keep old records past their time.
    fn roll_if_due(&mut self, more_bytes: u64, now: SystemTime) -> io::Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        let age = now.duration_since(open.began).unwrap_or(Duration::ZERO);
        let full = open.bytes > 0 && open.bytes + more_bytes > self.options.segment_bytes();
        if !full && age <= self.options.max_age / 8 {
            return Ok(());
        }
        if self.options.fsync != Fsync::Never {
            self.sync()?;
        }
        if let Some(Open { segment, bytes, .. }) = self.open.take() {
            self.closed.push(Closed { segment, bytes, ended: now });
        }
        Ok(())
    }
}

/// A new segment; one of the same name has no record that was ever served.
fn begin(options: &DiskOptions, first_seq: u64, now: SystemTime) -> io::Result<Open> {
    let path = options.dir.join(format!("{first_seq:020}{SUFFIX}"));
    let file = OpenOptions::new().append(true).create(true).open(&path)?;
    file.set_len(0)?;
    if options.fsync != Fsync::Never {
        // So that the name outlives the machine's power too.
        File::open(&options.dir)?.sync_all()?;
    }
    Ok(Open { segment: Segment { first_seq, path }, file, bytes: 0, began: now, is_synced: true })
}

fn is_deleted(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink() == 0)
}

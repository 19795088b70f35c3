//! Reads the log on disk in order, from a given number on.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;

use super::MAX_SEQ;
use super::segments::{self, Segment};
use crate::events::stored::{MAX_LINE_BYTES, Stored, read_line};
use crate::events::wire::WireEvent;
use crate::events::{Delivery, Filter};

/// Limits of one call: they bound how long a reader keeps its thread, and how much it holds in memory.
const BYTES_AT_ONCE: u64 = 1 << 20;
const RECORDS_AT_ONCE: usize = 128;

/// A position in the log on disk.
#[derive(Debug)]
pub(in crate::events) struct DiskReader {
    dir: PathBuf,
    /// The segment that is being read, and its first number.
    open: Option<(u64, BufReader<File>)>,
}

impl DiskReader {
    pub(in crate::events) fn new(dir: PathBuf) -> Self {
        Self { dir, open: None }
    }

    /// The oldest number on disk, by its segment's name.
    pub(in crate::events) fn first_seq(&self) -> Option<u64> {
        Some(segments::list(&self.dir).ok()?.first()?.first_seq)
    }

    /// The number from which to read for events since that time. Records are in the order in which the agent learned of
    /// them, and their times are nearly in that order: so the reading begins one segment earlier than the times show.
    pub(in crate::events) fn seq_before(&self, since: SystemTime) -> Option<u64> {
        let segments = segments::list(&self.dir).ok()?;
        let later = segments.iter().position(|segment| first_time(segment).is_some_and(|time| time >= since));
        let at = later.unwrap_or(segments.len()).saturating_sub(2);
        Some(segments.get(at)?.first_seq)
    }

    /// Reads on from `next_seq`, which it moves, up to `until_seq`: the memory has what follows. Missing and damaged records
    /// become [`Delivery::Lost`] in their place. An empty answer with `next_seq <= until_seq` is not the end.
    ///
    /// # Errors
    /// A file that is there cannot be read; the position holds.
    pub(in crate::events) fn read(
        &mut self,
        next_seq: &mut u64,
        until_seq: u64,
        filter: &Filter,
    ) -> io::Result<Vec<Delivery>> {
        let mut found = Vec::new();
        match self.fill(&mut found, next_seq, until_seq, filter) {
            // The records before the error are delivered first; the next call meets the error again.
            Err(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    fn fill(
        &mut self,
        found: &mut Vec<Delivery>,
        next_seq: &mut u64,
        until_seq: u64,
        filter: &Filter,
    ) -> io::Result<()> {
        let (mut bytes, mut line) = (0, Vec::new());
        while *next_seq <= until_seq && bytes < BYTES_AT_ONCE && found.len() < RECORDS_AT_ONCE {
            if self.open.is_none() && !self.open_at(*next_seq)? {
                lost(found, next_seq, until_seq.saturating_add(1));
                break;
            }
            let Some((first_seq, file)) = &mut self.open else { break };
            line.clear();
            let read = file.by_ref().take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut line)?;
            bytes += read as u64;
            if read == 0 {
                let first_seq = *first_seq;
                if !self.open_first(|segments| segments.partition_point(|one| one.first_seq <= first_seq))? {
                    lost(found, next_seq, until_seq.saturating_add(1));
                }
                continue;
            }
            let Some((seq, record, json)) = read_record(&line) else { continue };
            if seq < *next_seq {
                continue;
            }
            if seq > until_seq {
                // It was written meanwhile: the memory has it.
                lost(found, next_seq, until_seq.saturating_add(1));
                break;
            }
            lost(found, next_seq, seq);
            *next_seq = seq.saturating_add(1);
            if filter.matches_record(&record) {
                found.push(Delivery::Stored(Stored { seq, json: Bytes::copy_from_slice(json) }));
            }
        }
        if *next_seq > until_seq {
            self.open = None;
        }
        Ok(())
    }

    /// Opens the segment that should have this number, else the first one; `false` when there is none.
    fn open_at(&mut self, seq: u64) -> io::Result<bool> {
        self.open_first(|segments| {
            segments.partition_point(|segment| segment.first_seq <= seq).saturating_sub(1)
        })
    }

    /// Opens the first one from `begin` on that exists: the writer may delete one between the listing and this.
    fn open_first(&mut self, begin: impl Fn(&[Segment]) -> usize) -> io::Result<bool> {
        let segments = segments::list(&self.dir)?;
        for segment in segments.iter().skip(begin(&segments)) {
            match segment.open() {
                Ok(file) => {
                    self.open = Some((segment.first_seq, BufReader::with_capacity(64 << 10, file)));
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// Notes the numbers between the position and `seq` as lost.
fn lost(found: &mut Vec<Delivery>, next_seq: &mut u64, seq: u64) {
    if *next_seq < seq {
        found.push(Delivery::Lost { from_seq: *next_seq, to_seq: seq - 1 });
        *next_seq = seq;
    }
}

/// The time of a segment's first record.
fn first_time(segment: &Segment) -> Option<SystemTime> {
    let mut file = BufReader::new(segment.open().ok()?);
    let mut line = Vec::new();
    file.by_ref().take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut line).ok()?;
    read_record(&line)?.1.happened()
}

/// The record in a line: its number, its fields, and its bytes.
pub(super) fn read_record(line: &[u8]) -> Option<(u64, WireEvent<'static>, &[u8])> {
    let json = read_line(line.strip_suffix(b"\n")?)?;
    let record = WireEvent::read(json)?;
    Some((record.seq.filter(|seq| *seq <= MAX_SEQ)?, record, json))
}

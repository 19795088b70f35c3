//! Lines of an exposition. Every sample comes through here, so nothing here allocates beyond the output's growth.

use std::ops::ControlFlow;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Format;
use crate::export::catalog::{Kind, Label, LabelValue, Value};

/// Where lines go: a buffer that is handed on whenever it is full.
///
/// A busy node's text is tens of megabytes. In one piece most of the cost is the kernel's clearing of fresh pages;
/// in pieces the buffer stays in the processor's cache.
pub(super) struct Output<'a> {
    pub(super) buffer: Vec<u8>,
    /// Hand the buffer on when it holds this much.
    pub(super) full_bytes: usize,
    pub(super) sink: &'a mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    /// The sink wants no more.
    pub(super) ended: bool,
}

impl Output<'_> {
    pub(super) fn flush(&mut self) {
        if !self.buffer.is_empty() && !self.ended {
            self.ended = (self.sink)(&self.buffer).is_break();
        }
        self.buffer.clear();
    }
}

/// What stands above a family's samples.
#[derive(Clone, Copy)]
pub(super) struct Header<'a> {
    name: &'a str,
    help: &'a str,
    /// The type as the format names it.
    kind: &'static str,
}

impl<'a> Header<'a> {
    pub(super) fn new(name: &'a str, help: &'a str, kind: Kind, format: Format) -> Self {
        let kind = match (kind, format) {
            (Kind::Gauge, _) => "gauge",
            (Kind::Counter, Format::OpenMetrics) if !name.ends_with("_total") => "unknown",
            (Kind::Counter, _) => "counter",
        };
        Self { name, help, kind }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>, format: Format) {
        let family = match (format, self.kind) {
            (Format::OpenMetrics, "counter") => self.name.strip_suffix("_total").unwrap_or(self.name),
            _ => self.name,
        };
        for part in ["# HELP ", family, " "] {
            out.extend_from_slice(part.as_bytes());
        }
        // In help text only OpenMetrics escapes quotes.
        escape(self.help, format == Format::OpenMetrics, out);
        for part in ["\n# TYPE ", family, " ", self.kind, "\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// Writes one family: the header once, before its first sample.
pub(super) struct Lines<'a, 'b> {
    pub(super) output: &'a mut Output<'b>,
    pub(super) header: Header<'a>,
    /// The end of every line: empty, or a blank and a timestamp.
    pub(super) stamp: &'a [u8],
    pub(super) format: Format,
    /// Whether the header is written.
    pub(super) begun: bool,
}

impl Lines<'_, '_> {
    /// The sample of a cgroup or of the machine, if its value is known.
    pub(super) fn maybe(&mut self, block: &[u8], value: Option<Value>) {
        if let Some(value) = value {
            self.sample(block, &[], value);
        }
    }

    /// `block` is label text, ready to print; `labels` come after it.
    pub(super) fn sample(&mut self, block: &[u8], labels: &[Label<'_>], value: Value) {
        let out = &mut self.output.buffer;
        if !self.begun {
            self.header.write(out, self.format);
            self.begun = true;
        }
        out.extend_from_slice(self.header.name.as_bytes());
        if !block.is_empty() || !labels.is_empty() {
            out.push(b'{');
            out.extend_from_slice(block);
            write_labels(!block.is_empty(), labels, out);
            out.push(b'}');
        }
        out.push(b' ');
        write_value(value, out);
        out.extend_from_slice(self.stamp);
        out.push(b'\n');
        if out.len() >= self.output.full_bytes {
            self.output.flush();
        }
    }
}

fn write_labels(mut comma: bool, labels: &[Label<'_>], out: &mut Vec<u8>) {
    for (name, value) in labels {
        if matches!(value, LabelValue::Text("")) {
            continue;
        }
        if comma {
            out.push(b',');
        }
        comma = true;
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        write_label_value(*value, out);
        out.push(b'"');
    }
}

fn write_label_value(value: LabelValue<'_>, out: &mut Vec<u8>) {
    match value {
        LabelValue::Text(text) => escape(text, true, out),
        LabelValue::Number(number) => write_integer(number.into(), out),
        LabelValue::Device(major, minor) => {
            write_integer(major.into(), out);
            out.push(b':');
            write_integer(minor.into(), out);
        }
        LabelValue::Cpu(number) => {
            out.extend_from_slice(if number < 10 { b"cpu0" } else { b"cpu" });
            write_integer(u64::try_from(number).unwrap_or(u64::MAX), out);
        }
    }
}

pub(super) fn write_value(value: Value, out: &mut Vec<u8>) {
    match value {
        Value::Count(count) => write_integer(count, out),
        Value::Microseconds(usec) => write_decimal(usec, 6, out),
        Value::Nanoseconds(nsec) => write_decimal(nsec, 9, out),
        // The shortest text that reads back as the same number.
        Value::Float(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::MinusOne => out.extend_from_slice(b"-1"),
    }
}

fn write_integer(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// `number` divided by ten to the power of `places` (at most 9), exactly: no float is involved, so no digit is
/// rounded. Trailing zeros are cut.
fn write_decimal(number: u64, places: u32, out: &mut Vec<u8>) {
    let divisor = 10_u64.pow(places);
    write_integer(number / divisor, out);
    let mut rest = number % divisor;
    if rest == 0 {
        return;
    }
    let mut left = places;
    while rest.is_multiple_of(10) {
        rest /= 10;
        left -= 1;
    }
    out.push(b'.');
    let mut threshold = 10_u64.pow(left - 1);
    while rest < threshold {
        out.push(b'0');
        threshold /= 10;
    }
    write_integer(rest, out);
}

/// The end of every line of a measurement: milliseconds in text, seconds in OpenMetrics. Nothing before 1970.
pub(super) fn stamp(taken: SystemTime, format: Format) -> Vec<u8> {
    let Some(msec) = taken.duration_since(UNIX_EPOCH).ok().and_then(|d| u64::try_from(d.as_millis()).ok())
    else {
        return Vec::new();
    };
    let mut out = vec![b' '];
    match format {
        Format::Text => write_integer(msec, &mut out),
        Format::OpenMetrics => write_decimal(msec, 3, &mut out),
    }
    out
}

/// Appends a label; the two formats escape its value alike.
pub(super) fn write_label(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    escape(value, true, out);
    out.push(b'"');
}

fn escape(text: &str, quotes: bool, out: &mut Vec<u8>) {
    for piece in text.as_bytes().split_inclusive(|b| matches!(b, b'\\' | b'\n' | b'"')) {
        let (escaped, plain): (&[u8], &[u8]) = match piece {
            [plain @ .., b'\\'] => (b"\\\\", plain),
            [plain @ .., b'\n'] => (b"\\n", plain),
            [plain @ .., b'"'] if quotes => (b"\\\"", plain),
            plain => (b"", plain),
        };
        out.extend_from_slice(plain);
        out.extend_from_slice(escaped);
    }
}

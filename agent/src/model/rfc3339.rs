//! Times as RFC 3339 text: UTC, nanoseconds, `2026-11-22T06:12:44.000000001Z`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second that the format can write, 9999-12-31T23:59:59Z.
const LAST_SEC: u64 = 253_402_300_799;

/// The time as text. One outside of 1970 to 9999 is written as the nearer end: a clock that was never set is no
/// reason to lose an event.
pub fn format(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().min(Duration::from_secs(LAST_SEC));
    humantime::format_rfc3339_nanos(UNIX_EPOCH + since).to_string()
}

/// Reads a time with `Z` or with a numeric offset (`+02:00`).
///
/// # Errors
/// Says what is wrong with the text.
pub fn parse(text: &str) -> Result<SystemTime, String> {
    let wanted = || format!("{text:?} is no RFC 3339 time, as 2026-11-22T06:12:44Z");
    let (local, offset_sec) = split_offset(text).ok_or_else(wanted)?;
    let time = humantime::parse_rfc3339(&local).map_err(|err| format!("{}: {err}", wanted()))?;
    let shift = Duration::from_secs(offset_sec.unsigned_abs());
    let shifted = if offset_sec >= 0 { time.checked_sub(shift) } else { time.checked_add(shift) };
    shifted.ok_or_else(wanted)
}

/// The text as if it were UTC, and how far its clock is ahead of UTC.
fn split_offset(text: &str) -> Option<(String, i64)> {
    if text.ends_with(['Z', 'z']) {
        return Some((text.to_ascii_uppercase(), 0));
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let sign = match offset.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let field = |text: &str, limit: i64| -> Option<i64> {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|value| digits && *value < limit)
    };
    Some((
        format!("{}Z", local.to_ascii_uppercase()),
        sign * (field(hours, 24)? * 3600 + field(minutes, 60)? * 60),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sec: u64, nsec: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(sec, nsec)
    }

    #[test]
    fn formats_with_nine_digits() {
        assert_eq!(format(at(1_763_964_764, 1)), "2025-11-24T06:12:44.000000001Z");
        assert_eq!(format(at(0, 0)), "1970-01-01T00:00:00.000000000Z");
    }

    #[test]
    fn times_outside_the_format_are_clamped_and_do_not_panic() {
        assert_eq!(format(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(format(at(LAST_SEC + 10, 0)), "9999-12-31T23:59:59.000000000Z");
    }

    #[test]
    fn reads_what_it_writes_and_offsets() {
        for time in [at(1_763_964_764, 123_456_789), at(0, 0)] {
            assert_eq!(parse(&format(time)), Ok(time));
        }
        for text in ["1970-01-02T02:00:00+02:00", "1970-01-01T18:30:00-05:30", "1970-01-02t00:00:00z"] {
            assert_eq!(parse(text), Ok(at(86_400, 0)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in
            ["", "x", "yesterday", "2026-11-22", "2026-11-22T06:12:44", "2026-13-01T00:00:00Z", "ü:00+ü2:00"]
        {
            assert!(parse(text).is_err_and(|err| err.contains("RFC 3339")), "{text}");
        }
        for offset in ["+2:000", "+24:00", "+00:60", "*02:00", "+aa:00"] {
            assert!(parse(&format!("2026-11-22T06:12:44{offset}")).is_err(), "{offset}");
        }
    }
}

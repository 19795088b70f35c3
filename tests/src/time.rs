//! Times in events.

/// Seconds since 1970 of an RFC 3339 time in UTC with nanoseconds, the form that events have.
///
/// # Panics
/// When the text has another form.
#[must_use]
pub fn unix_seconds(time: &str) -> f64 {
    let digits = |from: usize, to: usize| time.get(from..to).and_then(|t| t.parse::<i64>().ok());
    let part = |from, to| digits(from, to).unwrap_or_else(|| panic!("{time:?} is no RFC 3339 time"));
    assert!(time.ends_with('Z') && time.len() == "2026-01-31T00:00:00.000000000Z".len(), "{time:?}");
    let (year, month, day) = (part(0, 4), part(5, 7), part(8, 10));
    // Days since 1970 in the proleptic Gregorian calendar, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + part(11, 13) * 3600 + part(14, 16) * 60 + part(17, 19);
    seconds as f64 + part(20, 29) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(unix_seconds("1970-01-01T00:00:00.000000000Z"), 0.0);
        assert_eq!(unix_seconds("2024-02-29T12:34:56.500000000Z"), 1_709_210_096.5);
    }
}

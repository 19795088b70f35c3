//! `cpu.pressure`, `memory.pressure`, `io.pressure` (v2) and `/proc/pressure/*`: stall times.
//!
//! Kernel text: <https://docs.kernel.org/accounting/psi.html>
//!
//! ```text
//! some avg10=0.31 avg60=0.39 avg300=1.25 total=18801005
//! full avg10=0.00 avg60=0.00 avg300=0.00 total=0
//! ```
//! Averages in percent with two decimals, totals in microseconds. `cpu` has a `full` line since 5.13.

use super::ParseError;
use super::scan::{Line, decimal, lines, split_once};
use crate::model::{Pressure, PressureLine};

pub fn pressure(input: &[u8]) -> Result<Pressure, ParseError> {
    let mut pressure = Pressure::default();
    for line in lines(input) {
        let (kind, rest) = split_once(line.text, b' ').unwrap_or((line.text, b""));
        match kind {
            b"some" => pressure.some = Some(averages(&line, rest)?),
            b"full" => pressure.full = Some(averages(&line, rest)?),
            _ => return Err(line.refused("a line of \"some\" or \"full\"")),
        }
    }
    if pressure == Pressure::default() {
        return Err(ParseError::Empty { wanted: "a line of \"some\"" });
    }
    Ok(pressure)
}

fn averages(line: &Line<'_>, rest: &[u8]) -> Result<PressureLine, ParseError> {
    let (mut avg10, mut avg60, mut avg300, mut total) = (None, None, None, None);
    for word in super::scan::words(rest) {
        let (key, value) = split_once(word, b'=').ok_or_else(|| line.refused("KEY=VALUE words"))?;
        match key {
            b"avg10" => avg10 = Some(percent(line, value)?),
            b"avg60" => avg60 = Some(percent(line, value)?),
            b"avg300" => avg300 = Some(percent(line, value)?),
            b"total" => total = Some(line.number(value, "a total in microseconds")?),
            _ => {}
        }
    }
    let (Some(avg10_percent), Some(avg60_percent), Some(avg300_percent), Some(total_usec)) =
        (avg10, avg60, avg300, total)
    else {
        return Err(line.refused("avg10, avg60, avg300 and total"));
    };
    Ok(PressureLine { avg10_percent, avg60_percent, avg300_percent, total_usec })
}

/// Digits, a point, two digits. `f64::from_str` would also take `nan` and `1e9`.
fn percent(line: &Line<'_>, text: &[u8]) -> Result<f64, ParseError> {
    let hundredths = || {
        let (whole, fraction) = split_once(text, b'.')?;
        let fraction = decimal(fraction).filter(|_| fraction.len() == 2)?;
        u32::try_from(decimal(whole)?.checked_mul(100)?.checked_add(fraction)?).ok()
    };
    let hundredths = hundredths().ok_or_else(|| line.refused("averages with two decimals"))?;
    Ok(f64::from(hundredths) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_and_full() {
        let text = b"some avg10=0.31 avg60=0.39 avg300=100.00 total=18801005\n\
            full avg10=0.00 avg60=0.01 avg300=0.00 total=7\n";
        let pressure = pressure(text).unwrap();
        let some = PressureLine {
            avg10_percent: 0.31,
            avg60_percent: 0.39,
            avg300_percent: 100.0,
            total_usec: 18_801_005,
        };
        assert_eq!(pressure.some, Some(some));
        assert_eq!(pressure.full.unwrap().total_usec, 7);
        assert_eq!(pressure.full.unwrap().avg60_percent, 0.01);
    }

    #[test]
    fn cpu_before_5_13_has_no_full() {
        let pressure = pressure(b"some avg10=1.00 avg60=0.00 avg300=0.00 total=1\n").unwrap();
        assert_eq!((pressure.full, pressure.some.unwrap().avg10_percent), (None, 1.0));
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [
            &b""[..],
            b"some\n",
            b"some avg10=0.00 avg60=0.00 avg300=0.00\n",
            b"some avg10=nan avg60=0.00 avg300=0.00 total=1\n",
            b"some avg10=0.0 avg60=0.00 avg300=0.00 total=1\n",
            b"none avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
        ] {
            assert!(pressure(refused).is_err(), "{refused:?}");
        }
    }
}

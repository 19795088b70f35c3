//! Which format a scraper wants, from its `Accept` header.

use super::Format;

/// OpenMetrics when the header names it (without a version or with 1.0.0) at least as gladly as text; else text,
/// which every scraper reads.
///
/// Prometheus 3 sends this:
/// ```text
/// application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2
/// ```
/// A range that is not understood counts for nothing.
pub fn negotiate(accept: Option<&str>) -> Format {
    let (mut open_metrics, mut text) = (0, 0);
    for range in accept.unwrap_or_default().split(',').filter_map(Range::parse) {
        match range.media_type.to_ascii_lowercase().as_str() {
            "application/openmetrics-text" if matches!(range.version, None | Some("1.0.0")) => {
                open_metrics = open_metrics.max(range.quality);
            }
            "text/plain" if matches!(range.version, None | Some("0.0.4")) => text = text.max(range.quality),
            _ => {}
        }
    }
    if open_metrics > 0 && open_metrics >= text { Format::OpenMetrics } else { Format::Text }
}

/// One media range of the header.
struct Range<'a> {
    media_type: &'a str,
    version: Option<&'a str>,
    /// In thousandths, 0 to 1000.
    quality: u32,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Range { media_type: parts.next()?, version: None, quality: 1000 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "version" => range.version = Some(value.trim().trim_matches('"')),
                "q" => range.quality = quality(value.trim())?,
                _ => {}
            }
        }
        Some(range)
    }
}

/// `0` to `1` with at most three decimals, in thousandths (RFC 9110, 12.4.2).
fn quality(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{decimals:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", _) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

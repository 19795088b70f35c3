//! The table of a comparison.

use anyhow::{Context, Result};

use super::measure::Figures;
use super::{BURST, KILLS};

/// A row: its name, the figure, and how it is shown.
type Row = (String, fn(&Figures) -> f64, fn(f64) -> String);

fn rows() -> Vec<Row> {
    vec![
        ("start to every container".to_owned(), |f| f.start_seconds, milliseconds),
        ("start to ready, by /status".to_owned(), |f| f.ready_seconds, milliseconds),
        ("processor without scrapes".to_owned(), |f| f.idle_share, percent),
        ("processor per scrape, all".to_owned(), |f| f.cpu_seconds, milliseconds),
        ("processor per scrape, scrape alone".to_owned(), |f| f.cpu_scrape_seconds, milliseconds),
        ("wall per scrape, median".to_owned(), |f| f.wall_seconds, milliseconds),
        ("bytes per scrape".to_owned(), |f| f.bytes, whole),
        ("series".to_owned(), |f| f.series, whole),
        ("resident memory".to_owned(), |f| f.resident_bytes, mebibytes),
        (format!("creations seen of {BURST}"), |f| f.created_seen, whole),
        (format!("OOM kills seen of {KILLS}"), |f| f.kills_seen, whole),
        ("kill to client, longest".to_owned(), |f| f.kill_way_seconds, milliseconds),
    ]
}

/// Markdown; the ratio is cAdvisor's figure by ours.
pub(super) fn render(theirs: &Figures, ours: &Figures) -> String {
    let mut text = "| | cAdvisor | cgtap | ratio |\n|---|---|---|---|\n".to_owned();
    for (name, figure, show) in rows() {
        let (a, b) = (figure(theirs), figure(ours));
        let shown = |figure: f64| if figure.is_nan() { "-".to_owned() } else { show(figure) };
        text.push_str(&format!("| {name} | {} | {} | {} |\n", shown(a), shown(b), ratio(a, b)));
    }
    text
}

/// Figures that are not measured, or below the resolution of the kernel's clock, have no ratio.
fn ratio(a: f64, b: f64) -> String {
    if a > 0.0 && b > 0.0 { format!("{:.2}", a / b) } else { "-".to_owned() }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

fn percent(share: f64) -> String {
    format!("{:.1} % of a core", share * 100.0)
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

/// What the figures were taken on.
pub(super) fn this_host() -> Result<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel's release")?;
    Ok(format!("Linux {}, {} processors", release.trim(), std::thread::available_parallelism()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_theirs_by_ours() {
        let theirs = Figures { cpu_seconds: 0.4, created_seen: 46.0, ..Figures::default() };
        let ours = Figures { cpu_seconds: 0.02, created_seen: 2000.0, ..Figures::default() };
        let text = render(&theirs, &ours);
        assert!(text.contains("| processor per scrape, all | 400.0 ms | 20.0 ms | 20.00 |"), "{text}");
        assert!(text.contains("| creations seen of 2000 | 46 | 2000 | 0.02 |"), "{text}");
        assert!(text.contains("| series | 0 | 0 | - |"), "{text}");
        let theirs = Figures { kill_way_seconds: f64::NAN, ..Figures::default() };
        let text = render(&theirs, &Figures { kill_way_seconds: 0.002, ..Figures::default() });
        assert!(text.contains("| kill to client, longest | - | 2.0 ms | - |"), "{text}");
    }
}

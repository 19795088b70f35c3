//! Takes the figures of one running program.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cgtap_tests::http;
use cgtap_tests::load::Tree;

use super::peer::Process;
use super::{BURST, IDLE, KILLS, events};

/// `/proc/PID/stat` counts in this unit on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;
const START_WITHIN: Duration = Duration::from_secs(120);

/// What one program did.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) start_seconds: f64,
    /// Of one core, without scrapes.
    pub(super) idle_share: f64,
    /// Processor time from the first to the last scrape, by scrape.
    pub(super) cpu_seconds: f64,
    /// The same less what it uses without scrapes.
    pub(super) cpu_scrape_seconds: f64,
    /// Median.
    pub(super) wall_seconds: f64,
    pub(super) bytes: f64,
    pub(super) series: f64,
    pub(super) resident_bytes: f64,
    pub(super) created_seen: f64,
    pub(super) kills_seen: f64,
    /// Kernel to client, the longest of the kills; NaN where it is not measured.
    pub(super) kill_way_seconds: f64,
    /// Start to ready by its own account; NaN where it gives none.
    pub(super) ready_seconds: f64,
}

/// Takes all figures.
pub(super) fn all(process: &Process, tree: &Tree, scrapes: u32) -> Result<Figures> {
    let mut figures = Figures { start_seconds: wait_for_all(process, tree)?, ..Figures::default() };
    // What a start leaves to do is no housekeeping.
    std::thread::sleep(Duration::from_secs(3));
    let before = cpu_seconds(process.pid())?;
    std::thread::sleep(IDLE);
    figures.idle_share = (cpu_seconds(process.pid())? - before) / IDLE.as_secs_f64();
    scrape(process, scrapes, &mut figures)?;
    figures.resident_bytes = resident_bytes(process.pid())?;
    figures.created_seen = events::creations_seen(process, BURST)?;
    let kills = events::kills_seen(process, KILLS)?;
    (figures.kills_seen, figures.kill_way_seconds) = (kills.seen, kills.longest_way_seconds);
    figures.ready_seconds = ready_seconds(process);
    process.still_runs()?;
    Ok(figures)
}

/// Seconds from its start to the first scrape that has every container.
fn wait_for_all(process: &Process, tree: &Tree) -> Result<f64> {
    while process.started.elapsed() < START_WITHIN {
        process.still_runs()?;
        if let Ok(answer) = http::get(process.address, "/metrics") {
            let text = answer.text().unwrap_or_default();
            if tree.containers.iter().all(|id| text.contains(&format!("id=\"{id}\""))) {
                return Ok(process.started.elapsed().as_secs_f64());
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("it did not show every container within {START_WITHIN:?}")
}

/// From `/status`; cAdvisor has none.
fn ready_seconds(process: &Process) -> f64 {
    let status = http::get(process.address, "/status").and_then(|answer| answer.json());
    status.ok().and_then(|status| status.pointer("/ready_after_seconds")?.as_f64()).unwrap_or(f64::NAN)
}

/// One scrape a second, as a Prometheus with that interval would.
fn scrape(process: &Process, scrapes: u32, figures: &mut Figures) -> Result<()> {
    let mut walls = Vec::new();
    let before = cpu_seconds(process.pid())?;
    let begun = Instant::now();
    for number in 0..scrapes {
        let next = begun + Duration::from_secs(u64::from(number));
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let asked = Instant::now();
        let answer = http::get(process.address, "/metrics")?;
        walls.push(asked.elapsed().as_secs_f64());
        if answer.status != 200 {
            bail!("/metrics answered {}", answer.status);
        }
        figures.bytes = f64::from(u32::try_from(answer.body.len())?);
        figures.series = f64::from(u32::try_from(series(answer.text()?))?);
    }
    let took = begun.elapsed().as_secs_f64();
    let used = cpu_seconds(process.pid())? - before;
    figures.cpu_seconds = used / f64::from(scrapes);
    figures.cpu_scrape_seconds = (used - figures.idle_share * took).max(0.0) / f64::from(scrapes);
    figures.wall_seconds = median(walls);
    Ok(())
}

fn series(text: &str) -> usize {
    text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).count()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// User and system time of all threads so far.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let file = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&file).with_context(|| file.clone())?;
    cpu_ticks(&text)
        .map(|t| t / TICKS_PER_SECOND)
        .with_context(|| format!("{file}: {text:?} has no utime and stime"))
}

/// Fields 14 and 15; the name in field 2 may hold spaces and parentheses, so they are counted from its end.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let (user, system) = (fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<f64>().ok()?);
    Some(user + system)
}

fn resident_bytes(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: f64 =
        line.trim().trim_end_matches(" kB").parse().with_context(|| format!("VmRSS {line:?}"))?;
    Ok(kilobytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_an_odd_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 12 30 0 0 20 0 1 0 5 1 1 1";
        assert_eq!(cpu_ticks(stat), Some(42.0));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
        assert!(cpu_seconds(std::process::id()).is_ok() && resident_bytes(std::process::id()).unwrap() > 0.0);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(series("# HELP a b\na 1\n\nb 2\n"), 2);
    }
}

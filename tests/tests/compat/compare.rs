//! The outcome of each series.

use std::collections::{BTreeMap, BTreeSet};

use cgtap_tests::exposition::Exposition;

use crate::history::{History, Key, time_of};
use crate::newer;
use crate::rig::Rig;
use crate::rules::{Kind, LABELS, RULES, Rule, label_rule};

/// The outcome of one series in one round, or in all.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Agrees,
    /// They differ by this rule.
    Differs(usize),
    /// They differ without a rule.
    Fault(String),
}

/// The kernel counts on each processor and sums up in batches of 64 pages, after 2 s at the latest. So two readers of a busy cgroup
/// see different values.
const BATCHES_BYTES: f64 = 2.0 * 1024.0 * 1024.0;
const PAGE_BYTES: f64 = 4096.0;
/// The host has other load than the agent and cAdvisor.
const HOST_SHARE: f64 = 0.25;
const HOST_COUNT: f64 = 20.0;

/// Compares one reading of the agent with cAdvisor's samples around it.
pub fn round(history: &History, read: &Exposition, rig: &Rig) -> Vec<(Key, Outcome)> {
    let at = time_of(read);
    let ours: BTreeMap<Key, f64> = read.samples.iter().map(|s| (Key::of(s), s.value)).collect();
    let keys: BTreeSet<&Key> = ours.keys().chain(history.keys()).filter(|key| key.is_compared(rig)).collect();
    let judged = keys.into_iter().map(|key| {
        let outcome = match (ours.get(key), history.around(key, at)) {
            (Some(ours), Some(theirs)) => both(key, *ours, &theirs, history, rig),
            (None, Some(theirs)) => theirs_alone(key, &theirs),
            (Some(ours), None) => ours_alone(key, *ours),
            (None, None) => Outcome::Agrees,
        };
        (key.clone(), outcome)
    });
    judged.collect()
}

fn both(key: &Key, ours: f64, theirs: &[f64], history: &History, rig: &Rig) -> Outcome {
    let is_counter = history.types.get(&key.name).is_some_and(|kind| kind == "counter");
    let slack = if is_counter { 0.0 } else { gauge_slack(key, theirs, rig) };
    if within(ours, theirs, slack) {
        return Outcome::Agrees;
    }
    let (low, high) = bounds(theirs);
    by_rule(key, |kind| match kind {
        Kind::Times(factor) => {
            let scaled: Vec<f64> = theirs.iter().map(|value| value * factor).collect();
            // A thousandth: 1 ms of the one second that the disk was used at least.
            within(ours, &scaled, factor * 1e-9 + high * factor * 1e-3)
        }
        Kind::AtLeast => ours >= low,
        Kind::AtMost => ours <= high,
        Kind::Other => true,
        Kind::AbsentForZero | Kind::Absent | Kind::More => false,
    })
    .unwrap_or_else(|| Outcome::Fault(format!("{}: agent {ours}, cAdvisor {theirs:?}", shown(key))))
}

fn theirs_alone(key: &Key, theirs: &[f64]) -> Outcome {
    by_rule(key, |kind| match kind {
        Kind::AbsentForZero => theirs.iter().all(|value| *value == 0.0),
        Kind::Absent => true,
        _ => false,
    })
    .unwrap_or_else(|| Outcome::Fault(format!("{}: cAdvisor alone has it, {theirs:?}", shown(key))))
}

fn ours_alone(key: &Key, ours: f64) -> Outcome {
    by_rule(key, |kind| kind == Kind::More)
        .unwrap_or_else(|| Outcome::Fault(format!("{}: the agent alone has it, {ours}", shown(key))))
}

fn by_rule(key: &Key, allows: impl Fn(Kind) -> bool) -> Option<Outcome> {
    RULES.iter().position(|rule| rule.is_of(key) && allows(rule.kind)).map(Outcome::Differs)
}

fn bounds(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)))
}

/// The rounding of a decimal, far below one unit of any file.
fn within(ours: f64, theirs: &[f64], slack: f64) -> bool {
    let (low, high) = bounds(theirs);
    let slack = slack + 1e-9 + high.abs() * 1e-12;
    low - slack <= ours && ours <= high + slack
}

/// How far a gauge may be outside of the values around the reading: not at all in an idle cgroup.
fn gauge_slack(key: &Key, theirs: &[f64], rig: &Rig) -> f64 {
    let id = key.label("id");
    // Settings and past times do not change.
    let is_fact = key.name.starts_with("container_spec_") || key.name.ends_with("_seconds");
    if id.is_empty() || is_fact || rig.is_still(id) {
        return 0.0;
    }
    if id == "/" {
        return bounds(theirs).1.abs() * HOST_SHARE + HOST_COUNT;
    }
    match key.name.as_str() {
        "container_memory_numa_pages" => BATCHES_BYTES / PAGE_BYTES,
        name if name.starts_with("container_memory_") => BATCHES_BYTES,
        _ => 0.0,
    }
}

fn shown(key: &Key) -> String {
    let labels: Vec<String> = key.labels.iter().map(|(k, v)| format!("{k}={v:?}")).collect();
    format!("{}{{{}}}", key.name, labels.join(","))
}

/// All rounds together.
pub struct Comparison {
    pub series: BTreeMap<Key, Outcome>,
    theirs: BTreeSet<Key>,
    ours: BTreeSet<Key>,
    our_names: BTreeSet<String>,
    labels_used: BTreeSet<usize>,
}

/// How many series have which outcome.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub agree: usize,
    pub differ: usize,
    pub theirs_alone: usize,
    pub ours_alone: usize,
    pub faults: usize,
}

impl Comparison {
    /// On a busy machine the two samples may be too far from the reading, so one round may be bad.
    pub fn of(rounds: BTreeMap<Key, Vec<Outcome>>, history: &History, ours: &Exposition) -> Self {
        let names = ours.samples.iter().map(|sample| sample.name.clone());
        let labels = ours.samples.iter().chain(&history.last.samples).flat_map(|sample| {
            sample.labels.iter().filter_map(|(k, v)| label_rule(&sample.name, k, v)).collect::<Vec<_>>()
        });
        Self {
            our_names: names.collect(),
            labels_used: labels.collect(),
            series: rounds.into_iter().map(|(key, outcomes)| (key, settle(&outcomes))).collect(),
            theirs: history.keys().cloned().collect(),
            ours: ours.samples.iter().map(Key::of).collect(),
        }
    }

    pub fn counts<'a>(&self, of: impl Iterator<Item = (&'a Key, &'a Outcome)>) -> Counts {
        let mut counts = Counts::default();
        for (key, outcome) in of {
            let place = match (outcome, self.theirs.contains(key), self.ours.contains(key)) {
                (Outcome::Fault(_), ..) => &mut counts.faults,
                (_, true, false) => &mut counts.theirs_alone,
                (_, false, true) => &mut counts.ours_alone,
                (Outcome::Differs(_), ..) => &mut counts.differ,
                (Outcome::Agrees, ..) => &mut counts.agree,
            };
            *place += 1;
        }
        counts
    }

    pub fn summary(&self) -> String {
        let counts = self.counts(self.series.iter());
        format!(
            "{} series compared: {} agree, {} differ by a rule, {} only in cAdvisor, {} only in the agent, {} faults",
            self.series.len(),
            counts.agree,
            counts.differ,
            counts.theirs_alone,
            counts.ours_alone,
            counts.faults
        )
    }

    /// What makes the test fail.
    pub fn faults(&self) -> Vec<String> {
        let faults = self.series.values().filter_map(|outcome| match outcome {
            Outcome::Fault(what) => Some(what.clone()),
            _ => None,
        });
        let used: BTreeSet<usize> = self.series.values().filter_map(rule_of).collect();
        let unused = |(number, rule): (usize, &Rule)| {
            (!rule.on_some_hosts && !used.contains(&number))
                .then(|| format!("a rule that nothing uses: {rule:?}"))
        };
        let labels =
            LABELS.iter().enumerate().filter(|(n, r)| !r.on_some_hosts && !self.labels_used.contains(n));
        let labels = labels.map(|(_, rule)| format!("a rule that nothing uses: labels {:?}", rule.labels));
        let rules = RULES.iter().enumerate().filter_map(unused);
        faults.chain(rules).chain(labels).chain(newer::faults(&self.our_names)).collect()
    }
}

/// The rule of an outcome.
pub fn rule_of(outcome: &Outcome) -> Option<usize> {
    match outcome {
        Outcome::Differs(rule) => Some(*rule),
        _ => None,
    }
}

fn settle(outcomes: &[Outcome]) -> Outcome {
    let is_fault = |outcome: &&Outcome| matches!(outcome, Outcome::Fault(_));
    let faults = outcomes.iter().filter(is_fault).count();
    // A series that is new in the last round has only that one.
    if faults > 1 || faults == outcomes.len() {
        return outcomes.iter().rfind(is_fault).cloned().unwrap();
    }
    outcomes.iter().rfind(|outcome| rule_of(outcome).is_some()).cloned().unwrap_or(Outcome::Agrees)
}

#[test]
fn a_value_outside_is_seen() {
    assert!(within(2.0, &[1.0, 3.0], 0.0) && within(1.0, &[1.0], 0.0) && within(3.5, &[1.0, 3.0], 0.5));
    assert!(!within(3.1, &[1.0, 3.0], 0.0) && !within(0.9, &[1.0], 0.0));
}

#[test]
fn a_series_without_a_rule_is_a_fault() {
    let key = |name: &str| Key { name: name.to_owned(), labels: BTreeMap::new() };
    assert!(matches!(theirs_alone(&key("container_memory_rss"), &[0.0]), Outcome::Fault(_)));
    assert!(matches!(ours_alone(&key("container_surprise"), 0.0), Outcome::Fault(_)));
    assert!(matches!(theirs_alone(&key("container_tasks_state"), &[1.0]), Outcome::Fault(_)), "not 0");
    assert!(matches!(theirs_alone(&key("container_tasks_state"), &[0.0]), Outcome::Differs(_)));
}

#[test]
fn one_bad_round_is_none_and_two_are() {
    let fault = || Outcome::Fault("x".to_owned());
    assert_eq!(settle(&[Outcome::Agrees, fault(), Outcome::Agrees]), Outcome::Agrees);
    assert_eq!(settle(&[Outcome::Agrees, fault(), Outcome::Differs(3)]), Outcome::Differs(3));
    assert_eq!(settle(&[fault(), Outcome::Agrees, fault()]), fault());
    assert_eq!(settle(&[fault()]), fault());
}

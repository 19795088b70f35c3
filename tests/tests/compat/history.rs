//! cAdvisor's samples over time. Each sample has a time, so a reading of the agent is compared with the samples around it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cgtap_tests::exposition::{Exposition, Sample};

use crate::rig::{Cadvisor, Rig};
use crate::rules;

/// A series: its name, and its labels without those that a rule removes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

impl Key {
    pub fn of(sample: &Sample) -> Self {
        let kept =
            sample.labels.iter().filter(|(name, value)| !rules::drops_label(&sample.name, name, value));
        Self { name: sample.name.clone(), labels: kept.map(|(k, v)| (k.clone(), v.clone())).collect() }
    }

    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// Whether its cgroup is compared, or it is about the host.
    pub fn is_compared(&self, rig: &Rig) -> bool {
        match self.label("id") {
            "" | "/" => true,
            id => rig.is_ours(id),
        }
    }
}

/// The files of a sample are read some time before or after its time, by this much at most. Reading the processes of the root takes
/// the longest.
const SLACK_MSEC: i64 = 1500;
/// Both sample once in one to two seconds, later on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

/// All samples of cAdvisor.
#[derive(Default)]
pub struct History {
    samples: BTreeMap<Key, Vec<(i64, f64)>>,
    pub types: BTreeMap<String, String>,
    /// Its last answer.
    pub last: Exposition,
}

impl History {
    fn poll(&mut self, peer: &Cadvisor) {
        let read = peer.metrics().unwrap();
        let now = now_msec();
        for sample in &read.samples {
            let at = sample.at_msec.unwrap_or(now);
            let kept = self.samples.entry(Key::of(sample)).or_default();
            if kept.last().is_none_or(|(last, _)| *last < at) {
                kept.push((at, sample.value));
            }
        }
        self.types.extend(read.types.clone());
        self.last = read;
    }

    pub fn poll_for(&mut self, peer: &Cadvisor, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.poll(peer);
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// Waits until each compared cgroup has a sample after this reading of the agent.
    pub fn poll_past(&mut self, peer: &Cadvisor, read: &Exposition, rig: &Rig) {
        let (begun, end) = (Instant::now(), time_of(read) + SLACK_MSEC);
        loop {
            self.poll(peer);
            let behind = self
                .samples
                .iter()
                .filter(|(key, _)| key.name == "container_memory_usage_bytes" && key.is_compared(rig))
                .all(|(_, samples)| samples.last().is_some_and(|(at, _)| *at >= end));
            if behind && now_msec() > end {
                return;
            }
            assert!(begun.elapsed() < WITHIN, "cAdvisor takes no samples any more");
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// The values around a time: the last before it, those at it, and the first after it.
    pub fn around(&self, key: &Key, at: i64) -> Option<Vec<f64>> {
        let samples = self.samples.get(key)?;
        let before = samples.iter().rposition(|(t, _)| *t <= at - SLACK_MSEC).unwrap_or(0);
        let after = samples.iter().position(|(t, _)| *t >= at + SLACK_MSEC).unwrap_or(samples.len() - 1);
        Some(samples[before..=after.max(before)].iter().map(|(_, value)| *value).collect())
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.samples.keys()
    }
}

/// The time of a reading of the agent.
pub fn time_of(read: &Exposition) -> i64 {
    read.samples.iter().filter_map(|sample| sample.at_msec).max().unwrap()
}

fn now_msec() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

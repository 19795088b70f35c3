//! OOM kills of the time when no agent ran, as events.

use std::time::SystemTime;

use super::Core;
use crate::kills::cross_check::CrossCheck;
use crate::kills::recovery::Recovered;
use crate::model::{CgroupPath, Decision, OomKill, Source, Victim};
use crate::sources::kernel_log::kill_of;

impl Core {
    /// Tells of them, once all is known that can be.
    pub(super) fn recover(&mut self, is_whole: bool) {
        if self.recovery.is_wanted() {
            // All counts have what is in the ring, and that is not missing.
            self.drain_kills();
        }
        let Recovered { kills, repeats, nameless, rest } = self.recovery.finish(is_whole);
        self.state.cross_check(|check| check.repeat(repeats));
        let mut unplaced = Vec::new();
        for line in kills {
            let kill = kill_of(line.clone());
            // One of the moment when the programs were attached is in the ring as well.
            if self.kills.is_repeat(&kill) {
                self.on_line(line, false);
            } else if kill.path.is_none() {
                unplaced.push(kill);
            } else {
                self.tell_recovered(kill);
            }
        }
        let named = unplaced.len();
        for _ in 0..nameless {
            let (source, time) = (Source::Recovered, SystemTime::now());
            let (victim, decision) = (Victim::default(), Decision::default());
            unplaced.push(OomKill { time, source, cgroup: None, path: None, victim, decision });
        }
        let mut places = self.places(named, unplaced.len());
        for mut kill in unplaced {
            kill.path = places.pop();
            self.tell_recovered(kill);
        }
        let is_source = self.state.facts.oom_source == Some(Source::Kmsg);
        for line in rest {
            self.on_line(line, is_source);
        }
    }

    fn tell_recovered(&mut self, kill: OomKill) {
        self.state.cross_check(CrossCheck::report);
        self.settle(kill);
    }

    /// The cgroups of kills of which the log tells none, by the cgroups' own counts; none where that leaves a doubt.
    fn places(&mut self, named: usize, all: usize) -> Vec<CgroupPath> {
        if all == 0 {
            return Vec::new();
        }
        // The cgroups' counts have the kills that wait for their lines too.
        for kill in self.fill_in.release_all() {
            self.settle(kill);
        }
        let untold = self.state.registry().kills_untold(&std::mem::take(&mut self.kill_counts));
        match untold.as_slice() {
            // Of one cgroup are all that it misses.
            [(path, missing)] => {
                let missing = usize::try_from(*missing).unwrap_or(usize::MAX).min(all);
                if named == 0 || missing == all { vec![path.clone(); missing] } else { Vec::new() }
            }
            // A process whose cgroup is not known could be of any.
            _ if named > 0 => Vec::new(),
            many => {
                let times = |(path, missing): &(CgroupPath, u64)| {
                    std::iter::repeat_n(
                        path.clone(),
                        usize::try_from(*missing).unwrap_or(usize::MAX).min(all),
                    )
                };
                many.iter().flat_map(times).take(all).collect()
            }
        }
    }
}

//! What the programs dropped on the way to the agent: each drop is reported once.

use crate::model::{Hook, Source};

/// Drops that were reported, in all.
#[derive(Debug)]
pub(super) struct Losses {
    /// Those that serve the ring of cgroup events and the ring of kills.
    rungs: [Option<Source>; 2],
    reported: [u64; Hook::ALL.len()],
}

impl Losses {
    /// Where the programs are the previous agent's, it has reported some of their drops.
    pub(super) fn new(rungs: [Option<Source>; 2], reported: [u64; Hook::ALL.len()]) -> Self {
        Self { rungs, reported }
    }

    pub(super) fn reported(&self) -> &[u64; Hook::ALL.len()] {
        &self.reported
    }

    /// Drops since the last call, of each ring. Hooks whose ring has no reader are skipped: such a ring fills up once and drops from
    /// then on.
    pub(super) fn fresh(&mut self, dropped: &[Option<u64>; Hook::ALL.len()]) -> [(u64, Source); 2] {
        let (mut cgroups, mut kills) = (0, 0);
        for ((hook, reported), dropped) in Hook::ALL.into_iter().zip(&mut self.reported).zip(dropped) {
            let Some(dropped) = *dropped else { continue };
            let sum = match hook {
                // It only warns early: other hooks report the exit itself.
                Hook::SchedProcessExit => continue,
                Hook::MarkVictim => &mut kills,
                _ => &mut cgroups,
            };
            *sum += dropped.saturating_sub(*reported);
            *reported = dropped;
        }
        let [of_cgroups, of_kills] = self.rungs.map(|rung| rung.unwrap_or(Source::Agent));
        [(cgroups, of_cgroups), (kills, of_kills)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(of: &[(Hook, u64)]) -> [Option<u64>; Hook::ALL.len()] {
        Hook::ALL.map(|hook| of.iter().find(|(other, _)| *other == hook).map(|(_, dropped)| *dropped))
    }

    #[test]
    fn a_drop_is_reported_once() {
        let rungs = [Some(Source::TpBtf), None];
        let mut losses = Losses::new(rungs, Default::default());
        let seen = [(Hook::CgroupMkdir, 2), (Hook::CgroupRmdir, 3), (Hook::SchedProcessExit, 9)];
        assert_eq!(losses.fresh(&dropped(&seen)), [(5, Source::TpBtf), (0, Source::Agent)]);
        assert_eq!(losses.fresh(&dropped(&seen)).map(|(records, _)| records), [0, 0]);
        assert_eq!(losses.fresh(&dropped(&[(Hook::MarkVictim, 4)])).map(|(records, _)| records), [0, 4]);
        let mut next = Losses::new(rungs, *losses.reported());
        assert_eq!(next.fresh(&dropped(&[(Hook::MarkVictim, 5)])).map(|(records, _)| records), [0, 1]);
    }
}

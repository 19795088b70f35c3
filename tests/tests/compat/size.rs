//! Series and bytes of a container, both programs with cAdvisor's default sets.

use std::fmt;
use std::path::Path;

use cgtap_tests::agent::Agent;

use crate::rig::{Cadvisor, Rig};

/// Of one container, on average over those of the tree.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    pub series: f64,
    pub bytes: f64,
}

/// Of both.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sizes {
    pub cadvisor: Size,
    pub agent: Size,
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (a, b) = (self.cadvisor, self.agent);
        write!(
            f,
            "of one container: cAdvisor {:.1} series, {:.0} bytes; the agent {:.1} series, {:.0} bytes",
            a.series, a.bytes, b.series, b.bytes
        )
    }
}

pub fn measure(cadvisor: &Path, rig: &Rig) -> Sizes {
    let peer = Cadvisor::start(cadvisor, &[]).unwrap();
    let agent = Agent::start(&["--min-interval", "1ms"]).unwrap();
    peer.wait_for(&rig.quiet).unwrap();
    let agents = agent.get("/metrics").unwrap();
    Sizes { cadvisor: of(&peer.text().unwrap(), rig), agent: of(agents.text().unwrap(), rig) }
}

fn of(text: &str, rig: &Rig) -> Size {
    let containers = [&rig.quiet, &rig.held, &rig.busy].map(|id| format!("id=\"{id}\""));
    let lines = || text.lines().filter(|line| containers.iter().any(|id| line.contains(id)));
    let (series, bytes) = (lines().count(), lines().map(|line| line.len() + 1).sum::<usize>());
    let share = |count: usize| count as f64 / containers.len() as f64;
    Size { series: share(series), bytes: share(bytes) }
}

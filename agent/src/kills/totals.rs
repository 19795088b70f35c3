//! OOM kills on this node for as long as its state directory lives, by whose they were.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{ContainerTitle, EventNames, Identity, OomReport};
use crate::telemetry::Telemetry;

/// More different owners than this are counted together, without labels of their own: each is a series that stays.
const MAX_OWNERS: usize = 4096;

/// Whose kills; what is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Owner {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// Its name, or its uid where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
    /// Its name, or its id where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) constraint: Option<String>,
    /// What the cgroup is whose limit was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit_owner: Option<String>,
}

impl Owner {
    pub(crate) fn of(identity: Option<&Identity>, names: &EventNames, report: &OomReport) -> Self {
        let decision = &report.decision;
        let pod = names.pod.as_deref();
        let container = names.container.as_deref().and_then(ContainerTitle::shown).map(str::to_owned);
        let limit_owner = decision.owner.as_ref().and_then(|owner| owner.kind);
        Self {
            namespace: pod.and_then(|pod| pod.namespace.clone()),
            pod: pod
                .and_then(|pod| pod.name.clone())
                .or_else(|| identity.and_then(|identity| identity.pod_uid.clone())),
            container: container.or_else(|| identity.and_then(|identity| identity.container_id.clone())),
            constraint: decision.constraint.map(|constraint| constraint.as_str().to_owned()),
            limit_owner: limit_owner.map(|kind| kind.as_str().to_owned()),
        }
    }

    /// Adds kills to the metric.
    pub(crate) fn show(&self, kills: u64, telemetry: &Telemetry) {
        let labels = [&self.namespace, &self.pod, &self.container, &self.constraint, &self.limit_owner];
        let labels = labels.map(|label| label.as_deref().unwrap_or_default());
        telemetry.oom_kills.with_label_values(&labels).inc_by(kills);
    }
}

/// The totals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(Owner, u64)>", into = "Vec<(Owner, u64)>")]
pub(crate) struct KillTotals(BTreeMap<Owner, u64>);

impl KillTotals {
    /// Counts a kill; returns the owner under which it was counted.
    pub(crate) fn count(&mut self, owner: Owner) -> Owner {
        let owner =
            if self.0.len() < MAX_OWNERS || self.0.contains_key(&owner) { owner } else { Owner::default() };
        let kills = self.0.entry(owner.clone()).or_default();
        // What was saved may be broken.
        *kills = kills.saturating_add(1);
        owner
    }

    /// Begins the metric with the totals of earlier agents.
    pub(crate) fn show(&self, telemetry: &Telemetry) {
        self.0.iter().for_each(|(owner, kills)| owner.show(*kills, telemetry));
    }
}

impl From<Vec<(Owner, u64)>> for KillTotals {
    fn from(list: Vec<(Owner, u64)>) -> Self {
        Self(list.into_iter().collect())
    }
}

impl From<KillTotals> for Vec<(Owner, u64)> {
    fn from(totals: KillTotals) -> Self {
        totals.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_that_is_broken_stays_at_its_end() {
        let mut totals = KillTotals::from(vec![(Owner::default(), u64::MAX)]);
        totals.count(Owner::default());
        assert_eq!(totals.0[&Owner::default()], u64::MAX);
    }

    #[test]
    fn owners_are_bounded_and_no_kill_is_missing() {
        let (mut totals, telemetry) = (KillTotals::default(), Telemetry::default());
        for number in 0..2 * MAX_OWNERS {
            totals.count(Owner { container: Some(number.to_string()), ..Owner::default() });
        }
        totals.count(Owner { container: Some("0".to_owned()), ..Owner::default() });
        assert_eq!(totals.0.len(), MAX_OWNERS + 1);
        assert_eq!(totals.0.values().sum::<u64>(), 2 * MAX_OWNERS as u64 + 1);
        assert_eq!(totals.0[&Owner { container: Some("0".to_owned()), ..Owner::default() }], 2);
        totals.show(&telemetry);
        let labels = ["", "", "0", "", ""];
        assert_eq!(telemetry.oom_kills.with_label_values(&labels).get(), 2);
        let text = serde_json::to_string(&totals).unwrap();
        assert_eq!(serde_json::from_str::<KillTotals>(&text).unwrap(), totals);
    }
}

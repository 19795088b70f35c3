//! A limit on the samples of a page: whole cgroups are left out, and their number is shown.
//!
//! Not samples: a cgroup with half of its metrics would look like one of which the kernel has few values. Not the last
//! ones by path either: what a node is read for comes first, the rest goes.

use crate::export::catalog::{Metric, Scope, Values};
use crate::snapshot::CgroupSample;

/// What was left out of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) cgroups: u64,
    pub(super) series: u64,
}

/// The cgroups whose samples together are at most `max` (all without one), in their old order: the root, pods, containers, classes, units,
/// slices, what is inside of containers, the rest, and what is gone; of one kind by path.
pub(super) fn limit<'a>(
    cgroups: Vec<&'a CgroupSample>,
    metrics: &[&Metric],
    scope: &Scope<'_>,
    max: Option<u64>,
) -> (Vec<&'a CgroupSample>, Option<LeftOut>) {
    let Some(max) = max else { return (cgroups, None) };
    let rank = |sample: &CgroupSample| (sample.removed, sample.identity.role);
    let counted =
        cgroups.iter().enumerate().map(|(at, sample)| (rank(sample), at, series(sample, metrics, scope)));
    let mut counted: Vec<_> = counted.collect();
    counted.sort_unstable();
    let (mut left, mut is_full, mut left_out) = (max, false, LeftOut::default());
    let mut is_kept = vec![false; cgroups.len()];
    for (_, at, series) in counted {
        // The first that does not fit ends it, so that a page does not flicker with small ones.
        is_full |= series > left;
        if is_full {
            left_out.cgroups += 1;
            left_out.series += series;
        } else {
            left -= series;
            if let Some(kept) = is_kept.get_mut(at) {
                *kept = true;
            }
        }
    }
    let kept = cgroups.into_iter().zip(is_kept).filter_map(|(sample, kept)| kept.then_some(sample));
    (kept.collect(), Some(left_out))
}

fn series(sample: &CgroupSample, metrics: &[&Metric], scope: &Scope<'_>) -> u64 {
    let mut count = 0;
    for metric in metrics.iter().filter(|metric| !sample.removed || metric.outlives) {
        match metric.values {
            Values::Count(value) => count += u64::from(value(sample).is_some()),
            Values::One(value) => count += u64::from(value(sample, scope).is_some()),
            Values::Many(values) => values(sample, scope, &mut |_, _| count += 1),
            Values::Machine(_) | Values::MachineMany(_) | Values::Node(_) => {}
        }
    }
    count
}

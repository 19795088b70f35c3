//! A limit on the samples of a page: whole cgroups are left out, and how many is said.
//!
//! Not samples: a cgroup with half of its metrics would look like one that the kernel tells little of. Not the last
//! ones by path either: what a node is read for comes first, the rest goes.

use crate::export::catalog::{Metric, Scope, Values};
use crate::model::Role;
use crate::snapshot::CgroupSample;

/// What was left out of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) cgroups: u64,
    pub(super) series: u64,
}

/// The cgroups whose samples together are at most `max`, in their old order: the root, pods, containers, classes, units,
/// slices, what is inside of containers, the rest, and what is gone; of one kind by path.
pub(super) fn limit<'a>(
    cgroups: Vec<&'a CgroupSample>,
    metrics: &[&Metric],
    scope: &Scope<'_>,
    max: u64,
) -> (Vec<&'a CgroupSample>, LeftOut) {
    let counted =
        cgroups.iter().enumerate().map(|(at, sample)| (at, rank(sample), series(sample, metrics, scope)));
    let mut counted: Vec<(usize, u8, u64)> = counted.collect();
    counted.sort_by_key(|&(at, rank, _)| (rank, at));
    let (mut left, mut is_full, mut left_out) = (max, false, LeftOut::default());
    let mut is_kept = vec![false; cgroups.len()];
    for (at, _, series) in counted {
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
    (kept.collect(), left_out)
}

fn rank(sample: &CgroupSample) -> u8 {
    if sample.removed {
        return 8;
    }
    match sample.identity.role {
        Role::Root => 0,
        Role::Pod => 1,
        Role::Container => 2,
        Role::Qos => 3,
        Role::Unit => 4,
        Role::Slice => 5,
        Role::InsideContainer => 6,
        Role::Other => 7,
    }
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

//! The names that systemd has for a unit. Ours, off by default.

use super::metric::LabelValue::Text;
use super::metric::{Emit, Metric, Value};
use crate::model::MetricSet;
use crate::snapshot::CgroupSample;

metrics! { Some(MetricSet::UnitInfo);
    unstamped "container_unit_info", "Always 1; the unit's description and the slice that it is in.",
        both "Description= of the unit's file, the cgroup's path", labels &["description", "slice"], many info;
}

fn info(sample: &CgroupSample, _: &super::Scope<'_>, emit: &mut Emit<'_>) {
    let Some(description) = &sample.unit_description else { return };
    let parents = sample.path.components().rev().skip(1);
    let slice = parents.filter_map(|name| str::from_utf8(name).ok()).find(|name| name.ends_with(".slice"));
    let labels = [("description", Text(description)), ("slice", Text(slice.unwrap_or_default()))];
    emit(&labels, Value::Count(1));
}

//! Huge pages: `hugetlb.<size>.*`. Off by default, as in cAdvisor.

use super::metric::{Emit, LabelValue, Metric, Value};
use crate::model::{HugetlbStats, MetricSet};
use crate::snapshot::CgroupSample;

const PAGE_SIZE: &[&str] = &["pagesize"];

pub(super) const METRICS: &[Metric] = &[
    Metric::gauge("container_hugetlb_usage_bytes", "Huge pages in use or reserved, in bytes.")
        .set(MetricSet::Hugetlb)
        .v1("hugetlb.<size>.rsvd.usage_in_bytes")
        .v2("hugetlb.<size>.rsvd.current")
        .many(PAGE_SIZE, |s, _, emit| each(s, emit, |page| page.usage_bytes)),
    Metric::gauge("container_hugetlb_max_usage_bytes", "Most huge pages in use or reserved, in bytes.")
        .set(MetricSet::Hugetlb)
        .outlives()
        .v1("hugetlb.<size>.rsvd.max_usage_in_bytes")
        .many(PAGE_SIZE, |s, _, emit| each(s, emit, |page| page.max_usage_bytes)),
    Metric::counter("container_hugetlb_failcnt", "Times that the limit of huge pages was hit.")
        .set(MetricSet::Hugetlb)
        .v1("hugetlb.<size>.rsvd.failcnt")
        .v2("hugetlb.<size>.events max")
        .many(PAGE_SIZE, |s, _, emit| each(s, emit, |page| page.failcnt)),
];

fn each(sample: &CgroupSample, emit: &mut Emit<'_>, pick: fn(&HugetlbStats) -> Option<u64>) {
    for page in sample.stats.hugetlb.as_deref().unwrap_or_default() {
        if let Some(count) = pick(page) {
            emit(&[("pagesize", LabelValue::Text(page.page_size))], Value::Count(count));
        }
    }
}

//! Huge pages: `hugetlb.<size>.*`. Off by default, as in cAdvisor.

use super::metric::{Emit, Metric, emit_counts};
use crate::model::{HugetlbStats, MetricSet};
use crate::snapshot::CgroupSample;

const PAGE_SIZE: &[&str] = &["pagesize"];

metrics! { Some(MetricSet::Hugetlb);
    gauge "container_hugetlb_usage_bytes", "Huge pages in use or reserved, in bytes.",
        v1 "hugetlb.<size>.rsvd.usage_in_bytes", v2 "hugetlb.<size>.rsvd.current", labels PAGE_SIZE,
        many |s, _, emit| each(s, emit, |page| page.usage_bytes);
    peak "container_hugetlb_max_usage_bytes", "Most huge pages in use or reserved, in bytes.",
        v1 "hugetlb.<size>.rsvd.max_usage_in_bytes", labels PAGE_SIZE,
        many |s, _, emit| each(s, emit, |page| page.max_usage_bytes);
    counter "container_hugetlb_failcnt", "Times that the limit of huge pages was hit.",
        v1 "hugetlb.<size>.rsvd.failcnt", v2 "hugetlb.<size>.events max", labels PAGE_SIZE,
        many |s, _, emit| each(s, emit, |page| page.failcnt);
}

fn each(sample: &CgroupSample, emit: &mut Emit<'_>, pick: fn(&HugetlbStats) -> Option<u64>) {
    let pages = sample.stats.hugetlb.as_deref().unwrap_or_default().iter();
    emit_counts(emit, "pagesize", pages.map(|page| (page.page_size, pick(page))));
}

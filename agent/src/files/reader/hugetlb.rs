//! The files of the hugetlb controller, for each size of huge pages that an architecture of Linux has.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v1/hugetlb.html>,
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html#hugetlb-interface-files>. The names are made by the kernel's
//! `hugetlb_cgroup.c` (`mem_fmt`): `hugetlb.2MB.current`.
//!
//! Names with `rsvd.` (since 5.7) count reserved pages, which a limit acts on first; runc and cAdvisor
//! prefer them.

use std::ffi::CStr;

use super::spec::FileSpec;
use crate::files::HostRoot;
use crate::model::{CgroupStats, HugetlbStats, MetricSet};
use crate::parse;

/// The row of one file of one size: its field, its parser, and the ends of its names, best first.
macro_rules! file {
    ($size:literal, $field:ident, $parse:path, $($suffix:literal),+) => {
        FileSpec {
            page_size: Some($size),
            ..FileSpec::new(
                const { &[$(name(concat!("hugetlb.", $size, $suffix, "\0"))),+] },
                |sets| sets.has(MetricSet::Hugetlb),
                |text, stats| {
                    page(stats, $size).$field = Some($parse(text)?);
                    Ok(())
                },
            )
        }
    };
}

const fn name(with_nul: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(with_nul.as_bytes()) {
        Ok(name) => name,
        Err(_) => c"",
    }
}

macro_rules! files {
    ($($size:literal),+) => {
        /// v1's, for every size.
        pub(super) const V1: &[FileSpec] = &[$(
            file!($size, usage_bytes, parse::value, ".rsvd.usage_in_bytes", ".usage_in_bytes"),
            file!($size, max_usage_bytes, parse::value, ".rsvd.max_usage_in_bytes", ".max_usage_in_bytes"),
            file!($size, failcnt, parse::value, ".rsvd.failcnt", ".failcnt"),
        )+];
        /// v2's, for every size.
        pub(super) const V2: &[FileSpec] = &[$(
            file!($size, usage_bytes, parse::value, ".rsvd.current", ".current"),
            file!($size, failcnt, parse::max_events, ".events"),
        )+];
    };
}

files!("64KB", "1MB", "2MB", "4MB", "8MB", "16MB", "32MB", "64MB", "256MB", "512MB", "1GB", "2GB", "16GB");

#[expect(clippy::indexing_slicing, reason = "the entry was found or pushed just before")]
fn page<'a>(stats: &'a mut CgroupStats, page_size: &'static str) -> &'a mut HugetlbStats {
    let pages = stats.hugetlb.get_or_insert_default();
    let at = pages.iter().position(|page| page.page_size == page_size).unwrap_or_else(|| {
        pages.push(HugetlbStats { page_size, ..HugetlbStats::default() });
        pages.len() - 1
    });
    &mut pages[at]
}

/// The sizes that this kernel has, as the hugetlb controller names them, from `/sys/kernel/mm/hugepages`.
pub(super) fn page_sizes(host: &HostRoot) -> Vec<String> {
    let size = |name: String| {
        let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
        Some(size_name(kib.parse().ok()?))
    };
    host.names("/sys/kernel/mm/hugepages").filter_map(size).collect()
}

fn size_name(kib: u64) -> String {
    match kib {
        0..1_024 => format!("{kib}KB"),
        1_024..1_048_576 => format!("{}MB", kib >> 10),
        _ => format!("{}GB", kib >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;

    #[test]
    fn sizes_are_named_as_the_controller_names_them() {
        let fixture = Fixture::new();
        for name in ["hugepages-2048kB", "hugepages-1048576kB", "hugepages-64kB", "other"] {
            fixture.dir(format!("sys/kernel/mm/hugepages/{name}").as_bytes());
        }
        let mut sizes = page_sizes(&fixture.host());
        sizes.sort();
        assert_eq!(sizes, ["1GB", "2MB", "64KB"]);
        assert_eq!(page_sizes(&Fixture::new().host()), [""; 0]);
    }

    #[test]
    fn each_size_has_its_own_entry() {
        let mut stats = CgroupStats::default();
        for (spec, text) in V1.iter().zip(1..) {
            (spec.apply)(format!("{text}\n").as_bytes(), &mut stats).unwrap();
        }
        let pages = stats.hugetlb.unwrap();
        assert_eq!(pages.len(), V1.len() / 3);
        assert!(pages.iter().all(|page| page.usage_bytes.zip(page.failcnt).is_some_and(|(a, b)| a + 2 == b)));
        assert!(V1.iter().chain(V2).all(|file| file.names.iter().all(|name| !name.is_empty())));
    }
}

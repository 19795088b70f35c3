//! Which files of a hierarchy are read.

use super::spec::FileSpec;
use super::{ReadSets, v1, v2};
use crate::model::{CgroupVersion, Hierarchy};

/// The files that `sets` need in each cgroup of a hierarchy.
pub(super) fn plan(hierarchy: &Hierarchy, sets: ReadSets, page_sizes: &[String]) -> Vec<&'static FileSpec> {
    let (of_all, of_controllers) = match hierarchy.version {
        CgroupVersion::V1 => (&[][..], v1::FILES),
        CgroupVersion::V2 => (v2::CORE_FILES, v2::FILES),
    };
    let here = of_controllers.iter().filter(|(controller, _)| hierarchy.has(controller));
    let files = here.flat_map(|(_, files)| *files);
    let has_size =
        |file: &FileSpec| file.page_size.is_none_or(|size| page_sizes.iter().any(|known| known == size));
    let wanted = |file: &&FileSpec| (file.needed)(sets) && has_size(file);
    of_all.iter().chain(files).filter(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HierarchyId, MetricSet, MetricSets};

    fn only(set: MetricSet) -> ReadSets {
        ReadSets { metrics: MetricSets::none().with(set), ..ReadSets::NONE }
    }

    fn names(version: CgroupVersion, controllers: &[&str], sets: ReadSets) -> Vec<String> {
        let id = HierarchyId(if version == CgroupVersion::V2 { 0 } else { 3 });
        let controllers = controllers.iter().map(|c| (*c).to_owned()).collect();
        let hierarchy = Hierarchy { id, version, controllers, mount: "/x".into() };
        let files = plan(&hierarchy, sets, &["2MB".to_owned()]);
        files.iter().map(|file| file.names[0].to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn nothing_is_read_that_no_set_needs() {
        let all = ["cpu", "cpuacct", "memory", "pids", "blkio", "io"];
        assert!(names(CgroupVersion::V1, &all, ReadSets::NONE).is_empty());
        assert!(names(CgroupVersion::V2, &all, ReadSets::NONE).is_empty());
        let pids = only(MetricSet::Process);
        assert_eq!(
            names(CgroupVersion::V1, &all, pids),
            ["pids.current", "pids.max", "pids.peak", "pids.events"]
        );
        assert_eq!(names(CgroupVersion::V2, &all, only(MetricSet::DiskIo)), ["io.stat"]);
    }

    #[test]
    fn a_hierarchy_has_the_files_of_its_controllers() {
        let memory = names(CgroupVersion::V1, &["memory"], ReadSets::ALL);
        assert!(memory.iter().all(|name| name.starts_with("memory.")) && memory.len() == 9, "{memory:?}");
        assert!(names(CgroupVersion::V1, &["freezer"], ReadSets::ALL).is_empty());
        let core =
            ["cpu.stat", "cpu.pressure", "memory.pressure", "io.pressure", "irq.pressure", "cgroup.stat"];
        assert_eq!(names(CgroupVersion::V2, &[], ReadSets::ALL), core);
        let hugetlb = names(CgroupVersion::V2, &["hugetlb"], only(MetricSet::Hugetlb));
        assert_eq!(hugetlb, ["hugetlb.2MB.rsvd.current", "hugetlb.2MB.events"], "of one size");
    }
}

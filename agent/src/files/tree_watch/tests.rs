//! On an ordinary file system, which reports directories in the same way.

use super::*;

struct Tree {
    folder: tempfile::TempDir,
    watch: TreeWatch,
}

impl Tree {
    fn new(version: CgroupVersion) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("before")).unwrap();
        let mount = folder.path().to_owned();
        let hierarchy = Hierarchy { id: HierarchyId(3), version, controllers: Vec::new(), mount };
        let mut watch = TreeWatch::open(&[hierarchy]).unwrap();
        assert!(watch.add_all().errors.is_empty());
        Self { folder, watch }
    }

    fn make(&self, path: &str) -> std::path::PathBuf {
        let dir = self.folder.path().join(path);
        std::fs::create_dir(&dir).unwrap();
        dir
    }

    fn events(&mut self) -> Vec<(String, LifecycleKind)> {
        let found = self.watch.read().unwrap();
        assert!(found.errors.is_empty(), "{:?}", found.errors);
        found.seen.events.into_iter().map(|event| (event.path.to_text().into_owned(), event.kind)).collect()
    }
}

fn event(path: &str, kind: LifecycleKind) -> (String, LifecycleKind) {
    (path.to_owned(), kind)
}

use LifecycleKind::{Created, Populated, Removed, Renamed};

#[test]
fn directories_that_come_and_go() {
    let mut tree = Tree::new(CgroupVersion::V1);
    assert_eq!(tree.events(), [], "what was there before is no event");
    tree.make("a");
    // Faster than any watch on the first.
    let inner = tree.make("a/b");
    assert_eq!(tree.events(), [event("/a", Created), event("/a/b", Created)]);
    assert_eq!(tree.events(), [], "each once");
    assert_eq!(tree.watch.add_all().seen.events, [], "nothing is missing");
    std::fs::remove_dir(inner).unwrap();
    std::fs::remove_dir(tree.folder.path().join("a")).unwrap();
    std::fs::remove_dir(tree.folder.path().join("before")).unwrap();
    assert_eq!(tree.events(), [event("/a/b", Removed), event("/a", Removed), event("/before", Removed)]);
    tree.make("a");
    assert_eq!(tree.events(), [event("/a", Created)]);
}

#[test]
fn what_is_gone_before_it_is_seen_is_counted() {
    let mut tree = Tree::new(CgroupVersion::V1);
    let dir = tree.make("short");
    std::fs::remove_dir(dir).unwrap();
    let found = tree.watch.read().unwrap();
    assert_eq!((found.seen.events, found.seen.unseen), (vec![], 1));
}

/// A full queue: no record of these removals came.
#[test]
fn what_is_gone_without_a_word_is_forgotten() {
    let mut tree = Tree::new(CgroupVersion::V1);
    tree.make("a");
    tree.make("a/b");
    tree.events();
    std::fs::remove_dir(tree.folder.path().join("a/b")).unwrap();
    std::fs::remove_dir(tree.folder.path().join("a")).unwrap();
    inotify::drain(&tree.watch.fd).unwrap();
    let found = tree.watch.add_all();
    let reported: Vec<_> =
        found.seen.events.iter().map(|event| (event.path.to_text().into_owned(), event.kind)).collect();
    assert_eq!(reported, [event("/a/b", Removed), event("/a", Removed)]);
    assert_eq!(tree.watch.known.len(), 2, "the root and what was there before");
}

#[test]
fn a_renamed_directory_takes_along_what_is_in_it() {
    let mut tree = Tree::new(CgroupVersion::V1);
    tree.make("a");
    tree.make("a/b");
    tree.events();
    std::fs::rename(tree.folder.path().join("a"), tree.folder.path().join("c")).unwrap();
    assert_eq!(tree.events(), [event("/c", Renamed)]);
    tree.make("c/b/d");
    assert_eq!(tree.events(), [event("/c/b/d", Created)]);
    std::fs::remove_dir(tree.folder.path().join("c/b/d")).unwrap();
    assert_eq!(tree.events(), [event("/c/b/d", Removed)]);
}

#[test]
fn a_file_of_v2_has_what_runs() {
    let mut tree = Tree::new(CgroupVersion::V2);
    let dir = tree.folder.path().join("kept");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("cgroup.events"), "populated 0\nfrozen 0\n").unwrap();
    assert_eq!(tree.events(), [event("/kept", Created)]);
    for (number, kind) in [(1, Populated(true)), (0, Populated(false))] {
        std::fs::write(dir.join("cgroup.events"), format!("populated {number}\nfrozen 0\n")).unwrap();
        assert_eq!(tree.events(), [event("/kept", kind)]);
    }
}

//! Walks over folders that are what they should not be.

use std::fs::{File, create_dir, create_dir_all, hard_link, metadata, remove_dir_all, write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use super::*;

fn open(dir: &Path) -> OwnedFd {
    File::open(dir).unwrap().into()
}

fn sum(dir: &Path) -> Sum {
    let mut go_on = || true;
    let mut walk = DiskWalk::new(&mut go_on);
    walk.directory(&open(dir)).unwrap();
    assert_eq!(walk.pending, 0);
    walk.sum
}

fn bytes(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).unwrap().blocks() * 512
}

#[test]
fn blocks_of_everything_and_each_inode_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    create_dir_all(at("a/b")).unwrap();
    write(at("big"), vec![1; 100_000]).unwrap();
    write(at("a/b/small"), b"x").unwrap();
    hard_link(at("big"), at("a/again")).unwrap();
    File::create(at("sparse")).unwrap().set_len(1 << 30).unwrap();
    symlink("/", at("out")).unwrap();
    let found = sum(folder.path());
    let wanted: u64 =
        ["", "a", "a/b", "big", "a/b/small", "sparse", "out"].iter().map(|name| bytes(&at(name))).sum();
    assert_eq!(found, Sum { bytes: wanted, inodes: 7, cut: false });
    assert!(found.bytes >= 100_000);
}

#[test]
fn no_link_leads_out() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(outside.path().join("big"), vec![1; 1 << 20]).unwrap();
    symlink(outside.path(), folder.path().join("dir")).unwrap();
    symlink(outside.path().join("big"), folder.path().join("file")).unwrap();
    let found = sum(folder.path());
    assert_eq!(found.inodes, 3);
    assert!(found.bytes < 1 << 20);
    // A directory that becomes a link between its listing and its turn.
    let swapped = folder.path().join("swapped");
    create_dir(&swapped).unwrap();
    let mut go_on = || true;
    let mut walk = DiskWalk::new(&mut go_on);
    let mut level = walk.enter(open(folder.path()), (metadata(folder.path()).unwrap().dev(), 0)).unwrap();
    remove_dir_all(&swapped).unwrap();
    symlink(outside.path(), &swapped).unwrap();
    let name = level.below.pop().unwrap();
    let opened = openat(level.dir.as_ref().unwrap(), &name, DIRECTORY, Mode::empty());
    assert!(matches!(opened, Err(Errno::LOOP | Errno::NOTDIR)), "{opened:?}");
    walk.missed(opened.unwrap_err());
    assert!(!walk.sum.cut);
}

#[test]
fn deep_trees_need_few_descriptors_and_no_stack() {
    let folder = tempfile::tempdir().unwrap();
    let mut dir = open(folder.path());
    for _ in 0..1_500 {
        rustix::fs::mkdirat(&dir, c"d", Mode::RWXU).unwrap();
        rustix::fs::mkdirat(&dir, c"side", Mode::RWXU).unwrap();
        dir = openat(&dir, c"d", DIRECTORY, Mode::empty()).unwrap();
    }
    drop(dir);
    // Other tests of this process have descriptors too.
    let path = folder.path().to_owned();
    let own = move || {
        let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        all.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(&path))).count()
    };
    let (mut most, mut steps) = (0, 0);
    let mut count = || {
        steps += 1;
        if steps % 100 == 0 {
            most = most.max(own());
        }
        true
    };
    let mut walk = DiskWalk::new(&mut count);
    walk.directory(&open(folder.path())).unwrap();
    let found = walk.sum;
    assert_eq!((found.inodes, found.cut), (3_001, false));
    assert!((OPEN_DIRS..OPEN_DIRS + 5).contains(&most), "{most}");
}

#[test]
fn too_deep_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut dir = open(folder.path());
    for _ in 0..MAX_DEPTH + 10 {
        rustix::fs::mkdirat(&dir, c"d", Mode::RWXU).unwrap();
        dir = openat(&dir, c"d", DIRECTORY, Mode::empty()).unwrap();
    }
    let found = sum(folder.path());
    assert_eq!((found.inodes, found.cut), (MAX_DEPTH as u64 + 1, true));
}

#[test]
fn what_vanishes_or_moves_meanwhile_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a/x", "b/y", "c/z"] {
        create_dir_all(folder.path().join(name)).unwrap();
    }
    let mut steps = 0;
    let path = folder.path().to_owned();
    let mut remove_after_the_listing = || {
        steps += 1;
        if steps == 4 {
            // The first directory is being listed: the others go.
            for name in ["a", "b", "c"] {
                let _ = remove_dir_all(path.join(name));
            }
        }
        true
    };
    let mut walk = DiskWalk::new(&mut remove_after_the_listing);
    walk.directory(&open(folder.path())).unwrap();
    assert!(!walk.sum.cut, "{:?}", walk.sum);
    assert_eq!(walk.sum.inodes, 4);
}

#[test]
fn another_file_system_is_left_out() {
    // The kernel's own mounts: /proc/sys/fs/binfmt_misc or /dev/pts lie on others wherever there are any.
    let Ok(dev) = metadata("/dev") else { return };
    let other =
        ["/dev/shm", "/dev/pts"].iter().any(|path| metadata(path).is_ok_and(|m| m.dev() != dev.dev()));
    if !other {
        return;
    }
    let found = sum(Path::new("/dev"));
    let own = std::fs::read_dir("/dev")
        .unwrap()
        .flatten()
        .filter(|entry| std::fs::symlink_metadata(entry.path()).is_ok_and(|m| m.dev() == dev.dev()));
    assert!(found.inodes > own.count() as u64 / 2);
    let inside = sum(Path::new("/dev/pts"));
    assert!(inside.inodes > 0);
}

#[test]
fn it_ends_on_request() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path().join("x"), b"").unwrap();
    let mut stop = || false;
    assert!(DiskWalk::new(&mut stop).directory(&open(folder.path())).is_err());
}

/// By hand: `cargo test --release -p cgtap --lib usage::walk -- --ignored --nocapture`, with `CGTAP_WALK_DIR`.
#[test]
#[ignore = "prints a measurement"]
fn measure() {
    let dir = std::env::var_os("CGTAP_WALK_DIR").unwrap_or_else(|| "/usr".into());
    for _ in 0..2 {
        let (began, cpu) = (std::time::Instant::now(), cpu_time());
        let found = sum(Path::new(&dir));
        let (took, cpu) = (began.elapsed(), cpu_time() - cpu);
        let per_second = found.inodes as f64 / took.as_secs_f64();
        println!("{found:?} in {took:?}, {cpu:?} of a processor: {per_second:.0} entries/s");
    }
}

fn cpu_time() -> std::time::Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap()
}

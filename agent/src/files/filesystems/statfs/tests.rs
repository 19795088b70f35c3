//! Mounts that do not answer, by a function that blocks until the test lets it go.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const SPACE: Space = Space { size_bytes: 8, free_bytes: 4, inodes: Some(2), inodes_free: 1 };

/// Far above what a busy machine takes. Only what hangs is waited for so long.
const LONG: Duration = Duration::from_secs(30);

/// Devices above 100 do not answer before the gate is open.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    asked: AtomicUsize,
}

impl Gate {
    fn pass(&self) {
        let mut open = self.open.lock();
        while !*open {
            self.opened.wait(&mut open);
        }
    }

    fn open(&self) {
        *self.open.lock() = true;
        self.opened.notify_all();
    }
}

fn pool(threads: usize) -> (Pool, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let ask = {
        let gate = gate.clone();
        move |target: &Target| {
            gate.asked.fetch_add(1, Ordering::Relaxed);
            if target.device.0 > 100 {
                gate.pass();
            }
            (target.device.0 != 50).then_some(SPACE)
        }
    };
    (Pool::new(threads, Arc::new(ask)), gate)
}

fn targets(majors: &[u32]) -> impl Iterator<Item = Arc<Target>> {
    majors.iter().map(|&major| Arc::new(Target { device: (major, 0), path: PathBuf::new(), exact: true }))
}

fn round(pool: &Pool, majors: &[u32], within: Duration) -> Vec<u32> {
    pool.ask(targets(majors));
    let mut found: Vec<u32> =
        pool.answers(Instant::now() + within).into_keys().map(|(major, _)| major).collect();
    found.sort_unstable();
    found
}

#[test]
fn all_that_answer_are_returned() {
    let (pool, _) = pool(2);
    assert_eq!(round(&pool, &[1, 2, 50, 3], LONG), [1, 2, 3]);
    assert_eq!(round(&pool, &[], LONG), Vec::<u32>::new());
    assert_eq!(pool.hung(), 0);
}

#[test]
fn one_that_hangs_holds_up_no_other_and_is_asked_once() {
    let (pool, gate) = pool(2);
    assert_eq!(round(&pool, &[101, 1, 2], Duration::from_secs(1)), [1, 2]);
    assert_eq!(pool.hung(), 1);
    // It is not waited for again.
    assert_eq!(round(&pool, &[101, 1, 2], LONG), [1, 2]);
    assert_eq!(gate.asked.load(Ordering::Relaxed), 5);
    gate.open();
    // Fails by never ending.
    while pool.hung() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(round(&pool, &[101, 1], LONG), [1, 101], "it is served again");
}

#[test]
fn threads_are_bounded_and_a_round_that_nobody_can_serve_ends_at_once() {
    let (pool, gate) = pool(3);
    let dead = [101, 102, 103, 104, 105];
    assert_eq!(round(&pool, &dead, Duration::from_secs(1)), Vec::<u32>::new());
    assert_eq!(pool.hung(), 3);
    assert_eq!(pool.shared.state.lock().threads, 3);
    assert_eq!(round(&pool, &[1], LONG), Vec::<u32>::new());
    gate.open();
    while pool.hung() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(round(&pool, &[1, 101], LONG), [1, 101]);
}

#[test]
fn a_mount_that_moved_meanwhile_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let host = HostRoot::default();
    let device = fstat(std::fs::File::open(folder.path()).unwrap()).unwrap().st_dev;
    let device = (rustix::fs::major(device), rustix::fs::minor(device));
    let mut target = Target { device, path: folder.path().to_owned(), exact: true };
    let found = space(&host, &target).unwrap();
    assert!(found.size_bytes >= found.free_bytes && found.size_bytes > 0);
    target.device = (4095, 1);
    assert_eq!(space(&host, &target), None);
    target.exact = false;
    assert!(space(&host, &target).is_some());
    target.path = folder.path().join("none");
    assert_eq!(space(&host, &target), None);
}

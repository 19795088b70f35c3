//! The log on disk: a served record is there after any end, and a damaged one is delivered as lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::events::stored::{Stored, write_line};
use crate::model::EventSync;

mod faults;

fn options(dir: &Path) -> DiskOptions {
    DiskOptions {
        dir: dir.join("events"),
        max_bytes: 1 << 20,
        max_age: Duration::from_secs(3600),
        max_segments: 8,
        fsync: EventSync::OomKill,
    }
}

fn open(capacity: usize, options: &DiskOptions) -> EventLog {
    EventLog::on_disk(capacity, options.clone(), "").unwrap()
}

fn fill(log: &EventLog, count: u64) {
    for _ in 0..count {
        log.append(at("/a", EventKind::CgroupRemoved));
    }
}

/// Until the disk has all, however slow it is.
async fn written(log: &EventLog) {
    while log.disk().unwrap().written_seq < log.last_seq() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn close(log: &EventLog) {
    log.close(Duration::from_secs(20));
}

async fn all(log: &EventLog, filter: Filter, start: Start) -> Vec<Delivery> {
    let mut subscription = log.subscribe(filter, start).until_now();
    let mut found = Vec::new();
    while let Some(delivery) = subscription.next().await {
        found.push(delivery);
    }
    found
}

/// Numbers, and ranges that are lost.
fn served(deliveries: &[Delivery]) -> (Vec<u64>, Vec<(u64, u64)>) {
    let (mut seqs, mut lost) = (Vec::new(), Vec::new());
    for delivery in deliveries {
        match delivery {
            Delivery::Lost { from_seq, to_seq } => lost.push((*from_seq, *to_seq)),
            event => seqs.push(event.seq()),
        }
    }
    (seqs, lost)
}

/// Each number once, in order: served or lost.
fn assert_whole(deliveries: &[Delivery], last: u64) {
    let mut expected = None;
    for delivery in deliveries {
        let (from, to) = match delivery {
            Delivery::Lost { from_seq, to_seq } => (*from_seq, *to_seq),
            event => (event.seq(), event.seq()),
        };
        assert!(expected.is_none_or(|expected| from == expected) && to >= from, "{deliveries:?}");
        expected = Some(to + 1);
    }
    assert_eq!(expected.unwrap_or(last + 1), last + 1, "{deliveries:?}");
}

fn segments(options: &DiskOptions) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&options.dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    paths
}

#[tokio::test]
async fn disk_and_memory_are_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let log = open(10, &options);
    fill(&log, 500);
    written(&log).await;
    for since in [0, 1, 7, 480, 489, 490, 491, 499, 500] {
        let found = all(&log, Filter::default(), Start::SinceSeq(since)).await;
        assert_eq!(served(&found), ((since + 1..=500).collect(), vec![]), "since {since}");
    }
    assert_eq!(served(&all(&log, Filter::default(), Start::Oldest).await).0.len(), 500);
    assert_eq!(all(&log, Filter::default(), Start::Now).await, []);
    close(&log);
    drop(log);
    // Nothing but the disk knows them now.
    let log = open(10, &options);
    assert_eq!(log.append(at("/b", EventKind::CgroupRemoved)), 501);
    assert_eq!(served(&all(&log, Filter::default(), Start::Oldest).await), ((1..=501).collect(), vec![]));
    let only = Filter { cgroup: Some(CgroupPath::from("/b")), ..Filter::default() };
    assert_eq!(served(&all(&log, only, Start::Oldest).await), (vec![501], vec![]));
    let none = Filter { types: Some(BTreeSet::from(["oom_kill".to_owned()])), ..Filter::default() };
    assert_eq!(all(&log, none, Start::SinceSeq(0)).await, []);
    close(&log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_follower_from_the_beginning_comes_to_the_end_without_a_seam() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(64, &options(folder.path()));
    fill(&log, 300);
    let mut follower = log.subscribe(Filter::default(), Start::SinceSeq(0));
    let writer = log.clone();
    let writing = tokio::task::spawn_blocking(move || {
        for _ in 0..200 {
            fill(&writer, 20);
            std::thread::sleep(Duration::from_micros(300));
        }
    });
    for expected in 1..=4300 {
        let delivery = follower.next().await.unwrap();
        assert_eq!((delivery.seq(), matches!(delivery, Delivery::Lost { .. })), (expected, false));
    }
    writing.await.unwrap();
    close(&log);
}

/// The promise that a client's number means the same event after a crash.
#[tokio::test]
async fn nothing_is_served_before_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let log = open(1000, &options);
    let mut follower = log.subscribe(Filter::default(), Start::Now);
    for round in 0..200 {
        log.append(at(
            "/a",
            if round % 9 == 0 { EventKind::OomKill(Box::default()) } else { EventKind::CgroupRemoved },
        ));
        let seen = follower.next().await.unwrap().seq();
        let on_disk: String =
            segments(&options).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        assert!(on_disk.contains(&format!("{{\"seq\":{seen},")), "{seen}\n{on_disk}");
    }
    close(&log);
}

#[tokio::test]
async fn limits_hold_and_what_is_gone_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let options = DiskOptions { max_bytes: 16 << 10, max_segments: 4, ..options(folder.path()) };
    let log = open(16, &options);
    for _ in 0..200 {
        fill(&log, 10);
        written(&log).await;
    }
    let health = log.disk().unwrap();
    let size: u64 = segments(&options).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(size <= options.max_bytes && size > options.max_bytes / 2, "{size}");
    assert_eq!((health.bytes, health.segments), (size, segments(&options).len() as u64));
    assert!(health.segments <= 4, "{health:?}");
    let first = health.first_seq.unwrap();
    assert!(first > 1000, "{health:?}");
    let found = all(&log, Filter::default(), Start::SinceSeq(3)).await;
    assert_eq!(served(&found), ((first..=2000).collect(), vec![(4, first - 1)]));
    assert_eq!(
        served(&all(&log, Filter::default(), Start::Oldest).await),
        ((first..=2000).collect(), vec![])
    );
    close(&log);
    let old = DiskOptions { max_age: Duration::ZERO, ..options.clone() };
    std::thread::sleep(Duration::from_millis(5));
    let log = open(16, &old);
    for _ in 0..2 {
        fill(&log, 1);
        written(&log).await;
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(log.disk().unwrap().first_seq, Some(2001), "too old: {:?}", log.disk());
    close(&log);
}

#[tokio::test]
async fn a_torn_record_is_cut_and_its_number_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let log = open(16, &options);
    fill(&log, 9);
    close(&log);
    let path = &segments(&options)[0];
    let whole = fs::read(path).unwrap();
    let last_line = whole[..whole.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for cut in last_line + 1..whole.len() {
        fs::write(path, &whole[..cut]).unwrap();
        let log = open(16, &options);
        assert_eq!(log.append(at("/n", EventKind::CgroupRemoved)), 9, "cut at {cut}");
        let found = all(&log, Filter::default(), Start::Oldest).await;
        assert_eq!(served(&found), ((1..=9).collect(), vec![]));
        close(&log);
        assert_eq!(log.disk().unwrap().cut_bytes, (cut - last_line) as u64);
    }
}

#[tokio::test]
async fn damage_at_the_end_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let log = open(16, &options);
    fill(&log, 3);
    close(&log);
    let path = &segments(&options)[0];
    let mut text = fs::read(path).unwrap();
    let last = text.len() - 5;
    text[last] ^= 1;
    fs::write(path, text).unwrap();
    let log = open(16, &options);
    assert_eq!((log.disk().unwrap().damaged, log.last_seq()), (1, 3));
    close(&log);
}

/// Each byte of a small log changed in turn: the agent starts, never panics, serves no record that was not written, and
/// reports the number of each record that it cannot serve any more as lost.
#[tokio::test]
async fn a_changed_byte_costs_its_record_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let log = open(16, &options);
    for number in 1..=6 {
        log.append(at(&format!("/cgroup{number}"), EventKind::CgroupRemoved));
    }
    close(&log);
    let path = &segments(&options)[0];
    let whole = fs::read(path).unwrap();
    for place in 0..whole.len() {
        for flip in [1, 0x20, 0x80, whole[place] ^ b'\n'] {
            let mut damaged = whole.clone();
            damaged[place] ^= flip;
            fs::write(path, &damaged).unwrap();
            let log = open(16, &options);
            let next = log.append(at("/new", EventKind::CgroupRemoved));
            let found = all(&log, Filter::default(), Start::SinceSeq(0)).await;
            assert_whole(&found, next);
            let (seqs, lost) = served(&found);
            assert!(seqs.len() >= 4 && lost.len() <= 1, "{place} {flip}: {found:?}");
            for delivery in &found {
                if let Delivery::Stored(stored) = delivery {
                    let wanted =
                        if stored.seq == next { "/new".to_owned() } else { format!("/cgroup{}", stored.seq) };
                    let json: serde_json::Value = serde_json::from_slice(&stored.json).unwrap();
                    assert_eq!(json["cgroup"]["path"], wanted.as_str(), "{place} {flip}");
                }
            }
            close(&log);
            fs::read_dir(&options.dir)
                .unwrap()
                .for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
        }
    }
}

#[tokio::test]
async fn a_time_begins_where_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let options = DiskOptions { max_bytes: 64 << 10, max_segments: 64, ..options(folder.path()) };
    let log = open(4, &options);
    for number in 1..=300 {
        log.append(EventDraft {
            time: UNIX_EPOCH + Duration::from_secs(number),
            ..at("/a", EventKind::CgroupRemoved)
        });
        if number % 5 == 0 {
            written(&log).await;
        }
    }
    assert!(segments(&options).len() > 10);
    for second in [0, 1, 2, 150, 299, 300, 301] {
        let filter = Filter { since: Some(UNIX_EPOCH + Duration::from_secs(second)), ..Filter::default() };
        let wanted: Vec<u64> = (second.max(1)..=300).collect();
        assert_eq!(served(&all(&log, filter, Start::Oldest).await), (wanted, vec![]), "{second}");
    }
    close(&log);
}

/// A later version wrote it, before an operator went back to this one.
#[tokio::test]
async fn a_record_of_an_unknown_type_is_delivered_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let log = open(16, &options);
    fill(&log, 2);
    close(&log);
    let json = br#"{"seq":3,"when":7,"type":"throttled","cgroup":{"inode":4},"victim":[]}"#;
    let mut lines = fs::read(&segments(&options)[0]).unwrap();
    write_line(&mut lines, json);
    fs::write(&segments(&options)[0], lines).unwrap();
    let log = open(16, &options);
    assert_eq!(log.append(at("/n", EventKind::CgroupRemoved)), 4);
    let found = all(&log, Filter::default(), Start::Oldest).await;
    assert_eq!(served(&found), ((1..=4).collect(), vec![]));
    assert_eq!(found[2], Delivery::Stored(Stored { seq: 3, json: json[..].into() }));
    close(&log);
}

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::wire::WireEvent;
use super::*;
use crate::model::{
    CgroupPath, CgroupRef, Event, EventDraft, EventKind, EventNames, Identity, PodNames, Source,
};

mod disk;

fn draft(kind: EventKind) -> EventDraft {
    EventDraft {
        time: UNIX_EPOCH,
        source: Source::TpBtf,
        cgroup: None,
        identity: None,
        names: EventNames::default(),
        kind,
    }
}

fn at(path: &str, kind: EventKind) -> EventDraft {
    let cgroup = CgroupRef { path: CgroupPath::from(path), key: None, path_cut: false };
    EventDraft { cgroup: Some(cgroup), ..draft(kind) }
}

fn filled(capacity: usize, count: u64) -> EventLog {
    let log = EventLog::new(capacity);
    for _ in 0..count {
        log.append(draft(EventKind::CgroupRemoved));
    }
    log
}

fn drain(subscription: &mut Subscription) -> Vec<Delivery> {
    std::iter::from_fn(|| subscription.try_next()).collect()
}

fn seqs(deliveries: &[Delivery]) -> Vec<u64> {
    let seq = |delivery: &Delivery| match delivery {
        Delivery::Event(event) => event.seq,
        other => panic!("unexpected: {other:?}"),
    };
    deliveries.iter().map(seq).collect()
}

#[test]
fn numbers_start_at_one_and_the_ring_keeps_the_newest() {
    let log = EventLog::new(3);
    assert_eq!((log.first_seq(), log.last_seq()), (1, 0));
    for wanted in 1..=5 {
        assert_eq!(log.append(draft(EventKind::CgroupRemoved)), wanted);
    }
    assert_eq!((log.first_seq(), log.last_seq()), (3, 5));
}

#[test]
fn numbers_go_on_over_a_restart() {
    let log = EventLog::with(8, 41, None);
    assert_eq!((log.first_seq(), log.last_seq()), (42, 41));
    let mut resumed = log.subscribe(Filter::default(), Start::SinceSeq(40));
    assert_eq!(log.append(draft(EventKind::CgroupRemoved)), 42);
    let all = drain(&mut resumed);
    assert_eq!(all.first(), Some(&Delivery::Lost { from_seq: 41, to_seq: 41 }));
    assert_eq!(seqs(&all[1..]), [42]);
}

#[test]
fn every_start_begins_where_it_says() {
    let log = filled(4, 10);
    let first = |start| drain(&mut log.subscribe(Filter::default(), start));
    assert_eq!(first(Start::Now), []);
    assert_eq!(seqs(&first(Start::Oldest)), [7, 8, 9, 10]);
    for since in 6..=10 {
        let wanted: Vec<u64> = (since + 1..=10).collect();
        assert_eq!(seqs(&first(Start::SinceSeq(since))), wanted, "since {since}");
    }
    for since in 0..6 {
        let all = first(Start::SinceSeq(since));
        assert_eq!(all[0], Delivery::Lost { from_seq: since + 1, to_seq: 6 }, "since {since}");
        assert_eq!(seqs(&all[1..]), [7, 8, 9, 10], "since {since}");
    }
}

#[test]
fn a_number_of_an_earlier_log_misses_nothing() {
    let log = filled(4, 2);
    assert_eq!(seqs(&drain(&mut log.subscribe(Filter::default(), Start::SinceSeq(5000)))), [1, 2]);
}

#[test]
fn a_stalled_reader_gets_one_lost_record_and_goes_on() {
    let log = filled(10, 0);
    let mut stalled = log.subscribe(Filter::default(), Start::Now);
    for _ in 0..25 {
        log.append(draft(EventKind::CgroupRemoved));
    }
    let all = drain(&mut stalled);
    assert_eq!(all[0], Delivery::Lost { from_seq: 1, to_seq: 15 });
    assert_eq!(seqs(&all[1..]), (16..=25).collect::<Vec<u64>>());
    log.append(draft(EventKind::CgroupRemoved));
    assert_eq!(seqs(&drain(&mut stalled)), [26]);
}

#[test]
fn a_reader_that_does_not_follow_ends_at_the_moment_it_asked() {
    let log = filled(1000, 300);
    let mut once = log.subscribe(Filter::default(), Start::Oldest).until_now();
    log.append(draft(EventKind::CgroupRemoved));
    assert_eq!(seqs(&drain(&mut once)), (1..=300).collect::<Vec<u64>>());
    assert_eq!(once.try_next(), None);
}

#[test]
fn followers_are_counted() {
    let log = EventLog::new(1);
    let first = log.subscribe(Filter::default(), Start::Now);
    let second = log.subscribe(Filter::default(), Start::Now);
    let _inside = log.subscribe_inside(Filter::default(), Start::Now);
    assert_eq!(log.followers(), 2);
    drop(first);
    assert_eq!(log.followers(), 1);
    drop(second);
    assert_eq!(log.followers(), 0);
}

/// Four writers against readers of which one is slow: each sees every number once, in order, or the loss of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_number_is_skipped_under_many_writers() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 5000;
    let log = EventLog::new(512);
    let read = |mut subscription: Subscription, pause: bool| async move {
        let (mut expected, mut lost) = (1, 0);
        while expected <= WRITERS * EACH {
            match subscription.next().await.unwrap() {
                Delivery::Event(event) => {
                    assert_eq!(event.seq, expected);
                    expected += 1;
                }
                Delivery::Lost { from_seq, to_seq } => {
                    assert_eq!(from_seq, expected);
                    assert!(to_seq >= from_seq);
                    lost += to_seq - from_seq + 1;
                    expected = to_seq + 1;
                }
                other @ Delivery::Stored(_) => panic!("there is no disk: {other:?}"),
            }
            if pause && expected % 64 == 0 {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
        lost
    };
    let slow = tokio::spawn(read(log.subscribe(Filter::default(), Start::Now), true));
    let fast = tokio::spawn(read(log.subscribe(Filter::default(), Start::Now), false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let log = log.clone();
            std::thread::spawn(move || {
                let seqs: Vec<u64> = (0..EACH).map(|_| log.append(draft(EventKind::CgroupRemoved))).collect();
                assert!(seqs.is_sorted());
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(log.last_seq(), WRITERS * EACH);
    for reader in [slow, fast] {
        let lost = reader.await.unwrap();
        assert!(lost < WRITERS * EACH, "a reader gets at least what the ring holds");
    }
}

#[tokio::test]
async fn a_waiting_reader_wakes_and_may_be_cancelled() {
    let log = EventLog::new(8);
    let mut waiting = log.subscribe(Filter::default(), Start::Now);
    assert!(tokio::time::timeout(Duration::from_millis(1), waiting.next()).await.is_err());
    let writer = log.clone();
    let task = tokio::spawn(async move { waiting.next().await.unwrap() });
    tokio::task::yield_now().await;
    writer.append(draft(EventKind::CgroupRemoved));
    assert_eq!(seqs(&[task.await.unwrap()]), [1]);
}

/// In memory and, as a record, on disk: both must agree.
fn matches(filter: &Filter, event: &Event) -> bool {
    let json = serde_json::to_vec(&WireEvent::from_event(event, "")).unwrap();
    let from_disk = filter.matches_record(&WireEvent::read(&json).unwrap());
    assert_eq!(filter.matches(event), from_disk, "{filter:?}");
    from_disk
}

fn event(draft: EventDraft) -> Event {
    Event { seq: 1, draft }
}

#[test]
fn filters_let_through_what_they_say() {
    let oom = event(EventDraft {
        identity: Some(std::sync::Arc::new(Identity {
            container_id: Some("0123456789abcdef".repeat(4)),
            pod_uid: Some("u-1".to_owned()),
            ..Identity::default()
        })),
        names: EventNames {
            pod: Some(std::sync::Arc::new(PodNames {
                namespace: Some("shop".to_owned()),
                ..PodNames::default()
            })),
            ..EventNames::default()
        },
        time: UNIX_EPOCH + Duration::from_secs(10),
        ..at("/a/b", EventKind::OomKill(Box::default()))
    });
    let filter = Filter::default;
    let time = |secs| Some(UNIX_EPOCH + Duration::from_secs(secs));
    for (wanted, filter) in [
        (true, filter()),
        (true, Filter { types: Some(["oom_kill".to_owned()].into()), ..filter() }),
        (false, Filter { types: Some(["lost".to_owned()].into()), ..filter() }),
        (true, Filter { cgroup: Some(CgroupPath::from("/a")), ..filter() }),
        (false, Filter { cgroup: Some(CgroupPath::from("/a/b2")), ..filter() }),
        (true, Filter { namespace: Some("shop".to_owned()), ..filter() }),
        (false, Filter { namespace: Some("sho".to_owned()), ..filter() }),
        (true, Filter { pod: Some("u-1".to_owned()), ..filter() }),
        (false, Filter { pod: Some("u-".to_owned()), ..filter() }),
        (true, Filter { container: Some("0123456789ab".to_owned()), ..filter() }),
        (false, Filter { container: Some("0123456789ac".to_owned()), ..filter() }),
        (true, Filter { since: time(10), ..filter() }),
        (false, Filter { since: time(11), ..filter() }),
    ] {
        assert_eq!(matches(&filter, &oom), wanted, "{filter:?}");
    }
}

#[test]
fn a_loss_in_the_kernel_concerns_every_subscriber() {
    let lost = event(draft(EventKind::KernelLost { records: Some(3) }));
    let types = Some(["oom_kill".to_owned()].into());
    let filter =
        Filter { types, cgroup: Some(CgroupPath::from("/a")), pod: Some("u".into()), ..Filter::default() };
    assert!(matches(&filter, &lost));
    let since = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    assert!(!matches(&Filter { since, ..Filter::default() }, &lost));
}

#[test]
fn a_cgroup_renamed_away_is_news_where_it_was() {
    let moved =
        event(at("/new/x", EventKind::CgroupCreated { renamed_from: Some(CgroupPath::from("/old/x")) }));
    for (wanted, prefix) in [(true, "/old"), (true, "/new"), (false, "/other")] {
        let filter = Filter { cgroup: Some(CgroupPath::from(prefix)), ..Filter::default() };
        assert_eq!(matches(&filter, &moved), wanted, "{prefix}");
    }
}

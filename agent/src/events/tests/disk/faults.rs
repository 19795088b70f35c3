//! A disk that takes nothing, goes away, comes back or hangs: what the memory has is served, and what is lost is reported.

use super::*;

#[tokio::test]
async fn a_directory_that_goes_while_the_agent_runs_comes_back_with_what_the_memory_has() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let log = open(100, &options);
    fill(&log, 50);
    written(&log).await;
    fs::remove_dir_all(&options.dir).unwrap();
    let mut follower = log.subscribe(Filter::default(), Start::Now);
    fill(&log, 5);
    assert_eq!(follower.next().await.unwrap().seq(), 51, "the memory serves");
    while log.disk().unwrap().errors == 0 || log.disk().unwrap().failing.is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    written(&log).await;
    close(&log);
    drop(log);
    let log = open(10, &options);
    assert_eq!(served(&all(&log, Filter::default(), Start::Oldest).await), ((1..=55).collect(), vec![]));
    close(&log);
}

#[tokio::test]
async fn without_a_disk_that_takes_them_events_are_served_and_status_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    // Root may write anywhere, but not below a file.
    fs::write(&options.dir, "in the way").unwrap();
    let log = open(100, &options);
    let mut follower = log.subscribe(Filter::default(), Start::SinceSeq(0));
    fill(&log, 20);
    for expected in 1..=20 {
        assert_eq!(follower.next().await.unwrap().seq(), expected);
    }
    let health = log.disk().unwrap();
    assert!(
        health.failing.as_ref().is_some_and(|why| why.contains("events: ")) && health.errors > 0,
        "{health:?}"
    );
    fs::remove_file(&options.dir).unwrap();
    written(&log).await;
    let health = log.disk().unwrap();
    assert_eq!((health.failing, health.written_seq, health.unsaved), (None, 20, 0));
    close(&log);
}

/// Two events must not have one number in one log.
#[tokio::test]
async fn a_log_that_could_not_be_read_at_the_start_is_gone_on_with_at_the_next() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let log = open(16, &options);
    fill(&log, 50);
    close(&log);
    let aside = folder.path().join("aside");
    fs::rename(&options.dir, &aside).unwrap();
    fs::write(&options.dir, "in the way").unwrap();
    let log = open(16, &options);
    fill(&log, 3);
    // At once: a writer that looked between two steps would make a directory of its own.
    renameat_with(CWD, &aside, CWD, &options.dir, RenameFlags::EXCHANGE).unwrap();
    while !log.disk().unwrap().failing.is_some_and(|why| why.contains("up to 50")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut follower = log.subscribe(Filter::default(), Start::Now);
    fill(&log, 1);
    assert_eq!(follower.next().await.unwrap().seq(), 4, "the memory serves");
    close(&log);
    drop(follower);
    let log = open(16, &options);
    assert_eq!(log.append(at("/n", EventKind::CgroupRemoved)), 51);
    assert_eq!(served(&all(&log, Filter::default(), Start::Oldest).await), ((1..=51).collect(), vec![]));
    close(&log);
}

#[tokio::test]
async fn what_the_memory_could_not_keep_while_the_disk_failed_is_reported_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let log = open(10, &options);
    fill(&log, 5);
    written(&log).await;
    fs::remove_dir_all(&options.dir).unwrap();
    fs::write(&options.dir, "in the way").unwrap();
    fill(&log, 1);
    while log.disk().unwrap().failing.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fill(&log, 44);
    let found = all(&log, Filter::default(), Start::SinceSeq(3)).await;
    assert_eq!(served(&found), ((41..=50).collect(), vec![(4, 40)]));
    fs::remove_file(&options.dir).unwrap();
    written(&log).await;
    assert_eq!(log.disk().unwrap().unsaved, 35, "6 to 40");
    close(&log);
}

/// A full disk takes no record, and what is in place already.
#[tokio::test]
async fn a_number_that_was_served_without_a_disk_is_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    // Each record begins a segment.
    let options = DiskOptions { max_bytes: 8, ..options(folder.path()) };
    let log = open(10, &options);
    fill(&log, 1);
    written(&log).await;
    let in_the_way = options.dir.join(format!("{:020}.log", 2));
    fs::create_dir(&in_the_way).unwrap();
    let mut follower = log.subscribe(Filter::default(), Start::Now);
    fill(&log, 4);
    for expected in 2..=5 {
        assert_eq!(follower.next().await.unwrap().seq(), expected);
    }
    close(&log);
    fs::remove_dir(&in_the_way).unwrap();
    let log = open(10, &options);
    fill(&log, 1);
    assert_eq!(served(&all(&log, Filter::default(), Start::SinceSeq(0)).await), (vec![1, 6], vec![(2, 5)]));
    close(&log);
}

/// Broken, or of a foreign hand: numbers after it would have no end.
#[test]
fn a_number_that_no_agent_gave_is_damage() {
    for file in ["served.18446744073709551615", "18446744073709551615.log", "18446744073709551614.log"] {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        let log = open(10, &options);
        fill(&log, 1);
        close(&log);
        fs::write(options.dir.join(file), "").unwrap();
        let log = open(10, &options);
        assert_eq!(log.append(at("/n", EventKind::CgroupRemoved)), 2, "{file}");
        close(&log);
    }
}

#[tokio::test]
async fn a_disk_that_hangs_holds_no_event_back_for_ever() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let folder = tempfile::tempdir().unwrap();
    // Each record begins a segment.
    let options = DiskOptions { max_bytes: 8, ..options(folder.path()) };
    let log = open(10, &options);
    fill(&log, 1);
    written(&log).await;
    let mut follower = log.subscribe(Filter::default(), Start::Now);
    // To open a FIFO for writing waits until another process reads it.
    let fifo = options.dir.join(format!("{:020}.log", 2));
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fill(&log, 1);
    let early = tokio::time::timeout(Duration::from_millis(100), follower.next()).await;
    assert!(early.is_err(), "{early:?}");
    log.serve_overdue(Duration::from_secs(3600));
    assert_eq!(follower.try_next(), None, "it has not waited so long");
    log.serve_overdue(Duration::from_millis(50));
    assert_eq!(follower.next().await.unwrap().seq(), 2);
    fill(&log, 1);
    assert_eq!(follower.next().await.unwrap().seq(), 3, "no follower waits for the disk any more");
    assert_eq!(log.disk().unwrap().served_early, 1);
    fs::remove_file(&fifo).unwrap_or_else(|err| panic!("{err}"));
    close_within(&log, Duration::from_millis(20));
}

/// The thread that hangs stays, as at the end of the agent.
fn close_within(log: &EventLog, time: Duration) {
    let begun = std::time::Instant::now();
    log.close(time);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

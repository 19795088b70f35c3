//! Load to run an agent against, by hand or from the tests.
//!
//! ```text
//! cgtap-load hog DIR MIB    enter the cgroup DIR and take MIB of memory
//! cgtap-load newborn DIR MIB    make the cgroup DIR, and then the same
//! cgtap-load willing DIR MIB    the same as the kernel's first choice, after saying `ready`
//! cgtap-load threads DIR MIB N    the same by N threads at once, after saying `ready` and their ids
//! cgtap-load hold DIR MIB     enter DIR, take MIB, say `ready`, wait
//! cgtap-load immune DIR MIB   the same, with an oom_score_adj of -1000
//! cgtap-load work DIR       enter DIR, use some processor time and memory, say `ready`, wait
//! cgtap-load burn MSEC THREADS DIR...  enter each DIR, use a processor for so long while so many more threads sleep, say how
//!                              many nanoseconds it took
//! cgtap-load listen DIR T U  enter DIR, open T listening TCP sockets and U UDP sockets on all addresses, say `ready`, wait
//! cgtap-load disk FILE DIR...  enter each DIR, say `ready`, write FILE and bring it to the disk and back, again and again
//! cgtap-load sleep DIR      enter DIR, say `ready`, wait
//! cgtap-load burst N        make and remove N cgroups
//! cgtap-load oom N [MIB]    N memory-cgroup OOM kills under a limit of MIB (20)
//! cgtap-load tree N         N pods of one container each; they stay until Enter or end of input
//! cgtap-load clean          remove the pods that a killed `tree` left
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a command line's own output")]

use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Barrier;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cgtap_tests::cgroup::TestCgroup;
use cgtap_tests::load;
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["hog", dir, mib] => hog(Path::new(dir), number(mib)?),
        ["newborn", dir, mib] => {
            std::fs::create_dir(dir).with_context(|| format!("cannot make {dir}"))?;
            hog(Path::new(dir), number(mib)?)
        }
        ["willing", dir, mib] => {
            score("1000")?;
            println!("ready");
            hog(Path::new(dir), number(mib)?)
        }
        ["threads", dir, mib, count] => threads(Path::new(dir), number(mib)?, number(count)?),
        ["hold", dir, mib] => hold(Path::new(dir), number(mib)?),
        ["immune", dir, mib] => {
            score("-1000")?;
            hold(Path::new(dir), number(mib)?)
        }
        ["work", dir] => work(Path::new(dir)),
        ["burn", msec, threads, ..] => {
            burn(number(msec)?, number(threads)?, words.get(3..).unwrap_or_default())
        }
        ["listen", dir, tcp, udp] => listen(Path::new(dir), number(tcp)?, number(udp)?),
        ["disk", file, ..] => disk(Path::new(file), words.get(2..).unwrap_or_default()),
        ["sleep", dir] => load::enter(Path::new(dir)).map(|()| wait_ready()),
        ["burst", count] => burst(number(count)?),
        ["oom", count] => oom(number(count)?, 20),
        ["oom", count, mib] => oom(number(count)?, number(mib)?),
        ["tree", count] => tree(number(count)?),
        ["clean"] => {
            load::clean();
            Ok(())
        }
        _ => bail!(
            "usage: cgtap-load hog|newborn|willing|hold|immune DIR MIB | threads DIR MIB N | work DIR | burn MSEC THREADS DIR... | disk FILE DIR... \
             | sleep DIR \
             | burst N | oom N [MIB] | tree N | clean"
        ),
    }
}

fn number<T: std::str::FromStr<Err = std::num::ParseIntError>>(text: &str) -> Result<T> {
    text.parse().with_context(|| format!("{text:?} is no number"))
}

/// For a network namespace of its own: no other process reaches it.
fn listen(dir: &Path, tcp: usize, udp: usize) -> Result<()> {
    load::enter(dir)?;
    let any = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    let tcp = (0..tcp).map(|_| std::net::TcpListener::bind(any)).collect::<std::io::Result<Vec<_>>>()?;
    let udp = (0..udp).map(|_| std::net::UdpSocket::bind(any)).collect::<std::io::Result<Vec<_>>>()?;
    wait_ready();
    drop((tcp, udp));
    Ok(())
}

fn hog(dir: &Path, mib: usize) -> Result<()> {
    load::enter(dir)?;
    let kept = take(mib);
    bail!("{} MiB were taken and the kernel killed no process", kept.len())
}

/// Written, not only reserved: the kernel charges a page when it is touched.
fn take(mib: usize) -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    for _ in 0..mib {
        kept.push(black_box(vec![1u8; 1 << 20]));
    }
    kept
}

fn score(value: &str) -> Result<()> {
    std::fs::write("/proc/self/oom_score_adj", value).with_context(|| format!("oom_score_adj {value}"))
}

fn hold(dir: &Path, mib: usize) -> Result<()> {
    load::enter(dir)?;
    let kept = take(mib);
    wait_ready();
    black_box(kept);
    Ok(())
}

/// All threads begin once all ids are printed: a killed thread prints nothing.
fn threads(dir: &Path, mib: usize, count: usize) -> Result<()> {
    load::enter(dir)?;
    let (begin, (sender, ids)) = (Barrier::new(count + 1), channel());
    std::thread::scope(|scope| {
        for _ in 0..count {
            let (sender, begin) = (sender.clone(), &begin);
            scope.spawn(move || {
                let _ = sender.send(rustix::thread::gettid().as_raw_nonzero().to_string());
                begin.wait();
                black_box(take(mib));
            });
        }
        println!("ready {}", ids.iter().take(count).collect::<Vec<_>>().join(" "));
        begin.wait();
    });
    bail!("{count} threads took {mib} MiB each and the kernel killed no process")
}

fn work(dir: &Path) -> Result<()> {
    load::enter(dir)?;
    let memory = black_box(vec![1u8; 8 << 20]);
    let begun = Instant::now();
    let mut sum = 0u64;
    while begun.elapsed() < Duration::from_millis(200) {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(1));
    }
    wait_ready();
    black_box(memory);
    Ok(())
}

/// Says it since the last cgroup was entered, and since before the first: what is counted in any of them lies between.
fn burn(msec: u64, threads: u64, dirs: &[&str]) -> Result<()> {
    let used = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
    };
    let before = used();
    for dir in dirs {
        load::enter(Path::new(dir))?;
    }
    for _ in 0..threads {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(3600)));
    }
    let begun = used();
    let mut sum = 0u64;
    while used() - begun < Duration::from_millis(msec) {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(1));
    }
    let end = used();
    println!("{} {}", (end - begun).as_nanos(), (end - before).as_nanos());
    Ok(())
}

/// The file is removed at once: what is left of it when this process is killed is nothing.
fn disk(file: &Path, dirs: &[&str]) -> Result<()> {
    for dir in dirs {
        load::enter(Path::new(dir))?;
    }
    let mut options = std::fs::File::options();
    let open = options.read(true).write(true).create_new(true).open(file);
    let (open, mut bytes) = (open.with_context(|| file.display().to_string())?, vec![1; 256 << 10]);
    std::fs::remove_file(file)?;
    println!("ready");
    loop {
        open.write_all_at(&bytes, 0)?;
        open.sync_data()?;
        // Forgotten by the kernel, so that it is read from the disk.
        rustix::fs::fadvise(&open, 0, None, rustix::fs::Advice::DontNeed)?;
        open.read_exact_at(&mut bytes, 0)?;
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Says that the work is done, and sleeps until this process is killed.
fn wait_ready() {
    println!("ready");
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn burst(count: u32) -> Result<()> {
    let cgroup = TestCgroup::new()?;
    let took = load::burst(cgroup.memory_dir()?, count)?;
    println!("{count} cgroups made and removed in {took:?}");
    Ok(())
}

fn oom(count: u32, mib: u64) -> Result<()> {
    let cgroup = TestCgroup::new()?;
    cgroup.limit_memory(mib << 20)?;
    for _ in 0..count {
        let killed = load::hog(&std::env::current_exe()?, cgroup.memory_dir()?, mib * 8)?;
        println!("killed {} in {}", killed.pid, cgroup.path());
    }
    Ok(())
}

fn tree(count: u32) -> Result<()> {
    let tree = load::Tree::make(count)?;
    println!("{} containers; Enter removes them", tree.containers.len());
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

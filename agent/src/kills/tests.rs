//! The kills of a node and those that its agents report, against a model of the kernel: any order of ring, log and count, and a
//! crash between any two deeds.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::model::EventDraft;
use kernel::{Form, Kernel, Line, MEMORY, Rung, victim};

mod kernel;

/// What happens next. A number is how many deeds an agent carries out before it crashes; most are more than there are.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The kernel counts a kill and marks its process; with `again` it will count it once more.
    Kill { again: bool, form: Form },
    /// It marks another thread of the process that it killed last, and counts nothing.
    MarkThread,
    /// The kernel writes a line, or counts again and writes the line of that.
    Line,
    /// The agent reads the ring, or the cgroup's count.
    Ring(usize),
    /// The oldest look into `/proc` is done.
    LookUp(usize),
    /// It reads this many lines of the log.
    Log(usize, usize),
    /// It reads the log to its end, and then the count.
    Count(usize),
    /// This much time passes.
    Pass(u64),
    /// The last checkpoint is on disk now.
    Save,
    /// The agent crashes, or ends in order, and after as many kills another starts.
    Restart { in_order: bool, kills: usize },
}

/// What outlives an agent.
#[derive(Default)]
struct Disk {
    /// Reported kills.
    events: Vec<(Option<Process>, SystemTime)>,
    /// The saved checkpoint, and how many events there were.
    saved: Option<(Checkpoint, usize)>,
}

struct Agent {
    kills: Kills,
    registry: Registry,
    look_ups: VecDeque<OomKill>,
    /// The cgroup's count, as far as it was reported.
    counted: u64,
    /// Lines of the log that it has read.
    read: usize,
    /// Lines that were there before it.
    old: usize,
    /// Kills are of interest after so many lines.
    after: Option<usize>,
    has_caught_up: bool,
    unsaved: Option<(Checkpoint, usize)>,
}

struct Node {
    kernel: Kernel,
    disk: Disk,
    agent: Agent,
    now: Instant,
    wall: SystemTime,
    reads_log: bool,
    /// For an agent the log did not show which kills were before it.
    was_blind: bool,
    given_up: u64,
    /// How long the kernel has had to write its lines.
    unwritten_msec: u64,
}

impl Node {
    fn new(rung: Rung, reads_log: bool) -> Self {
        let (now, wall) = (Instant::now(), UNIX_EPOCH + Duration::from_secs(1000));
        let (mut kernel, mut disk) = (Kernel::new(rung), Disk::default());
        kernel.kill(false, Form::Whole, wall);
        kernel.write_all();
        kernel.ring.clear();
        kernel.last.2 = false;
        let agent = Agent::start(&kernel, &mut disk, reads_log, wall);
        let was_blind = !reads_log;
        Self { kernel, disk, agent, now, wall, reads_log, was_blind, given_up: 0, unwritten_msec: 0 }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Kill { again, form } => {
                // Each kill has a moment of its own.
                self.wall += Duration::from_millis(1);
                self.kernel.kill(again, form, self.wall);
            }
            Step::MarkThread => self.kernel.mark_thread(self.wall),
            Step::Line => self.kernel.line(),
            Step::Ring(deeds) => {
                let kills = self.reported();
                self.take(deeds, |of, turn| kills.into_iter().for_each(|kill| of.kill(kill, turn)));
            }
            Step::LookUp(deeds) => {
                let Some(kill) = self.agent.look_ups.pop_front() else { return };
                let looked = look_up(kill);
                self.take(deeds, |kills, turn| kills.looked_up(looked, turn));
            }
            Step::Log(lines, deeds) => self.read_log(lines, false, deeds),
            Step::Count(deeds) => self.read_log(usize::MAX, true, deeds),
            Step::Pass(msec) => self.pass(msec),
            Step::Save => self.disk.saved = self.agent.unsaved.or(self.disk.saved),
            Step::Restart { in_order, kills } => {
                if in_order {
                    self.end();
                }
                self.restart(kills);
            }
        }
    }

    /// What the ring has, or by how much the cgroup's count has risen.
    fn reported(&mut self) -> Vec<OomKill> {
        if self.kernel.rung != Rung::Counts {
            return self.kernel.ring.drain(..).collect();
        }
        let risen = self.kernel.count - std::mem::replace(&mut self.agent.counted, self.kernel.count);
        let kill = OomKill {
            time: self.wall,
            source: Source::MemoryEvents,
            cgroup: None,
            path: Some(CgroupPath::from("/pod")),
            victim: Victim::default(),
            decision: Decision::default(),
        };
        vec![kill; usize::try_from(risen).unwrap()]
    }

    fn pass(&mut self, msec: u64) {
        if Duration::from_millis(msec) >= ledger::SAME_PROCESS {
            // An agent that runs reads everything long before that.
            self.settle();
        } else if msec >= 600 {
            // It reads the count twice a second.
            self.kernel.write_all();
            self.look_up_all();
            self.step(Step::Ring(usize::MAX));
            self.step(Step::Count(usize::MAX));
        }
        // The kernel writes its lines within moments.
        self.unwritten_msec += msec;
        if self.unwritten_msec >= 50 {
            self.kernel.write_all();
            self.unwritten_msec = 0;
        }
        let passed = Duration::from_millis(msec);
        (self.now, self.wall) = (self.now + passed, self.wall + passed);
        self.take(usize::MAX, |kills, turn| kills.due(turn));
        if passed >= ledger::SAME_PROCESS {
            self.step(Step::Count(usize::MAX));
        }
    }

    fn look_up_all(&mut self) {
        while !self.agent.look_ups.is_empty() {
            self.step(Step::LookUp(usize::MAX));
        }
    }

    fn read_log(&mut self, lines: usize, counts: bool, deeds: usize) {
        let (agent, kernel) = (&mut self.agent, &self.kernel);
        let until = if self.reads_log { agent.read.saturating_add(lines).min(kernel.log.len()) } else { 0 };
        let is_of_interest = |at: usize| at >= agent.old || agent.after.is_some_and(|after| at >= after);
        let line = |at: usize| {
            let Line { process, time, has_path } = kernel.log[at];
            let is_old = at < agent.old;
            OomKill {
                time: if is_old { time } else { self.wall },
                source: if is_old { Source::Recovered } else { Source::Kmsg },
                cgroup: None,
                victim: victim(process),
                path: has_path.then(|| CgroupPath::from("/pod")),
                decision: Decision::default(),
            }
        };
        let kills = (agent.read..until).filter(|at| is_of_interest(*at)).map(line).collect();
        let is_at_end = !self.reads_log || until == kernel.log.len();
        let has_caught_up = is_at_end && !agent.has_caught_up;
        let batch = LogBatch {
            kills,
            caught_up: (has_caught_up && self.reads_log).then_some(agent.after.is_some()),
            last_sequence: (self.reads_log && (is_at_end || agent.has_caught_up)).then_some(until as u64),
            log_ended: has_caught_up && !self.reads_log,
            kernel_kills: counts.then_some(kernel.count),
            ..LogBatch::default()
        };
        (agent.read, agent.has_caught_up) = (until, agent.has_caught_up || is_at_end);
        // The rings are read before anything is recovered.
        if has_caught_up {
            self.step(Step::Ring(usize::MAX));
        }
        self.take(deeds, |kills, turn| kills.log(batch, turn));
    }

    /// The agent takes a fact and carries out so many of the deeds.
    fn take(&mut self, deeds: usize, fact: impl FnOnce(&mut Kills, &mut Turn<'_>)) {
        let Agent { kills, registry, .. } = &mut self.agent;
        let mut turn = Turn { registry, now: self.now, wall: self.wall, deeds: Vec::new() };
        fact(kills, &mut turn);
        let out = turn.deeds;
        let crashes = out.len() > deeds;
        for deed in out.into_iter().take(deeds) {
            match deed {
                Deed::Report(draft) => self.disk.events.push((process_of(&draft), draft.time)),
                Deed::LookUp(kill) => self.agent.look_ups.push_back(*kill),
                Deed::Checkpoint(checkpoint) => {
                    self.agent.unsaved = Some((checkpoint, self.disk.events.len()));
                }
                Deed::GiveUp(kills) => self.given_up += kills,
                _ => {}
            }
        }
        if crashes {
            self.restart(0);
        }
    }

    /// The agent ends in order: it reports what it knows.
    fn end(&mut self) {
        self.step(Step::Ring(usize::MAX));
        self.look_up_all();
        self.take(usize::MAX, |kills, turn| kills.release(turn));
        self.step(Step::Save);
    }

    fn restart(&mut self, kills: usize) {
        if self.kernel.rung == Rung::Ring {
            self.kernel.ring.clear();
        }
        for number in 0..kills {
            self.wall += Duration::from_millis(1);
            self.kernel.kill(number % 2 == 1, Form::Whole, self.wall);
            self.kernel.write_all();
        }
        if self.kernel.rung == Rung::Ring {
            self.kernel.ring.clear();
        }
        self.agent = Agent::start(&self.kernel, &mut self.disk, self.reads_log, self.wall);
        self.was_blind |= self.agent.after.is_none();
    }

    /// Nothing more happens, and the agent has the time to see that.
    fn settle(&mut self) {
        self.kernel.write_all();
        for step in [Step::Ring(usize::MAX), Step::Count(usize::MAX), Step::Pass(600)].repeat(8) {
            self.step(step);
        }
    }
}

/// What `/proc` says of the process.
fn look_up(mut kill: OomKill) -> LookedUp {
    let found_tgid = kill.victim.tgid.is_none();
    kill.victim.tgid = kill.victim.tgid.or(kill.victim.pid);
    let path = kill.cgroup.filter(|key| key.id == 1).map(|_| CgroupPath::from("/pod"));
    LookedUp { kill, path, found_tgid }
}

fn process_of(draft: &EventDraft) -> Option<Process> {
    let crate::model::EventKind::OomKill(report) = &draft.kind else { panic!("no kill: {draft:?}") };
    report.victim.tgid.map(Process)
}

impl Agent {
    fn start(kernel: &Kernel, disk: &mut Disk, reads_log: bool, wall: SystemTime) -> Self {
        let is_first = disk.saved.is_none();
        // As `restart` saves it at a first start.
        let first = Checkpoint { kernel_kills: kernel.count, log_sequence: None };
        let (saved, seq) = *disk.saved.get_or_insert((first, disk.events.len()));
        let mut ledger = Ledger::new(saved.kernel_kills);
        disk.events.iter().take(seq).for_each(|(process, time)| ledger.remember(*process, *time));
        disk.events.iter().skip(seq).for_each(|(process, time)| ledger.resume(*process, *time));
        let kills = Kills::new(KillsAtStart {
            ledger,
            counted: Some((kernel.count, wall)),
            is_adopted: kernel.rung == Rung::PinnedRing && !is_first,
            reads_log,
            log_is_source: kernel.rung == Rung::Log,
            memory: MEMORY,
        });
        let after = saved.log_sequence.and_then(|sequence| usize::try_from(sequence).ok());
        Self {
            kills,
            registry: Registry::new(10),
            look_ups: VecDeque::new(),
            counted: kernel.count,
            read: 0,
            old: kernel.log.len(),
            after: after.filter(|_| !is_first),
            has_caught_up: false,
            unsaved: None,
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Seldom a crash in the midst of the deeds.
    let deeds = || prop_oneof![8 => Just(usize::MAX), 1 => 0usize..3];
    let form = prop_oneof![
        3 => Just(Form::Whole),
        1 => any::<bool>().prop_map(|is_found| Form::Placeless { is_found }),
        1 => Just(Form::Thread),
    ];
    let step = prop_oneof![
        4 => (any::<bool>(), form).prop_map(|(again, form)| Step::Kill { again, form }),
        1 => Just(Step::MarkThread),
        4 => Just(Step::Line),
        4 => deeds().prop_map(Step::Ring),
        2 => deeds().prop_map(Step::LookUp),
        2 => (0usize..4, deeds()).prop_map(|(lines, deeds)| Step::Log(lines, deeds)),
        4 => deeds().prop_map(Step::Count),
        3 => prop_oneof![Just(5), Just(25), Just(600), Just(11_000)].prop_map(Step::Pass),
        2 => Just(Step::Save),
        1 => (any::<bool>(), 0usize..3).prop_map(|(in_order, kills)| Step::Restart { in_order, kills }),
    ];
    proptest::collection::vec(step, 0..60)
}

/// A rung, and whether the kernel log can be read beside it.
fn rungs() -> impl Strategy<Value = (Rung, bool)> {
    use Rung::{Counts, Log, PinnedRing, Ring};
    let all = [(Ring, true), (PinnedRing, true), (Counts, true), (Counts, true), (Log, true)];
    proptest::sample::select(
        [&all[..], &all, &[(Ring, false), (PinnedRing, false), (Counts, false)]].concat(),
    )
}

/// No process is reported twice, and as many kills are reported as the kernel counted, less the repeats.
fn check(rung: Rung, reads_log: bool, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut node = Node::new(rung, reads_log);
    steps.into_iter().for_each(|step| node.step(step));
    node.settle();
    let Node { kernel, disk, given_up, was_blind, .. } = node;
    let named: Vec<Process> = disk.events.iter().filter_map(|(process, _)| *process).collect();
    let distinct: HashSet<Process> = named.iter().copied().collect();
    prop_assert_eq!(distinct.len(), named.len(), "reported twice: {:?}", disk.events);
    // One kill was before the first agent.
    let (counted, reported) = (kernel.count - 1, disk.events.len() as u64);
    let kills = counted - kernel.repeats;
    if !was_blind && rung != Rung::Counts {
        prop_assert_eq!((reported, given_up), (kills, 0), "{:?}", disk.events);
        return Ok(());
    }
    // Only the count is known, of what was before an agent or of all, and it has the repeats. A ring that was read when its
    // agent crashed has its records no more, and the log may not have them either.
    let lost = if rung == Rung::PinnedRing { given_up } else { 0 };
    prop_assert!(
        reported + lost >= kills && reported <= counted + kernel.more_marks,
        "{kills} of {counted}, {given_up} given up: {:?}",
        disk.events
    );
    Ok(())
}

/// A repeat was accounted for before its line came, and given up as too many. It takes no place in the count again.
#[test]
fn a_repeat_is_corrected_once() {
    let kill = |again| Step::Kill { again, form: Form::Whole };
    let recovered = [kill(false), Step::Line, Step::Log(2, usize::MAX), kill(false), Step::Count(0)];
    let repeated = [kill(true), Step::Pass(600), Step::Pass(600), Step::Count(usize::MAX)];
    let steps = [&recovered[..], &repeated, &[kill(false); 6]].concat();
    check(Rung::Counts, true, steps).unwrap();
}

/// The kernel log is the source, and an agent began without its place in it. What it holds back of a storm is reported after it.
#[test]
fn a_storm_after_a_start_loses_no_kill() {
    let kill = Step::Kill { again: false, form: Form::Whole };
    let begun = [Step::Restart { in_order: false, kills: 1 }, Step::Count(usize::MAX)];
    let storm = [kill, Step::Line, Step::Log(9, usize::MAX), Step::Pass(500), Step::Count(usize::MAX)];
    check(Rung::Log, true, [&begun[..], &storm.repeat(30)].concat()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, ..ProptestConfig::default() })]

    #[test]
    fn each_kill_is_reported_once((rung, reads_log) in rungs(), steps in steps()) {
        check(rung, reads_log, steps)?;
    }
}

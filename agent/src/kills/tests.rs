//! The kills of a node and those that its agents report, against a model of the kernel: any order of ring, log and count, and a
//! crash between any two deeds.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::model::EventDraft;

/// What happens next. A number is how many deeds an agent carries out before it crashes; most are more than there are.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The kernel counts a kill and marks its process; with `again` it will count it once more.
    Kill { again: bool },
    /// The kernel writes a line, or counts again and writes the line of that.
    Line,
    /// The agent reads the ring.
    Ring(usize),
    /// It reads this many lines of the log.
    Log(usize, usize),
    /// It reads the log to its end, and then the count.
    Count(usize),
    /// This much time passes.
    Pass(u64),
    /// What the last checkpoint says is on disk now.
    Save,
    /// The agent crashes, and after as many kills another starts.
    Restart { kills: usize },
}

/// The kernel. A kill is its process.
#[derive(Default)]
struct Kernel {
    count: u64,
    repeats: u64,
    last: u32,
    log: Vec<Process>,
    /// What it has still to do: lines, each perhaps after another count.
    to_do: VecDeque<(bool, Process)>,
}

impl Kernel {
    fn kill(&mut self, again: bool) -> Process {
        self.last += 1;
        let process = Process(self.last);
        self.count += 1;
        self.to_do.push_back((false, process));
        if again {
            self.to_do.push_back((true, process));
        }
        process
    }

    fn line(&mut self) {
        let Some((counts, process)) = self.to_do.pop_front() else { return };
        self.count += u64::from(counts);
        self.repeats += u64::from(counts);
        self.log.push(process);
    }

    fn write_all(&mut self) {
        while !self.to_do.is_empty() {
            self.line();
        }
    }
}

/// What outlives an agent.
#[derive(Default)]
struct Disk {
    /// Reported kills.
    events: Vec<Option<Process>>,
    /// The saved checkpoint, and how many events there were.
    saved: Option<(Checkpoint, usize)>,
}

struct Agent {
    kills: Kills,
    registry: Registry,
    ring: VecDeque<OomKill>,
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
    /// An agent could not tell from the log which kills were before it.
    was_blind: bool,
    given_up: u64,
    /// How long the kernel has had to write its lines.
    unwritten_msec: u64,
}

const MEMORY: HierarchyId = HierarchyId(4);

fn victim(process: Process) -> Victim {
    Victim { pid: Some(process.0), tgid: Some(process.0), comm: Some(b"x".to_vec()), ..Victim::default() }
}

impl Node {
    fn new() -> Self {
        let (now, wall) = (Instant::now(), UNIX_EPOCH + Duration::from_secs(1000));
        let (mut kernel, mut disk) = (Kernel::default(), Disk::default());
        kernel.kill(false);
        kernel.line();
        let agent = Agent::start(&kernel, &mut disk, wall);
        Self { kernel, disk, agent, now, wall, was_blind: false, given_up: 0, unwritten_msec: 0 }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Kill { again } => {
                // Each kill has a moment of its own.
                self.wall += Duration::from_millis(1);
                let process = self.kernel.kill(again);
                self.agent.ring.push_back(OomKill {
                    time: self.wall,
                    source: Source::TpBtf,
                    cgroup: None,
                    path: Some(CgroupPath::from("/pod")),
                    victim: victim(process),
                    decision: Decision::default(),
                });
            }
            Step::Line => self.kernel.line(),
            Step::Ring(deeds) => {
                let kills: Vec<OomKill> = self.agent.ring.drain(..).collect();
                self.take(deeds, |of, turn| kills.into_iter().for_each(|kill| of.kill(kill, turn)));
            }
            Step::Log(lines, deeds) => self.read_log(lines, false, deeds),
            Step::Count(deeds) => self.read_log(usize::MAX, true, deeds),
            Step::Pass(msec) => {
                if Duration::from_millis(msec) >= ledger::SAME_PROCESS {
                    // An agent that runs reads everything long before that.
                    self.settle();
                } else if msec >= 600 {
                    // It reads the count twice a second.
                    self.kernel.write_all();
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
            Step::Save => self.disk.saved = self.agent.unsaved.or(self.disk.saved),
            Step::Restart { kills } => self.restart(kills),
        }
    }

    fn read_log(&mut self, lines: usize, counts: bool, deeds: usize) {
        let (agent, kernel) = (&mut self.agent, &self.kernel);
        let until = agent.read.saturating_add(lines).min(kernel.log.len());
        let is_of_interest = |at: usize| at >= agent.old || agent.after.is_some_and(|after| at >= after);
        let line = |at: usize| LoggedKill {
            time: self.wall,
            is_old: at < agent.old,
            victim: victim(kernel.log[at]),
            path: Some(CgroupPath::from("/pod")),
            decision: Decision::default(),
        };
        let kills = (agent.read..until).filter(|at| is_of_interest(*at)).map(line).collect();
        let is_at_end = until == kernel.log.len();
        let batch = LogBatch {
            kills,
            caught_up: (is_at_end && !agent.has_caught_up).then_some(agent.after.is_some()),
            last_sequence: (is_at_end || agent.has_caught_up).then_some(until as u64),
            kernel_kills: counts.then_some(kernel.count),
            ..LogBatch::default()
        };
        (agent.read, agent.has_caught_up) = (until, agent.has_caught_up || is_at_end);
        // The rings are read before anything is recovered.
        if batch.caught_up.is_some() {
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
                Deed::Tell(draft) => self.disk.events.push(process_of(&draft)),
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

    fn restart(&mut self, kills: usize) {
        for number in 0..kills {
            self.kernel.kill(number % 2 == 1);
            self.kernel.write_all();
        }
        self.agent = Agent::start(&self.kernel, &mut self.disk, self.wall);
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

fn process_of(draft: &EventDraft) -> Option<Process> {
    let crate::model::EventKind::OomKill(report) = &draft.kind else { panic!("no kill: {draft:?}") };
    report.victim.tgid.map(Process)
}

impl Agent {
    fn start(kernel: &Kernel, disk: &mut Disk, wall: SystemTime) -> Self {
        let is_first = disk.saved.is_none();
        // As `restart` saves it at a first start.
        let first = Checkpoint { kernel_kills: kernel.count, log_sequence: None };
        let (saved, seq) = *disk.saved.get_or_insert((first, disk.events.len()));
        let mut ledger = Ledger::new(saved.kernel_kills);
        disk.events.iter().skip(seq).for_each(|process| ledger.resume(*process));
        let kills = Kills::new(Start {
            ledger,
            counted: Some((kernel.count, wall)),
            is_adopted: false,
            reads_log: true,
            log_is_source: false,
            memory: MEMORY,
        });
        let after = saved.log_sequence.and_then(|sequence| usize::try_from(sequence).ok());
        Self {
            kills,
            registry: Registry::new(10),
            ring: VecDeque::new(),
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
    let step = prop_oneof![
        4 => any::<bool>().prop_map(|again| Step::Kill { again }),
        4 => Just(Step::Line),
        4 => deeds().prop_map(Step::Ring),
        2 => (0usize..4, deeds()).prop_map(|(lines, deeds)| Step::Log(lines, deeds)),
        4 => deeds().prop_map(Step::Count),
        3 => prop_oneof![Just(5), Just(25), Just(600), Just(11_000)].prop_map(Step::Pass),
        2 => Just(Step::Save),
        1 => (0usize..3).prop_map(|kills| Step::Restart { kills }),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// No process is reported twice, and as many kills are reported as the kernel counted, less the repeats.
    #[test]
    fn each_kill_is_reported_once(steps in steps()) {
        let mut node = Node::new();
        steps.into_iter().for_each(|step| node.step(step));
        node.settle();
        let named: Vec<Process> = node.disk.events.iter().copied().flatten().collect();
        let distinct: HashSet<Process> = named.iter().copied().collect();
        prop_assert_eq!(distinct.len(), named.len(), "reported twice: {:?}", node.disk.events);
        // One kill was before the first agent.
        let (counted, reported) = (node.kernel.count - 1, node.disk.events.len() as u64);
        let kills = counted - node.kernel.repeats;
        if node.was_blind {
            // Only the count is known of what was before that agent, and it has the repeats.
            prop_assert!((kills..=counted).contains(&reported), "{kills} of {counted}: {:?}", node.disk.events);
        } else {
            prop_assert_eq!((reported, node.given_up), (kills, 0), "{:?}", node.disk.events);
        }
    }
}

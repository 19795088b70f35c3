//! Tries the plan and keeps what the kernel accepts.

use std::io;
use std::path::Path;

use aya::maps::{Map, MapData, PerfEventArray, RingBuf};
use aya::{Btf, Ebpf, EbpfLoader, Endianness};
use cgtap_abi::{ABSENT, Layout};

use super::attach::{Held, attach_first_accepted, pin};
use super::counters::CounterReader;
use super::error::bpf;
use super::exits::{self, ExitFeed};
use super::pin::{self, PinError, Pins};
use super::plan::{Attempt, HookPlan, Plan};
use super::probe::VMLINUX;
use super::ring::{LifecycleRing, OomRing};
use super::{KernelError, heap, program_log, self_check};
use crate::model::{CgroupKey, Hook, HookCounters, HookStatus, RungChoices, Source};

/// The object that `cargo xtask ebpf` builds; the test command proves that it is what the source builds to.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../ebpf/prebuilt/cgtap.bpf.o");

/// Sizes of the rings: powers of two, multiples of the page size.
#[derive(Clone, Copy, Debug)]
pub struct RingSizes {
    pub lifecycle_bytes: u32,
    pub oom_bytes: u32,
}

/// What is attached. Dropping it detaches everything.
#[derive(Default)]
pub struct Attached {
    /// Lifecycle records, when both `cgroup_mkdir` and `cgroup_rmdir` are attached.
    pub lifecycle: Option<LifecycleRing>,
    /// OOM records, when `mark_victim` is attached.
    pub oom: Option<OomRing>,
    /// Exits of last tasks; empty when `sched_process_exit` is not attached.
    pub exits: Vec<ExitFeed>,
    /// Each hook; counters are read through `counters`.
    pub hooks: Vec<HookStatus>,
    /// The programs' counters, when there are programs.
    pub counters: Option<CounterReader>,
    /// Holds what keeps the programs attached.
    pub guard: Guard,
}

/// Keeps the programs attached until it is dropped.
#[derive(Default)]
pub struct Guard {
    _programs: Option<Ebpf>,
    _held: Vec<Held>,
    /// Another agent must not read what is pinned before this one ends.
    _pins: Option<Pins>,
}

/// Takes over what an agent before has left pinned: rings with what has happened since, and programs that go on.
///
/// Must run inside a tokio runtime with I/O enabled.
///
/// # Errors
/// When it cannot be opened.
pub fn adopt(pins: Pins) -> Result<Attached, KernelError> {
    let links = pins.links()?;
    let maps = Maps::open(|name| pins.map(name))?;
    let rung = |hook: Hook| links.iter().find(|(known, _)| *known == hook).map(|(_, source)| *source);
    let hooks = Vec::from(Hook::ALL.map(|hook| status(hook, rung(hook), Vec::new())));
    let guard = Guard { _programs: None, _held: Vec::new(), _pins: Some(pins) };
    let attached = maps.attached(&hooks, guard)?;
    Ok(Attached { hooks, ..attached })
}

fn status(hook: Hook, rung: Option<Source>, refused: Vec<String>) -> HookStatus {
    HookStatus { hook, rung, refused, counters: HookCounters::default() }
}

/// The place of pins for what these wishes lead to.
///
/// # Errors
/// It cannot be used: see [`Pins::open`].
pub fn pins(place: &Path, wishes: RungChoices, replace: bool) -> Result<Pins, PinError> {
    let attached = pin::attached(wishes, cfg!(debug_assertions));
    Pins::open(place, &attached, OBJECT, replace)
}

/// Loads and attaches what the plan says, and pins it where that is wanted. Never fails: what the kernel refuses is in `hooks`.
///
/// Must run inside a tokio runtime with I/O enabled. `own_cgroup` is the memory cgroup of the agent itself, where it is
/// known: the layout of tasks is tried on it.
pub fn load(plan: &Plan, sizes: RingSizes, own_cgroup: Option<CgroupKey>, pins: Option<Pins>) -> Attached {
    let hooks = plan.hooks.iter();
    let mut hooks: Vec<HookStatus> =
        hooks.map(|plan| status(plan.hook, None, plan.refused.clone())).collect();
    if plan.hooks.iter().all(|hook| hook.attempts.is_empty()) {
        return Attached { hooks, ..Attached::default() };
    }
    let loaded = try_load(plan, sizes, own_cgroup, pins, &mut hooks);
    heap::give_back();
    match loaded {
        Ok(attached) => Attached { hooks, ..attached },
        Err(error) => {
            for hook in &mut hooks {
                hook.rung = None;
                hook.refused.push(format!("bpf: {error}"));
            }
            Attached { hooks, ..Attached::default() }
        }
    }
}

fn try_load(
    plan: &Plan,
    sizes: RingSizes,
    own_cgroup: Option<CgroupKey>,
    pins: Option<Pins>,
    hooks: &mut [HookStatus],
) -> Result<Attached, KernelError> {
    let btf = kernel_btf(plan);
    let mut layout = plan.layout;
    let mut programs = parse_object(&btf, &layout, sizes)?;
    if layout.structs.task_pid != ABSENT {
        let wrong = self_check::distrust(&mut programs, &mut layout.structs, own_cgroup);
        if !wrong.is_empty() {
            // The layout is frozen in what is loaded: once more, without what does not hold.
            programs = parse_object(&btf, &layout, sizes)?;
        }
        for wrong in wrong {
            tracing::warn!(why = wrong, "BTF is not trusted in this; what depends on it is absent");
            for status in hooks.iter_mut().filter(|status| !status.hook.is_tracepoint()) {
                status.refused.push(wrong.clone());
            }
        }
    }
    if cfg!(debug_assertions) {
        program_log::follow(&mut programs);
    }
    if let Some(pins) = &pins {
        pin_maps(pins, &programs);
    }
    // The rings exist before the first program runs, so none of its records is missed.
    let missing = |name: &str| KernelError(format!("the object has no map {name}"));
    let maps = Maps::open(|name| programs.take_map(name).ok_or_else(|| missing(name)))?;
    let mut held = Vec::new();
    let mut decided = !plan.needs_decisions;
    for (hook, status) in in_turn(plan, hooks) {
        if hook.hook == Hook::MarkVictim && !decided {
            status.refused.push("its decisions are wanted, and they cannot be had".into());
            continue;
        }
        attach_first_accepted(&mut programs, (&btf, &layout.structs), hook, status, &mut held);
        decided |= !hook.hook.is_tracepoint() && status.rung.is_some();
    }
    let held = match &pins {
        Some(pins) => pin(pins, held),
        None => held.into_iter().map(|(_, _, held)| held).collect(),
    };
    let guard = Guard { _programs: Some(programs), _held: held, _pins: pins };
    maps.attached(hooks, guard)
}

/// The order to attach in, as each takes some milliseconds in which the others already report.
fn in_turn<'a>(plan: &'a Plan, hooks: &'a mut [HookStatus]) -> Vec<(&'a HookPlan, &'a mut HookStatus)> {
    let mut hooks: Vec<_> = plan.hooks.iter().zip(hooks).collect();
    hooks.sort_by_key(|(plan, _)| match plan.hook {
        // A mark that comes without its decision is of a process that was dying already.
        Hook::OomKillProcess => 0,
        // Where the creation of a cgroup is reported, all that follows must be reported, above all its end.
        Hook::CgroupMkdir => 2,
        _ => 1,
    });
    hooks
}

fn pin_maps(pins: &Pins, programs: &Ebpf) {
    for name in pin::MAPS {
        let Some(map) = programs.map(name) else { continue };
        if let Err(error) = pins.pin_map(name, map) {
            tracing::error!(%error, "nothing is pinned");
            return pins.give_up();
        }
    }
}

fn parse_object(
    btf: &Result<Btf, KernelError>,
    layout: &Layout,
    sizes: RingSizes,
) -> Result<Ebpf, KernelError> {
    let log_level: u8 = if cfg!(debug_assertions) { u8::MAX } else { 0 };
    EbpfLoader::new()
        .btf(btf.as_ref().ok())
        .override_global("LAYOUT", layout, true)
        .override_global("AYA_LOG_LEVEL", &log_level, false)
        .map_max_entries("LIFECYCLE", sizes.lifecycle_bytes)
        .map_max_entries("OOM", sizes.oom_bytes)
        .load(OBJECT)
        .map_err(bpf)
}

/// BTF as aya reads it. Our own reader may have accepted what aya's does not: then the classic forms are left.
fn kernel_btf(plan: &Plan) -> Result<Btf, KernelError> {
    let typed = [Attempt::TpBtf, Attempt::Fentry];
    if plan.hooks.iter().all(|hook| !hook.attempts.iter().any(|attempt| typed.contains(attempt))) {
        return Err(KernelError("BTF: not wanted".into()));
    }
    aya_btf(Path::new(VMLINUX))
}

fn aya_btf(path: &Path) -> Result<Btf, KernelError> {
    Btf::parse_file(path, Endianness::default()).map_err(bpf)
}

/// The maps that the programs write to.
struct Maps {
    lifecycle: RingBuf<MapData>,
    oom: RingBuf<MapData>,
    exits: Vec<ExitFeed>,
    counters: CounterReader,
}

impl Maps {
    fn open(mut map: impl FnMut(&str) -> Result<Map, KernelError>) -> Result<Self, KernelError> {
        let mut ring = |name: &str| RingBuf::try_from(map(name)?).map_err(bpf);
        let (lifecycle, oom, exits) = (ring("LIFECYCLE")?, ring("OOM")?, ring("EXITS")?);
        let exits = exits::feeds(exits, PerfEventArray::try_from(map("CPU_EXITS")?).map_err(bpf)?);
        Ok(Self { lifecycle, oom, exits, counters: CounterReader::new(map("COUNTERS")?)? })
    }

    fn attached(self, hooks: &[HookStatus], guard: Guard) -> Result<Attached, KernelError> {
        let rung = |hook| HookStatus::rung(hooks, hook);
        let io = |source: io::Error| KernelError::io("ring", source);
        let lifecycle = match (rung(Hook::CgroupMkdir), rung(Hook::CgroupRmdir)) {
            (Some(_), Some(_)) => {
                let sources = hooks.iter().filter_map(|status| Some((status.hook, status.rung?)));
                Some(LifecycleRing::new(self.lifecycle, sources.collect()).map_err(io)?)
            }
            // One without the other would let the registry drift; the walk serves then.
            _ => None,
        };
        let decisions = rung(Hook::OomKillProcess);
        let oom = rung(Hook::MarkVictim).map(|marks| OomRing::new(self.oom, decisions.unwrap_or(marks)));
        let exits = if rung(Hook::SchedProcessExit).is_some() { self.exits } else { Vec::new() };
        let (oom, counters) = (oom.transpose().map_err(io)?, Some(self.counters));
        Ok(Attached { lifecycle, oom, exits, hooks: Vec::new(), counters, guard })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use cgtap_abi::{StructLayout, TraceLayout};

    use super::*;
    use crate::kernel::plan;

    /// With every member that a lifecycle program needs.
    fn known() -> StructLayout {
        StructLayout {
            cgroup_kn: 0,
            cgroup_level: 0,
            cgroup_root: 0,
            kn_id: 0,
            root_hierarchy_id: 0,
            cgroup_parent_css: 0,
            css_cgroup: 0,
            ..StructLayout::UNKNOWN
        }
    }

    /// Our reader may have been content: the classic forms serve then, so this must be an error and no panic.
    #[test]
    fn ayas_reader_refuses_damaged_btf() {
        let folder = tempfile::tempdir().unwrap();
        let sound = crate::kernel::btf::sample();
        let missing: PathBuf = folder.path().join("missing");
        assert!(aya_btf(&missing).is_err());
        for length in [0, 2, 23, 30, sound.len() / 2] {
            let path = folder.path().join(length.to_string());
            std::fs::write(&path, &sound[..length]).unwrap();
            let error = aya_btf(&path).map(|_| ()).unwrap_err().to_string();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    /// A typed program without a layout would report a process 0.
    #[test]
    fn a_layout_that_is_not_trusted_takes_the_typed_form() {
        let layout = StructLayout { victim_is_task: 1, ..StructLayout::UNKNOWN };
        let error = plan::lacks_none(Hook::MarkVictim, &layout).unwrap_err();
        assert_eq!(error, "BTF has no task_struct.pid");
        assert!(plan::lacks_none(Hook::OomKillProcess, &layout).is_err());
    }

    /// The object is loaded all the same, and only the typed forms are refused, with that line.
    #[test]
    fn without_btf_for_aya_the_next_form_is_tried() {
        let (trace, structs) = (TraceLayout::UNKNOWN, known());
        let sizes = RingSizes { lifecycle_bytes: 4096, oom_bytes: 4096 };
        let no_btf = || Err(KernelError("BTF: damaged".into()));
        if let Err(error) = parse_object(&Btf::from_sys_fs().map_err(bpf), &Layout { trace, structs }, sizes)
        {
            println!("skipped: BPF is not allowed here: {error}");
            return;
        }
        let mut programs = parse_object(&no_btf(), &Layout { trace, structs }, sizes).unwrap();
        let attempts = vec![Attempt::TpBtf, Attempt::Tracepoint { id: u64::MAX }];
        let plan = HookPlan { hook: Hook::CgroupMkdir, attempts, refused: Vec::new() };
        let mut status = status(plan.hook, None, plan.refused.clone());
        attach_first_accepted(&mut programs, (&no_btf(), &structs), &plan, &mut status, &mut Vec::new());
        assert_eq!(status.refused.len(), 2, "both forms were tried: {:?}", status.refused);
        assert_eq!(status.refused[0], "tp_btf: BTF: damaged");
        assert!(status.refused[1].starts_with("tracepoint: "), "{:?}", status.refused);
    }
}

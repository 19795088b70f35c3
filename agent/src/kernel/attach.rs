//! Attaches one program in the form that the kernel takes, and holds what keeps it attached.

use std::os::fd::{AsFd, OwnedFd};

use aya::programs::kprobe::KProbeLink;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{BtfTracePoint, FEntry, FExit, KProbe, Program, ProgramError, TracePoint};
use aya::{Btf, Ebpf};
use cgtap_abi::StructLayout;

use super::error::bpf;
use super::pin::Pins;
use super::plan::{self, Attempt, HookPlan};
use super::probe::EXIT_ENTRY;
use super::{KernelError, perf};
use crate::model::{Hook, HookStatus, Source};

/// What keeps one program attached.
pub(super) enum Held {
    /// A link, which can be pinned.
    Link(FdLink),
    /// The same, pinned: it stays when the agent goes.
    Pinned(#[expect(dead_code, reason = "held for its descriptor")] PinnedLink),
    /// A perf event, which goes with its descriptor.
    Event(#[expect(dead_code, reason = "held for its descriptor")] OwnedFd),
    /// A kprobe, which is a perf event before 5.15.
    Probe(#[expect(dead_code, reason = "held for its descriptor")] KProbeLink),
}

/// Tries the forms of a hook in their order; what keeps the one attached that the kernel took goes to `held`.
pub(super) fn attach_first_accepted(
    programs: &mut Ebpf,
    (btf, layout): (&Result<Btf, KernelError>, &StructLayout),
    plan: &HookPlan,
    status: &mut HookStatus,
    held: &mut Vec<(Hook, Source, Held)>,
) {
    for attempt in &plan.attempts {
        // The plan was made before the layout was tried.
        let holds = match attempt {
            Attempt::Tracepoint { .. } => Ok(()),
            _ => plan::lacks_none(plan.hook, layout).map_err(KernelError),
        };
        match holds.and_then(|()| attach(programs, btf, plan.hook, *attempt)) {
            Ok(links) => {
                held.extend(links.into_iter().map(|link| (plan.hook, attempt.source(), link)));
                status.rung = Some(attempt.source());
                return;
            }
            Err(error) => status.refused.push(format!("{}: {error}", attempt.source().as_str())),
        }
    }
}

/// Loads and attaches a program of the object, as the kind that it is.
macro_rules! attached {
    ($programs:ident, $kind:ty, $name:expr, load($($load:expr),*), attach($($attach:expr),*)) => {{
        let program: &mut $kind = find($programs, &$name)?;
        program.load($($load),*).map_err(bpf)?;
        program.attach($($attach),*).and_then(|id| program.take_link(id)).map_err(bpf)?
    }};
}

fn attach(
    programs: &mut Ebpf,
    btf: &Result<Btf, KernelError>,
    hook: Hook,
    attempt: Attempt,
) -> Result<Vec<Held>, KernelError> {
    let name = hook.as_str();
    let named = |form: &str| format!("{name}_{form}");
    let btf = || btf.as_ref().map_err(|error| KernelError(error.to_string()));
    Ok(match attempt {
        Attempt::TpBtf => {
            let link = attached!(programs, BtfTracePoint, named("btf"), load(name, btf()?), attach());
            vec![Held::Link(link.into())]
        }
        Attempt::Fentry if hook == Hook::SchedProcessExit => {
            let link = attached!(programs, FEntry, named("fentry"), load(EXIT_ENTRY, btf()?), attach());
            vec![Held::Link(link.into())]
        }
        Attempt::Fentry => {
            let after = attached!(programs, FExit, named("fexit"), load(name, btf()?), attach());
            let before = attached!(programs, FEntry, named("fentry"), load(name, btf()?), attach());
            vec![Held::Link(after.into()), Held::Link(before.into())]
        }
        Attempt::Kprobe => {
            let after = attached!(programs, KProbe, named("kretprobe"), load(), attach(name, 0));
            let before = attached!(programs, KProbe, named("kprobe"), load(), attach(name, 0));
            vec![Held::Probe(after), Held::Probe(before)]
        }
        Attempt::Tracepoint { id } => {
            let program: &mut TracePoint = find(programs, name)?;
            program.load().map_err(bpf)?;
            let event = perf::attach(id, program.fd().map_err(bpf)?.as_fd());
            vec![Held::Event(event.map_err(|source| KernelError::io("perf event", source))?)]
        }
    })
}

/// A program of the object, as the kind that it is.
pub(super) fn find<'a, P>(programs: &'a mut Ebpf, name: &str) -> Result<&'a mut P, KernelError>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let missing = || KernelError(format!("the object has no program {name}"));
    programs.program_mut(name).ok_or_else(missing)?.try_into().map_err(bpf)
}

/// Pins all links, or none where one cannot be.
pub(super) fn pin(pins: &Pins, held: Vec<(Hook, Source, Held)>) -> Vec<Held> {
    let event = held.iter().find(|(_, _, held)| matches!(held, Held::Event(_) | Held::Probe(_)));
    if let Some((hook, source, _)) = event {
        let (hook, rung) = (hook.as_str(), source.as_str());
        tracing::error!(hook, rung, "nothing is pinned: this form of program cannot be");
        pins.give_up();
        return held.into_iter().map(|(_, _, held)| held).collect();
    }
    let links = held.into_iter().filter_map(|(hook, source, held)| match held {
        Held::Link(link) => Some((hook, source, link)),
        _ => None,
    });
    let pinned = pins.pin_links(links.collect());
    match pinned {
        Ok(pinned) => pinned.into_iter().map(Held::Pinned).collect(),
        Err(error) => {
            tracing::error!(%error, "the programs cannot be pinned");
            pins.give_up();
            Vec::new()
        }
    }
}

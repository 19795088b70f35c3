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
            Attempt::TpBtf | Attempt::Fentry if plan.hook.is_tracepoint() => {
                plan::typed_needs(plan.hook, layout)
            }
            Attempt::TpBtf | Attempt::Fentry | Attempt::Kprobe => plan::decisions_need(layout),
            Attempt::Tracepoint { .. } => Ok(()),
        };
        let holds = holds.map_err(KernelError::Bpf);
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

fn attach(
    programs: &mut Ebpf,
    btf: &Result<Btf, KernelError>,
    hook: Hook,
    attempt: Attempt,
) -> Result<Vec<Held>, KernelError> {
    let name = hook.as_str();
    let btf = || btf.as_ref().map_err(|error| KernelError::Bpf(error.to_string()));
    match attempt {
        Attempt::TpBtf => {
            let program: &mut BtfTracePoint = find(programs, &format!("{name}_btf"))?;
            program.load(name, btf()?).map_err(bpf)?;
            let link = program.attach().and_then(|id| program.take_link(id)).map_err(bpf)?;
            Ok(vec![Held::Link(link.into())])
        }
        Attempt::Fentry if hook == Hook::SchedProcessExit => {
            let entry: &mut FEntry = find(programs, &format!("{name}_fentry"))?;
            entry.load(EXIT_ENTRY, btf()?).map_err(bpf)?;
            let link = entry.attach().and_then(|id| entry.take_link(id)).map_err(bpf)?;
            Ok(vec![Held::Link(link.into())])
        }
        Attempt::Fentry => {
            let exit: &mut FExit = find(programs, &format!("{name}_fexit"))?;
            exit.load(name, btf()?).map_err(bpf)?;
            let after = exit.attach().and_then(|id| exit.take_link(id)).map_err(bpf)?;
            let entry: &mut FEntry = find(programs, &format!("{name}_fentry"))?;
            entry.load(name, btf()?).map_err(bpf)?;
            let before = entry.attach().and_then(|id| entry.take_link(id)).map_err(bpf)?;
            Ok(vec![Held::Link(after.into()), Held::Link(before.into())])
        }
        Attempt::Kprobe => {
            let mut links = Vec::new();
            for form in ["kretprobe", "kprobe"] {
                let program: &mut KProbe = find(programs, &format!("{name}_{form}"))?;
                program.load().map_err(bpf)?;
                let link = program.attach(name, 0).and_then(|id| program.take_link(id)).map_err(bpf)?;
                links.push(Held::Probe(link));
            }
            Ok(links)
        }
        Attempt::Tracepoint { id } => {
            let program: &mut TracePoint = find(programs, name)?;
            program.load().map_err(bpf)?;
            let fd = program.fd().map_err(bpf)?;
            let event = perf::attach(id, fd.as_fd());
            let event = event.map_err(|source| KernelError::Io { path: "perf event".into(), source })?;
            Ok(vec![Held::Event(event)])
        }
    }
}

/// A program of the object, as the kind that it is.
fn find<'a, P>(programs: &'a mut Ebpf, name: &str) -> Result<&'a mut P, KernelError>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let missing = || KernelError::Bpf(format!("the object has no program {name}"));
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

//! From facts and settings to what shall be tried. Pure.

use cgtap_abi::{ABSENT, Layout, StructLayout};

use super::probe::Facts;
use crate::model::{Hook, Source};

/// Which rung a setting asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The best that works.
    Auto,
    /// This one or none.
    Only(Source),
    /// No BPF.
    None,
}

/// Settings of the two ladders.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// `--lifecycle-source`.
    pub lifecycle: Wish,
    /// `--oom-source`.
    pub oom: Wish,
}

/// What shall be tried.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Goes into the programs.
    pub(crate) layout: Layout,
    /// Each hook.
    pub(crate) hooks: Vec<HookPlan>,
}

/// What shall be tried for one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookPlan {
    /// The hook.
    pub hook: Hook,
    /// Forms to try, best first, with the tracefs number for a classic tracepoint.
    pub(crate) attempts: Vec<Attempt>,
    /// Forms that cannot work or are not wanted, and why.
    pub refused: Vec<String>,
}

/// One form of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    TpBtf,
    Tracepoint { id: u64 },
}

impl Attempt {
    pub(crate) fn source(self) -> Source {
        match self {
            Self::TpBtf => Source::TpBtf,
            Self::Tracepoint { .. } => Source::Tracepoint,
        }
    }
}

/// Decides, per hook, which forms to try in which order.
#[must_use]
pub fn plan(facts: &Facts, wishes: Wishes) -> Plan {
    let structs = facts.btf.as_ref().map_or(StructLayout::UNKNOWN, |btf| btf.layout);
    let hooks = Hook::ALL.iter().map(|hook| plan_hook(facts, wishes, *hook)).collect();
    Plan { layout: Layout { trace: facts.trace, structs }, hooks }
}

fn plan_hook(facts: &Facts, wishes: Wishes, hook: Hook) -> HookPlan {
    let wish = if hook == Hook::MarkVictim { wishes.oom } else { wishes.lifecycle };
    let mut plan = HookPlan { hook, attempts: Vec::new(), refused: Vec::new() };
    let offers = [
        (Source::TpBtf, typed(facts, hook).map(|()| Attempt::TpBtf)),
        (Source::Tracepoint, classic(facts, hook).map(|id| Attempt::Tracepoint { id })),
    ];
    for (source, offer) in offers {
        let wanted = match wish {
            Wish::Auto => true,
            Wish::Only(only) => only == source,
            Wish::None => false,
        };
        match offer {
            _ if !wanted => plan.refused.push(format!("{}: not wanted by the settings", source.as_str())),
            Ok(attempt) => plan.attempts.push(attempt),
            Err(why) => plan.refused.push(format!("{}: {why}", source.as_str())),
        }
    }
    plan
}

/// Whether BTF has the tracepoint and every member without which the record would be empty.
fn typed(facts: &Facts, hook: Hook) -> Result<(), String> {
    let btf = facts.btf.as_ref().map_err(Clone::clone)?;
    if !btf.hooks.contains(&hook) {
        return Err(format!("BTF has no btf_trace_{}", hook.tracepoint()));
    }
    let layout = &btf.layout;
    let needed: &[(u32, &str)] = match hook {
        Hook::MarkVictim if layout.victim_is_task == 0 => &[],
        Hook::MarkVictim => &[(layout.task_pid, "task_struct.pid")],
        _ => &[
            (layout.cgroup_kn, "cgroup.kn"),
            (layout.cgroup_level, "cgroup.level"),
            (layout.cgroup_root, "cgroup.root"),
            (layout.kn_id, "kernfs_node.id"),
            (layout.root_hierarchy_id, "cgroup_root.hierarchy_id"),
        ],
    };
    match needed.iter().find(|(offset, _)| *offset == ABSENT) {
        Some((_, member)) => Err(format!("BTF has no {member}")),
        None => Ok(()),
    }
}

fn classic(facts: &Facts, hook: Hook) -> Result<u64, String> {
    let found = facts.tracepoints.iter().find(|(of, _)| *of == hook).map(|(_, found)| found.clone());
    found.unwrap_or_else(|| Err("not probed".into()))
}

#[cfg(test)]
mod tests;

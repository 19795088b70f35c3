//! From facts and settings to what shall be tried. Pure.

use cgtap_abi::{ABSENT, Layout, StructLayout};

use super::probe::Facts;
use crate::model::{Hook, RungChoice, RungChoices, Source};

/// What shall be tried.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Goes into the programs.
    pub(crate) layout: Layout,
    pub(crate) hooks: Vec<HookPlan>,
    /// Marks of victims are of no use without the decisions: a setting asks for a rung that has both.
    pub(crate) needs_decisions: bool,
}

/// What shall be tried for one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookPlan {
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
    Fentry,
    Kprobe,
}

impl Attempt {
    pub(crate) fn source(self) -> Source {
        match self {
            Self::TpBtf => Source::TpBtf,
            Self::Tracepoint { .. } => Source::Tracepoint,
            Self::Fentry => Source::Fentry,
            Self::Kprobe => Source::Kprobe,
        }
    }
}

/// Decides, per hook, which forms to try in which order.
pub fn plan(facts: &Facts, wishes: RungChoices) -> Plan {
    let mut structs = facts.btf.as_ref().map_or(StructLayout::UNKNOWN, |btf| btf.layout);
    structs.may_probe = u32::from(facts.may_probe.is_ok());
    let hooks = Hook::ALL.iter().map(|hook| plan_hook(facts, wishes, *hook)).collect();
    let needs_decisions = matches!(wishes.oom, RungChoice::Only(Source::Fentry | Source::Kprobe));
    Plan { layout: Layout { trace: facts.trace, structs }, hooks, needs_decisions }
}

fn plan_hook(facts: &Facts, wishes: RungChoices, hook: Hook) -> HookPlan {
    let wish = wish_for(hook, wishes);
    let mut plan = HookPlan { hook, attempts: Vec::new(), refused: Vec::new() };
    let typed = typed(facts, hook);
    let typed_as = |attempt: Attempt| (attempt.source(), typed.clone().map(|()| attempt));
    let mut offers = Vec::new();
    if !hook.is_tracepoint() {
        // A kprobe's argument has no type that the verifier knows.
        let kprobe = facts.may_probe.clone().and(typed.clone());
        offers.extend([typed_as(Attempt::Fentry), (Source::Kprobe, kprobe.map(|()| Attempt::Kprobe))]);
    } else {
        if hook == Hook::SchedProcessExit && facts.btf.as_ref().is_ok_and(|btf| btf.exit_is_late) {
            offers.push(typed_as(Attempt::Fentry));
        }
        let tracepoint = classic(facts, hook).map(|id| Attempt::Tracepoint { id });
        offers.extend([typed_as(Attempt::TpBtf), (Source::Tracepoint, tracepoint)]);
    }
    for (source, offer) in offers {
        let wanted = match wish {
            RungChoice::Auto => true,
            RungChoice::Only(only) => only == source,
            RungChoice::None => false,
        };
        match offer {
            _ if !wanted => plan.refused.push(format!("{}: not wanted by the settings", source.as_str())),
            Ok(attempt) => plan.attempts.push(attempt),
            Err(why) => plan.refused.push(format!("{}: {why}", source.as_str())),
        }
    }
    plan
}

/// The rungs with decisions want the marks in whichever form there is. Exits are no rung: where typed programs report cgroups,
/// the first typed program that attaches reports them.
fn wish_for(hook: Hook, wishes: RungChoices) -> RungChoice {
    match (hook, wishes.oom) {
        (Hook::MarkVictim, RungChoice::Only(Source::Fentry | Source::Kprobe)) => RungChoice::Auto,
        (Hook::MarkVictim | Hook::OomKillProcess, wish) => wish,
        (Hook::SchedProcessExit, _) if wishes.lifecycle == RungChoice::Only(Source::TpBtf) => {
            RungChoice::Auto
        }
        _ => wishes.lifecycle,
    }
}

/// Whether BTF has the tracepoint or function, and every member without which its record would be empty.
fn typed(facts: &Facts, hook: Hook) -> Result<(), String> {
    let btf = facts.btf.as_ref().map_err(Clone::clone)?;
    if !btf.hooks.contains(&hook) {
        let form = if hook.is_tracepoint() { "btf_trace_" } else { "function " };
        return Err(format!("BTF has no {form}{}", hook.as_str()));
    }
    lacks_none(hook, &btf.layout)
}

/// Whether the layout has all that the program of a hook needs, other than at a classic tracepoint.
pub(super) fn lacks_none(hook: Hook, layout: &StructLayout) -> Result<(), String> {
    let needed: &[(u32, &str)] = match hook {
        Hook::OomKillProcess => &[
            (layout.oom_memcg, "oom_control.memcg"),
            (layout.oom_chosen, "oom_control.chosen"),
            (layout.memcg_cgroup, "mem_cgroup.css.cgroup"),
            (layout.task_pid, "task_struct.pid"),
            (layout.task_cgroups, "task_struct.cgroups"),
            (layout.css_set_memory, "css_set.subsys[memory_cgrp_id]"),
            (layout.cgroup_kn, "cgroup.kn"),
            (layout.cgroup_root, "cgroup.root"),
        ],
        Hook::MarkVictim if layout.victim_is_task == 0 => &[],
        Hook::MarkVictim => &[(layout.task_pid, "task_struct.pid")],
        Hook::SchedProcessExit => &[
            (layout.task_cgroups, "task_struct.cgroups"),
            (layout.css_set_tasks, "css_set.nr_tasks"),
            (layout.css_set_memory, "css_set.subsys[memory_cgrp_id]"),
            (layout.css_set_unified, "css_set.dfl_cgrp"),
            (layout.css_cgroup, "cgroup_subsys_state.cgroup"),
        ],
        // The last two take the place of the path where helpers are refused.
        _ => &[
            (layout.cgroup_kn, "cgroup.kn"),
            (layout.cgroup_level, "cgroup.level"),
            (layout.cgroup_root, "cgroup.root"),
            (layout.kn_id, "kernfs_node.id"),
            (layout.root_hierarchy_id, "cgroup_root.hierarchy_id"),
            (layout.cgroup_parent_css, "cgroup.self.parent"),
            (layout.css_cgroup, "cgroup_subsys_state.cgroup"),
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

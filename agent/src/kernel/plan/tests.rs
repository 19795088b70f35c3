//! Take one capability away at a time.

use super::*;
use crate::kernel::probe::BtfFacts;
use cgtap_abi::TraceLayout;

const AUTO: RungChoices = RungChoices { lifecycle: RungChoice::Auto, oom: RungChoice::Auto };

/// Those with two forms.
fn tracepoints() -> impl Iterator<Item = Hook> {
    Hook::ALL.into_iter().filter(|hook| hook.is_tracepoint() && *hook != Hook::SchedProcessExit)
}

fn everything() -> Facts {
    let layout = StructLayout {
        cgroup_kn: 8,
        cgroup_level: 16,
        cgroup_root: 24,
        kn_id: 0,
        root_hierarchy_id: 4,
        victim_is_task: 1,
        task_pid: 12,
        task_cgroups: 32,
        css_set_memory: 40,
        css_set_tasks: 64,
        css_set_unified: 72,
        css_cgroup: 48,
        cgroup_parent_css: 56,
        oom_memcg: 0,
        oom_chosen: 8,
        memcg_cgroup: 0,
        ..StructLayout::UNKNOWN
    };
    Facts {
        btf: Ok(BtfFacts { layout, hooks: Hook::ALL.to_vec(), exit_is_late: false }),
        may_probe: Ok(()),
        trace: TraceLayout::UNKNOWN,
        tracepoints: tracepoints().map(|hook| (hook, Ok(100 + hook as u64))).collect(),
    }
}

fn sources(facts: &Facts, wishes: RungChoices, hook: Hook) -> Vec<Source> {
    let plan = plan(facts, wishes);
    let hook = plan.hooks.iter().find(|plan| plan.hook == hook).unwrap();
    hook.attempts.iter().map(|attempt| attempt.source()).collect()
}

fn refused(facts: &Facts, wishes: RungChoices, hook: Hook) -> Vec<String> {
    plan(facts, wishes).hooks.into_iter().find(|plan| plan.hook == hook).unwrap().refused
}

#[test]
fn with_everything_the_typed_form_comes_first() {
    for hook in tracepoints() {
        assert_eq!(sources(&everything(), AUTO, hook), [Source::TpBtf, Source::Tracepoint], "{hook:?}");
    }
    assert_eq!(sources(&everything(), AUTO, Hook::OomKillProcess), [Source::Fentry, Source::Kprobe]);
    assert_eq!(plan(&everything(), AUTO).layout.structs.may_probe, 1);
}

#[test]
fn an_exit_is_reported_before_its_memory_is_given_up_where_the_tracepoint_comes_after() {
    let mut facts = everything();
    assert_eq!(sources(&facts, AUTO, Hook::SchedProcessExit), [Source::TpBtf]);
    facts.btf.as_mut().unwrap().exit_is_late = true;
    for lifecycle in [RungChoice::Auto, RungChoice::Only(Source::TpBtf)] {
        let wishes = RungChoices { lifecycle, ..AUTO };
        assert_eq!(sources(&facts, wishes, Hook::SchedProcessExit), [Source::Fentry, Source::TpBtf]);
    }
    for lifecycle in [RungChoice::None, RungChoice::Only(Source::Tracepoint), RungChoice::Only(Source::Walk)]
    {
        assert_eq!(sources(&facts, RungChoices { lifecycle, ..AUTO }, Hook::SchedProcessExit), []);
    }
}

#[test]
fn without_btf_the_classic_form_serves_and_the_reason_is_kept() {
    let facts = Facts { btf: Err("no such file".into()), ..everything() };
    assert_eq!(sources(&facts, AUTO, Hook::CgroupMkdir), [Source::Tracepoint]);
    assert_eq!(refused(&facts, AUTO, Hook::CgroupMkdir), ["tp_btf: no such file"]);
}

#[test]
fn a_missing_member_takes_the_typed_form_of_the_hooks_that_need_it() {
    let mut facts = everything();
    facts.btf.as_mut().unwrap().layout.kn_id = ABSENT;
    assert_eq!(refused(&facts, AUTO, Hook::CgroupRmdir), ["tp_btf: BTF has no kernfs_node.id"]);
    assert_eq!(sources(&facts, AUTO, Hook::MarkVictim), [Source::TpBtf, Source::Tracepoint]);
}

#[test]
fn a_pid_argument_needs_no_member_of_the_task() {
    let mut facts = everything();
    let layout = &mut facts.btf.as_mut().unwrap().layout;
    (layout.victim_is_task, layout.task_pid) = (0, ABSENT);
    assert_eq!(sources(&facts, AUTO, Hook::MarkVictim), [Source::TpBtf, Source::Tracepoint]);
}

#[test]
fn without_tracefs_only_the_typed_form_is_left() {
    let tracepoints = tracepoints().map(|hook| (hook, Err("tracefs: not permitted".into()))).collect();
    let facts = Facts { tracepoints, ..everything() };
    assert_eq!(sources(&facts, AUTO, Hook::CgroupRename), [Source::TpBtf]);
    assert_eq!(refused(&facts, AUTO, Hook::CgroupRename), ["tracepoint: tracefs: not permitted"]);
}

#[test]
fn settings_force_a_form_for_each_ladder() {
    let wishes = RungChoices { lifecycle: RungChoice::Only(Source::Tracepoint), oom: RungChoice::None };
    assert_eq!(sources(&everything(), wishes, Hook::CgroupMkdir), [Source::Tracepoint]);
    assert_eq!(sources(&everything(), wishes, Hook::MarkVictim), []);
    assert_eq!(refused(&everything(), wishes, Hook::MarkVictim).len(), 2);
}

#[test]
fn without_helpers_typed_loads_are_left() {
    let refusal = "bpf_probe_read_kernel is refused";
    let tracepoints = tracepoints().map(|hook| (hook, Err(refusal.into()))).collect();
    let facts = Facts { may_probe: Err(refusal.into()), tracepoints, ..everything() };
    assert_eq!(sources(&facts, AUTO, Hook::OomKillProcess), [Source::Fentry]);
    assert_eq!(refused(&facts, AUTO, Hook::OomKillProcess), [format!("kprobe: {refusal}")]);
    assert_eq!(sources(&facts, AUTO, Hook::CgroupMkdir), [Source::TpBtf]);
    assert_eq!(plan(&facts, AUTO).layout.structs.may_probe, 0);
}

#[test]
fn a_rung_with_decisions_takes_the_marks_in_any_form() {
    for (rung, needs) in [(Source::Fentry, true), (Source::Kprobe, true), (Source::TpBtf, false)] {
        let wishes = RungChoices { lifecycle: RungChoice::None, oom: RungChoice::Only(rung) };
        assert_eq!(plan(&everything(), wishes).needs_decisions, needs);
        let (entry, marks) =
            if needs { (vec![rung], vec![Source::TpBtf, Source::Tracepoint]) } else { (vec![], vec![rung]) };
        assert_eq!(sources(&everything(), wishes, Hook::OomKillProcess), entry);
        assert_eq!(sources(&everything(), wishes, Hook::MarkVictim), marks);
    }
}

#[test]
fn a_kernel_without_the_function_has_no_decisions() {
    let mut facts = everything();
    facts.btf.as_mut().unwrap().hooks.retain(|hook| *hook != Hook::OomKillProcess);
    let why = "BTF has no function oom_kill_process";
    assert_eq!(
        refused(&facts, AUTO, Hook::OomKillProcess),
        [format!("fentry: {why}"), format!("kprobe: {why}")]
    );
}

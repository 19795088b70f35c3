//! Take one capability away at a time.

use super::*;
use crate::kernel::probe::BtfFacts;
use cgtap_abi::TraceLayout;

const AUTO: Wishes = Wishes { lifecycle: Wish::Auto, oom: Wish::Auto };

fn everything() -> Facts {
    let layout = StructLayout {
        cgroup_kn: 8,
        cgroup_level: 16,
        cgroup_root: 24,
        kn_id: 0,
        root_hierarchy_id: 4,
        victim_is_task: 1,
        task_pid: 12,
        ..StructLayout::UNKNOWN
    };
    Facts {
        btf: Ok(BtfFacts { layout, hooks: Hook::ALL.to_vec() }),
        trace: TraceLayout::UNKNOWN,
        tracepoints: Hook::ALL.iter().map(|hook| (*hook, Ok(100 + *hook as u64))).collect(),
    }
}

fn sources(facts: &Facts, wishes: Wishes, hook: Hook) -> Vec<Source> {
    let plan = plan(facts, wishes);
    let hook = plan.hooks.iter().find(|plan| plan.hook == hook).unwrap();
    hook.attempts.iter().map(|attempt| attempt.source()).collect()
}

fn refused(facts: &Facts, wishes: Wishes, hook: Hook) -> Vec<String> {
    plan(facts, wishes).hooks.into_iter().find(|plan| plan.hook == hook).unwrap().refused
}

#[test]
fn with_everything_the_typed_form_comes_first() {
    for hook in Hook::ALL {
        assert_eq!(sources(&everything(), AUTO, hook), [Source::TpBtf, Source::Tracepoint], "{hook:?}");
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
    let tracepoints = Hook::ALL.iter().map(|hook| (*hook, Err("tracefs: not permitted".into()))).collect();
    let facts = Facts { tracepoints, ..everything() };
    assert_eq!(sources(&facts, AUTO, Hook::CgroupRename), [Source::TpBtf]);
    assert_eq!(refused(&facts, AUTO, Hook::CgroupRename), ["tracepoint: tracefs: not permitted"]);
}

#[test]
fn settings_force_a_form_for_each_ladder() {
    let wishes = Wishes { lifecycle: Wish::Only(Source::Tracepoint), oom: Wish::None };
    assert_eq!(sources(&everything(), wishes, Hook::CgroupMkdir), [Source::Tracepoint]);
    assert_eq!(sources(&everything(), wishes, Hook::MarkVictim), []);
    assert_eq!(refused(&everything(), wishes, Hook::MarkVictim).len(), 2);
}

//! Kills reported are the kills that the kernel counted and the processes that were seen to die, on every rung: one
//! test per case and rung.
//!
//! | module | has |
//! |---|---|
//! | [`watch`] | an agent on one rung, and the kernel's own count |
//! | [`wanted`] | the fields that an event must have, and those that a rung may lack |
//! | [`cases`] | which limit is reached, and by which process |

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use cgtap_tests::hierarchies::Hierarchies;
use cgtap_tests::host::{Check, Rung, machine_of_ours, may_lower_oom_score, memory_cgroups, skip_unless};

mod cases;
mod wanted;
mod watch;

use watch::Watch;

/// Best first.
const OOM_RUNGS: [Rung; 7] = [
    Rung::Fentry,
    Rung::Kprobe,
    Rung::TpBtf,
    Rung::Tracepoint,
    Rung::MemoryEvents,
    Rung::OomControl,
    Rung::Kmsg,
];

fn case(name: &str, rung: Rung, also: fn() -> Check, body: fn(&Watch)) {
    case_with(name, rung, None, also, body);
}

/// With cgroup events by that rung instead of the best.
fn case_with(name: &str, rung: Rung, lifecycle: Option<Rung>, also: fn() -> Check, body: fn(&Watch)) {
    // `live::oom_matrix::...`: a skipped test is named as the test runner names it.
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    if skip_unless(name, memory_cgroups().and_then(|()| rung.must_serve()).and_then(|()| also())) {
        return;
    }
    // The kernel logs 10 kills in 5 s. So a test of the kernel log must be the only one with kills.
    if rung == Rung::Kmsg {
        let _alone = KILLS.write().unwrap_or_else(PoisonError::into_inner);
        if machine_of_ours().is_err() {
            std::thread::sleep(LOG_INTERVAL);
        }
        body(&Watch::start(rung, lifecycle));
    } else {
        let _beside_others = KILLS.read().unwrap_or_else(PoisonError::into_inner);
        body(&Watch::start(rung, lifecycle));
    }
}

/// Held by each test of a kill.
static KILLS: RwLock<()> = RwLock::new(());

/// `DEFAULT_RATELIMIT_INTERVAL` of the kernel, and a little more.
const LOG_INTERVAL: Duration = Duration::from_millis(5_200);

fn anywhere() -> Check {
    Ok(())
}

fn group_kills() -> Check {
    match Hierarchies::of_this_host() {
        Ok(hierarchies) if hierarchies.memory_is_v2() => Ok(()),
        Ok(_) => Err("needs memory.oom.group, which cgroup v1 does not have".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

macro_rules! on_each_rung {
    ($($module:ident $rung:ident),*) => {$(
        mod $module {
            use super::{anywhere, case, cases, group_kills, machine_of_ours, may_lower_oom_score};

            const RUNG: super::Rung = super::Rung::$rung;

            #[test]
            fn the_limit_of_a_leaf() {
                case(concat!(module_path!(), "::the_limit_of_a_leaf"), RUNG, anywhere, cases::leaf);
            }

            #[test]
            fn the_limit_of_a_pod() {
                case(concat!(module_path!(), "::the_limit_of_a_pod"), RUNG, anywhere, cases::pod);
            }

            #[test]
            fn a_cgroup_made_an_instant_before() {
                let name = concat!(module_path!(), "::a_cgroup_made_an_instant_before");
                case(name, RUNG, anywhere, cases::newborn);
            }

            #[test]
            fn a_machine_without_memory() {
                let name = concat!(module_path!(), "::a_machine_without_memory");
                case(name, RUNG, machine_of_ours, cases::machine);
            }

            #[test]
            fn five_processes_that_go_together() {
                let name = concat!(module_path!(), "::five_processes_that_go_together");
                case(name, RUNG, group_kills, cases::group);
            }

            #[test]
            fn a_victim_with_threads() {
                case(concat!(module_path!(), "::a_victim_with_threads"), RUNG, anywhere, cases::threads);
            }

            #[test]
            fn a_victim_that_shares_its_memory() {
                let name = concat!(module_path!(), "::a_victim_that_shares_its_memory");
                case(name, RUNG, anywhere, cases::shared);
            }

            #[test]
            fn a_member_that_must_not_die() {
                let name = concat!(module_path!(), "::a_member_that_must_not_die");
                case(name, RUNG, may_lower_oom_score, cases::immune);
            }

            #[test]
            fn a_hundred_kills() {
                case(concat!(module_path!(), "::a_hundred_kills"), RUNG, anywhere, cases::hundred);
            }
        }
    )*};
}

on_each_rung!(
    fentry Fentry,
    kprobe Kprobe,
    tp_btf TpBtf,
    tracepoint Tracepoint,
    memory_events MemoryEvents,
    oom_control OomControl,
    kmsg Kmsg
);

/// Without BPF an agent learns later of a cgroup.
mod watched_directories {
    use super::{Rung, anywhere, case_with, cases};

    fn newborn(test: &str, rung: Rung) {
        let name = format!("{}::{test}", module_path!());
        case_with(&name, rung, Some(Rung::Inotify), anywhere, cases::newborn);
    }

    #[test]
    fn a_cgroup_made_an_instant_before_by_memory_events() {
        newborn("a_cgroup_made_an_instant_before_by_memory_events", Rung::MemoryEvents);
    }

    #[test]
    fn a_cgroup_made_an_instant_before_by_oom_control() {
        newborn("a_cgroup_made_an_instant_before_by_oom_control", Rung::OomControl);
    }

    #[test]
    fn a_cgroup_made_an_instant_before_by_kmsg() {
        newborn("a_cgroup_made_an_instant_before_by_kmsg", Rung::Kmsg);
    }
}

//! Which rungs of both ladders this host offers, which serves, and why the others do not.

use crate::config::Config;
use crate::files::{HostRoot, KernelLog, KillCounters};
use crate::model::{CgroupVersion, Hierarchy, Hook, HookStatus, Ladder, Offer, OfferState, Source};

/// The rungs that need no BPF, tried without being started.
pub(crate) fn without_bpf(config: &Config, hierarchies: &[Hierarchy]) -> Vec<(Source, Result<(), String>)> {
    let counters = |version| KillCounters::open(hierarchies, version).map(drop);
    let log = KernelLog::open(&HostRoot::new(&config.host_root), false).map(drop);
    vec![
        (Source::MemoryEvents, counters(CgroupVersion::V2)),
        (Source::OomControl, counters(CgroupVersion::V1)),
        (Source::Kmsg, log.map_err(|error| error.to_string())),
    ]
}

/// Everything that serves or could, best first.
pub(crate) fn offers(
    hooks: &[HookStatus],
    (lifecycle, tree_refused): (Source, Option<&str>),
    oom: Option<Source>,
    without_bpf: &[(Source, Result<(), String>)],
) -> Vec<Offer> {
    let mut offers = Vec::new();
    let mut add = |ladder, source, serves: bool, refused: Option<String>| {
        let state = match refused {
            _ if serves => OfferState::Serves,
            Some(why) => OfferState::Refused(why),
            None => OfferState::Offered,
        };
        offers.push(Offer { ladder, source, state });
    };
    for source in [Source::TpBtf, Source::Tracepoint] {
        add(Ladder::Lifecycle, source, lifecycle == source, refused(hooks, Hook::CgroupMkdir, source));
    }
    let watched = tree_refused.map(str::to_owned);
    add(Ladder::Lifecycle, Source::Inotify, lifecycle == Source::Inotify, watched);
    add(Ladder::Lifecycle, Source::Walk, lifecycle == Source::Walk, None);
    for source in [Source::Fentry, Source::Kprobe] {
        add(Ladder::Oom, source, oom == Some(source), refused(hooks, Hook::OomKillProcess, source));
    }
    for source in [Source::TpBtf, Source::Tracepoint] {
        add(Ladder::Oom, source, oom == Some(source), refused(hooks, Hook::MarkVictim, source));
    }
    for (source, found) in without_bpf {
        add(Ladder::Oom, *source, oom == Some(*source), found.clone().err());
    }
    offers
}

/// What a hook says of a form that is not attached, without the form's name.
fn refused(hooks: &[HookStatus], hook: Hook, source: Source) -> Option<String> {
    let start = format!("{}: ", source.as_str());
    let status = hooks.iter().find(|status| status.hook == hook)?;
    let why = status.refused.iter().find_map(|line| line.strip_prefix(&start)).map(str::to_owned);
    // An attempt for the whole object names no form.
    why.or_else(|| status.refused.iter().find(|line| line.starts_with("bpf: ")).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HookCounters;

    fn hook(hook: Hook, rung: Option<Source>, refused: &[&str]) -> HookStatus {
        let refused = refused.iter().map(|&line| line.to_owned()).collect();
        HookStatus { hook, rung, refused, counters: HookCounters::default() }
    }

    fn shown(offers: &[Offer]) -> Vec<String> {
        let state = |state: &OfferState| match state {
            OfferState::Serves => "serves".to_owned(),
            OfferState::Offered => "offered".to_owned(),
            OfferState::Refused(why) => why.clone(),
        };
        offers.iter().map(|offer| format!("{}: {}", offer.source.as_str(), state(&offer.state))).collect()
    }

    #[test]
    fn the_best_serves_and_the_others_say_why() {
        let hooks = [
            hook(Hook::CgroupMkdir, Some(Source::TpBtf), &["tracepoint: no tracefs"]),
            hook(Hook::MarkVictim, Some(Source::TpBtf), &[]),
            hook(Hook::OomKillProcess, Some(Source::Kprobe), &["fentry: not permitted"]),
        ];
        let without = [(Source::MemoryEvents, Err("on v1".to_owned())), (Source::Kmsg, Ok(()))];
        let found = offers(&hooks, (Source::TpBtf, None), Some(Source::Kprobe), &without);
        let wanted = [
            "tp_btf: serves",
            "tracepoint: no tracefs",
            "inotify: offered",
            "walk: offered",
            "fentry: not permitted",
            "kprobe: serves",
            "tp_btf: offered",
            "tracepoint: offered",
            "memory_events: on v1",
            "kmsg: offered",
        ];
        assert_eq!(shown(&found), wanted);
    }

    #[test]
    fn without_bpf_each_form_has_the_reason() {
        let hooks = [hook(Hook::CgroupMkdir, None, &["bpf: not permitted"])];
        let found = offers(&hooks, (Source::Walk, Some("no watches left")), None, &[]);
        let wanted = [
            "tp_btf: bpf: not permitted",
            "tracepoint: bpf: not permitted",
            "inotify: no watches left",
            "walk: serves",
        ];
        assert_eq!(shown(&found)[..4], wanted);
    }
}

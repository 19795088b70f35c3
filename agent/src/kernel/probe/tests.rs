//! BTF that is missing or damaged takes the typed rungs away and nothing else; one line says why.

use tempfile::NamedTempFile;

use super::*;
use crate::kernel::btf;
use crate::kernel::plan::plan;
use crate::model::{RungChoice, RungChoices, Source};

/// Facts of a kernel with classic tracepoints and this BTF.
fn facts(btf: &Path) -> Facts {
    let tracepoints = Hook::ALL.into_iter().filter(|hook| hook.is_tracepoint()).map(|hook| (hook, Ok(7)));
    Facts {
        btf: btf_facts(btf),
        may_probe: Ok(()),
        trace: TraceLayout::UNKNOWN,
        tracepoints: tracepoints.collect(),
    }
}

/// The classic forms are planned, and the one refusal of each hook is that line.
fn assert_next_rung(facts: &Facts, why: &str) {
    assert!(facts.btf.is_err());
    let planned = plan(facts, RungChoices { lifecycle: RungChoice::Auto, oom: RungChoice::Auto });
    for hook in planned.hooks {
        let sources: Vec<Source> = hook.attempts.iter().map(|attempt| attempt.source()).collect();
        if hook.hook.is_tracepoint() {
            assert_eq!(sources, [Source::Tracepoint], "{:?}", hook.hook);
            assert_eq!(hook.refused, [format!("tp_btf: {why}")]);
        } else {
            assert_eq!((sources, hook.refused.len()), (vec![], 2));
        }
        assert!(hook.refused.iter().all(|line| line.contains(why) && line.lines().count() == 1));
    }
}

fn file(bytes: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

#[test]
fn missing_btf() {
    let path = Path::new("/no/such/btf");
    assert_next_rung(&facts(path), "/no/such/btf: No such file or directory (os error 2)");
}

#[test]
fn truncated_and_corrupt_btf() {
    let sound = btf::sample();
    let mut strange = sound.clone();
    strange[24 + 7] = 31; // the first type's kind
    for (bytes, why) in [
        (vec![], "BTF: no BTF magic in this byte order"),
        (sound[..12].to_vec(), "BTF: ends too early"),
        (sound[..sound.len() / 2].to_vec(), "BTF: a section ends after the data"),
        (strange, "BTF: a kind of type that this reader does not know"),
        (b"\x7fELF not BTF at all".to_vec(), "BTF: no BTF magic in this byte order"),
    ] {
        assert_next_rung(&facts(file(&bytes).path()), why);
    }
}

#[test]
fn sound_btf_without_our_types_refuses_by_name() {
    let facts = facts(file(&btf::sample()).path());
    assert!(facts.btf.is_ok());
    let planned = plan(&facts, RungChoices { lifecycle: RungChoice::Auto, oom: RungChoice::Auto });
    let mkdir = planned.hooks.iter().find(|plan| plan.hook == Hook::CgroupMkdir).unwrap();
    assert_eq!(mkdir.refused, ["tp_btf: BTF has no btf_trace_cgroup_mkdir"]);
    assert_eq!(mkdir.attempts.len(), 1);
}

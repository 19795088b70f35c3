//! `docs/settings.md`.
//!
//! `CGTAP_BLESS=1 cargo test -p cgtap --lib settings_page` writes the page anew.

use std::fmt::Write;
use std::path::PathBuf;

use crate::config::Settings;
use crate::config::declare::{Fallback, Setting};
use crate::config::sink_keys::{SINK_KEYS, SinkKey};
use crate::config::values::Shape;

const HEAD: &str = "\
# Settings

Each setting of `cgtap serve` has a flag, a variable and a key in the file: `--host-root DIR`, `CGTAP_HOST_ROOT`,
`host_root = \"DIR\"`. Flags win over variables, variables over the file, and the file over the defaults. The file is
`/etc/cgtap/cgtap.toml`, which need not exist, or the one that `--config FILE` (`CGTAP_CONFIG`) names. It is TOML: lists
are arrays of strings, durations are strings (`\"1h 30m\"`). A list on the command line has commas between its values, and
its flag may be given more than once.

A flag, key or value that `cgtap` does not know ends it with status 2 and a message that lists what is allowed.
`cgtap config show` prints the settings in force and where each comes from, `cgtap config check FILE` checks a file, and
`cgtap config schema` prints a JSON Schema for editors.

| flag | key | default | allowed | what |
|---|---|---|---|---|
";

const NOTES: &str = "
In a glob `*` stays within one name and `**` does not: `/system.slice/**`. Globs choose what is read and shown; events are
of all cgroups. Each performance event is a descriptor for each container and processor. A common place for pins is
`/sys/fs/bpf/cgtap`. The sets of `--enable` and `--disable` are in [metrics.md](metrics.md).

## Sinks

Each table `[[sink]]`, in the file only, sends events out of the node.

| key | of kind | default | what |
|---|---|---|---|
";

#[test]
fn settings_page_is_current() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
    let mut page = HEAD.to_owned();
    for setting in Settings::declared() {
        row(&mut page, &setting);
    }
    page.push_str(NOTES);
    for SinkKey { key, kind, default, help, .. } in SINK_KEYS {
        let kind = if kind.is_empty() { "all" } else { kind };
        writeln!(page, "| `{key}` | {kind} | {default} | {help} |").unwrap();
    }
    if std::env::var_os("CGTAP_BLESS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, page, "{} is not current", file.display());
}

fn row(page: &mut String, setting: &Setting) {
    let default = match setting.default {
        Fallback::Value(value) => format!("`{value}`"),
        Fallback::Absent(text) => text.to_owned(),
    };
    let (flag, name) = (setting.flag(), setting.value_name);
    let flag = if setting.shape == Shape::Switch { format!("--{flag}") } else { format!("--{flag} {name}") };
    let help = setting.help.replace('*', "\\*");
    writeln!(page, "| `{flag}` | `{}` | {default} | {} | {help} |", setting.key, allowed(setting)).unwrap();
}

fn allowed(setting: &Setting) -> String {
    let choices: Vec<String> =
        setting.choices.iter().map(|choice| format!("`{}`", choice.get_name())).collect();
    // The size of a page is the machine's that writes this one.
    let wanted = setting.wanted.replace(&format!("{} (one page)", rustix::param::page_size()), "one page");
    [choices.join(", "), wanted].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
}

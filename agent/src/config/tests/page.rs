//! `docs/settings.md`.
//!
//! `CGTAP_BLESS=1 cargo test -p cgtap --lib settings_page` writes the page anew.

use std::fmt::Write;
use std::path::PathBuf;

use crate::config::declare::{Fallback, Setting, flag};
use crate::config::form::Form;
use crate::config::settings::SETTINGS;
use crate::config::sinks::SINK_KEYS;

const HEAD: &str = "\
# Settings

Each setting of `cgtap serve` has a flag, a variable and a key in the file: `--host-root DIR`, `CGTAP_HOST_ROOT`,
`host_root = \"DIR\"`. Flags win over variables, variables over the file, and the file over the defaults. The file is
`/etc/cgtap/cgtap.toml`, which need not exist, or the one that `--config FILE` (`CGTAP_CONFIG`) names. It is TOML: lists
are arrays of strings, durations are strings (`\"1h 30m\"`). A list on the command line has commas between its values, and
its flag may be given more than once.

A flag, key or value that `cgtap` does not know ends it with status 2 and a message that lists what is allowed.
Only values in force are checked: a flag also replaces a value of the file that is not allowed. `cgtap config show` prints
the settings in force and where each comes from, `cgtap config check FILE` checks a file, and `cgtap config schema` prints
a JSON Schema for editors. A file that is named has at most 1 MiB and is no pipe.

| flag | key | default | allowed | what |
|---|---|---|---|---|
";

const NOTES: &str = "
In a glob `*` stays within one name and `**` does not: `/system.slice/**`. Globs choose what is read and shown; events are
of all cgroups. Each performance event is a descriptor for each container and processor. A common place for pins is
`/sys/fs/bpf/cgtap`. The sets of `--enable` and `--disable` are in [metrics.md](metrics.md).

## Sinks

Each table `[[sink]]`, in the file only, sends events out of the node. Its name and its file, with those that it rotates to,
belong to no other sink. `ca_file` and all filters are checked before the agent starts.

| key | of kind | default | allowed | what |
|---|---|---|---|---|
";

#[test]
fn settings_page_is_current() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
    let mut page = HEAD.to_owned();
    for setting in SETTINGS {
        let name = if matches!(setting.form, Form::Switch) { "" } else { setting.value_name };
        let flag = format!("--{} {name}", flag(setting.key));
        writeln!(page, "| `{}` | `{}` | {}", flag.trim(), setting.key, columns(setting)).unwrap();
    }
    page.push_str(NOTES);
    for (kind, keys) in SINK_KEYS {
        let kind = if kind.is_empty() { "all" } else { kind };
        for setting in *keys {
            writeln!(page, "| `{}` | {kind} | {}", setting.key, columns(setting)).unwrap();
        }
    }
    if std::env::var_os("CGTAP_BLESS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, page, "{} is not current", file.display());
}

/// The default, what is allowed, and the help.
fn columns(setting: &Setting) -> String {
    let default = match setting.default {
        Fallback::Required => "must be given".to_owned(),
        Fallback::Is(value) => format!("`{value}`"),
        Fallback::Absent(text) => text.to_owned(),
    };
    format!("{default} | {} | {} |", setting.form.wanted(), setting.help.trim()).replace('*', "\\*")
}

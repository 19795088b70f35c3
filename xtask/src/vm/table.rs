//! The table in `docs/kernels.md` of what events contain by kernel, layout and rung, from the results of the machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::machines::Machine;
use crate::exec;

const BEGIN: &str = "<!-- written by `cargo xtask vm --write`: begin -->";
const END: &str = "<!-- end -->";

/// The fields of one kind of event, by machine and then by rung.
type Reported = BTreeMap<(usize, String), BTreeMap<String, BTreeSet<String>>>;

/// The results of all machines so far.
#[derive(Debug, Default)]
pub(super) struct Table {
    kills: Reported,
    lifecycle: Reported,
    /// Kernel and layout by the machine's place among all.
    machines: BTreeMap<usize, (String, String)>,
}

impl Table {
    /// Adds the lines `KIND RUNG FIELD,FIELD,...` of a machine.
    pub(super) fn add(&mut self, place: usize, machine: &Machine, facts: &[String]) {
        self.machines.insert(place, (kernel(machine), machine.cgroups.to_owned()));
        for fact in facts {
            let mut words = fact.split_whitespace();
            let (Some(kind), Some(rung)) = (words.next(), words.next()) else { continue };
            let fields = words.next().unwrap_or_default().split(',').filter(|field| !field.is_empty());
            let reported = if kind == "oom_kill" { &mut self.kills } else { &mut self.lifecycle };
            let rungs = reported.entry((place, machine.name.to_owned())).or_default();
            rungs.entry(rung.to_owned()).or_default().extend(fields.map(str::to_owned));
        }
    }

    /// How many machines have results.
    pub(super) fn machines(&self) -> usize {
        self.machines.len()
    }

    /// Puts the table into the documentation.
    ///
    /// # Errors
    /// The file has no place for it, or cannot be written.
    pub(super) fn write(&self) -> Result<()> {
        let (path, text) = document()?;
        std::fs::write(&path, replaced(&text, &self.render())?).with_context(|| path.display().to_string())
    }

    /// Whether the documentation has this table.
    ///
    /// # Errors
    /// It has another; the message has the first line that differs, and what to do.
    pub(super) fn check(&self) -> Result<()> {
        let (path, text) = document()?;
        let wanted = replaced(&text, &self.render())?;
        if wanted == text {
            return Ok(());
        }
        let differs = wanted.lines().zip(text.lines()).find(|(new, old)| new != old);
        let (new, old) = differs.unwrap_or(("more lines", "fewer lines"));
        bail!(
            "{} has\n  {old}\nwhere the machines have\n  {new}\n`cargo xtask vm --write` puts it right",
            path.display()
        )
    }

    fn render(&self) -> String {
        let all: BTreeSet<&str> =
            self.kills.values().flat_map(BTreeMap::values).flatten().map(String::as_str).collect();
        let mut text =
            String::from("Fields of an `oom_kill` beside those of every event, from all rungs together: ");
        let names: Vec<String> =
            grouped(&all).map(|(group, names)| format!("{group}{}", names.join(", "))).collect();
        let _ = writeln!(text, "{}.\n", names.join("; "));
        text.push_str("| kernel | cgroups | OOM kills by | without |\n|---|---|---|---|\n");
        text.push_str(&self.rows(&self.kills, |fields| lacks(&all, fields)));
        text.push_str("\n| kernel | cgroups | cgroup events by | types |\n|---|---|---|---|\n");
        text.push_str(&self.rows(&self.lifecycle, |fields| code(fields.iter().map(String::as_str))));
        text
    }

    /// One row for all rungs of a kernel with the same fields, and for all layouts in which they have them.
    fn rows(&self, reported: &Reported, cell: impl Fn(&BTreeSet<String>) -> String) -> String {
        let mut rows: Vec<(String, Vec<String>, String, String)> = Vec::new();
        for ((place, _), rungs) in reported {
            let Some((kernel, cgroups)) = self.machines.get(place) else { continue };
            let mut by_cell: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for (rung, fields) in rungs {
                by_cell.entry(cell(fields)).or_default().push(rung);
            }
            for (cell, rungs) in by_cell {
                let rungs = code(rungs.into_iter());
                match rows.iter_mut().find(|row| row.0 == *kernel && row.2 == rungs && row.3 == cell) {
                    Some(row) => row.1.push(cgroups.clone()),
                    None => rows.push((kernel.clone(), vec![cgroups.clone()], rungs, cell)),
                }
            }
        }
        let line = |(kernel, cgroups, rungs, cell): &(String, Vec<String>, String, String)| {
            format!("| {kernel} | {} | {rungs} | {cell} |\n", cgroups.join(", "))
        };
        rows.iter().map(line).collect()
    }
}

/// The first part of the machine's name, since the patch level moves without us.
fn kernel(machine: &Machine) -> String {
    let series = machine.name.split('-').next().unwrap_or(machine.name);
    if machine.arguments.is_empty() {
        series.to_owned()
    } else {
        format!("{series}, `{}`", machine.arguments)
    }
}

fn code<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// Fields by the object that they are in: `victim.` with `pid`, `comm`; those in none come first.
fn grouped<'a>(fields: &BTreeSet<&'a str>) -> impl Iterator<Item = (String, Vec<&'a str>)> {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for field in fields {
        let (group, name) =
            field.split_once('.').map_or((String::new(), *field), |(g, n)| (format!("`{g}` "), n));
        groups.entry(group).or_default().push(name);
    }
    groups.into_iter()
}

/// Those of `all` that are not in `fields`; an object of which nothing is there is named alone.
fn lacks(all: &BTreeSet<&str>, fields: &BTreeSet<String>) -> String {
    let missing: BTreeSet<&str> = all.iter().copied().filter(|field| !fields.contains(*field)).collect();
    let of = |field: &str| field.split_once('.').map(|(object, _)| object.to_owned());
    let there: BTreeSet<String> = fields.iter().filter_map(|field| of(field)).collect();
    let mut named: Vec<String> = Vec::new();
    for field in missing {
        let name = of(field).filter(|object| !there.contains(object)).unwrap_or_else(|| field.to_owned());
        if named.last() != Some(&name) {
            named.push(name);
        }
    }
    code(named.iter().map(String::as_str))
}

fn document() -> Result<(PathBuf, String)> {
    let path = exec::root().join("docs/kernels.md");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok((path, text))
}

fn replaced(text: &str, table: &str) -> Result<String> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) =
        parts.with_context(|| format!("docs/kernels.md has no `{BEGIN}` with `{END}` after it"))?;
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::super::machines::choose;
    use super::*;

    fn table() -> Table {
        let mut table = Table::default();
        let machines = choose(&["6.1-v1".to_owned(), "6.1-v2".to_owned()]).unwrap();
        for (place, machine) in machines.into_iter().enumerate() {
            let facts =
                ["oom_kill kmsg constraint", "oom_kill kmsg victim.pid", "lifecycle walk cgroup_created"];
            table.add(place, machine, &facts.map(str::to_owned));
            table.add(place, machine, &["oom_kill fentry constraint,trigger.pid,victim.pid".to_owned()]);
        }
        table
    }

    #[test]
    fn what_is_the_same_in_two_layouts_is_one_row() {
        let text = table().render();
        assert!(text.contains("| 6.1 | v1, v2 | `kmsg` | `trigger` |\n"), "{text}");
        assert!(text.contains("| 6.1 | v1, v2 | `fentry` |  |\n"), "{text}");
        assert!(text.contains("| 6.1 | v1, v2 | `walk` | `cgroup_created` |\n"), "{text}");
        assert!(text.contains("constraint; `trigger` pid; `victim` pid."), "{text}");
    }

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(replaced(&text, "new\n").unwrap(), format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert!(replaced("a\n", "new\n").unwrap_err().to_string().contains("begin"));
    }
}

//! From the names of performance events to what this host's kernel is asked for.
//!
//! Kernel text: `Documentation/ABI/testing/sysfs-bus-event_source-devices-events`

use std::fmt::Display;
use std::sync::Arc;

use super::HostRoot;
use super::machine::topology_id;
use crate::model::{CustomEvent, PerfCode, PerfEvent, PerfPlan, PerfSection, PerfWishes, UncoreGroup};
use crate::parse::{cpu_list, perf_event_name, perf_event_names, perf_format, perf_terms, value};

const DEVICES: &str = "/sys/bus/event_source/devices";

/// Units that are looked at; a large server has about a hundred outside of its cores.
const MAX_UNITS: usize = 1024;

/// Names of events that an error lists.
const LISTED: usize = 64;

/// The processors that are online, in order; none where the kernel does not list them.
pub fn online_cpus(host: &HostRoot) -> Vec<u32> {
    host.parse("/sys/devices/system/cpu/online", cpu_list).unwrap_or_default()
}

/// What is to be counted for these wishes.
///
/// # Errors
/// For the first name that neither the operator, nor the kernel, nor this host's processor knows.
pub fn perf_plan(host: &HostRoot, wishes: &PerfWishes) -> Result<PerfPlan, String> {
    let cores = core_units(host);
    let mut plan = PerfPlan::default();
    for group in &wishes.core.groups {
        let event = |name: &String| -> Result<PerfEvent, String> {
            let code = core_code(host, &cores, name, wishes.core.custom(name))?;
            Ok(PerfEvent { name: name.as_str().into(), code })
        };
        plan.core.push(group.iter().map(event).collect::<Result<_, _>>()?);
    }
    let units = uncore_units(host);
    for group in &wishes.uncore.groups {
        add_uncore(host, &units, group, &wishes.uncore, &mut plan)?;
    }
    Ok(plan)
}

fn core_code(
    host: &HostRoot,
    cores: &[String],
    name: &str,
    custom: Option<&CustomEvent>,
) -> Result<PerfCode, String> {
    if let Some(code) = custom.map(|event| event.code).or_else(|| perf_event_name(name)) {
        return Ok(code);
    }
    match cores.iter().find(|unit| has_event(host, unit, name)) {
        Some(unit) => Ok(PerfCode { pmu: unit_type(host, unit, name)?, config: config(host, unit, name)? }),
        None => Err(unknown_core(host, cores, name)),
    }
}

fn unknown_core(host: &HostRoot, cores: &[String], name: &str) -> String {
    let own: Vec<String> = cores.iter().flat_map(|unit| event_names(host, unit)).collect();
    let own = if own.is_empty() { String::new() } else { format!(", {}", own.join(", ")) };
    let wanted = format!(
        "{}{own} (caches also with stores, prefetches, load-misses and so on), or a name of custom_events",
        perf_event_names()
    );
    format!("core event {name:?} is unknown; wanted: {wanted}")
}

/// A unit outside of the cores.
struct Uncore {
    name: Arc<str>,
    pmu: u32,
    cpus: Vec<(u32, u32)>,
}

/// Adds a group to each unit that has events of it.
fn add_uncore(
    host: &HostRoot,
    units: &[Uncore],
    group: &[String],
    section: &PerfSection,
    plan: &mut PerfPlan,
) -> Result<(), String> {
    let mut matched = vec![false; group.len()];
    for unit in units {
        let mut events = Vec::new();
        for (name, matched) in group.iter().zip(&mut matched) {
            let Some((event, code)) = uncore_code(host, unit, name, section)? else { continue };
            *matched = true;
            let twice = plan.uncore.iter().any(|known| {
                known.pmu == unit.name && known.events.iter().any(|known| *known.name == *event)
            });
            if !twice {
                events.push(PerfEvent { name: event.into(), code });
            }
        }
        if !events.is_empty() {
            plan.uncore.push(UncoreGroup { pmu: unit.name.clone(), cpus: unit.cpus.clone(), events });
        }
    }
    for (name, _) in group.iter().zip(matched).filter(|(_, matched)| !matched) {
        let (prefix, event) = split(name);
        let near: Vec<&Uncore> = units.iter().filter(|unit| is_of(&unit.name, prefix)).collect();
        if near.is_empty() || section.custom(name).or_else(|| section.custom(event)).is_some() {
            plan.absent.push(name.clone());
            continue;
        }
        let mut wanted: Vec<String> = near.iter().flat_map(|unit| event_names(host, &unit.name)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.push("a name of custom_events".to_owned());
        let wanted = wanted.join(", ");
        return Err(format!("uncore event {name:?} is unknown; wanted: {wanted}"));
    }
    Ok(())
}

/// The event's own name and code, if this unit has it.
fn uncore_code<'a>(
    host: &HostRoot,
    unit: &Uncore,
    name: &'a str,
    section: &PerfSection,
) -> Result<Option<(&'a str, PerfCode)>, String> {
    let (prefix, event) = split(name);
    if !is_of(&unit.name, prefix) {
        return Ok(None);
    }
    if let Some(custom) = section.custom(name).or_else(|| section.custom(event)) {
        // Type 0 leaves it to the name which units are meant, as in cAdvisor.
        let meant = custom.code.pmu == 0 || custom.code.pmu == unit.pmu;
        return Ok(meant.then_some((event, PerfCode { pmu: unit.pmu, config: custom.code.config })));
    }
    if !has_event(host, &unit.name, event) {
        return Ok(None);
    }
    let code = PerfCode { pmu: unit.pmu, config: config(host, &unit.name, event)? };
    Ok(Some((event, code)))
}

/// `uncore_imc/cas_count_read` is of each unit whose name begins so; a name without a unit is of all that have it.
fn split(name: &str) -> (&str, &str) {
    name.split_once('/').map_or(("uncore_", name), |(prefix, event)| (prefix, event.trim_end_matches('/')))
}

/// `uncore_imc` means `uncore_imc` and `uncore_imc_0`, not `uncore_imc_free_running`.
fn is_of(unit: &str, prefix: &str) -> bool {
    match unit.strip_prefix(prefix) {
        Some("") => true,
        Some(_) if prefix.ends_with('_') => true,
        Some(rest) => {
            rest.strip_prefix('_').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
        }
        None => false,
    }
}

/// The units of the cores: `cpu`, or on processors with unlike cores those that list their processors in `cpus`.
fn core_units(host: &HostRoot) -> Vec<String> {
    let is_core = |name: &String| name == "cpu" || host.join(format!("{DEVICES}/{name}/cpus")).exists();
    host.names(DEVICES).filter(is_core).take(MAX_UNITS).collect()
}

fn uncore_units(host: &HostRoot) -> Vec<Uncore> {
    let mut found: Vec<String> =
        host.names(DEVICES).filter(|name| name.starts_with("uncore_")).take(MAX_UNITS).collect();
    found.sort_unstable();
    let unit = |name: String| {
        let pmu = host.parse(format!("{DEVICES}/{name}/type"), value).ok()?.try_into().ok()?;
        let cpus = host.parse(format!("{DEVICES}/{name}/cpumask"), cpu_list).ok()?;
        let cpus = cpus.into_iter().map(|cpu| (cpu, socket(host, cpu))).collect();
        Some(Uncore { name: name.into(), pmu, cpus })
    };
    found.into_iter().filter_map(unit).collect()
}

/// The package of a processor; 0 where the kernel knows none.
fn socket(host: &HostRoot, cpu: u32) -> u32 {
    topology_id(host, cpu, "physical_package_id").unwrap_or(0)
}

fn unit_type(host: &HostRoot, unit: &str, event: &str) -> Result<u32, String> {
    let number = host.parse(format!("{DEVICES}/{unit}/type"), value).map_err(|error| form(event, &error))?;
    number.try_into().map_err(|error: std::num::TryFromIntError| form(event, &error))
}

/// The kernel lists the event, but not so that it can be asked for.
fn form(event: &str, why: &impl Display) -> String {
    format!("event {event:?} cannot be asked for by its name: {why}; wanted: its numbers in custom_events")
}

/// A name with a dot or a slash is no event: `NAME.scale` and `NAME.unit` stand beside it.
fn has_event(host: &HostRoot, unit: &str, event: &str) -> bool {
    let is_name = !event.is_empty() && !event.contains(['/', '.']);
    is_name && host.join(format!("{DEVICES}/{unit}/events/{event}")).is_file()
}

/// The numbers of an event that the unit lists.
fn config(host: &HostRoot, unit: &str, event: &str) -> Result<[u64; 3], String> {
    let terms = host.parse(format!("{DEVICES}/{unit}/events/{event}"), perf_terms);
    let mut config = [0; 3];
    for (term, value) in terms.map_err(|error| form(event, &error))? {
        let whole = ["config", "config1", "config2"].iter().position(|word| *word == term);
        if let Some(word) = whole.and_then(|word| config.get_mut(word)) {
            *word |= value;
            continue;
        }
        if term.contains(['/', '.']) {
            return Err(form(event, &format!("{term:?} is no term")));
        }
        let bits = host.parse(format!("{DEVICES}/{unit}/format/{term}"), perf_format);
        if !bits.map_err(|error| form(event, &error))?.put(value, &mut config) {
            return Err(form(event, &format!("{term}={value:#x} does not fit")));
        }
    }
    Ok(config)
}

fn event_names(host: &HostRoot, unit: &str) -> Vec<String> {
    let mut found: Vec<String> = host
        .names(&format!("{DEVICES}/{unit}/events"))
        .filter(|name| !name.contains('.'))
        .take(LISTED)
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests;

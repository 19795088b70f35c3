use super::*;
use crate::files::fixture::Fixture;

/// A processor with an event of its own, and two memory controllers on two packages.
fn host() -> Fixture {
    let fixture = Fixture::new();
    let file = |path: &str, text: &str| fixture.file(&format!("{}/{path}", &DEVICES[1..]), text);
    file("cpu/type", "4\n");
    file("cpu/events/mem-loads", "event=0xcd,umask=0x1,ldlat=3\n");
    file("cpu/events/mem-loads.scale", "1\n");
    file("cpu/events/odd", "event=0xcd,frontend=?\n");
    file("cpu/format/event", "config:0-7\n");
    file("cpu/format/umask", "config:8-15\n");
    file("cpu/format/ldlat", "config1:0-15\n");
    for (unit, number) in [("uncore_imc_0", "14"), ("uncore_imc_1", "15"), ("uncore_cha", "20")] {
        file(&format!("{unit}/type"), number);
        file(&format!("{unit}/cpumask"), "0,18\n");
    }
    for unit in ["uncore_imc_0", "uncore_imc_1"] {
        file(&format!("{unit}/events/cas_count_read"), "event=0x04,umask=0x03\n");
        file(&format!("{unit}/format/event"), "config:0-7\n");
        file(&format!("{unit}/format/umask"), "config:8-15\n");
    }
    fixture.file("sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n");
    fixture.file("sys/devices/system/cpu/cpu18/topology/physical_package_id", "1\n");
    fixture
}

fn section(groups: &[&[&str]], custom: &[(&str, u32, u64)]) -> PerfSection {
    let groups = groups.iter().map(|group| group.iter().map(|&name| name.to_owned()).collect()).collect();
    let custom = custom.iter().map(|&(name, pmu, config)| {
        let code = PerfCode { pmu, config: [config, 0, 0] };
        CustomEvent { name: name.to_owned(), code }
    });
    PerfSection { groups, custom: custom.collect() }
}

fn core(groups: &[&[&str]], custom: &[(&str, u32, u64)]) -> Result<Vec<Vec<PerfCode>>, String> {
    let wishes = PerfWishes { core: section(groups, custom), ..PerfWishes::default() };
    let plan = perf_plan(&host().host(), &wishes)?;
    Ok(plan.core.iter().map(|group| group.iter().map(|event| event.code).collect()).collect())
}

fn uncore(groups: &[&[&str]], custom: &[(&str, u32, u64)]) -> Result<PerfPlan, String> {
    let wishes = PerfWishes { uncore: section(groups, custom), ..PerfWishes::default() };
    perf_plan(&host().host(), &wishes)
}

#[test]
fn the_operators_own_names_then_the_kernels_then_the_processors() {
    let codes = core(&[&["cycles"], &["mem-loads", "mine"]], &[("mine", 4, 0x53_00c0)]).unwrap();
    let code = |pmu, config| PerfCode { pmu, config };
    assert_eq!(codes[0], [code(0, [0, 0, 0])]);
    assert_eq!(codes[1], [code(4, [0x1cd, 3, 0]), code(4, [0x53_00c0, 0, 0])]);
    assert_eq!(core(&[&["cycles"]], &[("cycles", 4, 1)]).unwrap(), [[code(4, [1, 0, 0])]]);
}

#[test]
fn an_unknown_name_is_refused_with_those_that_are_allowed() {
    let error = core(&[&["instructions"], &["cyclez"]], &[]).unwrap_err();
    for part in ["core event \"cyclez\"", "cycles, instructions", "mem-loads", "custom_events"] {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
    for name in ["mem-loads.scale", "../type", "", "."] {
        assert!(core(&[&[name]], &[]).unwrap_err().contains("is unknown"), "{name}");
    }
    let error = core(&[&["odd"]], &[]).unwrap_err();
    assert!(error.contains("\"odd\"") && error.contains("frontend=?"), "{error}");
}

#[test]
fn an_event_outside_of_the_cores_is_of_each_unit_that_has_it() {
    let plan = uncore(&[&["cas_count_read"]], &[]).unwrap();
    let units: Vec<&str> = plan.uncore.iter().map(|group| &*group.pmu).collect();
    assert_eq!(units, ["uncore_imc_0", "uncore_imc_1"]);
    assert_eq!(plan.uncore[1].cpus, [(0, 0), (18, 1)]);
    assert_eq!(plan.uncore[1].events[0].code, PerfCode { pmu: 15, config: [0x304, 0, 0] });
    let one = uncore(&[&["uncore_imc_1/cas_count_read"], &["uncore_imc/cas_count_read"]], &[]).unwrap();
    let units: Vec<&str> = one.uncore.iter().map(|group| &*group.pmu).collect();
    assert_eq!(units, ["uncore_imc_1", "uncore_imc_0"], "each once");
    assert_eq!(&*one.uncore[0].events[0].name, "cas_count_read");
}

#[test]
fn numbers_of_ones_own_are_of_their_type_or_of_all_units_of_the_name() {
    let typed = uncore(&[&["clocks"]], &[("clocks", 15, 0xff)]).unwrap();
    assert_eq!(typed.uncore.iter().map(|group| &*group.pmu).collect::<Vec<_>>(), ["uncore_imc_1"]);
    let named = uncore(&[&["uncore_imc/clocks"]], &[("clocks", 0, 0xff)]).unwrap();
    let codes: Vec<PerfCode> = named.uncore.iter().map(|group| group.events[0].code).collect();
    assert_eq!(codes, [14, 15].map(|pmu| PerfCode { pmu, config: [0xff, 0, 0] }));
}

/// One file of settings is for all nodes, and a virtual machine has no such units.
#[test]
fn what_this_host_has_no_unit_for_is_absent() {
    assert_eq!(uncore(&[&["uncore_upi/x"]], &[]).unwrap().absent, ["uncore_upi/x"]);
    let wishes = PerfWishes { uncore: section(&[&["cas_count_read"]], &[]), ..PerfWishes::default() };
    let plan = perf_plan(&Fixture::new().host(), &wishes).unwrap();
    assert_eq!((plan.uncore.len(), plan.absent.len()), (0, 1));
    let error = uncore(&[&["uncore_imc/cas_count"]], &[]).unwrap_err();
    assert!(
        error.contains("uncore event \"uncore_imc/cas_count\"") && error.contains("cas_count_read"),
        "{error}"
    );
}

#[test]
fn online_processors() {
    let fixture = Fixture::new();
    assert_eq!(online_cpus(&fixture.host()), [0_u32; 0]);
    fixture.file("sys/devices/system/cpu/online", "0-1,4\n");
    assert_eq!(online_cpus(&fixture.host()), [0, 1, 4]);
}

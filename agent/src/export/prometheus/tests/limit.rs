//! A page with a limit on its samples.

use super::*;

fn page(max_series: u64) -> String {
    let unit = Identity { role: Role::Unit, ..Identity::default() };
    let cgroups = vec![
        sample(b"/", root(), stats_v1()),
        sample(b"/a.service", unit, stats_v1()),
        sample(b"/pod/c", container(Runtime::Docker, None), stats_v1()),
    ];
    text(&snapshot(cgroups), &ExpositionOptions { max_series: Some(max_series), ..all_sets() })
}

/// Samples of cgroups, and whose.
fn shown(page: &str) -> (u64, BTreeSet<&str>) {
    let of_cgroups: Vec<&str> = page.lines().filter(|line| line.contains("{id=\"/")).collect();
    let whose = of_cgroups.iter().filter_map(|line| line.split('"').nth(1));
    (of_cgroups.len() as u64, whose.collect())
}

fn omitted(page: &str) -> Vec<u64> {
    let lines = page.lines().filter(|line| line.starts_with("cgtap_scrape_omitted_"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn whole_cgroups_are_left_out_the_least_important_first() {
    let whole = page(1_000_000);
    let (all, _) = shown(&whole);
    assert_eq!(omitted(&whole), [0, 0]);
    let of = |id: &str| whole.lines().filter(|line| line.contains(&format!("{{id=\"{id}\""))).count() as u64;
    let (root, container) = (of("/"), of("/pod/c"));
    for (max, wanted) in [
        (all, &["/", "/a.service", "/pod/c"][..]),
        (all - 1, &["/", "/pod/c"]),
        (root + container, &["/", "/pod/c"]),
        (root + container - 1, &["/"]),
        (1, &[]),
    ] {
        let page = page(max);
        let (samples, whose) = shown(&page);
        assert_eq!(whose, wanted.iter().copied().collect(), "{max} of {all}");
        assert!(samples <= max);
        assert_eq!(omitted(&page), [3 - wanted.len() as u64, all - samples]);
    }
}

#[test]
fn without_a_limit_nothing_is_said_of_one() {
    assert_eq!(omitted(&text(&v1_host(), &all_sets())), [0; 0]);
}

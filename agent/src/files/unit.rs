//! The unit files of systemd.

use super::HostRoot;
use crate::parse::unit_description as parse;

/// Where unit files are, the most important first: `systemd.unit(5)`, "Unit File Load Path".
const DIRS: [&str; 7] = [
    "/etc/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The description in the unit's file, or in its template's; `None` when there is no such file or it has none.
pub fn unit_description(host: &HostRoot, unit: &str) -> Option<String> {
    // The name is a cgroup's: it has no slash, but may be anything else.
    let is_name = !unit.is_empty() && !unit.contains('/') && unit != "..";
    let template = unit.split_once('@').and_then(|(prefix, rest)| {
        let (_, kind) = rest.rsplit_once('.')?;
        Some(format!("{prefix}@.{kind}"))
    });
    let names = std::iter::once(unit).chain(template.as_deref()).filter(|_| is_name);
    let mut files = names.flat_map(|name| DIRS.iter().map(move |dir| format!("{dir}/{name}")));
    files.find_map(|file| parse(&host.read(file).ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;

    #[test]
    fn the_more_important_file_wins_and_a_template_stands_for_its_instances() {
        let fixture = Fixture::new();
        fixture.file("usr/lib/systemd/system/a.service", "[Unit]\nDescription=packaged\n");
        fixture.file("usr/lib/systemd/system/t@.service", "[Unit]\nDescription=of %i\n");
        let of = |unit: &str| unit_description(&fixture.host(), unit);
        assert_eq!(of("a.service").as_deref(), Some("packaged"));
        fixture.file("etc/systemd/system/a.service", "[Unit]\nDescription=own\n");
        assert_eq!(of("a.service").as_deref(), Some("own"));
        assert_eq!(of("t@x.service").as_deref(), Some("of x"));
        assert_eq!((of("b.service"), of(".."), of("../system/a.service")), (None, None, None));
    }
}

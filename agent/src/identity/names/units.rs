//! Descriptions of systemd units, read from their files.

use std::collections::HashMap;
use std::sync::Arc;

use super::{MAX_CONTAINERS, Names};
use crate::model::{CgroupPath, Identity, Role};

/// A description is one line for people.
const MAX_DESCRIPTION_BYTES: usize = 512;

/// Descriptions by unit; `None` for a unit without one, so that its files are not read again.
pub(super) type Units = HashMap<String, Option<Arc<str>>>;

impl Names {
    /// The description of the unit or slice that owns this cgroup.
    pub fn unit_of(&self, path: &CgroupPath, identity: &Identity) -> Option<Arc<str>> {
        let is_own = matches!(identity.role, Role::Unit | Role::Slice);
        let unit = str::from_utf8(path.name()).ok().filter(|_| is_own)?;
        self.read(|table| table.units.get(unit).cloned().flatten())
    }

    /// Which of these units the table does not know yet. Forgets all other units.
    pub fn unknown_units(&self, mut units: Vec<String>) -> Vec<String> {
        units.truncate(MAX_CONTAINERS);
        self.write(|table| {
            let known = std::mem::take(&mut table.units);
            let stay = |unit: &String| Some((unit.clone(), known.get(unit)?.clone()));
            table.units = units.iter().filter_map(stay).collect();
            units.retain(|unit| !table.units.contains_key(unit));
        });
        units
    }

    /// Adds the descriptions of units.
    pub fn put_units(&self, found: Vec<(String, Option<String>)>) {
        let cut = |text: String| (text.len() <= MAX_DESCRIPTION_BYTES).then(|| Arc::from(text));
        self.write(|table| {
            table.units.extend(found.into_iter().map(|(unit, text)| (unit, text.and_then(cut))));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::KeptLabels;

    #[test]
    fn unit_files_are_read_once_and_forgotten_with_the_unit() {
        let names = Names::new(KeptLabels::default());
        let units = |list: &[&str]| list.iter().map(|unit| (*unit).to_owned()).collect::<Vec<_>>();
        assert_eq!(names.unknown_units(units(&["a.service", "b.service"])), ["a.service", "b.service"]);
        names.put_units(vec![("a.service".to_owned(), Some("A".to_owned())), ("b.service".to_owned(), None)]);
        assert_eq!(names.unknown_units(units(&["a.service", "b.service"])), [""; 0]);
        let own = Identity { role: Role::Unit, ..Identity::default() };
        let of = |path: &str| names.unit_of(&CgroupPath::from(path), &own);
        assert_eq!(of("/system.slice/a.service").as_deref(), Some("A"));
        assert_eq!((of("/system.slice/b.service"), of("/a.service/x")), (None, None));
        assert_eq!(names.unknown_units(units(&["b.service"])), [""; 0]);
        assert_eq!(of("/system.slice/a.service"), None, "it has gone");
    }
}

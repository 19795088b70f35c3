//! `cgroup.stat` (v2): how many cgroups are below one, and how many of those are gone but not freed.
//!
//! Kernel text: <https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files>
//!
//! ```text
//! nr_descendants 12
//! nr_dying_descendants 3
//! ```
//! A dying cgroup is removed, but something still holds its memory. Newer kernels add lines for each controller.

use super::ParseError;
use super::keyed::{keyed, keys};
use crate::model::Descendants;

pub fn cgroup_stat(input: &[u8]) -> Result<Descendants, ParseError> {
    keys!(field_of: Descendants { b"nr_descendants" => living, b"nr_dying_descendants" => dying });
    keyed(input, field_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counts() {
        let found = cgroup_stat(b"nr_descendants 12\nnr_subsys_cpu 3\nnr_dying_descendants 4\n").unwrap();
        assert_eq!((found.living, found.dying), (Some(12), Some(4)));
    }

    #[test]
    fn garbage_is_refused() {
        for refused in [&b""[..], b"nr_descendants\n", b"nr_descendants x\n"] {
            assert!(cgroup_stat(refused).is_err(), "{refused:?}");
        }
    }
}

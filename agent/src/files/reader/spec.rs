//! One file of a cgroup: when it is read, and what is done with its text.

use std::ffi::CStr;
use std::fmt;

use super::ReadSets;
use crate::model::CgroupStats;
use crate::model::MetricSet::Process;
use crate::parse::{self, ParseError};

/// What `apply` is for a file that tells one value: `into!(memory.usage_bytes, parse::value)`.
macro_rules! into {
    ($part:ident.$field:ident, $parse:path) => {
        |text, stats| {
            let found = $parse(text)?;
            stats.$part.get_or_insert_default().$field = Some(found);
            Ok(())
        }
    };
}
pub(super) use into;

/// `pids.*` are the same on v1 and v2.
pub(super) const PIDS: &[FileSpec] = &[
    FileSpec::new(&[c"pids.current"], |sets| sets.has(Process), into!(pids.current, parse::value)),
    FileSpec::new(&[c"pids.max"], |sets| sets.has(Process), into!(pids.limit, parse::limit)),
    FileSpec::new(&[c"pids.peak"], |sets| sets.has(Process), into!(pids.peak, parse::value)),
    FileSpec::new(&[c"pids.events"], |sets| sets.has(Process), into!(pids.limit_events, parse::max_events)),
];

/// One file of a cgroup.
pub(super) struct FileSpec {
    /// Its names, best first: the first that exists is read.
    pub(super) names: &'static [&'static CStr],
    /// Which sets need it.
    pub(super) needed: fn(ReadSets) -> bool,
    /// Puts what its text tells into the stats; leaves them as they are when it refuses the text.
    pub(super) apply: fn(&[u8], &mut CgroupStats) -> Result<(), ParseError>,
    /// Not read in a cgroup that v1's `cpuacct` counts as well: v1 has it finer there.
    pub(super) yields_to_cpuacct: bool,
    /// Whether the files before it in the plan have told in this pass, to the digit, all that it would tell.
    pub(super) is_told: fn(&CgroupStats) -> bool,
    /// Read only where the kernel has huge pages of this size.
    pub(super) page_size: Option<&'static str>,
}

impl FileSpec {
    pub(super) const fn new(
        names: &'static [&'static CStr],
        needed: fn(ReadSets) -> bool,
        apply: fn(&[u8], &mut CgroupStats) -> Result<(), ParseError>,
    ) -> Self {
        Self { names, needed, apply, yields_to_cpuacct: false, is_told: |_| false, page_size: None }
    }
}

impl fmt::Debug for FileSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names).finish()
    }
}

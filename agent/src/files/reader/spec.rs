//! The row of one file of a cgroup: its names, the sets that need it, and the field that its text fills.

use std::ffi::CStr;

use super::ReadSets;
use crate::model::CgroupStats;
use crate::parse::{self, ParseError};

/// A table of files: `[names, best first] sets that need it => what becomes of the text`. Fields of [`FileSpec`] may follow.
macro_rules! files {
    ($(#[$about:meta])* $table:ident {$(
        [$($name:literal),+] $($set:ident)|+ $(but not $not:ident)? => $apply:expr $(, $field:ident: $value:expr)*;
    )+}) => {
        $(#[$about])*
        pub(super) const $table: &[FileSpec] = &[$(FileSpec {
            $($field: $value,)*
            ..FileSpec::new(
                &[$($name),+],
                |sets| ($(crate::files::reader::spec::needs!(sets $set))||+) $(&& !sets.has($not))?,
                $apply,
            )
        }),+];
    };
}
pub(super) use files;

/// Whether a set of metrics is read, or `spec`, or `peaks`.
macro_rules! needs {
    ($sets:ident spec) => {
        $sets.spec
    };
    ($sets:ident peaks) => {
        $sets.peaks
    };
    ($sets:ident $set:ident) => {
        $sets.has($set)
    };
}
pub(super) use needs;

/// Puts what a parser makes of the text into one field: `into!(memory.usage_bytes, parse::value)` of the stats of a
/// controller, `into!(.pressure.cpu, parse::pressure)` of the cgroup's.
macro_rules! into {
    (.$($field:ident).+, $parse:path) => {
        |text, stats| {
            stats.$($field).+ = Some($parse(text)?);
            Ok(())
        }
    };
    ($controller:ident.$field:ident, $parse:path) => {
        |text, stats| {
            let found = $parse(text)?;
            stats.$controller.get_or_insert_default().$field = found.into();
            Ok(())
        }
    };
}
pub(super) use into;

use crate::model::MetricSet::Process;

files! {
    /// `pids.*` are the same on v1 and v2.
    PIDS {
        [c"pids.current"] Process => into!(pids.current, parse::value);
        [c"pids.max"]     Process => into!(pids.limit, parse::limit);
        [c"pids.peak"]    Process => into!(pids.peak, parse::value);
        [c"pids.events"]  Process => into!(pids.limit_events, parse::max_events);
    }
}

#[derive(Debug)]
pub(super) struct FileSpec {
    /// Its names, best first: the first that exists is read.
    pub(super) names: &'static [&'static CStr],
    /// Which sets need it.
    pub(super) needed: fn(ReadSets) -> bool,
    /// Puts the text's values into the stats; on an error it leaves the stats as they are.
    pub(super) apply: fn(&[u8], &mut CgroupStats) -> Result<(), ParseError>,
    /// Not read in a cgroup that v1's `cpuacct` counts as well: v1 has it finer there.
    pub(super) yields_to_cpuacct: bool,
    /// Whether the files before it in the plan have already given, in this pass, exactly its values.
    pub(super) is_known: fn(&CgroupStats) -> bool,
    /// Read only where the kernel has huge pages of this size.
    pub(super) page_size: Option<&'static str>,
}

impl FileSpec {
    pub(super) const fn new(
        names: &'static [&'static CStr],
        needed: fn(ReadSets) -> bool,
        apply: fn(&[u8], &mut CgroupStats) -> Result<(), ParseError>,
    ) -> Self {
        Self { names, needed, apply, yields_to_cpuacct: false, is_known: |_| false, page_size: None }
    }
}

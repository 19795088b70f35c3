//! Which cgroups are read and shown: by globs over their paths.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::model::CgroupPath;

/// A pattern that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?}: {why}; wanted a glob of a cgroup's path, as /system.slice/*.service or /kubepods*/**")]
pub struct GlobError {
    pub pattern: String,
    /// Why it is none.
    pub why: String,
}

/// Which cgroups are shown. `*` and `?` match within one name, `**` any number of names.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// `None`: all.
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
}

impl Shown {
    /// Those that match one of `include` (all, when there is none) and none of `exclude`.
    ///
    /// # Errors
    /// For a pattern that is none.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, GlobError> {
        Ok(Self { include: globs(include)?, exclude: globs(exclude)? })
    }

    pub fn has(&self, path: &CgroupPath) -> bool {
        if self.include.is_none() && self.exclude.is_none() {
            return true;
        }
        let text = path.to_text();
        let matches = |globs: &GlobSet| globs.is_match(&*text);
        self.include.as_ref().is_none_or(matches) && !self.exclude.as_ref().is_some_and(matches)
    }
}

fn globs(patterns: &[String]) -> Result<Option<GlobSet>, GlobError> {
    let refused = |pattern: &str, why: &globset::Error| GlobError {
        pattern: pattern.to_owned(),
        why: why.kind().to_string(),
    };
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).literal_separator(true).empty_alternates(true).build();
        set.add(glob.map_err(|error| refused(pattern, &error))?);
    }
    set.build().map(Some).map_err(|error| refused(&patterns.join(","), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(include: &[&str], exclude: &[&str], path: &str) -> bool {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Shown::new(&owned(include), &owned(exclude)).unwrap().has(&CgroupPath::from(path))
    }

    #[test]
    fn a_star_stays_in_its_name() {
        assert!(shown(&[], &[], "/a/b"));
        assert!(shown(&["/a/*"], &[], "/a/b") && !shown(&["/a/*"], &[], "/a/b/c"));
        assert!(shown(&["/a/**"], &[], "/a/b/c") && !shown(&["/a/**"], &[], "/b"));
        assert!(shown(&["/", "/kubepods*/**"], &[], "/"));
        assert!(shown(&["/system.slice/*.service"], &[], r"/system.slice/a.service"));
    }

    #[test]
    fn exclusion_is_stronger() {
        assert!(!shown(&["/a/**"], &["/a/b"], "/a/b") && shown(&["/a/**"], &["/a/b"], "/a/b/c"));
        assert!(!shown(&[], &["/a/b{,/**}"], "/a/b/c") && !shown(&[], &["/a/b{,/**}"], "/a/b"));
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = Shown::new(&["/a/[".to_owned()], &[]).unwrap_err();
        assert!(error.to_string().starts_with("\"/a/[\": "), "{error}");
    }
}

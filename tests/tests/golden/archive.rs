//! A host in one readable text: each file under a line `==> PATH`.
//!
//! ```text
//! # Comments come before the first file.
//! ==> proc/1/net/dev
//! the bytes of the file, up to the next such line
//! ==> proc/7/net/dev = proc/1/net/dev
//! ==> sys/fs/cgroup/empty/
//! ```
//! `PATH = OTHER` is one more name of an earlier file: in procfs two processes of one network namespace see one file
//! with one inode. A path that ends in `/` is a directory.

use std::fs;
use std::path::{Component, Path};

use anyhow::{Context, Result, bail};

const MARK: &str = "==> ";

/// Makes the files of the archive below `root`.
///
/// # Errors
/// Names the line that is no archive, or the file that cannot be made.
pub fn unpack(archive: &str, root: &Path) -> Result<()> {
    let mut lines = archive.split_inclusive('\n').enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let Some(header) = line.strip_prefix(MARK) else {
            if line.starts_with('#') {
                continue;
            }
            bail!("line {}: {line:?} is below no file: wanted `{MARK}PATH`", at + 1);
        };
        let mut text = String::new();
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.starts_with(MARK)) {
            text.push_str(line);
        }
        entry(root, header.trim_end(), &text)
            .with_context(|| format!("line {}: {}", at + 1, line.trim_end()))?;
    }
    Ok(())
}

fn entry(root: &Path, header: &str, text: &str) -> Result<()> {
    let (path, same_as) =
        header.split_once(" = ").map_or((header, None), |(path, other)| (path, Some(other)));
    if Path::new(path).components().any(|part| !matches!(part, Component::Normal(_))) {
        bail!("{path:?} is not below the root");
    }
    let to = root.join(path);
    if path.ends_with('/') {
        return Ok(fs::create_dir_all(&to)?);
    }
    fs::create_dir_all(to.parent().context("no folder")?)?;
    if to.exists() {
        bail!("{path} is there twice");
    }
    match same_as {
        Some(other) => fs::hard_link(root.join(other), &to)?,
        None => fs::write(&to, text)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn files_names_and_directories_are_made() {
        let root = tempfile::tempdir().unwrap();
        let text = "# A host.\n==> a/b\none\n\n# two\n==> empty\n==> dir/x/\n==> a/c = a/b\n";
        unpack(text, root.path()).unwrap();
        let path = |name: &str| root.path().join(name);
        assert_eq!(fs::read_to_string(path("a/b")).unwrap(), "one\n\n# two\n");
        assert_eq!(fs::read_to_string(path("empty")).unwrap(), "");
        assert!(path("dir/x").is_dir());
        assert_eq!(fs::metadata(path("a/c")).unwrap().ino(), fs::metadata(path("a/b")).unwrap().ino());
    }

    #[test]
    fn what_is_no_archive_is_refused_with_its_line() {
        for (text, line) in [
            ("nonsense\n", "line 1"),
            ("# c\n==> ../up\nx\n", "line 2"),
            ("==> a\n==> a\n", "line 2"),
            ("==> a\n==> b = missing\n", "line 2"),
            ("==> /absolute\n", "line 1"),
        ] {
            let root = tempfile::tempdir().unwrap();
            let error = format!("{:#}", unpack(text, root.path()).unwrap_err());
            assert!(error.contains(line), "{text:?}: {error}");
        }
    }
}

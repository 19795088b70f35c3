//! Programs and rings that outlive the agent, pinned in bpffs, so that nothing is missed while it is replaced.
//!
//! ```text
//! PIN/cgtap-<key>/LIFECYCLE ...       the maps that the agent reads
//! PIN/cgtap-<key>/link-<hook>-<rung>-<n>   what keeps a program attached
//! PIN/cgtap-<key>/whole               a directory, made last: without it a crash came between
//! ```
//! The key is a hash of the object and of the settings that decide what is attached: an agent adopts what it would have
//! made itself, and nothing else. Names in bpffs may not have a dot.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use aya::maps::{Map, MapData};
use aya::programs::links::{FdLink, PinnedLink};
use rustix::fs::statfs;
use sha2::{Digest, Sha256};

use super::KernelError;
use super::error::bpf;
use crate::durable;
use crate::model::{Hook, RungChoices, Source};

/// `BPF_FS_MAGIC` (`include/uapi/linux/magic.h`).
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
const PREFIX: &str = "cgtap-";
const WHOLE: &str = "whole";

/// The maps that the agent reads, by their names in the object.
pub(super) const MAPS: [&str; 5] = ["LIFECYCLE", "OOM", "EXITS", "CPU_EXITS", "COUNTERS"];

/// Why nothing can be pinned at a place.
#[derive(Debug, thiserror::Error)]
#[error("--pin {}: {why}", path.display())]
pub struct PinError {
    path: PathBuf,
    why: String,
}

/// A place for pins that is ours alone.
#[derive(Debug)]
pub struct Pins {
    /// Where this agent's own are, or will be.
    dir: PathBuf,
    /// Whether they are there, from an agent before.
    is_whole: bool,
    _lock: File,
}

impl Pins {
    /// Takes the place: makes the directory, waits for an agent that is about to end, and looks at what is there.
    ///
    /// `attached` says what decides what is attached, beside the object itself. With `replace` what is there and is not this
    /// agent's goes.
    ///
    /// # Errors
    /// It is not on bpffs, another agent uses it, or there is something else and `replace` is not set.
    pub fn open(place: &Path, attached: &str, object: &[u8], replace: bool) -> Result<Self, PinError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| PinError { path, why: source.to_string() }
        };
        let refused = |why: String| PinError { path: place.to_owned(), why };
        let made = fs::create_dir_all(place).map_err(io(place));
        let file = made.and_then(|()| File::open(place).map_err(io(place)))?;
        let kind = statfs(place).map_err(|errno| io(place)(errno.into()))?.f_type;
        if u64::try_from(kind).ok().map(|kind| kind & 0xffff_ffff) != Some(BPF_FS_MAGIC) {
            return Err(refused("is not on a BPF file system; wanted: mount -t bpf bpf /sys/fs/bpf".into()));
        }
        if is_mount(place).map_err(io(place))? {
            return Err(refused(
                "is a whole file system; wanted: a directory of cgtap's own below it".into(),
            ));
        }
        lock(&file).map_err(refused)?;
        let dir = place.join(format!("{PREFIX}{}", key(attached, object)));
        let mut others = Vec::new();
        for entry in fs::read_dir(place).map_err(io(place))? {
            let path = entry.map_err(io(place))?.path();
            if path != dir {
                others.push(path);
            }
        }
        if let Some(first) = others.first().filter(|_| !replace) {
            let name = first.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let whose = if name.starts_with(PREFIX) {
                "pinned by another version of cgtap, or with other settings"
            } else {
                "not pinned by cgtap"
            };
            return Err(refused(format!(
                "{name} is {whose}; wanted: --pin-replace to replace it, or another place"
            )));
        }
        for other in others {
            tracing::warn!(path = %other.display(), "what was pinned there is replaced");
            remove(&other).map_err(io(&other))?;
        }
        let is_whole = dir.join(WHOLE).exists();
        if !is_whole && dir.exists() {
            remove(&dir).map_err(io(&dir))?;
        }
        Ok(Self { dir, is_whole, _lock: file })
    }

    /// Whether an agent before has left its programs and rings.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Hook and rung of each link that an agent before has left.
    pub(super) fn links(&self) -> Result<Vec<(Hook, Source)>, KernelError> {
        let listed = fs::read_dir(&self.dir).map_err(|source| KernelError::io(self.dir.display(), source))?;
        let names = listed.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter_map(|name| link_of(&name)).collect())
    }

    /// A map that an agent before has left.
    pub(super) fn map(&self, name: &str) -> Result<Map, KernelError> {
        Map::from_map_data(MapData::from_pin(self.dir.join(name)).map_err(bpf)?).map_err(bpf)
    }

    /// Begins: the directory, and the maps while they are still the object's.
    pub(super) fn pin_map(&self, name: &str, map: &Map) -> Result<(), KernelError> {
        fs::create_dir_all(&self.dir).map_err(|source| KernelError::io(self.dir.display(), source))?;
        map.pin(self.dir.join(name)).map_err(bpf)
    }

    /// Pins the links and says that all is there. The programs stay attached when the agent goes.
    pub(super) fn pin_links(
        &self,
        links: Vec<(Hook, Source, FdLink)>,
    ) -> Result<Vec<PinnedLink>, KernelError> {
        let mut pinned = Vec::new();
        for (number, (hook, source, link)) in links.into_iter().enumerate() {
            let name = format!("link-{}-{}-{number}", hook.as_str(), source.as_str());
            pinned.push(link.pin(self.dir.join(name)).map_err(bpf)?);
        }
        let whole = self.dir.join(WHOLE);
        fs::create_dir(&whole).map_err(|source| KernelError::io(whole.display(), source))?;
        Ok(pinned)
    }

    /// Takes away what was pinned of a set that cannot be whole.
    pub(super) fn give_up(&self) {
        if let Err(error) = remove(&self.dir) {
            tracing::warn!(path = %self.dir.display(), %error, "a part of what was pinned stays");
        }
    }
}

/// From a link's name.
fn link_of(name: &str) -> Option<(Hook, Source)> {
    let mut parts = name.strip_prefix("link-")?.split('-');
    let (hook, rung) = (parts.next()?, parts.next()?);
    let hook = Hook::from_name(hook)?;
    let rungs = [Source::Fentry, Source::Kprobe, Source::TpBtf, Source::Tracepoint];
    Some((hook, Source::from_name(rung).filter(|known| rungs.contains(known))?))
}

/// The settings that decide what is attached, as they stand in a key. A test holds their text: with another one an agent does not
/// adopt what one before has pinned. Programs of a debug build write log lines, so they are others.
pub(super) fn attached(RungChoices { lifecycle, oom }: RungChoices, is_debug: bool) -> String {
    format!("Wishes {{ lifecycle: {lifecycle:?}, oom: {oom:?} }} {is_debug}")
}

fn key(attached: &str, object: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(object);
    hash.update(attached.as_bytes());
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn lock(file: &File) -> Result<(), String> {
    durable::lock(file, || false).map_err(|error| match error {
        TryLockError::WouldBlock => {
            "another cgtap reads what is pinned there; wanted: a place of its own for each".to_owned()
        }
        TryLockError::Error(source) => source.to_string(),
    })
}

/// The root of a mount is another file system than the directory that it covers.
fn is_mount(dir: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let Some(above) = dir.parent() else { return Ok(true) };
    Ok(fs::metadata(dir)?.dev() != fs::metadata(above)?.dev())
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RungChoice;

    #[test]
    fn a_link_is_known_by_its_name() {
        for (name, wanted) in [
            ("link-cgroup_mkdir-tp_btf-0", Some((Hook::CgroupMkdir, Source::TpBtf))),
            ("link-oom_kill_process-fentry-12", Some((Hook::OomKillProcess, Source::Fentry))),
            ("link-cgroup_mkdir-walk-0", None),
            ("link-other-tp_btf-0", None),
            ("LIFECYCLE", None),
            ("whole", None),
        ] {
            assert_eq!(link_of(name), wanted, "{name}");
        }
    }

    /// Agents that run now have pins with these texts in their keys.
    #[test]
    fn the_text_in_a_key_stays_as_it_is() {
        use RungChoice::{Auto, None, Only};
        for (lifecycle, oom, is_debug, wanted) in [
            (Auto, Auto, false, "Wishes { lifecycle: Auto, oom: Auto } false"),
            (None, None, true, "Wishes { lifecycle: None, oom: None } true"),
            (
                Only(Source::TpBtf),
                Only(Source::Fentry),
                false,
                "Wishes { lifecycle: Only(TpBtf), oom: Only(Fentry) } false",
            ),
            (
                Only(Source::Tracepoint),
                Only(Source::Kprobe),
                false,
                "Wishes { lifecycle: Only(Tracepoint), oom: Only(Kprobe) } false",
            ),
            (
                Only(Source::Inotify),
                Only(Source::MemoryEvents),
                false,
                "Wishes { lifecycle: Only(Inotify), oom: Only(MemoryEvents) } false",
            ),
            (
                Auto,
                Only(Source::OomControl),
                false,
                "Wishes { lifecycle: Auto, oom: Only(OomControl) } false",
            ),
            (Auto, Only(Source::Kmsg), false, "Wishes { lifecycle: Auto, oom: Only(Kmsg) } false"),
        ] {
            assert_eq!(attached(RungChoices { lifecycle, oom }, is_debug), wanted);
        }
        assert_eq!(key("Wishes { lifecycle: Auto, oom: Auto } false", b"object"), "4cdde181066c5b78");
    }

    #[test]
    fn another_object_or_other_settings_have_another_key() {
        assert_eq!(key("a", b"o"), key("a", b"o"));
        assert_ne!(key("a", b"o"), key("b", b"o"));
        assert_ne!(key("a", b"o"), key("a", b"p"));
        assert_eq!(key("", b"").len(), 16);
    }

    #[test]
    fn a_place_that_is_no_bpf_file_system_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("pins");
        let refused = Pins::open(&place, "", b"", false).unwrap_err().to_string();
        assert!(refused.contains("pins") && refused.contains("mount -t bpf"), "{refused}");
    }
}

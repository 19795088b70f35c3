//! The interfaces of a process's network namespace: `/proc/<pid>/net/dev`.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::{FilesError, HostRoot};
use crate::model::InterfaceStats;
use crate::parse::net_dev;

/// The interfaces of the namespace of process `pid`; `None` for the host's, which is that of process 1: its traffic is not a
/// container's. The loopback and the host's ends of container interfaces are left out.
pub fn read_network(host: &HostRoot, pid: u32) -> Result<Option<Vec<InterfaceStats>>, FilesError> {
    let hosts = NetDev::open(host, 1)?.namespace()?;
    let file = NetDev::open(host, pid)?;
    if file.namespace()? == hosts { Ok(None) } else { file.interfaces().map(Some) }
}

/// The interfaces of the host's own namespace, that of process 1.
pub fn read_host_network(host: &HostRoot) -> Result<Vec<InterfaceStats>, FilesError> {
    NetDev::open(host, 1)?.interfaces()
}

/// One process's `net/dev`. It shows the namespace that the process was in when it was opened, whatever becomes of
/// the process.
struct NetDev {
    path: PathBuf,
    file: File,
}

impl NetDev {
    fn open(host: &HostRoot, pid: u32) -> Result<Self, FilesError> {
        let path = host.proc().join(pid.to_string()).join("net/dev");
        let file = File::open(&path).map_err(|error| FilesError::io(&path, error))?;
        Ok(Self { path, file })
    }

    /// The identity of the namespace: each has a `net/dev` of its own in procfs, with its own inode number.
    ///
    /// `/proc/<pid>/ns/net` would say the same, but to read that link of another user's process takes
    /// `CAP_SYS_PTRACE`, with which the agent could read every process's memory. This takes nothing.
    fn namespace(&self) -> Result<(u64, u64), FilesError> {
        let metadata = self.file.metadata().map_err(|error| FilesError::io(&self.path, error))?;
        Ok((metadata.dev(), metadata.ino()))
    }

    fn interfaces(mut self) -> Result<Vec<InterfaceStats>, FilesError> {
        let mut text = Vec::new();
        self.file.read_to_end(&mut text).map_err(|error| FilesError::io(&self.path, error))?;
        let mut found = net_dev(&text).map_err(|error| FilesError::parse(&self.path, error))?;
        found.retain(|interface| !is_ignored(&interface.name));
        Ok(found)
    }
}

/// `lo` itself, and what runtimes make on the host for containers.
fn is_ignored(name: &str) -> bool {
    name == "lo" || ["veth", "docker", "nerdctl"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;

    fn add_process(fixture: &Fixture, pid: u32, interfaces: &[&str]) {
        let mut text = "Inter-|  Receive |  Transmit\n face |bytes|bytes\n".to_owned();
        for name in interfaces {
            text.push_str(&format!("{name}: {pid} 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"));
        }
        fixture.file(&format!("proc/{pid}/net/dev"), text);
    }

    /// In procfs two processes of one namespace see one file.
    fn add_process_in_the_namespace_of(fixture: &Fixture, pid: u32, of: u32) {
        let proc = fixture.host().proc();
        std::fs::create_dir_all(proc.join(format!("{pid}/net"))).unwrap();
        std::fs::hard_link(proc.join(format!("{of}/net/dev")), proc.join(format!("{pid}/net/dev"))).unwrap();
    }

    #[test]
    fn a_container_has_its_own_interfaces() {
        let fixture = Fixture::new();
        add_process(&fixture, 1, &["eth0"]);
        add_process(&fixture, 7, &["lo", "local0", "eth0", "veth1", "docker0", "nerdctl0"]);
        let found = read_network(&fixture.host(), 7).unwrap().unwrap();
        assert_eq!(found.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["local0", "eth0"]);
        assert_eq!(found[1].receive.bytes, 7);
    }

    #[test]
    fn the_hosts_namespace_is_nobodys_but_the_hosts() {
        let fixture = Fixture::new();
        add_process(&fixture, 1, &["lo", "eth0"]);
        add_process_in_the_namespace_of(&fixture, 7, 1);
        assert_eq!(read_network(&fixture.host(), 7).unwrap(), None);
        assert_eq!(read_host_network(&fixture.host()).unwrap().len(), 1);
    }

    #[test]
    fn a_process_that_is_gone_has_none() {
        let fixture = Fixture::new();
        add_process(&fixture, 1, &["eth0"]);
        assert!(read_network(&fixture.host(), 7).unwrap_err().is_gone());
    }

    #[test]
    fn without_the_hosts_namespace_nothing_is_attributed() {
        let fixture = Fixture::new();
        add_process(&fixture, 7, &["eth0"]);
        assert!(read_network(&fixture.host(), 7).is_err());
    }

    #[test]
    fn on_this_kernel_namespaces_differ_by_their_file() {
        let host = HostRoot::default();
        let of = |pid| NetDev::open(&host, pid).and_then(|file| file.namespace());
        let Ok(first) = of(1) else {
            println!("skipped: /proc/1/net/dev cannot be read here");
            return;
        };
        // Another process of the same namespace, read through another directory of /proc.
        assert_eq!(of(std::process::id()).unwrap(), first, "run me in the host's network namespace");
    }

    #[test]
    fn garbage_is_an_error_with_the_path() {
        let fixture = Fixture::new();
        add_process(&fixture, 1, &["eth0"]);
        add_process(&fixture, 7, &[]);
        fixture.file("proc/7/net/dev", "what\n");
        let error = read_network(&fixture.host(), 7).unwrap_err();
        assert!(error.path.ends_with("proc/7/net/dev"), "{error}");
    }
}

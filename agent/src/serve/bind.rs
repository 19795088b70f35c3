//! Binds the addresses before anything else starts, so that an address in use is reported at once.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};

use crate::config::{ConfigError, ListenAddr};

/// A bound address. Dropping it frees the address.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: Socket,
    /// Port 0 of the settings has become the port that the kernel chose.
    pub address: ListenAddr,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// Binds all addresses.
///
/// # Errors
/// Names the first that cannot be bound.
pub async fn bind(addresses: &[ListenAddr]) -> Result<Vec<Listener>, ConfigError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let listener = take(address).await;
        let refused = |error| ConfigError::at(&format!("cannot listen on {address}"), error);
        listeners.push(listener.map_err(refused)?);
    }
    Ok(listeners)
}

async fn take(address: &ListenAddr) -> io::Result<Listener> {
    match address {
        ListenAddr::Tcp(address) => {
            let socket = TcpListener::bind(address).await?;
            let address = ListenAddr::Tcp(socket.local_addr()?);
            Ok(Listener { socket: Socket::Tcp(socket), address })
        }
        ListenAddr::Unix(path) => {
            remove_stale(path)?;
            let socket = UnixListener::bind(path)?;
            let file = SocketFile { path: path.to_owned(), inode: inode(path)? };
            // For owner and group only: events name what runs on the node.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
            Ok(Listener { socket: Socket::Unix(socket, file), address: address.clone() })
        }
    }
}

/// Removes the socket file that a killed agent left: no process accepts on it. Any other file stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "a file that is no socket is there"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "another process answers there")),
        Err(err) if err.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(err) => Err(err),
    }
}

/// The socket's file. It is removed at the end, unless another process has replaced it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|inode| inode == self.inode)
            && let Err(err) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %err, "cannot remove the socket file");
        }
    }
}

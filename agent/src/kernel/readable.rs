//! Waiting until a descriptor of the kernel can be read, in a form that needs no `unsafe` of its users.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// A descriptor that is waited for. It is one of its own, so its owner may close the other at any time.
pub struct Readable(AsyncFd<OwnedFd>);

impl Readable {
    /// Must be called inside a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// When there are no descriptors left, or the runtime cannot wait for this one.
    pub fn of(fd: &impl AsFd) -> io::Result<Self> {
        let own = fd.as_fd().try_clone_to_owned()?;
        // SAFETY: an `OwnedFd` keeps its descriptor until it is dropped, and no other code can reach this one to replace it.
        let registered = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) };
        Ok(Self(registered.map_err(io::Error::from)?))
    }

    /// Waits until there is something to read. The caller clears the guard when it has read all.
    ///
    /// # Errors
    /// When the runtime cannot wait any more.
    pub async fn ready(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.0.readable().await
    }
}

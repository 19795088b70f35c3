//! What the modules share.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

static KILLS: Mutex<()> = Mutex::new(());

/// Held by who has processes killed. The kernel log has 128 KiB on most hosts: lines of others push those out of it from which
/// an agent would learn after a crash which process it was. And where it has the kernel's count alone, it cannot tell whose they
/// were when their cgroups have gone.
pub(crate) fn the_only_kills() -> MutexGuard<'static, ()> {
    KILLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The load program of this package.
pub(crate) fn load() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_cgtap-load"))
}

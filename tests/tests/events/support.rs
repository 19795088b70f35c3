//! Helpers of these modules.

use std::path::Path;

/// The load program of this package.
pub(crate) fn load() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_cgtap-load"))
}

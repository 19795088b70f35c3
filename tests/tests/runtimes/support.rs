//! What the modules share.

use std::time::Duration;

/// No event takes longer on a busy machine; a test that gets them all never waits for it.
pub const QUIET: Duration = Duration::from_secs(10);

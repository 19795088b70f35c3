//! What a sink delivers, and where.

use std::io;

use bytes::Bytes;

/// One event, or one range of lost ones, on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, or the last number of a lost range.
    pub seq: u64,
    /// Whether it says that events are lost.
    pub is_lost: bool,
    /// One JSON object without a newline.
    pub json: Bytes,
}

/// Where events go. Called on a thread that may block, one call at a time.
pub trait Outlet: Send {
    /// Delivers all of them, in order. After an error the same are given again.
    ///
    /// # Errors
    /// Why not all were delivered, for people.
    fn deliver(&mut self, lines: &[Line]) -> io::Result<()>;
}

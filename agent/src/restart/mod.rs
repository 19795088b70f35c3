//! What one agent leaves to the next: the lock of the state directory, two small files, and the replay of the event log.

pub(crate) mod history;
mod replay;
pub(crate) mod saved;
pub(crate) mod saver;

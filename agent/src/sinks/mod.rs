//! Ways of events out of the node beside `/events`: standard output, a file, journald, a webhook.
//!
//! A sink is a subscriber of the log with a thread and a cursor on disk of its own. It sends records in order to its
//! outlet. Records that are not delivered are tried again for as long as the log has them; after a restart the sink goes on
//! after the last one delivered. A sink that hangs or fails delays no other. Records that were delivered and not noted
//! before a crash are delivered again: at least once.

mod batch;
mod cursor;
mod file;
mod follow;
mod journald;
mod make;
mod outlet;
mod stdout;
#[cfg(test)]
mod tests;
mod webhook;

use batch::Batch;
use cursor::Cursor;
use file::FileOutlet;
use journald::JournaldOutlet;
use outlet::{Fault, Outlet, Record, Undelivered};
use stdout::StdoutOutlet;
use webhook::WebhookOutlet;

pub use follow::Sink;
pub use make::{make, start};

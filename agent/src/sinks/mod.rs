//! Ways of events out of the node beside `/events`: standard output, a file, journald, a webhook.
//!
//! Each sink is a subscriber of the log like any other, with a cursor of its own on disk: what it could not deliver is
//! tried again for as long as the log has it, in order, and a start goes on behind what was delivered. A sink that hangs
//! or fails harms nobody else. What was delivered and not noted before a crash is delivered again: at least once.

mod cursor;
mod file;
mod follow;
mod journald;
mod make;
mod outlet;
mod stdout;
mod webhook;

pub use cursor::Cursor;
pub use file::{FileOptions, FileOutlet};
pub use follow::{Progress, Sink, follow};
pub use journald::JournaldOutlet;
pub use make::{Sinks, make};
pub use outlet::{Line, Outlet};
pub use stdout::StdoutOutlet;
pub use webhook::{WebhookOptions, WebhookOutlet};

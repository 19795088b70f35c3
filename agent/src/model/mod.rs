//! The vocabulary: plain data without I/O, clock or serialization.
//!
//! Everything else speaks in these types. Units are in the names; a value the kernel does not offer is `None`,
//! never 0, and "no limit" is [`Limit::Max`], never a large number.

mod backoff;
mod causes;
mod cgroup;
mod deed;
mod event;
mod filesystem;
mod grace;
mod hardware;
mod identity;
mod keyed;
mod labels;
mod machine;
mod memory_detail;
mod named;
mod names;
mod oom;
mod path;
mod process;
pub mod rfc3339;
mod sets;
mod sockets;
mod stats;
mod status;
mod topology;

pub use backoff::*;
pub use causes::with_causes;
pub use cgroup::*;
pub use deed::*;
pub use event::*;
pub use filesystem::*;
pub use grace::*;
pub use hardware::*;
pub use identity::*;
pub use keyed::Keyed;
pub use labels::*;
pub use machine::*;
pub use memory_detail::*;
pub(crate) use named::named;
pub use names::*;
pub use oom::*;
pub use path::*;
pub use process::*;
pub use sets::*;
pub use sockets::*;
pub use stats::*;
pub use status::*;
pub use topology::*;

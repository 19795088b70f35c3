//! The library behind the `cgtap` binary. `ARCHITECTURE.md` has the map.
#![deny(unsafe_code)]

pub mod cli;
pub mod config;
pub mod events;
pub mod export;
pub mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod identity;
pub mod kernel;
mod kills;
mod last_values;
pub mod model;
pub mod parse;
pub mod registry;
mod restart;
pub mod run;
pub mod serve;
pub mod sinks;
pub mod snapshot;
mod sources;

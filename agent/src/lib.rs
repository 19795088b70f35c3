//! The library of the `cgtap` binary. `ARCHITECTURE.md` has the map.
#![deny(unsafe_code)]
#![expect(
    unreachable_pub,
    reason = "no other crate uses these modules; `pub` means that other folders use the item"
)]

pub mod cli;
mod config;
mod durable;
mod events;
mod export;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod kernel;
mod kills;
mod last_values;
mod model;
mod names;
mod parse;
mod registry;
mod restart;
mod run;
mod serve;
mod sinks;
mod snapshot;
mod sources;
mod story;
mod telemetry;

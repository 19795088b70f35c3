//! From a snapshot or events to bytes: pure, without I/O, locks or a clock.
//!
//! [`catalog`] declares every metric once; [`prometheus`] writes the metrics of a snapshot as Prometheus text or
//! OpenMetrics. [`status_json`] writes `/status`; [`human`] and [`explain()`] write events for people.

pub mod catalog;
mod explain;
#[cfg(test)]
mod fixtures;
pub mod human;
mod labels;
pub mod prometheus;
pub mod status_json;

pub use explain::explain;

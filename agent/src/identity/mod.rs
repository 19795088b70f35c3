//! Which container, pod or unit a cgroup belongs to.
//!
//! [`identify`] reads it from the path alone: at once, and never wrong later. [`Names`] has the names that runtimes
//! report: later, or never.

mod names;
mod path;
mod shape;
#[cfg(test)]
mod tests;

pub use names::{KeptLabels, Names, NamesAnswer, OpenWants, RegisteredContainer};
pub use path::identify;

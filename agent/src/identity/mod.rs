//! Whose cgroup it is.
//!
//! [`identify`] tells it from the path alone: at once, without asking anyone, and never wrong later. [`Names`] has what
//! runtimes tell beside that: later, or never.

mod ask;
mod names;
mod path;
mod shape;
#[cfg(test)]
mod tests;

pub use ask::{Place, start};
pub use names::{Known, Names, Wishes};
pub use path::identify;

#[cfg(any(test, feature = "fuzzing"))]
pub use ask::fuzz;

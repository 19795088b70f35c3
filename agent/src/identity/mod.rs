//! Whose cgroup it is.
//!
//! [`identify`] tells it from the path alone: at once, without asking anyone, and never wrong later. [`Names`] has what
//! runtimes tell beside that: later, or never.

mod names;
mod path;
mod shape;
#[cfg(test)]
mod tests;

pub use names::{Answer, Names, RegisteredContainer, Wanted, Wishes};
pub use path::identify;

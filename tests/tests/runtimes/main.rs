//! Tests with container runtimes: a real containerd, Docker and Podman, and hostile ones. This is a program of its own, because
//! runtimes take the processor time that tests of the kernel need.
//!
//! | module | promise |
//! |---|---|
//! | [`containerd`] | by CRI: names, start, network and files of pods and containers, soon after their start |
//! | [`docker`] | by the API of Docker and of Podman: names, start, health, network and files |
//! | [`hostile`] | a runtime that hangs, floods or lies harms only its own names |
//!
//! A test that cannot run on this host prints `skipped: NAME: why`, and `cargo xtask test` counts it as skipped.
#![allow(clippy::disallowed_methods, reason = "these tests start other programs")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test with its line"
)]
#![allow(unreachable_pub, reason = "one program, no users")]

mod containerd;
mod cri;
mod docker;
mod hostile;
mod image;
mod inside;

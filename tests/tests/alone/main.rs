//! Live tests that a busy machine would disturb. This program runs while no other test does.
//!
//! A virtual machine runs one test at a time, so there they belong to the live tests.
#![allow(clippy::disallowed_methods, reason = "these tests start other programs")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test with its line"
)]
#![allow(
    unreachable_pub,
    dead_code,
    reason = "one program, no users; what it shares with the live tests is not all used"
)]

#[path = "../live/finals.rs"]
mod finals;
#[path = "../live/support.rs"]
mod support;

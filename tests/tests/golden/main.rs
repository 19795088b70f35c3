//! The real binary on recorded hosts: its output is known byte for byte.
//!
//! | module | has |
//! |---|---|
//! | [`archive`] | unpacks a recorded host, one text file of `tests/fixtures`, into a folder |
//! | [`host`] | runs the agent on such a folder and removes from its answer what depends on the moment |
//! | [`whole`] | that text of each host against `tests/golden`; `CGTAP_BLESS=1` writes the files anew |
//! | [`bad_input`] | a broken file costs only its own numbers, and the log names it |
//!
//! No test here needs root or a cgroup of its own.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test with its line"
)]
#![allow(clippy::disallowed_methods, reason = "tests make the files that the agent reads")]
#![allow(unreachable_pub, reason = "one program, no users")]

mod archive;
mod bad_input;
mod host;
mod whole;

//! How often a test repeats its steps: a few times in the test command, many times in `cargo xtask soak`.

/// Set by `cargo xtask soak`.
pub const SOAK: &str = "CGTAP_TEST_SOAK";

/// `short`, or `long` in a soak.
#[must_use]
pub fn rounds(short: u32, long: u32) -> u32 {
    if std::env::var_os(SOAK).is_some() { long } else { short }
}

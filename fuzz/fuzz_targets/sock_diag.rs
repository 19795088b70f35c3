//! Runs `cgtap::fuzzing::sock_diag` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cgtap::fuzzing::sock_diag(input));

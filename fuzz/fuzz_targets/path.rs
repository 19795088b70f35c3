//! Runs `cgtap::fuzzing::path` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cgtap::fuzzing::path(input));

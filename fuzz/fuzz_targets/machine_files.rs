//! Runs `cgtap::fuzzing::machine_files` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cgtap::fuzzing::machine_files(input));

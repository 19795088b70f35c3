//! Runs `cgtap::fuzzing::kernel_log` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cgtap::fuzzing::kernel_log(input));

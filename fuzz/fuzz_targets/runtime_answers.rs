//! Runs `cgtap::fuzzing::runtime_answers` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cgtap::fuzzing::runtime_answers(input));

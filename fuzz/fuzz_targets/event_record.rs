//! Runs `cgtap::fuzzing::event_record` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cgtap::fuzzing::event_record(input));

//! Runs `cgtap::fuzzing::cgroup_files` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cgtap::fuzzing::cgroup_files(input));

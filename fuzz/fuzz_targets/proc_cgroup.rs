//! Runs `cgtap::fuzzing::proc_cgroup` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cgtap::fuzzing::proc_cgroup(input));

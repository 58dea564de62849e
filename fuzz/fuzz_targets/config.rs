#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nightrun_fuzz::properties::config(input));

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nexo_fuzz::targets::hook_proof::run(bytes));

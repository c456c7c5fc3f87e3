#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| voicegain_auth_fuzz::targets::credentials::check(input));

//! See `claimgate::fuzzing`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| claimgate::fuzzing::head(octets));

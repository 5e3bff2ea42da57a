//! See [`pgprism_fuzz::bodies::shapes`].

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgprism_fuzz::{bodies, let_panics_be_caught, must_not_panic};

fuzz_target!(init: let_panics_be_caught(), |input: &[u8]| {
    must_not_panic(|| bodies::shapes::run(input));
});

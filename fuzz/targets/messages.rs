//! Decoding bodies that a peer made up: every decoder answers something, none panics or reserves what it was told to.

#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use pgprism::wire::{SqlState, message};
use pgprism_fuzz::{let_panics_be_caught, must_not_panic};

fuzz_target!(init: let_panics_be_caught(), |body: &[u8]| {
    must_not_panic(|| {
        black_box(message::cstring(body));
        black_box(message::target(body));
        black_box(message::ready_for_query(body));
        black_box(message::CommandTag::read(body).rows());
        black_box(message::error_response(body));
        black_box(message::authentication(body));
        black_box(message::row_description(body));
        black_box(message::parameter_status(body));
        black_box(message::backend_key_data(body));
        assert_eq!(SqlState::parse(body).as_str().len(), 5);
    });
});

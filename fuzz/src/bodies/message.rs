//! Decoding bodies that a peer made up: every decoder answers something, none panics or reserves what it was told to.

use std::hint::black_box;

use pgprism::wire::{SqlState, message};

/// The target's body.
pub fn run(body: &[u8]) {
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
}

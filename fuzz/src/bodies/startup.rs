//! The startup phase: packets of any content, and logins that are found however the upstream's bytes are cut.

use pgprism::wire::startup::{
    LoginReplies, LoginReply, STARTUP_BYTES_MAX, STARTUP_BYTES_MIN, StartupPacket, packet_length,
};

use super::Cuts;

fn replies<'a>(reads: impl Iterator<Item = &'a [u8]>) -> (Vec<LoginReply>, bool, bool) {
    let (mut login, mut found) = (LoginReplies::default(), Vec::new());
    for mut read in reads {
        while let Some(reply) = login.next(&mut read) {
            found.push(reply);
        }
        assert!(read.is_empty());
    }
    (found, login.is_between_messages(), login.is_lost())
}

/// The target's body.
pub fn run(input: &[u8]) {
    let (mut cuts, bytes) = Cuts::read(input);
    if let Some(&length) = bytes.first_chunk::<4>()
        && let Ok(length) = packet_length(length)
    {
        assert!((STARTUP_BYTES_MIN..=STARTUP_BYTES_MAX).contains(&length));
    }
    match StartupPacket::parse(bytes) {
        Ok(StartupPacket::CancelRequest(key)) => {
            // What names a session goes to the server as it came.
            assert_eq!(key.cancel_request().get(8..), bytes.get(8..));
        }
        Ok(StartupPacket::StartupMessage(message)) => {
            assert!(
                message.user.len() < 64
                    && message.database.len() < 64
                    && message.application.len() < 64
            );
        }
        Ok(StartupPacket::SslRequest | StartupPacket::GssEncRequest) | Err(_) => {}
    }
    assert_eq!(replies(std::iter::once(bytes)), replies(cuts.pieces(bytes)));
}

//! Walking a stream of messages: the same events however the bytes are cut into reads, and no byte held without need.

use pgprism::wire::frame::{FrameError, Header, Receiver, Rest, Walker, Want};

use super::Cuts;

/// What a walk told, with the pieces of a streamed body put together again.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    begun: Vec<Header>,
    prefixes: Vec<(Header, Vec<u8>)>,
    streamed: Vec<(Header, Vec<u8>)>,
    open: Vec<u8>,
}

impl Receiver for Heard {
    fn begin(&mut self, header: Header) -> Want {
        self.begun.push(header);
        match header.tag % 3 {
            0 => Want::Nothing,
            1 => Want::Prefix(u16::from(header.tag)),
            _ => Want::Stream,
        }
    }

    fn prefix(&mut self, header: Header, prefix: &[u8]) {
        assert!(prefix.len() <= usize::from(header.tag));
        self.prefixes.push((header, prefix.to_vec()));
    }

    fn piece(&mut self, header: Header, piece: &[u8], rest: Rest) {
        self.open.extend_from_slice(piece);
        if rest == Rest::Last {
            assert_eq!(self.open.len(), header.body_bytes as usize);
            self.streamed.push((header, std::mem::take(&mut self.open)));
        }
    }
}

fn walk<'a>(reads: impl Iterator<Item = &'a [u8]>) -> (Heard, Result<(), FrameError>, bool) {
    let (mut walker, mut heard) = (Walker::default(), Heard::default());
    for read in reads {
        if let Err(error) = walker.walk(read, &mut heard) {
            return (heard, Err(error), false);
        }
        assert!(
            walker.carried_bytes() <= 64 * 1024,
            "a walk holds more than the prefix it was asked for"
        );
    }
    (heard, Ok(()), walker.at_boundary())
}

/// The target's body.
pub fn run(input: &[u8]) {
    let (mut cuts, stream) = Cuts::read(input);
    let whole = walk(std::iter::once(stream));
    let cut = walk(cuts.pieces(stream));
    assert_eq!(whole, cut);
}

//! What each target does with an input: ordinary functions, which `tests/fuzz.rs` calls with all seeds.
//!
//! *Architecture invariant:* nothing of libFuzzer here. A finding is a panic.

pub mod admin;
pub mod config;
pub mod frame;
pub mod lexer;
pub mod message;
pub mod session;
pub mod shapes;
pub mod startup;

/// Sizes of the pieces into which a stream is cut, one after the other and then from the first again.
///
/// In an input: one byte, how many sizes follow (at most [`CUTS_MAX`]), then a byte each. None cuts nothing.
#[derive(Debug, Clone)]
pub struct Cuts<'a> {
    sizes: &'a [u8],
    next: usize,
}

/// More say nothing new.
const CUTS_MAX: usize = 16;

impl<'a> Cuts<'a> {
    /// Takes the cuts from the beginning of an input; returns the rest, too.
    pub fn read(input: &'a [u8]) -> (Cuts<'a>, &'a [u8]) {
        let Some((&count, rest)) = input.split_first() else {
            return (Cuts::whole(), input);
        };
        let count = usize::from(count).min(CUTS_MAX).min(rest.len());
        let (sizes, rest) = rest.split_at(count);
        (Cuts { sizes, next: 0 }, rest)
    }

    /// No cuts.
    pub fn whole() -> Cuts<'static> {
        Cuts {
            sizes: &[],
            next: 0,
        }
    }

    /// The pieces of the next read.
    pub fn pieces<'b>(&mut self, mut read: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
        std::iter::from_fn(move || {
            if read.is_empty() {
                return None;
            }
            let size = match self.sizes {
                [] => read.len(),
                sizes => usize::from(sizes[self.next % sizes.len()]).max(1),
            };
            self.next += 1;
            let (piece, rest) = read.split_at(size.min(read.len()));
            read = rest;
            Some(piece)
        })
    }
}

/// The longest beginning that is text.
fn text(input: &[u8]) -> &str {
    match std::str::from_utf8(input) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&input[..error.valid_up_to()]).unwrap_or_default(),
    }
}

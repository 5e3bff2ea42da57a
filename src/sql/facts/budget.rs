//! What is small and flat enough to be parsed without exhausting a 16 MiB stack.

use super::super::FINGERPRINT_BYTES_MAX;
use super::super::fold::Folder;
use super::super::lex::Lexer;
use super::super::text::{Literal, Text};

/// Longest text, bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Most tokens.
const TOKENS_MAX: usize = 8_000;
/// Most operators that make a tree one level deeper each: AND, OR, UNION, arithmetic.
const CHAIN_MAX: usize = 2_000;
/// Deepest nesting of parentheses and brackets.
const DEPTH_MAX: usize = 200;

/// Whether `text` is within the limits.
pub(super) fn allows(text: &str) -> bool {
    if text.len() > TEXT_BYTES_MAX {
        return false;
    }
    let mut lexer = Lexer::new(Folder::new(Count::default(), FINGERPRINT_BYTES_MAX));
    lexer.feed(text.as_bytes(), &mut |_| {});
    lexer.end(&mut |_| {});
    let count = lexer.into_text();
    count.tokens <= TOKENS_MAX && count.chain <= CHAIN_MAX && count.deepest <= DEPTH_MAX
}

/// Counts the tokens it is shown. Tokens that are folded away were counted too: the parser will see them.
#[derive(Debug, Default)]
struct Count {
    tokens: usize,
    chain: usize,
    depth: usize,
    deepest: usize,
}

impl Text for Count {
    fn position(&self) -> usize {
        0
    }

    fn truncate(&mut self, _position: usize) {}

    fn token(&mut self, raw: &[u8], _gap: bool) {
        self.tokens += 1;
        match raw {
            b"(" | b"[" => {
                self.depth += 1;
                self.deepest = self.deepest.max(self.depth);
            }
            b")" | b"]" => self.depth = self.depth.saturating_sub(1),
            _ => {
                let first = raw.first().copied().unwrap_or(b' ');
                let chains = if first.is_ascii_alphabetic() {
                    [
                        &b"and"[..],
                        b"or",
                        b"union",
                        b"intersect",
                        b"except",
                        b"not",
                        b"case",
                    ]
                    .iter()
                    .any(|word| raw.eq_ignore_ascii_case(word))
                } else {
                    !matches!(first, b'"' | b',' | b'.' | b'_') && first.is_ascii()
                };
                self.chain += usize::from(chains);
            }
        }
    }

    fn constant(&mut self, _gap: bool, _literal: Literal<'_>) {
        self.tokens += 1;
    }

    fn repeated(&mut self) {}

    fn end_statement(&mut self) {}
}

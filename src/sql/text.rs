//! Where the folded tokens go as text for people; `()` is the hot path, which wants none.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

/// Receives each token that stays, as it was written, in the order in which the fingerprint's hash receives it.
pub(super) trait Text {
    /// A position to which the text can be cut back.
    fn position(&self) -> usize;
    /// Forgets what was written behind `position`.
    fn truncate(&mut self, position: usize);
    /// A token as it was written; `gap`: white space or a comment stood before it.
    fn token(&mut self, raw: &[u8], gap: bool);
    /// A constant.
    fn constant(&mut self, gap: bool);
    /// A `;` ended the statement and another follows.
    fn end_statement(&mut self);
    /// The last constant stands for any number of them.
    fn repeated(&mut self);
}

impl Text for () {
    #[inline(always)]
    fn position(&self) -> usize {
        0
    }
    #[inline(always)]
    fn truncate(&mut self, _position: usize) {}
    #[inline(always)]
    fn token(&mut self, _raw: &[u8], _gap: bool) {}
    #[inline(always)]
    fn constant(&mut self, _gap: bool) {}
    #[inline(always)]
    fn repeated(&mut self) {}
    #[inline(always)]
    fn end_statement(&mut self) {}
}

/// The normalised text: one space where there was any white space, constants numbered.
#[derive(Debug, Default)]
pub(super) struct Normalized {
    bytes: Vec<u8>,
    constants: Vec<Constant>,
    statement_ended: bool,
}

/// A constant of the text: its number is its place in the list.
#[derive(Debug)]
struct Constant {
    position: usize,
    repeated: bool,
}

impl Normalized {
    /// The text, with `$1`, `$2`, ... in the places of its constants.
    pub(super) fn finish(self) -> String {
        let mut text = Vec::with_capacity(self.bytes.len() + self.constants.len() * 3);
        let mut done = 0;
        for (index, constant) in self.constants.iter().enumerate() {
            text.extend_from_slice(self.bytes.get(done..constant.position).unwrap_or_default());
            text.extend_from_slice(format!("${}", index + 1).as_bytes());
            if constant.repeated {
                text.extend_from_slice(b" /*, ... */");
            }
            done = constant.position + 1;
        }
        text.extend_from_slice(self.bytes.get(done..).unwrap_or_default());
        match String::from_utf8(text) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
    }

    /// Separates two tokens that would be read as one if they touched.
    fn space(&mut self, next: u8, gap: bool) {
        if self.statement_ended {
            self.statement_ended = false;
            self.bytes.extend_from_slice(b"; ");
            return;
        }
        let Some(&last) = self.bytes.last() else {
            return;
        };
        let wordy =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80;
        let touches = last == b'(' || matches!(next, b')' | b',');
        if (gap && !touches) || (wordy(last) && wordy(next)) {
            self.bytes.push(b' ');
        }
    }
}

impl Text for Normalized {
    fn position(&self) -> usize {
        self.bytes.len()
    }

    fn truncate(&mut self, position: usize) {
        self.bytes.truncate(position);
        let kept = self
            .constants
            .partition_point(|constant| constant.position < position);
        self.constants.truncate(kept);
    }

    fn token(&mut self, raw: &[u8], gap: bool) {
        if let Some(&first) = raw.first() {
            self.space(first, gap);
            self.bytes.extend_from_slice(raw);
        }
    }

    fn constant(&mut self, gap: bool) {
        self.space(b'$', gap);
        self.constants.push(Constant {
            position: self.bytes.len(),
            repeated: false,
        });
        // Holds the place until `finish`; a `$` because that is what its neighbours would touch.
        self.bytes.push(b'$');
    }

    fn end_statement(&mut self) {
        self.statement_ended = !self.bytes.is_empty();
    }

    fn repeated(&mut self) {
        if let Some(constant) = self.constants.last_mut() {
            constant.repeated = true;
        }
    }
}

//! Words and names: which are keywords, which begin a constant, which are values.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use super::super::canon::StagedWord;
use super::super::head::{Token, Verdict};
use super::super::text::{Literal, Text};
use super::super::words::{self, Role, Word};
use super::cast::Seen;
use super::frames::Kind;
use super::{Folder, Last, pending};

impl<T: Text> Folder<T> {
    /// A bare word, whose canonical form waits in the room.
    #[inline]
    pub(in super::super) fn word(&mut self, raw: &[u8], staged: StagedWord) {
        let word = words::lookup(staged.key).filter(|word| !self.is_label(word.role));
        let staged = staged.staged_bytes;
        if self.is_pending() {
            self.pending_word(raw, staged, word);
            return;
        }
        match word {
            None => {
                self.canon.commit(staged);
                self.text.token(raw, self.gap);
                self.after(true);
            }
            Some(word) => self.keyword(raw, staged, word),
        }
    }

    /// Behind a dot every word is a name; behind AS those are that cannot begin a statement.
    fn is_label(&self, role: Role) -> bool {
        match self.last {
            Last::Dot => true,
            Last::As => matches!(
                role,
                Role::Case
                    | Role::When
                    | Role::Else
                    | Role::End
                    | Role::Null
                    | Role::Boolean
                    | Role::Array
                    | Role::Default
                    | Role::In
                    | Role::Is
                    | Role::Begin
            ),
            Last::Other => false,
        }
    }

    /// A quoted name, whose canonical form waits in the room.
    #[inline]
    pub(in super::super) fn quoted(&mut self, raw: &[u8], staged: usize) {
        if self.is_pending() && self.pending_quoted(raw) {
            return;
        }
        self.canon.commit(staged);
        self.text.token(raw, self.gap);
        self.after(true);
    }

    fn keyword(&mut self, raw: &[u8], staged: usize, word: &'static Word) {
        let before = self.canon.position();
        let top = self.top();
        match word.role {
            Role::Null
                if self.operand
                    || matches!(self.role, Role::Is | Role::IsNot | Role::Not | Role::Set) => {}
            Role::Boolean if matches!(self.role, Role::Is | Role::IsNot) => {}
            Role::Default if top != Some(Kind::Row) => {}
            Role::Null | Role::Boolean | Role::Default => {
                let gap = self.drop_signs(self.gap);
                self.pending &= !pending::CANDIDATE;
                let first = word.text.as_bytes().first().copied().unwrap_or_default();
                self.write_constant(gap, Literal::Keyword(first));
                return;
            }
            Role::When | Role::Else | Role::End if top == Some(Kind::Case) => self.end_element(),
            _ => {}
        }
        let start = if self.pending & pending::SIGNS != 0 {
            self.signs
        } else {
            self.start()
        };
        if self.canon.position() == before {
            self.canon.commit(staged);
        } else {
            self.canon.token(word.text.as_bytes());
        }
        self.text.token(raw, self.gap);
        let before = self.role;
        let was_candidate = self.pending & pending::CANDIDATE != 0;
        self.pending &= !(pending::SIGNS | pending::CANDIDATE);
        self.operand = !word.prefix;
        self.last = if word.text == "as" {
            Last::As
        } else {
            Last::Other
        };
        self.role = match word.role {
            Role::Not if before == Role::Is => Role::IsNot,
            Role::Time if matches!(before, Role::With | Role::Without) => Role::WithTime,
            role => role,
        };
        match (word.role, before) {
            (Role::Precision, Role::Double)
            | (Role::Varying, Role::Character)
            | (Role::With | Role::Without, Role::Time)
            | (Role::Time, Role::With | Role::Without)
            | (Role::Zone, Role::WithTime)
                if was_candidate =>
            {
                self.pending |= pending::CANDIDATE;
            }
            (
                Role::Type
                | Role::Time
                | Role::Double
                | Role::Character
                | Role::Interval
                | Role::Array
                | Role::Range
                | Role::Hstore,
                _,
            ) => {
                self.candidate = start;
                self.pending |= pending::CANDIDATE;
            }
            (Role::Of, Role::Current) => self.pending |= pending::NAME,
            (Role::Case, _) => self.push(Kind::Case, start),
            (Role::End, _) => self.end_block(),
            (Role::Atomic, Role::Begin) if self.frames_over == 0 => {
                self.push(Kind::Atomic, start);
                self.depth = self.depth.saturating_add(1);
            }
            _ => {}
        }
    }

    /// A bare word that needs a second look.
    fn pending_word(&mut self, raw: &[u8], staged: usize, word: Option<&'static Word>) {
        let role = word.map_or(Role::None, |word| word.role);
        if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Word(role)) {
            return;
        }
        let begins_query = matches!(
            word.map(|word| word.text),
            Some("select" | "with" | "values" | "table")
        );
        if self.pending & pending::LIST != 0 && begins_query {
            // `IN (SELECT a, b ...)`: no list of elements.
            if let Some(frame) = self.frames.last_mut() {
                frame.kind = Kind::Paren;
            }
        }
        if self.settle_word(staged) == Verdict::Value || self.pending & pending::NAME != 0 {
            self.name_value();
            return;
        }
        match word {
            Some(word) => self.keyword(raw, staged, word),
            None => {
                self.pending &= !(pending::SIGNS | pending::CANDIDATE);
                self.canon.commit(staged);
                self.text.token(raw, self.gap);
                self.after(true);
            }
        }
    }

    /// A quoted name that needs a second look; true when nothing is left to do.
    fn pending_quoted(&mut self, raw: &[u8]) -> bool {
        if self.pending & pending::CAST != 0 && self.cast_takes(Seen::Quoted) {
            return true;
        }
        if self.settle(Token::Quoted(raw)) == Verdict::Value || self.pending & pending::NAME != 0 {
            self.name_value();
            return true;
        }
        self.pending &= !(pending::SIGNS | pending::CANDIDATE);
        false
    }

    /// The name of a cursor, savepoint or prepared statement: a constant.
    fn name_value(&mut self) {
        let gap = self.drop_signs(self.gap);
        self.pending &= !(pending::NAME | pending::CANDIDATE);
        self.write_constant(gap, Literal::Name);
    }
}

//! What goes with a constant: its cast, and what else may follow a literal.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use super::super::text::Text;
use super::super::words::Role;
use super::{Folder, Start, pending};

/// What follows a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cast {
    /// Nothing yet.
    Behind,
    /// Nothing yet, behind a `U&''`: UESCAPE may come.
    BehindUnicode,
    /// `UESCAPE`.
    Escape,
    /// `::`, or `::schema.`.
    Colons,
    /// The name of a type, or a field of an interval.
    Name(Role),
    /// Inside `(...)` behind the name.
    Modifiers { role: Role, depth: u32 },
    /// Inside `[...]` behind the name.
    Subscript(Role),
    /// `timestamp with`, `timestamp without`: written, because it may be a clause of its own.
    With(Start),
    /// `timestamp with time`.
    WithTime,
}

/// What kind of token a cast is looking at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Word(Role),
    Quoted,
    Constant,
    Dot,
    Colons,
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Other,
}

impl<T: Text> Folder<T> {
    /// Whether the token belongs to the cast behind a constant, and so goes with it.
    pub(super) fn cast_takes(&mut self, seen: Seen) -> bool {
        let next = match (self.cast, seen) {
            (
                Cast::Behind
                | Cast::BehindUnicode
                | Cast::Escape
                | Cast::Colons
                | Cast::Name(_)
                | Cast::WithTime,
                Seen::Colons,
            ) => Cast::Colons,
            (Cast::BehindUnicode, Seen::Word(Role::Uescape)) => Cast::Escape,
            (Cast::Escape, Seen::Constant) => Cast::Behind,
            (Cast::Colons, Seen::Word(role)) => Cast::Name(role),
            (Cast::Colons, Seen::Quoted) => Cast::Name(Role::None),
            (Cast::Name(_), Seen::Dot) => Cast::Colons,
            (Cast::Name(role), Seen::Open) => Cast::Modifiers { role, depth: 1 },
            (Cast::Name(role), Seen::OpenBracket) => Cast::Subscript(role),
            (Cast::Name(Role::Double), Seen::Word(Role::Precision)) => Cast::Name(Role::None),
            (Cast::Name(Role::Character), Seen::Word(Role::Varying)) => Cast::Name(Role::None),
            (Cast::Name(Role::Interval), Seen::Word(Role::Field | Role::To)) => self.cast,
            (Cast::Name(Role::Time), Seen::Word(Role::With | Role::Without)) => {
                self.cast = Cast::With(self.start());
                return false;
            }
            (Cast::With(start), Seen::Word(Role::Time)) if self.cut_back(start) => {
                self.after(true);
                Cast::WithTime
            }
            (Cast::WithTime, Seen::Word(Role::Zone)) => Cast::Name(Role::None),
            (Cast::Modifiers { role, depth: 1 }, Seen::Close) => Cast::Name(role),
            (Cast::Modifiers { role, depth }, Seen::Close) => Cast::Modifiers {
                role,
                depth: depth - 1,
            },
            (Cast::Modifiers { role, depth }, Seen::Open) => Cast::Modifiers {
                role,
                depth: depth + 1,
            },
            (Cast::Modifiers { .. }, _) => self.cast,
            (Cast::Subscript(role), Seen::CloseBracket) => Cast::Name(role),
            (Cast::Subscript(_), _) => self.cast,
            _ => {
                self.pending &= !pending::CAST;
                return false;
            }
        };
        self.cast = next;
        true
    }
}

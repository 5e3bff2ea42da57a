//! What a statement is, from its first tokens: verb, the name it works on, where its inner statement begins.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

use super::canon;
use super::{NameHash, Verb};

/// A token as the head of a statement sees it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Token<'a> {
    /// A bare word, in lower case.
    Word(&'a [u8]),
    /// A quoted name as it was written, with its quotes.
    Quoted(&'a [u8]),
    Constant,
    Open,
    Close,
    Comma,
    Equals,
    Other,
}

/// What the folder does with the token that the head was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing special.
    Keep,
    /// It is the name of a cursor, savepoint or prepared statement: a value, not a part of the shape.
    Value,
    /// The inner statement begins behind it.
    InnerFollows,
}

/// Where in the head of its statement the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    /// The verb comes; parentheses may stand before it.
    Start,
    /// `WITH` stood at this depth; the main verb comes after its last subquery.
    With {
        depth: u32,
        subquery_ended: bool,
    },
    Commit,
    Rollback,
    /// A savepoint's name comes, perhaps after the word SAVEPOINT.
    Savepoint,
    DeclareName,
    DeclareOptions {
        with: bool,
    },
    Fetch,
    CloseCursor,
    PrepareName,
    PrepareAs,
    ExecuteName,
    Deallocate,
    Set,
    SetSession,
    /// `SET name`: its values come behind TO or `=`.
    SetName,
    /// Behind it: each word is a value, as a string would be.
    SetValue,
    /// What is altered comes.
    Alter,
    /// A role or database: SET comes, perhaps.
    AlterSet,
}

/// The head of one statement.
#[derive(Debug)]
pub(super) struct Head {
    state: State,
    in_inner: bool,
    pub(super) verb: Verb,
    pub(super) inner_verb: Verb,
    pub(super) subject: Option<NameHash>,
    pub(super) holdable: bool,
}

impl Head {
    pub(super) fn new() -> Head {
        Head {
            state: State::Start,
            in_inner: false,
            verb: Verb::Other,
            inner_verb: Verb::Other,
            subject: None,
            holdable: false,
        }
    }

    /// Whether it wants no more tokens.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes the next token, which stands inside `depth` parentheses.
    pub(super) fn step(&mut self, token: Token<'_>, depth: u32) -> Verdict {
        match self.state {
            State::Done => Verdict::Keep,
            State::Start => {
                match token {
                    Token::Open => {}
                    Token::Word(word) => self.start(word, depth),
                    _ => self.state = State::Done,
                }
                Verdict::Keep
            }
            State::With {
                depth: with_depth,
                subquery_ended,
            } => {
                self.with(token, depth, with_depth, subquery_ended);
                Verdict::Keep
            }
            State::Commit => {
                if matches!(token, Token::Word(b"prepared")) {
                    self.set_verb(Verb::CommitPrepared);
                }
                self.state = State::Done;
                Verdict::Keep
            }
            State::Rollback => {
                match token {
                    Token::Word(b"work" | b"transaction") => {}
                    Token::Word(b"to") => {
                        self.set_verb(Verb::RollbackTo);
                        self.state = State::Savepoint;
                    }
                    Token::Word(b"prepared") => {
                        self.set_verb(Verb::RollbackPrepared);
                        self.state = State::Done;
                    }
                    _ => self.state = State::Done,
                }
                Verdict::Keep
            }
            State::Savepoint => match token {
                Token::Word(b"savepoint") => Verdict::Keep,
                _ => self.value(token, State::Done),
            },
            State::DeclareName => self.named(token, State::DeclareOptions { with: false }),
            State::DeclareOptions { with } => {
                self.state = State::DeclareOptions {
                    with: matches!(token, Token::Word(b"with")),
                };
                match token {
                    Token::Word(b"hold") => {
                        self.holdable = with;
                        Verdict::Keep
                    }
                    Token::Word(b"for") => self.begin_inner(),
                    _ => Verdict::Keep,
                }
            }
            State::Fetch => match token {
                Token::Word(
                    b"next" | b"prior" | b"first" | b"last" | b"absolute" | b"relative"
                    | b"forward" | b"backward" | b"all" | b"from" | b"in",
                )
                | Token::Constant
                | Token::Other => Verdict::Keep,
                // A name in place of the count would look like a count once it is a constant: all names are values.
                _ if self.subject.is_some() => self.value(token, State::Fetch),
                _ => self.named(token, State::Fetch),
            },
            State::CloseCursor => match token {
                Token::Word(b"all") => {
                    self.state = State::Done;
                    Verdict::Keep
                }
                _ => self.named(token, State::Done),
            },
            State::PrepareName => match token {
                Token::Word(b"transaction") => {
                    self.set_verb(Verb::PrepareTransaction);
                    self.state = State::Done;
                    Verdict::Keep
                }
                _ => self.named(token, State::PrepareAs),
            },
            State::PrepareAs => match token {
                Token::Word(b"as") if depth == 0 => self.begin_inner(),
                _ => Verdict::Keep,
            },
            State::ExecuteName => self.named(token, State::Done),
            State::Deallocate => match token {
                Token::Word(b"prepare") => Verdict::Keep,
                Token::Word(b"all") => {
                    self.state = State::Done;
                    Verdict::Keep
                }
                _ => self.named(token, State::Done),
            },
            State::Set => {
                self.state = State::Done;
                match token {
                    Token::Word(b"transaction") => self.set_verb(Verb::SetTransaction),
                    Token::Word(b"session") => self.state = State::SetSession,
                    _ => self.state = State::SetName,
                }
                Verdict::Keep
            }
            State::SetSession => {
                self.state = State::SetName;
                if matches!(token, Token::Word(b"characteristics")) {
                    self.set_verb(Verb::SetTransaction);
                    self.state = State::Done;
                }
                Verdict::Keep
            }
            State::SetName => {
                if matches!(token, Token::Word(b"to") | Token::Equals) {
                    self.state = State::SetValue;
                }
                Verdict::Keep
            }
            State::SetValue => self.value(token, State::SetValue),
            State::Alter => {
                self.state = match token {
                    Token::Word(b"role" | b"user" | b"database" | b"system") => State::AlterSet,
                    _ => State::Done,
                };
                Verdict::Keep
            }
            State::AlterSet => {
                if matches!(token, Token::Word(b"set")) {
                    self.state = State::SetName;
                }
                Verdict::Keep
            }
        }
    }

    fn set_verb(&mut self, verb: Verb) {
        if self.in_inner {
            self.inner_verb = verb;
        } else {
            self.verb = verb;
        }
    }

    fn begin_inner(&mut self) -> Verdict {
        if self.in_inner {
            self.state = State::Done;
            return Verdict::Keep;
        }
        self.in_inner = true;
        self.state = State::Start;
        Verdict::InnerFollows
    }

    /// A name that is a value; what else comes is not.
    fn value(&mut self, token: Token<'_>, next: State) -> Verdict {
        self.state = next;
        match token {
            Token::Word(_) | Token::Quoted(_) => Verdict::Value,
            _ => Verdict::Keep,
        }
    }

    /// As [`Head::value`], and remembered as the statement's subject.
    fn named(&mut self, token: Token<'_>, next: State) -> Verdict {
        if !self.in_inner {
            self.subject = match token {
                Token::Word(word) => Some(NameHash::of(word)),
                Token::Quoted(raw) => Some(NameHash::of(&unquote(raw))),
                _ => None,
            };
        }
        self.value(token, next)
    }

    fn start(&mut self, word: &[u8], depth: u32) {
        let (verb, state) = match word {
            b"select" => (Verb::Select, State::Done),
            b"insert" => (Verb::Insert, State::Done),
            b"update" => (Verb::Update, State::Done),
            b"delete" => (Verb::Delete, State::Done),
            b"begin" | b"start" => (Verb::Begin, State::Done),
            b"commit" | b"end" => (Verb::Commit, State::Commit),
            b"savepoint" => (Verb::Savepoint, State::Savepoint),
            b"release" => (Verb::Release, State::Savepoint),
            b"rollback" | b"abort" => (Verb::Rollback, State::Rollback),
            b"declare" => (Verb::Declare, State::DeclareName),
            b"fetch" => (Verb::Fetch, State::Fetch),
            b"move" => (Verb::Move, State::Fetch),
            b"close" => (Verb::Close, State::CloseCursor),
            b"with" => (
                Verb::Select,
                State::With {
                    depth,
                    subquery_ended: false,
                },
            ),
            b"merge" => (Verb::Merge, State::Done),
            b"values" => (Verb::Values, State::Done),
            b"table" => (Verb::Table, State::Done),
            b"copy" => (Verb::Copy, State::Done),
            b"call" => (Verb::Call, State::Done),
            b"do" => (Verb::Do, State::Done),
            b"set" => (Verb::Set, State::Set),
            b"reset" => (Verb::Reset, State::Done),
            b"show" => (Verb::Show, State::Done),
            b"discard" => (Verb::Discard, State::Done),
            b"prepare" => (Verb::Prepare, State::PrepareName),
            b"execute" => (Verb::Execute, State::ExecuteName),
            b"deallocate" => (Verb::Deallocate, State::Deallocate),
            b"explain" => (Verb::Explain, State::Done),
            b"listen" => (Verb::Listen, State::Done),
            b"notify" => (Verb::Notify, State::Done),
            b"unlisten" => (Verb::Unlisten, State::Done),
            b"lock" => (Verb::Lock, State::Done),
            b"create" => (Verb::Create, State::Done),
            b"alter" => (Verb::Alter, State::Alter),
            b"drop" => (Verb::Drop, State::Done),
            b"truncate" => (Verb::Truncate, State::Done),
            b"grant" => (Verb::Grant, State::Done),
            b"revoke" => (Verb::Revoke, State::Done),
            b"comment" => (Verb::Comment, State::Done),
            b"analyze" | b"analyse" => (Verb::Analyze, State::Done),
            b"vacuum" => (Verb::Vacuum, State::Done),
            b"reindex" => (Verb::Reindex, State::Done),
            b"cluster" => (Verb::Cluster, State::Done),
            b"refresh" => (Verb::Refresh, State::Done),
            b"checkpoint" => (Verb::Checkpoint, State::Done),
            _ => (Verb::Other, State::Done),
        };
        self.set_verb(verb);
        self.state = state;
    }

    fn with(&mut self, token: Token<'_>, depth: u32, with_depth: u32, subquery_ended: bool) {
        let subquery_ended = match token {
            // A parenthesis counts as standing outside of itself.
            Token::Close => depth == with_depth || subquery_ended,
            Token::Comma => subquery_ended && depth != with_depth,
            Token::Word(word) if depth == with_depth && subquery_ended => {
                let verb = match word {
                    b"select" => Some(Verb::Select),
                    b"insert" => Some(Verb::Insert),
                    b"update" => Some(Verb::Update),
                    b"delete" => Some(Verb::Delete),
                    b"merge" => Some(Verb::Merge),
                    b"values" => Some(Verb::Values),
                    b"table" => Some(Verb::Table),
                    _ => None,
                };
                if let Some(verb) = verb {
                    self.set_verb(verb);
                    self.state = State::Done;
                    return;
                }
                true
            }
            _ => subquery_ended,
        };
        self.state = State::With {
            depth: with_depth,
            subquery_ended,
        };
    }
}

/// The name inside `raw`, its quotes doubled no more, cut as PostgreSQL cuts it.
fn unquote(raw: &[u8]) -> Vec<u8> {
    let inside = raw.strip_prefix(b"\"").unwrap_or(raw);
    let inside = inside.strip_suffix(b"\"").unwrap_or(inside);
    let mut name = Vec::with_capacity(inside.len().min(canon::NAME_BYTES_MAX + 4));
    let mut bytes = inside.iter().peekable();
    while let Some(&byte) = bytes.next() {
        name.push(byte);
        if byte == b'"' && bytes.peek() == Some(&&b'"') {
            bytes.next();
        }
        if name.len() > canon::NAME_BYTES_MAX + 4 {
            break;
        }
    }
    name
}

//! The words that mean something to the fingerprint: PostgreSQL's keywords that need quotes as names, and the few
//! that change how what follows is read.
//!
//! *Architecture invariant:* a table and its lookup, nothing else; every lookup is one multiplication and one compare.

use super::bytes::BLOCK_BYTES;

/// What a bare word does to the tokens behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Not a word, or one that changes nothing.
    None,
    In,
    Is,
    /// `NOT` directly behind `IS`.
    IsNot,
    Not,
    Set,
    Null,
    Boolean,
    Array,
    Values,
    Case,
    When,
    Else,
    End,
    Default,
    Current,
    Of,
    Begin,
    Atomic,
    With,
    Without,
    Zone,
    To,
    Uescape,
    Varying,
    Precision,
    /// A type's name that may stand before a string: `date '2024-01-01'`.
    Type,
    /// `time`, `timestamp`: may go on with `with time zone`.
    Time,
    /// `time` behind `with` or `without`.
    WithTime,
    /// `double`, goes on with `precision`.
    Double,
    /// `character`, `bit`: may go on with `varying`.
    Character,
    /// `interval`: fields may stand behind its literal.
    Interval,
    /// `year`, `day`...: a field of an interval.
    Field,
    /// `int4range`...: a constructor that psycopg2 writes for a range value.
    Range,
    /// `hstore`: a constructor that psycopg2 writes for a dictionary.
    Hstore,
}

/// What is known of a bare word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    /// In lower case.
    pub(super) text: &'static str,
    pub(super) role: Role,
    /// PostgreSQL would need quotes to use it as a column's name, so `"word"` is something else than `word`.
    pub(super) reserved: bool,
    /// An operand follows: a sign behind it belongs to that operand.
    pub(super) prefix: bool,
}

const fn entry(text: &'static str, role: Role, reserved: bool, prefix: bool) -> Word {
    Word {
        text,
        role,
        reserved,
        prefix,
    }
}

/// Reserved, an operand or a clause follows.
const fn clause(text: &'static str) -> Word {
    entry(text, Role::None, true, true)
}

/// Reserved, and itself an operand or the end of one.
const fn operand(text: &'static str) -> Word {
    entry(text, Role::None, true, false)
}

/// Not reserved, but a type's name.
const fn type_name(text: &'static str) -> Word {
    entry(text, Role::Type, false, false)
}

/// Needs quotes as a column's name, and is a type's name.
const fn type_keyword(text: &'static str) -> Word {
    entry(text, Role::Type, true, false)
}

const fn field(text: &'static str) -> Word {
    entry(text, Role::Field, false, false)
}

/// `src/include/parser/kwlist.h` of PostgreSQL 18 but its unreserved words, plus the words that have a role.
const WORDS: &[Word] = &[
    // reserved
    clause("all"),
    clause("analyse"),
    clause("analyze"),
    clause("and"),
    clause("any"),
    entry("array", Role::Array, true, false),
    clause("as"),
    operand("asc"),
    clause("asymmetric"),
    clause("both"),
    entry("case", Role::Case, true, true),
    clause("cast"),
    clause("check"),
    clause("collate"),
    operand("column"),
    operand("constraint"),
    operand("create"),
    operand("current_catalog"),
    operand("current_date"),
    operand("current_role"),
    operand("current_time"),
    operand("current_user"),
    entry("default", Role::Default, true, true),
    operand("deferrable"),
    operand("desc"),
    clause("distinct"),
    clause("do"),
    entry("else", Role::Else, true, true),
    entry("end", Role::End, true, false),
    clause("except"),
    entry("false", Role::Boolean, true, false),
    clause("fetch"),
    clause("for"),
    operand("foreign"),
    clause("from"),
    clause("grant"),
    clause("group"),
    clause("having"),
    entry("in", Role::In, true, true),
    operand("initially"),
    clause("intersect"),
    clause("into"),
    clause("lateral"),
    clause("leading"),
    clause("limit"),
    operand("localtime"),
    operand("localtimestamp"),
    entry("not", Role::Not, true, true),
    entry("null", Role::Null, true, false),
    clause("offset"),
    clause("on"),
    clause("only"),
    clause("or"),
    clause("order"),
    operand("placing"),
    operand("primary"),
    clause("references"),
    clause("returning"),
    clause("select"),
    operand("session_user"),
    clause("some"),
    clause("symmetric"),
    operand("system_user"),
    operand("table"),
    clause("then"),
    entry("to", Role::To, true, true),
    clause("trailing"),
    entry("true", Role::Boolean, true, false),
    clause("union"),
    operand("unique"),
    operand("user"),
    clause("using"),
    clause("variadic"),
    entry("when", Role::When, true, true),
    clause("where"),
    clause("window"),
    entry("with", Role::With, true, true),
    // reserved, may be a function or a type
    operand("authorization"),
    operand("binary"),
    operand("collation"),
    operand("concurrently"),
    operand("cross"),
    operand("current_schema"),
    operand("freeze"),
    operand("full"),
    clause("ilike"),
    operand("inner"),
    entry("is", Role::Is, true, true),
    operand("isnull"),
    operand("join"),
    operand("left"),
    clause("like"),
    operand("natural"),
    operand("notnull"),
    operand("outer"),
    operand("overlaps"),
    operand("right"),
    clause("similar"),
    operand("tablesample"),
    operand("verbose"),
    // not reserved, but not a function or a type either
    clause("between"),
    type_keyword("bigint"),
    entry("bit", Role::Character, true, false),
    type_keyword("boolean"),
    entry("char", Role::Character, true, false),
    entry("character", Role::Character, true, false),
    operand("coalesce"),
    type_keyword("dec"),
    type_keyword("decimal"),
    operand("exists"),
    operand("extract"),
    type_keyword("float"),
    operand("greatest"),
    operand("grouping"),
    operand("inout"),
    type_keyword("int"),
    type_keyword("integer"),
    entry("interval", Role::Interval, true, false),
    operand("json_array"),
    operand("json_arrayagg"),
    operand("json_exists"),
    operand("json_object"),
    operand("json_objectagg"),
    operand("json_query"),
    operand("json_scalar"),
    operand("json_serialize"),
    operand("json_table"),
    operand("json_value"),
    operand("least"),
    operand("merge_action"),
    operand("national"),
    entry("nchar", Role::Character, true, false),
    operand("none"),
    operand("normalize"),
    operand("nullif"),
    type_keyword("numeric"),
    operand("out"),
    operand("overlay"),
    operand("position"),
    entry("precision", Role::Precision, true, false),
    type_keyword("real"),
    operand("row"),
    operand("setof"),
    type_keyword("smallint"),
    operand("substring"),
    entry("time", Role::Time, true, false),
    entry("timestamp", Role::Time, true, false),
    operand("treat"),
    operand("trim"),
    entry("values", Role::Values, true, true),
    type_keyword("varchar"),
    operand("xmlattributes"),
    operand("xmlconcat"),
    operand("xmlelement"),
    operand("xmlexists"),
    operand("xmlforest"),
    operand("xmlnamespaces"),
    operand("xmlparse"),
    operand("xmlpi"),
    operand("xmlroot"),
    operand("xmlserialize"),
    operand("xmltable"),
    // unreserved, but with a role
    entry("set", Role::Set, false, true),
    entry("current", Role::Current, false, false),
    entry("of", Role::Of, false, false),
    entry("begin", Role::Begin, false, false),
    entry("atomic", Role::Atomic, false, false),
    entry("without", Role::Without, false, false),
    entry("zone", Role::Zone, false, false),
    entry("uescape", Role::Uescape, false, false),
    entry("varying", Role::Varying, false, false),
    entry("double", Role::Double, false, false),
    entry("by", Role::None, false, true),
    entry("escape", Role::None, false, true),
    entry("forward", Role::None, false, true),
    entry("backward", Role::None, false, true),
    entry("absolute", Role::None, false, true),
    entry("relative", Role::None, false, true),
    entry("move", Role::None, false, true),
    field("year"),
    field("month"),
    field("day"),
    field("hour"),
    field("minute"),
    field("second"),
    type_name("bool"),
    type_name("box"),
    type_name("bpchar"),
    type_name("bytea"),
    type_name("cidr"),
    type_name("circle"),
    type_name("citext"),
    type_name("date"),
    type_name("float4"),
    type_name("float8"),
    type_name("geography"),
    type_name("geometry"),
    type_name("inet"),
    type_name("int2"),
    type_name("int4"),
    type_name("int8"),
    type_name("json"),
    type_name("jsonb"),
    type_name("line"),
    type_name("lseg"),
    type_name("macaddr"),
    type_name("macaddr8"),
    type_name("money"),
    type_name("path"),
    type_name("point"),
    type_name("polygon"),
    type_name("regclass"),
    type_name("text"),
    type_name("timestamptz"),
    type_name("timetz"),
    type_name("tsquery"),
    type_name("tsvector"),
    type_name("uuid"),
    type_name("xml"),
    entry("int4range", Role::Range, false, false),
    entry("int8range", Role::Range, false, false),
    entry("numrange", Role::Range, false, false),
    entry("daterange", Role::Range, false, false),
    entry("tsrange", Role::Range, false, false),
    entry("tstzrange", Role::Range, false, false),
    entry("hstore", Role::Hstore, false, false),
];

/// A word that fits a block, as its bytes in lower case, the first one lowest; 0 for a longer one.
pub(super) type Key = u128;

const SLOTS: usize = 1024;

/// Slot to index into [`WORDS`] plus one; 0 is an empty slot.
static SLOT_INDEX: [u8; SLOTS] = slot_indices();
/// Keys of the words, in the order of [`WORDS`].
static KEYS: [Key; WORDS.len()] = keys();
/// The only keyword that is longer than a block: no rule asks for it, but as a name it needs quotes.
const LONG_KEYWORD: &[u8] = b"current_timestamp";
const LONG_KEY: Key = u128::from_le_bytes(*b"current_timestam");

const fn keys() -> [Key; WORDS.len()] {
    assert!(WORDS.len() < 255, "an index plus one must fit a byte");
    let mut keys = [0; WORDS.len()];
    let mut index = 0;
    while index < WORDS.len() {
        let text = WORDS[index].text.as_bytes();
        assert!(text.len() <= BLOCK_BYTES, "a word must fit a block");
        let mut position = text.len();
        while position > 0 {
            position -= 1;
            keys[index] = keys[index] << 8 | text[position] as u128;
        }
        index += 1;
    }
    keys
}

const fn slot_indices() -> [u8; SLOTS] {
    let keys = keys();
    let mut table = [0; SLOTS];
    let mut index = 0;
    while index < keys.len() {
        let mut slot = slot_of(keys[index]);
        while table[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = index as u8 + 1;
        index += 1;
    }
    table
}

/// Where the search for `key` begins.
#[inline(always)]
const fn slot_of(key: Key) -> usize {
    let mixed = (key as u64) ^ ((key >> 64) as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOTS.trailing_zeros())) as usize
}

/// The word of the table with this key; `None` for an ordinary name.
#[inline]
pub(super) fn lookup(key: Key) -> Option<&'static Word> {
    let mut slot = slot_of(key);
    loop {
        let index = usize::from(SLOT_INDEX.get(slot).copied().unwrap_or(0)).checked_sub(1)?;
        if KEYS.get(index) == Some(&key) {
            return WORDS.get(index);
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// The key of `name`, which is in lower case.
pub(super) fn key(name: &[u8]) -> Key {
    let mut block = [0; BLOCK_BYTES];
    match block.get_mut(..name.len()) {
        Some(start) => start.copy_from_slice(name),
        None => return 0,
    }
    Key::from_le_bytes(block)
}

/// Whether a name of `length` bytes with this key (or one that begins with it) would be read as a keyword if it stood
/// without quotes.
#[inline]
pub(super) fn is_reserved(key: Key, length: usize) -> bool {
    // `current_timestamp` is the only one of 17 bytes; taking its namesakes for it costs them nothing but a quote.
    match length {
        0..=BLOCK_BYTES => lookup(key).is_some_and(|word| word.reserved),
        _ => length == LONG_KEYWORD.len() && key == LONG_KEY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_reserved(name: &[u8]) -> bool {
        let start = &name[..name.len().min(BLOCK_BYTES)];
        super::is_reserved(super::key(start), name.len())
    }

    fn key(text: &str) -> Key {
        super::key(text.as_bytes())
    }

    #[test]
    fn every_word_is_found_and_its_neighbours_are_names() {
        for word in WORDS {
            assert_eq!(lookup(key(word.text)), Some(word));
            assert_eq!(is_reserved(word.text.as_bytes()), word.reserved);
            assert!(
                !is_reserved(format!("{}_", word.text).as_bytes()),
                "{}_",
                word.text
            );
        }
        assert!(is_reserved(b"current_timestamp"));
        assert_eq!(lookup(key("customer_id")), None);
        assert_eq!(lookup(0), None);
        assert!(!is_reserved(&[b'a'; 400]));
    }

    #[test]
    fn no_word_is_there_twice() {
        let mut texts: Vec<_> = WORDS.iter().map(|word| word.text).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), WORDS.len());
    }
}

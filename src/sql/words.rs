//! The words that mean something to the fingerprint: PostgreSQL's keywords that need quotes as names, and the few
//! that change how what follows is read.
//!
//! *Architecture invariant:* a table and its lookup, nothing else; every lookup is one multiplication and one compare.

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
    operand("current_timestamp"),
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

/// The longest word of the table, bytes.
const WORD_BYTES_MAX: usize = 17;
const SLOTS: usize = 2048;

/// Slot to index into [`WORDS`] plus one; 0 is an empty slot.
static TABLE: [u8; SLOTS] = build();

const fn build() -> [u8; SLOTS] {
    assert!(WORDS.len() < 255, "an index plus one must fit a byte");
    let mut table = [0; SLOTS];
    let mut index = 0;
    while index < WORDS.len() {
        let text = WORDS[index].text.as_bytes();
        assert!(
            text.len() <= WORD_BYTES_MAX && text.len() >= 2,
            "a word's length"
        );
        let mut slot = slot_of(text);
        while table[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = index as u8 + 1;
        index += 1;
    }
    table
}

/// Where the search for `text` (2 to 17 bytes, lower case) begins.
const fn slot_of(text: &[u8]) -> usize {
    let length = text.len();
    let (Some(&[a, b]), Some(&[y, z])) = (text.first_chunk(), text.last_chunk()) else {
        return 0;
    };
    let middle = match text.split_at_checked(length / 2) {
        Some((_, [m, ..])) => *m,
        _ => 0,
    };
    let key = (a as u64)
        | (b as u64) << 8
        | (y as u64) << 16
        | (z as u64) << 24
        | (middle as u64) << 32
        | (length as u64) << 40;
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOTS.trailing_zeros())) as usize
}

/// The word of the table that equals `word`, which is in lower case; `None` for an ordinary name.
#[inline]
pub(super) fn lookup(word: &[u8]) -> Option<&'static Word> {
    if word.len() < 2 || word.len() > WORD_BYTES_MAX {
        return None;
    }
    let mut slot = slot_of(word);
    loop {
        let index = usize::from(TABLE.get(slot).copied().unwrap_or(0)).checked_sub(1)?;
        if let Some(found) = WORDS.get(index)
            && found.text.as_bytes() == word
        {
            return Some(found);
        }
        slot = (slot + 1) % SLOTS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_and_its_neighbours_are_names() {
        for word in WORDS {
            assert_eq!(lookup(word.text.as_bytes()), Some(word));
            assert_eq!(
                lookup(format!("{}_x", word.text).as_bytes()),
                None,
                "{}_x",
                word.text
            );
        }
        assert_eq!(lookup(b"customer_id"), None);
        assert_eq!(lookup(b""), None);
        assert_eq!(lookup(&[b'a'; 400]), None);
    }

    #[test]
    fn no_word_is_there_twice() {
        let mut texts: Vec<_> = WORDS.iter().map(|word| word.text).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), WORDS.len());
    }
}

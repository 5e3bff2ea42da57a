//! The language of `?q=`: which items of a list somebody wants to see.
//!
//! `route:books test:orders table:shop_book op:select db:shop user:web app:gunicorn kind:n_plus_one status:open`
//! `evidence:trace confidence:proved state:incomplete finding:3c91 finding d>100ms n>50 error`, each in any case; all
//! of them must hold. A word that is none of these is looked for in the item's texts, and so is anything in double
//! quotes.

use super::error::ApiError;

/// Bytes of a filter.
const FILTER_BYTES_MAX: usize = 1_000;

/// Words of a filter.
const TERMS_MAX: usize = 20;

/// What an item may be asked about by name: `key:word`, or `d` and `n` compared with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Route,
    Test,
    Table,
    Operation,
    Database,
    User,
    Application,
    Kind,
    Status,
    Confidence,
    Evidence,
    State,
    Finding,
    Duration,
    Number,
    Error,
}

impl Key {
    const ALL: [Key; 16] = [
        Key::Route,
        Key::Test,
        Key::Table,
        Key::Operation,
        Key::Database,
        Key::User,
        Key::Application,
        Key::Kind,
        Key::Status,
        Key::Confidence,
        Key::Evidence,
        Key::State,
        Key::Finding,
        Key::Duration,
        Key::Number,
        Key::Error,
    ];

    /// As it is written.
    fn as_str(self) -> &'static str {
        match self {
            Key::Route => "route",
            Key::Test => "test",
            Key::Table => "table",
            Key::Operation => "op",
            Key::Database => "db",
            Key::User => "user",
            Key::Application => "app",
            Key::Kind => "kind",
            Key::Status => "status",
            Key::Confidence => "confidence",
            Key::Evidence => "evidence",
            Key::State => "state",
            Key::Finding => "finding",
            Key::Duration => "d",
            Key::Number => "n",
            Key::Error => "error",
        }
    }

    fn parse(written: &str) -> Option<Key> {
        Key::ALL
            .into_iter()
            .find(|key| key.as_str().eq_ignore_ascii_case(written))
    }

    /// How it is used, for who used it otherwise.
    fn usage(self) -> &'static str {
        match self {
            Key::Duration => "d>100ms",
            Key::Number => "n>50",
            Key::Error => "error",
            _ => "a word after the colon",
        }
    }
}

/// What a filter may ask an item.
pub(super) trait Item {
    /// The keys that this kind of item knows.
    const KEYS: &'static [Key];

    /// Whether `wanted` is true of one of the texts that a plain word is looked for in.
    fn any_text(&self, wanted: &mut dyn FnMut(&str) -> bool) -> bool;

    /// Whether `wanted` is true of one of the words that `key` has here; never asked for a number or an error.
    fn any_word(&self, key: Key, wanted: &mut dyn FnMut(&str) -> bool) -> bool;

    /// What `d` is compared with.
    fn duration_ns(&self) -> u64;

    /// What `n` is compared with.
    fn number(&self) -> u64;

    /// Whether it failed, or holds something that failed.
    fn failed(&self) -> bool;
}

/// A filter that was read; without terms it keeps everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    /// Lower case.
    Text(String),
    /// The word in lower case.
    Word(Key, String),
    Duration(Comparison, u64),
    Number(Comparison, u64),
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Comparison {
    fn holds(self, figure: u64, bound: u64) -> bool {
        match self {
            Comparison::Above => figure > bound,
            Comparison::AtLeast => figure >= bound,
            Comparison::Below => figure < bound,
            Comparison::AtMost => figure <= bound,
        }
    }

    /// Splits `d>=100ms` into what stands before, the sign, and what stands behind.
    fn split(written: &str) -> Option<(&str, Comparison, &str)> {
        let at = written.find(['<', '>'])?;
        let (before, rest) = written.split_at(at);
        // Longer signs first.
        [
            (">=", Comparison::AtLeast),
            ("<=", Comparison::AtMost),
            (">", Comparison::Above),
            ("<", Comparison::Below),
        ]
        .into_iter()
        .find_map(|(sign, comparison)| Some((before, comparison, rest.strip_prefix(sign)?)))
    }
}

impl Filter {
    /// Reads what was written for a list of `I`.
    pub(super) fn parse<I: Item>(written: &str) -> Result<Filter, ApiError> {
        if written.len() > FILTER_BYTES_MAX {
            return Err(bad(format!("at most {FILTER_BYTES_MAX} bytes")));
        }
        let terms = words(written)
            .map(|(word, quoted)| match quoted {
                true => Ok(Term::Text(word.to_lowercase())),
                false => Term::parse(word, I::KEYS),
            })
            .collect::<Result<Vec<Term>, ApiError>>()?;
        if terms.len() > TERMS_MAX {
            return Err(bad(format!("at most {TERMS_MAX} words")));
        }
        Ok(Filter { terms })
    }

    /// Whether it keeps everything.
    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether all terms hold of `item`.
    pub(super) fn keeps<I: Item>(&self, item: &I) -> bool {
        self.terms.iter().all(|term| match term {
            Term::Text(wanted) => item.any_text(&mut |text| contains(text, wanted)),
            Term::Word(key, wanted) => item.any_word(*key, &mut |text| contains(text, wanted)),
            Term::Duration(comparison, bound) => comparison.holds(item.duration_ns(), *bound),
            Term::Number(comparison, bound) => comparison.holds(item.number(), *bound),
            Term::Error => item.failed(),
        })
    }
}

impl Term {
    fn parse(word: &str, known: &[Key]) -> Result<Term, ApiError> {
        let known_here = |key: Key| {
            if known.contains(&key) {
                return Ok(());
            }
            let known: Vec<&str> = known.iter().map(|key| key.as_str()).collect();
            Err(bad(format!(
                "this list has no `{}`; it has {}",
                key.as_str(),
                known.join(", ")
            )))
        };
        if let Some((before, comparison, behind)) = Comparison::split(word)
            && let Some(key) = Key::parse(before)
        {
            known_here(key)?;
            return match key {
                Key::Duration => Ok(Term::Duration(comparison, nanoseconds(behind)?)),
                Key::Number => Ok(Term::Number(comparison, number(behind)?)),
                _ => Err(misused(key)),
            };
        }
        if let Some((before, wanted)) = word.split_once(':')
            && let Some(key) = Key::parse(before)
        {
            known_here(key)?;
            if matches!(key, Key::Duration | Key::Number | Key::Error) || wanted.is_empty() {
                return Err(misused(key));
            }
            return Ok(Term::Word(key, wanted.to_lowercase()));
        }
        match Key::parse(word).filter(|key| known.contains(key)) {
            Some(Key::Error) => Ok(Term::Error),
            Some(Key::Finding) => Ok(Term::Word(Key::Finding, String::new())),
            _ => Ok(Term::Text(word.to_lowercase())),
        }
    }
}

/// The words, and whether each was in quotes. A quote that is not closed ends with the text; `key:"two words"` is one.
fn words(written: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = written.trim_start();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (word, quoted, end) = match rest.strip_prefix('"') {
            Some(inside) => match inside.find('"') {
                Some(at) => (&inside[..at], true, &inside[at + 1..]),
                None => (inside, true, ""),
            },
            None => {
                let at = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (&rest[..at], false, &rest[at..])
            }
        };
        rest = end.trim_start();
        Some((word, quoted))
    })
    .filter(|(word, _)| !word.is_empty())
}

/// Whether `text` contains `wanted`, which is in lower case; nothing is in any text.
fn contains(text: &str, wanted: &str) -> bool {
    if wanted.is_empty() {
        return true;
    }
    // Most texts are ASCII: no copy of them is needed.
    if wanted.is_ascii() && text.is_ascii() {
        return text
            .as_bytes()
            .windows(wanted.len())
            .any(|window| window.eq_ignore_ascii_case(wanted.as_bytes()));
    }
    text.to_lowercase().contains(wanted)
}

/// `100ms`, `1.5s`, `2m`, or a bare number of milliseconds.
fn nanoseconds(written: &str) -> Result<u64, ApiError> {
    let digits_end = written
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(written.len());
    let (digits, unit) = written.split_at(digits_end);
    let scale = match unit.to_ascii_lowercase().as_str() {
        "us" | "µs" => 1e3,
        "" | "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        _ => return Err(misused(Key::Duration)),
    };
    let figure: f64 = digits.parse().map_err(|_| misused(Key::Duration))?;
    // A float beyond the range of u64 becomes its greatest value.
    Ok((figure * scale) as u64)
}

fn number(written: &str) -> Result<u64, ApiError> {
    written.parse().map_err(|_| misused(Key::Number))
}

fn misused(key: Key) -> ApiError {
    bad(format!("`{}` is written {}", key.as_str(), key.usage()))
}

fn bad(problem: String) -> ApiError {
    ApiError::bad_parameter("q", problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Request;

    impl Item for Request {
        const KEYS: &'static [Key] = &[
            Key::Route,
            Key::Finding,
            Key::Duration,
            Key::Number,
            Key::Error,
        ];

        fn any_text(&self, wanted: &mut dyn FnMut(&str) -> bool) -> bool {
            ["SELECT id FROM Shop_Book", "Größe"]
                .into_iter()
                .any(wanted)
        }

        fn any_word(&self, _: Key, wanted: &mut dyn FnMut(&str) -> bool) -> bool {
            wanted("Books/")
        }

        fn duration_ns(&self) -> u64 {
            100_000_000
        }

        fn number(&self) -> u64 {
            50
        }

        fn failed(&self) -> bool {
            false
        }
    }

    #[track_caller]
    fn check(written: &str, kept: bool) {
        let filter = Filter::parse::<Request>(written).unwrap();
        assert_eq!(filter.keeps(&Request), kept, "{written}");
    }

    #[track_caller]
    fn refused(written: &str, because: &str) {
        let error = Filter::parse::<Request>(written).unwrap_err().to_string();
        assert!(error.contains(because), "{written}: {error}");
    }

    #[test]
    fn every_word_has_to_hold() {
        for written in [
            "",
            "  ",
            "book",
            "BOOK select",
            "route:book",
            "ROUTE:BOOKS/",
        ] {
            check(written, true);
        }
        for written in [
            "author",
            "book author",
            "route:author",
            "route:books/ author",
        ] {
            check(written, false);
        }
    }

    #[test]
    fn quotes_keep_words_together_and_keys_from_being_read() {
        check("\"from shop_book\"", true);
        check("\"book from\"", false);
        check("\"route:books\"", false);
        check("\"from shop_book", true);
        check("\"\"", true);
    }

    #[test]
    fn figures_are_compared_in_their_units() {
        for written in [
            "d>99ms",
            "d>=100ms",
            "d<=0.1s",
            "d<1m",
            "d>99",
            "d>99999us",
            "n>49",
            "n<=50",
            "n<51",
        ] {
            check(written, true);
        }
        for written in ["d>100ms", "d<100ms", "d>=0.2s", "n>50", "n<50", "error"] {
            check(written, false);
        }
    }

    #[test]
    fn letters_beyond_ascii_have_cases_too() {
        check("GRÖSSE", false);
        check("GRÖßE", true);
    }

    #[test]
    fn what_is_no_key_is_text() {
        check("http://x", false);
        check("a<b", false);
        check("time:12", false);
    }

    #[test]
    fn what_cannot_be_asked_here_says_what_can() {
        refused(
            "table:shop_book",
            "has no `table`; it has route, finding, d, n, error",
        );
        refused("route:", "a word after the colon");
        refused("d>soon", "d>100ms");
        refused("d>1.2.3s", "d>100ms");
        refused("d:100ms", "d>100ms");
        refused("n>many", "n>50");
        refused("route>5", "a word after the colon");
        refused(&"x ".repeat(21), "at most 20 words");
        refused(&"x".repeat(1_001), "at most 1000 bytes");
    }
}

//! sqlcommenter tags: the key-value pairs of a statement's comments.
//!
//! Five producers were seen with Django: OpenTelemetry's instrumentations of Django, psycopg and psycopg2, Google's
//! sqlcommenter, and django-sqlcommenter. They put a comment at the end or at the start, or two of them one after the
//! other; values are quoted and URL-encoded, quoted and plain, or bare numbers.

#![deny(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable
)]

/// Most pairs of one statement.
pub const PAIRS_MAX: usize = 64;
/// Longest key and longest value, bytes; a longer value is cut, a longer key is no tag.
pub const PAIR_BYTES_MAX: usize = 256;

/// The tags of one statement, in the order they stand; later duplicates of a key win. At most 64 of 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags {
    /// Key and decoded value; control characters are replaced by spaces.
    pub pairs: Vec<(Box<str>, Box<str>)>,
}

impl Tags {
    /// The value of `key`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.pairs
            .iter()
            .rev()
            .find(|(k, _)| &**k == key)
            .map(|(_, v)| &**v)
    }

    fn set(&mut self, key: String, value: String) {
        let room = self.pairs.len() < PAIRS_MAX;
        match self.pairs.iter_mut().find(|(k, _)| **k == *key) {
            Some((_, old)) => *old = value.into(),
            None if room => self.pairs.push((key.into(), value.into())),
            None => {}
        }
    }
}

/// The tags in `comments`, one or more SQL comments with their delimiters; `None` when there are none.
///
/// ```
/// use pgprism::sql::tags::parse;
/// let tags = parse(b"/*controller='shop%3Aorders',libpq_version=180006*/").unwrap();
/// assert_eq!(tags.value("controller"), Some("shop:orders"));
/// assert_eq!(tags.value("libpq_version"), Some("180006"));
/// ```
pub fn parse(comments: &[u8]) -> Option<Tags> {
    let mut tags = Tags::default();
    let mut rest = comments;
    while let Some(start) = rest.windows(2).position(|two| two == b"/*" || two == b"--") {
        let (opening, body) = rest.get(start..)?.split_at_checked(2)?;
        let end = if opening == b"--" {
            body.iter().position(|byte| matches!(byte, b'\n' | b'\r'))
        } else {
            body.windows(2).position(|two| two == b"*/")
        };
        let (body, behind) = match end {
            Some(end) => (
                body.get(..end)?,
                body.get(end + opening.len() - usize::from(opening == b"--")..)?,
            ),
            None => (body, &[][..]),
        };
        read_pairs(body, &mut tags);
        rest = behind;
    }
    (!tags.pairs.is_empty()).then_some(tags)
}

/// Reads `key=value` pairs with commas between them, up to the first thing that is none.
fn read_pairs(body: &[u8], tags: &mut Tags) {
    let mut rest = body.trim_ascii();
    while let Some(equals) = rest.iter().position(|byte| *byte == b'=') {
        let (key, behind) = rest.split_at(equals);
        let Some(key) = read_key(key) else {
            return;
        };
        let behind = behind.get(1..).unwrap_or_default().trim_ascii_start();
        let (value, behind) = match behind.strip_prefix(b"'") {
            Some(quoted) => {
                let Some((value, behind)) = read_quoted(quoted) else {
                    return;
                };
                (value, behind)
            }
            None => {
                let length = behind
                    .iter()
                    .position(|byte| *byte == b',' || byte.is_ascii_whitespace())
                    .unwrap_or(behind.len());
                let (value, behind) = behind.split_at(length);
                if value.is_empty() || value.iter().any(|byte| matches!(byte, b'\'' | b'"' | b'='))
                {
                    return;
                }
                (value.to_vec(), behind)
            }
        };
        let behind = behind.trim_ascii_start();
        if !behind.is_empty() && !behind.starts_with(b",") {
            return;
        }
        tags.set(key, text_of(&value));
        rest = behind.get(1..).unwrap_or_default().trim_ascii_start();
    }
}

fn read_key(key: &[u8]) -> Option<String> {
    let key = key.trim_ascii();
    let fits = !key.is_empty() && key.len() <= PAIR_BYTES_MAX;
    let is_key = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'%' | b':')
    };
    (fits && key.iter().all(is_key)).then(|| text_of(key))
}

/// The content of a quoted value, its escapes undone, and what follows its closing quote.
fn read_quoted(quoted: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut rest = quoted;
    loop {
        match rest {
            [b'\\', escaped, behind @ ..] => {
                value.push(*escaped);
                rest = behind;
            }
            // django-sqlcommenter quotes nothing inside: a quote that no comma or end follows belongs to the value.
            [b'\'', behind @ ..] if ends_value(behind) => return Some((value, behind)),
            [byte, behind @ ..] => {
                value.push(*byte);
                rest = behind;
            }
            [] => return None,
        }
    }
}

fn ends_value(behind: &[u8]) -> bool {
    matches!(behind.trim_ascii_start().first(), None | Some(b','))
}

/// URL-decoded text, at most [`PAIR_BYTES_MAX`] bytes, without control characters.
fn text_of(encoded: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(encoded.len().min(PAIR_BYTES_MAX));
    let mut rest = encoded;
    let hex = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    while let [first, behind @ ..] = rest {
        let mut length = 1;
        let mut byte = *first;
        if byte == b'%' {
            // A driver that was given no parameters leaves the doubled `%%` of its paramstyle in the text.
            let digits = behind.strip_prefix(b"%").unwrap_or(behind);
            if let [high, low, ..] = digits
                && let (Some(high), Some(low)) = (hex(*high), hex(*low))
            {
                byte = high << 4 | low;
                length = 3 + behind.len() - digits.len();
            }
        }
        bytes.push(byte);
        rest = rest.get(length..).unwrap_or_default();
    }
    let mut text: String = String::from_utf8_lossy(&bytes)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.len() > PAIR_BYTES_MAX {
        let end = (0..=PAIR_BYTES_MAX)
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(comments: &str, expected: &[(&str, &str)]) {
        let found = parse(comments.as_bytes()).unwrap_or_default();
        let found: Vec<_> = found.pairs.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(found, expected, "{comments}");
    }

    #[test]
    fn of_opentelemetry_for_django() {
        check(
            "/*app_name='shop',controller='shop.views.orders',db_driver='django.db.backends.postgresql',\
             framework='django%3A5.2.19',route='admin/%3Cpath%3Aobject_id%3E/',\
             traceparent='00-ead3c9c37ac4cb7dba77bd0dbb1f4d5e-78cb46d1c2d0aa4c-03'*/",
            &[
                ("app_name", "shop"),
                ("controller", "shop.views.orders"),
                ("db_driver", "django.db.backends.postgresql"),
                ("framework", "django:5.2.19"),
                ("route", "admin/<path:object_id>/"),
                (
                    "traceparent",
                    "00-ead3c9c37ac4cb7dba77bd0dbb1f4d5e-78cb46d1c2d0aa4c-03",
                ),
            ],
        );
    }

    #[test]
    fn of_opentelemetry_for_a_driver() {
        check(
            "/*db_driver='psycopg2%%3A2.9.13%%20%%28dt%%29',dbapi_level='2.0',dbapi_threadsafety=2,\
             driver_paramstyle='pyformat',libpq_version=180006*/",
            &[
                ("db_driver", "psycopg2:2.9.13 (dt)"),
                ("dbapi_level", "2.0"),
                ("dbapi_threadsafety", "2"),
                ("driver_paramstyle", "pyformat"),
                ("libpq_version", "180006"),
            ],
        );
    }

    #[test]
    fn of_both_later_wins() {
        check(
            "/*route='orders',traceparent='00-1-2-03'*//*db_driver='psycopg',traceparent='00-1-9-03'*/",
            &[
                ("route", "orders"),
                ("traceparent", "00-1-9-03"),
                ("db_driver", "psycopg"),
            ],
        );
    }

    #[test]
    fn of_google() {
        check(
            "/*controller='admin%3Ashop_product_change',framework='django%3A5.2.19',route='orders'*/",
            &[
                ("controller", "admin:shop_product_change"),
                ("framework", "django:5.2.19"),
                ("route", "orders"),
            ],
        );
    }

    #[test]
    fn of_django_sqlcommenter() {
        check(
            "/* action='orders', callsite='shop/views.py:20', controller='shop.views', route='<int:pk>/o'clock' */",
            &[
                ("action", "orders"),
                ("callsite", "shop/views.py:20"),
                ("controller", "shop.views"),
                ("route", "<int:pk>/o'clock"),
            ],
        );
    }

    #[test]
    fn other_comments_are_no_tags() {
        for comments in [
            "",
            "/**/",
            "/* find the oldest = first */",
            "-- a comment\n",
            "/*+ SeqScan(t) */",
            "/* see https://example.com/?a=b */",
            "/*key=*/",
            "/*key='open*/",
            "/*='value'*/",
        ] {
            assert_eq!(parse(comments.as_bytes()), None, "{comments}");
        }
        check(
            "/* prose *//*route='x'*/-- a='b'\n",
            &[("route", "x"), ("a", "b")],
        );
    }

    #[test]
    fn escapes_and_limits() {
        check(
            "/*a='it\\'s',b='x%0Ay',c='100%',d='%zz'*/",
            &[("a", "it's"), ("b", "x y"), ("c", "100%"), ("d", "%zz")],
        );
        let many: Vec<_> = (0..200)
            .map(|n| format!("k{n}='{}'", "é".repeat(300)))
            .collect();
        let tags = parse(format!("/*{}*/", many.join(",")).as_bytes()).expect("tags");
        assert_eq!(tags.pairs.len(), PAIRS_MAX);
        assert!(
            tags.pairs
                .iter()
                .all(|(_, value)| value.len() == PAIR_BYTES_MAX)
        );
    }
}

//! How each kind of setting is read from the file, the environment or a flag, and written back.

use std::cmp::Ordering;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::error::Reason;

/// A value as it was given: with TOML's type in a file, as bare words elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw<'a> {
    /// From a flag or the environment: every type is written as words.
    Words(&'a str),
    /// A TOML string.
    Text(&'a str),
    /// A TOML integer, as its digits.
    Integer(&'a str),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML array of strings.
    List(&'a [&'a str]),
    /// Anything else TOML knows, by its name.
    Other(&'static str),
}

impl<'a> Raw<'a> {
    fn type_name(&self) -> &'static str {
        match self {
            Raw::Words(_) | Raw::Text(_) => "a string",
            Raw::Integer(_) => "an integer",
            Raw::Boolean(_) => "a boolean",
            Raw::List(_) => "a list",
            Raw::Other(name) => name,
        }
    }

    fn wrong(&self, expected: &'static str) -> Reason {
        Reason::WrongType {
            expected,
            found: self.type_name(),
        }
    }

    pub(super) fn text(&self, expected: &'static str) -> Result<&'a str, Reason> {
        match self {
            Raw::Words(text) | Raw::Text(text) => Ok(text.trim()),
            _ => Err(self.wrong(expected)),
        }
    }
}

/// One kind of setting.
pub(super) trait Setting {
    /// Takes the value given, or says what is wrong with it and stays as it was.
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason>;
    /// The value as TOML: what [`Setting::set`] would read back.
    fn show(&self) -> String;
    /// How the value compares with the one that `words` stand for; `None` for kinds without an order.
    fn compare(&self, words: &str) -> Option<Ordering> {
        let _ = words;
        None
    }
}

/// How `value` compares with what `words` stand for.
fn compare<T: Setting + Copy + Ord>(value: &T, words: &str) -> Option<Ordering> {
    let mut other = *value;
    other.set(Raw::Words(words)).ok()?;
    Some(value.cmp(&other))
}

/// `text` as a TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Bytes, written as `64KiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (unit, bytes) = UNITS
            .into_iter()
            .find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes))
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

impl Setting for Size {
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        let text = raw.text("a size such as \"64KiB\"")?;
        let refused = || Reason::NotASize(text.to_owned());
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &text[digits.len()..];
        let number: u64 = digits.trim().parse().map_err(|_| refused())?;
        let (_, bytes) = UNITS
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .ok_or_else(refused)?;
        *self = Size(number.checked_mul(bytes).ok_or_else(refused)?);
        Ok(())
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }

    fn compare(&self, words: &str) -> Option<Ordering> {
        compare(self, words)
    }
}

impl Setting for Duration {
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        let text = raw.text("a duration such as \"100ms\"")?;
        *self =
            humantime::parse_duration(text).map_err(|_| Reason::NotADuration(text.to_owned()))?;
        Ok(())
    }

    fn show(&self) -> String {
        quoted(
            &humantime::format_duration(*self)
                .to_string()
                .replace(' ', ""),
        )
    }

    fn compare(&self, words: &str) -> Option<Ordering> {
        compare(self, words)
    }
}

/// A duration that may be switched `off`; zero is off too.
impl Setting for Option<Duration> {
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        if raw.text("a duration such as \"100ms\", or \"off\"")? == "off" {
            *self = None;
            return Ok(());
        }
        let mut duration = Duration::ZERO;
        duration.set(raw)?;
        *self = (!duration.is_zero()).then_some(duration);
        Ok(())
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted("off"), Setting::show)
    }

    fn compare(&self, words: &str) -> Option<Ordering> {
        self.as_ref()?.compare(words)
    }
}

impl Setting for usize {
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        let (Raw::Words(digits) | Raw::Integer(digits)) = raw else {
            return Err(raw.wrong("an integer"));
        };
        *self = digits
            .trim()
            .replace('_', "")
            .parse()
            .map_err(|_| Reason::NotANumber(digits.to_owned()))?;
        Ok(())
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn compare(&self, words: &str) -> Option<Ordering> {
        compare(self, words)
    }
}

impl Setting for bool {
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        *self = match raw {
            Raw::Boolean(value) => value,
            Raw::Words(words) => match words.trim().to_ascii_lowercase().as_str() {
                "true" | "on" | "yes" | "1" => true,
                "false" | "off" | "no" | "0" => false,
                _ => return Err(Reason::NotABoolean(words.to_owned())),
            },
            _ => return Err(raw.wrong("true or false")),
        };
        Ok(())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for String {
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        raw.text("a string")?.clone_into(self);
        Ok(())
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

/// A path; the empty string is none.
impl Setting for Option<PathBuf> {
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        let text = raw.text("a path")?;
        *self = (!text.is_empty()).then(|| PathBuf::from(text));
        Ok(())
    }

    fn show(&self) -> String {
        quoted(
            &self
                .as_deref()
                .map(|path| path.to_string_lossy())
                .unwrap_or_default(),
        )
    }
}

/// Words in a list; in the environment they are separated by commas.
impl Setting for Vec<String> {
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        *self = match raw {
            Raw::List(items) => items.iter().map(|item| (*item).to_owned()).collect(),
            Raw::Words(words) => words
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect(),
            _ => return Err(raw.wrong("a list of strings")),
        };
        Ok(())
    }

    fn show(&self) -> String {
        let items: Vec<String> = self.iter().map(|item| quoted(item)).collect();
        format!("[{}]", items.join(", "))
    }
}

/// An IP address and a port, or `localhost` and a port; port 0 lets the system choose.
impl Setting for SocketAddr {
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        let text = raw.text("an address such as \"127.0.0.1:6433\"")?;
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        *self = numeric
            .parse()
            .map_err(|_| Reason::NotAnAddress(text.to_owned()))?;
        Ok(())
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

/// As above, or `off`.
impl Setting for Option<SocketAddr> {
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        if raw.text("an address such as \"127.0.0.1:9433\", or \"off\"")? == "off" {
            *self = None;
            return Ok(());
        }
        let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
        address.set(raw)?;
        *self = Some(address);
        Ok(())
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted("off"), Setting::show)
    }
}

/// A connection string, or `off`. What is shown has no password: a change of that alone is seen by other means.
impl Setting for Option<crate::catalog::Address> {
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        *self = match raw.text("a connection string, or \"off\"")? {
            "off" | "" => None,
            text => Some(crate::catalog::Address::parse(text)?),
        };
        Ok(())
    }

    fn show(&self) -> String {
        match self {
            Some(address) => quoted(&address.to_string()),
            None => quoted("off"),
        }
    }
}

/// Implements [`Setting`] for an enum whose values are words.
macro_rules! words {
    ($type:ty, $($word:literal => $variant:path),+ $(,)?) => {
        impl Setting for $type {
            fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
                *self = match raw.text("a string")? {
                    $($word => $variant,)+
                    other => return Err(Reason::UnknownWord { found: other.to_owned(), known: &[$($word),+] }),
                };
                Ok(())
            }

            fn show(&self) -> String {
                quoted(match self { $($variant => $word,)+ })
            }
        }
    };
}
pub(super) use words;

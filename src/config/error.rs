//! What can be wrong with a setting, and where it stood.

use std::fmt;
use std::path::PathBuf;

/// A configuration that is refused. Its text is one line that names the key and the place.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: cannot read the configuration file: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{place}: {message}", message = OneLine(message))]
    Syntax {
        /// File and line.
        place: Place,
        /// What the parser missed there.
        message: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key `{key}`; {} are known here", list(known), key = OneLine(key))]
    UnknownKey {
        /// File and line.
        place: Place,
        /// The key as it was written, with its section.
        key: String,
        /// The keys that exist in that section.
        known: Vec<String>,
    },
    /// A value that its key does not take.
    #[error("{place}{key}: {reason}", place = Prefix(place), reason = OneLine(reason))]
    Value {
        /// Where the value was given.
        place: Place,
        /// The key, with its section.
        key: String,
        /// What is wrong with it.
        reason: Reason,
    },
}

fn list(known: &[String]) -> String {
    known.join(", ")
}

/// What somebody wrote, with its control characters written out: an error is one line, whatever stands in a file.
struct OneLine<T>(T);

impl<T: fmt::Display> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                fmt::Write::write_char(f, c)?;
            }
        }
        Ok(())
    }
}

/// Where a setting was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of the file (from 1); the name is what `--config` said.
    File {
        /// The file.
        path: PathBuf,
        /// Its line, where one is known.
        line: Option<usize>,
    },
    /// A command-line flag, with its dashes.
    Flag(String),
    /// An environment variable.
    Environment(&'static str),
    /// Nobody gave it: the default stands.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Place::File { path, line: None } => write!(f, "{}", path.display()),
            Place::Flag(flag) => f.write_str(flag),
            Place::Environment(name) => f.write_str(name),
            Place::Default => f.write_str("default"),
        }
    }
}

/// A place in front of a key: `file:3: `, `--listen: `, or nothing for a default.
struct Prefix<'a>(&'a Place);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Place::Default => Ok(()),
            place => write!(f, "{place}: "),
        }
    }
}

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "each variant's text says what it means; the fields are its facts"
)]
pub enum Reason {
    #[error("expected {expected}, found {found}")]
    WrongType {
        expected: &'static str,
        found: &'static str,
    },
    #[error("`{0}` is not a duration; write a number and a unit, for example \"100ms\" or \"25s\"")]
    NotADuration(String),
    #[error("`{0}` is not a size; write a number and a unit, for example \"64KiB\" or \"1MiB\"")]
    NotASize(String),
    #[error("`{0}` is not a whole number of zero or more")]
    NotANumber(String),
    #[error("`{0}` is not true or false")]
    NotABoolean(String),
    #[error(
        "`{0}` is not an address; write an IP address and a port, for example \"127.0.0.1:6433\""
    )]
    NotAnAddress(String),
    #[error("`{found}` is not one of {}", known.join(", "))]
    UnknownWord {
        found: String,
        known: &'static [&'static str],
    },
    #[error("{found} is out of range; {least} to {most} is accepted")]
    OutOfRange {
        found: String,
        least: &'static str,
        most: &'static str,
    },
    #[error("`{0}` is not a name; letters, digits, `_`, `-` and `.` are accepted, at most 63")]
    NotAName(String),
    #[error("`{0}` is not a host name with an optional port, for example \"pgprism:9433\"")]
    NotAHost(String),
    #[error("{0}")]
    Upstream(#[from] super::upstream::UpstreamError),
    #[error("is needed by tls = \"{0}\"; name a file in PEM form")]
    TlsNeeds(&'static str),
    #[error(
        "is needed by tls_client_verify; name a file with the certificates that sign the clients'"
    )]
    ClientCaMissing,
    #[error(
        "sslmode={0}, but tls = \"pass-through\" carries the client's own TLS, or none; let the clients ask for it, \
         or end TLS here with tls = \"allow\" or \"require\""
    )]
    PassThroughTls(&'static str),
    #[error("{0}")]
    TlsFile(String),
    #[error("`{0}` is given to two listeners")]
    Twice(String),
    #[error(
        "`{0}` is not an id; write its 16 hexadecimal digits, as the API and the report show them"
    )]
    NotAnId(String),
    #[error("`{0}` is not a tag; write its key and its value, for example \"controller=checkout\"")]
    NotATag(String),
    #[error("is empty, and would never match; leave the key out, or give it a value")]
    EmptyCondition,
    #[error("a rule without a key would hide everything; give at least one of {}", .0.join(", "))]
    EmptyRule(&'static [&'static str]),
    #[error("{0} is the proxy's own address: it would connect to itself")]
    OwnAddress(String),
    #[error("there is no listener; add a [[listeners]] section")]
    NoListener,
    #[error("applies to a file with one listener, this one has {0}; write it into their sections")]
    SeveralListeners(usize),
    #[error(
        "{0} is not a loopback address, so `admin.token_file` must name a file that holds a token, or PGPRISM_TOKEN be one"
    )]
    AdminOpen(String),
    #[error("cannot read the token from {path}: {message}")]
    TokenUnreadable { path: String, message: String },
    #[error("the environment gives a token too, in PGPRISM_TOKEN; keep one of the two")]
    TokenTwice,
    #[error("cannot be used: {0}")]
    Models(String),
    #[error("{0}")]
    Catalog(#[from] crate::catalog::AddressError),
    #[error("the token in {0} is empty or not one line of visible ASCII characters")]
    TokenUnusable(String),
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    #[test]
    fn an_error_is_one_line_whatever_it_quotes() {
        for (text, quoted) in [
            ("[[listeners]]\nname = \"a\\nb\"", "a\\nb"),
            ("\"a\\nb\" = 1", "a\\nb"),
            ("[timeouts]\nconnect = \"1\\u001bs\"", "1\\u{1b}s"),
        ] {
            let error = Config::parse(Path::new("p.toml"), text).unwrap_err();
            let line = error.to_string();
            assert!(line.contains(quoted), "{line:?}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
}

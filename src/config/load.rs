//! File, environment and flags to a [`Config`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place, Reason};
use super::keys::{Field, KEYS, Key};
use super::value::Raw;
use super::{Config, IgnoreRule, Listener, TOKEN_VARIABLE, Token};
use crate::advise::Models;

/// Where settings come from, remembered so that a reload reads the same again.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Sources {
    /// The file that `--config` named.
    pub file: Option<PathBuf>,
    given: Vec<Given>,
    /// What [`TOKEN_VARIABLE`] said.
    token: Option<Token>,
}

/// One setting from the environment or a flag.
#[derive(Clone, PartialEq, Eq)]
struct Given {
    key: &'static str,
    place: Place,
    words: String,
}

impl fmt::Debug for Sources {
    /// Without the values: a refused one may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.given.iter().map(|given| given.key).collect();
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("given", &keys)
            .finish()
    }
}

impl Sources {
    /// `flags` are pairs of a key's flag (without dashes) and its words; `environment` answers a variable's value.
    ///
    /// An empty variable counts as absent, as it does for shells and compose files that pass on what is not set.
    pub fn new(
        file: Option<PathBuf>,
        flags: &[(String, String)],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Sources {
        let mut given = Vec::new();
        for key in KEYS {
            let flag = key
                .flag
                .and_then(|flag| flags.iter().rfind(|(name, _)| name == flag.name));
            if let Some((name, words)) = flag {
                given.push(Given {
                    key: key.name,
                    place: Place::Flag(format!("--{name}")),
                    words: words.clone(),
                });
            } else if let Some(name) = key.environment
                && let Some(words) = environment(name).filter(|words| !words.is_empty())
            {
                given.push(Given {
                    key: key.name,
                    place: Place::Environment(name),
                    words,
                });
            }
        }
        let token = environment(TOKEN_VARIABLE)
            .filter(|token| !token.is_empty())
            .map(Token);
        Sources { file, given, token }
    }

    /// What the environment or a flag gives for a key.
    pub fn words(&self, key: &str) -> Option<&str> {
        Some(&self.given(key)?.words)
    }

    fn given(&self, key: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.key == key)
    }
}

/// The parsed file, kept beside the settings to say on which line one stands.
pub(super) struct File<'t> {
    path: &'t Path,
    text: &'t str,
    root: DeTable<'t>,
}

impl<'t> File<'t> {
    fn parse(path: &'t Path, text: &'t str) -> Result<File<'t>, ConfigError> {
        let root = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            place: Place::File {
                path: path.to_owned(),
                line: error.span().map(|span| line_at(text, span.start)),
            },
            message: error.message().replace('\n', ", "),
        })?;
        Ok(File {
            path,
            text,
            root: root.into_inner(),
        })
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        Place::File {
            path: self.path.to_owned(),
            line: Some(line_at(self.text, offset)),
        }
    }

    /// Where `key` stands, for a listener's key in the `listener_index`th section.
    fn find(&self, key: &str, listener_index: usize) -> Option<Place> {
        let (table, name) = match key.split_once('.') {
            None => (&self.root, key),
            Some((section, name)) => match self.root.get(section)?.get_ref() {
                DeValue::Table(table) => (table, name),
                DeValue::Array(items) => (items.get(listener_index)?.get_ref().as_table()?, name),
                _ => return None,
            },
        };
        Some(self.place(table.get(name)?.span().start))
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

impl Config {
    /// Reads and checks all of `sources`; the error is the first thing found wrong.
    pub fn load(sources: Sources) -> Result<Config, ConfigError> {
        Config::load_over(Config::default(), sources, |_| {})
    }

    /// The same for a command with `defaults` of its own. `amend` has a say between the file, which it may overrule,
    /// and what the environment and the flags give.
    pub fn load_over(
        defaults: Config,
        sources: Sources,
        amend: impl FnOnce(&mut Config),
    ) -> Result<Config, ConfigError> {
        let path = sources.file.clone();
        let text =
            match &path {
                Some(path) => Some(std::fs::read_to_string(path).map_err(|source| {
                    ConfigError::Unreadable {
                        path: path.clone(),
                        source,
                    }
                })?),
                None => None,
            };
        let file = match (&path, &text) {
            (Some(path), Some(text)) => Some(File::parse(path, text)?),
            _ => None,
        };
        let mut config = defaults;
        if let Some(file) = &file {
            config.read_file(file)?;
        }
        amend(&mut config);
        config.sources = sources.clone();
        config.read_given()?;
        config.finish(&Places {
            file: file.as_ref(),
            sources,
        })
    }

    /// Reads the same file again, with the environment and flags of the start.
    pub fn reread(&self) -> Result<Config, ConfigError> {
        Config::load(self.sources.clone())
    }

    /// Reads `text` as a file named `path` and checks it: [`Config::load`] without environment and flags.
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let file = File::parse(path, text)?;
        let mut config = Config::default();
        config.read_file(&file)?;
        config.finish(&Places {
            file: Some(&file),
            sources: Sources::default(),
        })
    }

    fn finish(mut self, places: &Places<'_>) -> Result<Config, ConfigError> {
        self.check(places)?;
        self.read_tls(places)?;
        self.read_token(places)?;
        self.read_models(places)?;
        Ok(self)
    }

    fn read_file(&mut self, file: &File<'_>) -> Result<(), ConfigError> {
        for (name, value) in &file.root {
            let section = &**name.get_ref();
            match value.get_ref() {
                DeValue::Array(items) if section == "listeners" => {
                    self.listeners.clear();
                    for item in items {
                        self.listeners.push(read_listener(file, item)?);
                    }
                }
                DeValue::Array(items) if section == "ignore" => {
                    self.ignore = items
                        .iter()
                        .map(|item| IgnoreRule::read(file, item))
                        .collect::<Result<_, _>>()?;
                }
                DeValue::Table(table) if !is_repeated(section) && is_section(section) => {
                    for (name, value) in table {
                        let key = find_key(file, section, name)?;
                        set(file, key, value, |raw| match &key.field {
                            Field::Once(at) => key.put(at(self), raw),
                            Field::EachListener(_) => Err(not_a_table(value)),
                        })?;
                    }
                }
                _ if is_section(section) => return Err(section_expected(file, section, value)),
                _ => {
                    let key = find_key(file, "", name)?;
                    set(file, key, value, |raw| match &key.field {
                        Field::Once(at) => key.put(at(self), raw),
                        Field::EachListener(_) => Err(not_a_table(value)),
                    })?;
                }
            }
        }
        Ok(())
    }

    fn read_given(&mut self) -> Result<(), ConfigError> {
        for given in self.sources.given.clone() {
            let Some(key) = Key::find(given.key) else {
                continue;
            };
            let raw = Raw::Words(&given.words);
            let done = match &key.field {
                Field::Once(at) => key.put(at(self), raw),
                Field::EachListener(at) => match self.listeners.as_mut_slice() {
                    [] => Err(Reason::NoListener),
                    [listener] => key.put(at(listener), raw),
                    several => Err(Reason::SeveralListeners(several.len())),
                },
            };
            done.map_err(|reason| ConfigError::Value {
                place: given.place,
                key: key.name.to_owned(),
                reason,
            })?;
        }
        Ok(())
    }

    fn read_models(&mut self, places: &Places<'_>) -> Result<(), ConfigError> {
        let Some(path) = &self.advise.models else {
            return Ok(());
        };
        let models = Models::read(path).map_err(|error| {
            places.refuse("advise.models", 0, Reason::Models(error.to_string()))
        })?;
        self.advise.map = Arc::new(models);
        Ok(())
    }

    fn read_token(&mut self, places: &Places<'_>) -> Result<(), ConfigError> {
        let refused = |reason| places.refuse("admin.token_file", 0, reason);
        let path = match (&self.admin.token_file, &places.sources.token) {
            (Some(path), None) => path,
            (None, None) => return Ok(()),
            (Some(_), Some(_)) => return Err(refused(Reason::TokenTwice)),
            (None, Some(token)) => {
                self.admin.token = Some(usable(&token.0, TOKEN_VARIABLE).map_err(refused)?);
                return Ok(());
            }
        };
        let text = std::fs::read_to_string(path).map_err(|error| {
            refused(Reason::TokenUnreadable {
                path: path.display().to_string(),
                message: error.to_string(),
            })
        })?;
        let token = usable(&text, &path.display().to_string()).map_err(refused)?;
        self.admin.token = Some(token);
        Ok(())
    }
}

/// The token that `text` is, without the line's end; `place` is where it was found.
fn usable(text: &str, place: &str) -> Result<Token, Reason> {
    let token = text.trim();
    match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Token(token.to_owned())),
        false => Err(Reason::TokenUnusable(place.to_owned())),
    }
}

/// Says where a key's value was given.
pub(super) struct Places<'t> {
    file: Option<&'t File<'t>>,
    sources: Sources,
}

impl Places<'_> {
    /// Whether the environment gives the admin token.
    pub(super) fn has_token(&self) -> bool {
        self.sources.token.is_some()
    }

    /// The error of a value that no single key can see to be wrong.
    pub(super) fn refuse(
        &self,
        key: &'static str,
        listener_index: usize,
        reason: Reason,
    ) -> ConfigError {
        let place = match self.sources.given(key) {
            Some(given) => given.place.clone(),
            None => self
                .file
                .and_then(|file| file.find(key, listener_index))
                .unwrap_or(Place::Default),
        };
        ConfigError::Value {
            place,
            key: key.to_owned(),
            reason,
        }
    }
}

/// Whether its sections are written `[[so]]`.
fn is_repeated(section: &str) -> bool {
    matches!(section, "listeners" | "ignore")
}

fn is_section(name: &str) -> bool {
    is_repeated(name)
        || KEYS.iter().any(|key| {
            key.name
                .split_once('.')
                .is_some_and(|(section, _)| section == name)
        })
}

fn not_a_table(value: &Spanned<DeValue<'_>>) -> Reason {
    Reason::WrongType {
        expected: "a list of [[listeners]] sections",
        found: type_name(value.get_ref()),
    }
}

pub(super) fn section_expected(
    file: &File<'_>,
    section: &str,
    value: &Spanned<DeValue<'_>>,
) -> ConfigError {
    let expected = match section {
        "listeners" => "a list of [[listeners]] sections",
        "ignore" => "a list of [[ignore]] sections",
        _ => "a [section]",
    };
    ConfigError::Value {
        place: file.place(value.span().start),
        key: section.to_owned(),
        reason: Reason::WrongType {
            expected,
            found: type_name(value.get_ref()),
        },
    }
}

fn read_listener(file: &File<'_>, item: &Spanned<DeValue<'_>>) -> Result<Listener, ConfigError> {
    let DeValue::Table(table) = item.get_ref() else {
        return Err(section_expected(file, "listeners", item));
    };
    let mut listener = Listener::default();
    for (name, value) in table {
        let key = find_key(file, "listeners", name)?;
        set(file, key, value, |raw| match &key.field {
            Field::EachListener(at) => key.put(at(&mut listener), raw),
            Field::Once(_) => Err(not_a_table(value)),
        })?;
    }
    Ok(listener)
}

fn find_key(
    file: &File<'_>,
    section: &str,
    name: &Spanned<toml::de::DeString<'_>>,
) -> Result<&'static Key, ConfigError> {
    let written = match section {
        "" => name.get_ref().to_string(),
        section => format!("{section}.{}", name.get_ref()),
    };
    Key::find(&written)
        .filter(|key| key.name.contains('.') != section.is_empty())
        .ok_or_else(|| ConfigError::UnknownKey {
            place: file.place(name.span().start),
            key: written,
            known: known(section),
        })
}

/// The keys and, at the top, the sections that may stand in `section`.
fn known(section: &str) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for key in KEYS {
        let name = match (section, key.name.split_once('.')) {
            ("", None) => key.name.to_owned(),
            ("", Some(("listeners", _))) => "[[listeners]]".to_owned(),
            ("", Some((section, _))) => format!("[{section}]"),
            (wanted, Some((section, name))) if wanted == section => name.to_owned(),
            _ => continue,
        };
        if !known.contains(&name) {
            known.push(name);
        }
    }
    if section.is_empty() {
        known.push("[[ignore]]".to_owned());
    }
    known
}

fn set(
    file: &File<'_>,
    key: &Key,
    value: &Spanned<DeValue<'_>>,
    put: impl FnOnce(Raw<'_>) -> Result<(), Reason>,
) -> Result<(), ConfigError> {
    let items: Vec<&str>;
    let raw = match value.get_ref() {
        DeValue::String(text) => Raw::Text(text),
        DeValue::Integer(integer) if integer.radix() == 10 => Raw::Integer(integer.as_str()),
        DeValue::Boolean(value) => Raw::Boolean(*value),
        DeValue::Array(array) if array.iter().all(|item| item.get_ref().is_str()) => {
            items = array
                .iter()
                .filter_map(|item| item.get_ref().as_str())
                .collect();
            Raw::List(&items)
        }
        other => Raw::Other(type_name(other)),
    };
    put(raw).map_err(|reason| ConfigError::Value {
        place: file.place(value.span().start),
        key: key.name.to_owned(),
        reason,
    })
}

pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

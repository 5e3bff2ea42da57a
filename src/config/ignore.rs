//! `[[ignore]]`: findings that nobody wants to hear of.

use std::fmt;
use std::sync::LazyLock;

use toml::Spanned;
use toml::de::DeValue;

use super::error::{ConfigError, Reason};
use super::load::{File, section_expected, type_name};
use super::value::quoted;
use crate::detect::{FindingId, Kind};
use crate::sql::Fingerprint;

/// The keys of a rule.
const KEYS: &[&str] = &["finding", "kind", "fingerprint", "table", "route", "tag"];

/// The words of `kind`.
static KINDS: LazyLock<[&'static str; Kind::ALL.len()]> =
    LazyLock::new(|| Kind::ALL.map(Kind::as_str));

/// One `[[ignore]]` section: a finding that meets all the conditions given is left out. At least one is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IgnoreRule {
    /// This finding.
    pub finding: Option<FindingId>,
    /// Findings of this kind.
    pub kind: Option<Kind>,
    /// Findings whose parent or child has this fingerprint.
    pub fingerprint: Option<Fingerprint>,
    /// Findings whose parent or child reads or writes this table.
    pub table: Option<String>,
    /// What was seen in units of this route.
    pub route: Option<String>,
    /// What was seen in units that carry this tag: key and value.
    pub tag: Option<(String, String)>,
}

impl fmt::Display for IgnoreRule {
    /// As the file has it, in one line: `kind = "write_loop", table = "audit_log"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = [
            ("finding", self.finding.map(|id| id.to_string())),
            ("kind", self.kind.map(|kind| kind.as_str().to_owned())),
            ("fingerprint", self.fingerprint.map(|f| f.to_string())),
            ("table", self.table.clone()),
            ("route", self.route.clone()),
            (
                "tag",
                self.tag
                    .as_ref()
                    .map(|(key, value)| format!("{key}={value}")),
            ),
        ];
        let mut separator = "";
        for (key, value) in conditions {
            if let Some(value) = value {
                write!(f, "{separator}{key} = {}", quoted(&value))?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

impl IgnoreRule {
    /// Reads one section.
    pub(super) fn read(
        file: &File<'_>,
        item: &Spanned<DeValue<'_>>,
    ) -> Result<IgnoreRule, ConfigError> {
        let DeValue::Table(table) = item.get_ref() else {
            return Err(section_expected(file, "ignore", item));
        };
        let mut rule = IgnoreRule::default();
        for (name, value) in table {
            let key = &**name.get_ref();
            if !KEYS.contains(&key) {
                return Err(ConfigError::UnknownKey {
                    place: file.place(name.span().start),
                    key: format!("ignore.{key}"),
                    known: KEYS.iter().map(|key| (*key).to_owned()).collect(),
                });
            }
            rule.set(key, value.get_ref())
                .map_err(|reason| ConfigError::Value {
                    place: file.place(value.span().start),
                    key: format!("ignore.{key}"),
                    reason,
                })?;
        }
        if rule == IgnoreRule::default() {
            return Err(ConfigError::Value {
                place: file.place(item.span().start),
                key: "ignore".to_owned(),
                reason: Reason::EmptyRule(KEYS),
            });
        }
        Ok(rule)
    }

    fn set(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), Reason> {
        let DeValue::String(text) = value else {
            return Err(Reason::WrongType {
                expected: "a string",
                found: type_name(value),
            });
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(Reason::EmptyCondition);
        }
        let id = || FindingId::parse(text).ok_or_else(|| Reason::NotAnId(text.to_owned()));
        match key {
            "finding" => self.finding = Some(id()?),
            // A fingerprint is written as an id is.
            "fingerprint" => self.fingerprint = Some(Fingerprint(id()?.0)),
            "kind" => {
                let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
                self.kind = Some(kind.ok_or_else(|| Reason::UnknownWord {
                    found: text.to_owned(),
                    known: &*KINDS,
                })?);
            }
            "table" => self.table = Some(text.to_owned()),
            "route" => self.route = Some(text.to_owned()),
            _ => {
                let (key, value) = text
                    .split_once('=')
                    .filter(|(key, _)| !key.trim().is_empty())
                    .ok_or_else(|| Reason::NotATag(text.to_owned()))?;
                self.tag = Some((key.trim().to_owned(), value.trim().to_owned()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Result<Vec<IgnoreRule>, String> {
        Config::parse(Path::new("a.toml"), text)
            .map(|config| config.ignore)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn rules_are_read_in_order_and_written_back() {
        let text = "[[ignore]]\nkind = \"write_loop\"\ntable = \"audit_log\"\n\
                    [[ignore]]\nfinding = \"9f02c1d4a87b3e51\"\n\
                    [[ignore]]\nfingerprint = \"00000000000000ff\"\nroute = \"books/<int:pk>/\"\ntag = \"controller=a=b\"\n";
        let rules = parse(text).unwrap();
        assert_eq!(
            rules,
            [
                IgnoreRule {
                    kind: Some(Kind::WriteLoop),
                    table: Some("audit_log".to_owned()),
                    ..IgnoreRule::default()
                },
                IgnoreRule {
                    finding: Some(FindingId(0x9f02_c1d4_a87b_3e51)),
                    ..IgnoreRule::default()
                },
                IgnoreRule {
                    fingerprint: Some(Fingerprint(0xff)),
                    route: Some("books/<int:pk>/".to_owned()),
                    tag: Some(("controller".to_owned(), "a=b".to_owned())),
                    ..IgnoreRule::default()
                },
            ]
        );
        assert_eq!(
            rules[0].to_string(),
            "kind = \"write_loop\", table = \"audit_log\""
        );
        for rule in rules {
            let again = parse(&format!(
                "[[ignore]]\n{}",
                rule.to_string().replace(", ", "\n")
            ));
            assert_eq!(again, Ok(vec![rule]));
        }
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn a_wrong_rule_says_what_and_where() {
        for (rule, expected) in [
            (
                "",
                "a.toml:1: ignore: a rule without a key would hide everything; give at least one of finding, kind, fingerprint, table, route, tag",
            ),
            (
                "kinds = \"x\"",
                "a.toml:2: unknown key `ignore.kinds`; finding, kind, fingerprint, table, route, tag are known here",
            ),
            (
                "kind = \"n_plus_two\"",
                "a.toml:2: ignore.kind: `n_plus_two` is not one of n_plus_one_forward, n_plus_one_reverse, \
              n_plus_one_many_to_many, n_plus_one_deferred, n_plus_one_aggregate, query_loop, write_loop, duplicate, chatty_unit",
            ),
            (
                "finding = \"12\"",
                "a.toml:2: ignore.finding: `12` is not an id; write its 16 hexadecimal digits, as the API and the report show them",
            ),
            (
                "fingerprint = \"9f02c1d4a87b3e5x\"",
                "a.toml:2: ignore.fingerprint: `9f02c1d4a87b3e5x` is not an id; write its 16 hexadecimal digits, as the API and the report show them",
            ),
            (
                "table = \"\"",
                "a.toml:2: ignore.table: is empty, and would never match; leave the key out, or give it a value",
            ),
            (
                "kind = 3",
                "a.toml:2: ignore.kind: expected a string, found an integer",
            ),
            (
                "tag = \"controller\"",
                "a.toml:2: ignore.tag: `controller` is not a tag; write its key and its value, for example \"controller=checkout\"",
            ),
        ] {
            assert_eq!(
                parse(&format!("[[ignore]]\n{rule}")),
                Err(expected.to_owned())
            );
        }
        assert_eq!(
            parse("[ignore]\nkind = \"duplicate\""),
            Err(
                "a.toml:1: ignore: expected a list of [[ignore]] sections, found a section"
                    .to_owned()
            )
        );
        assert_eq!(
            parse("ignore = [3]"),
            Err(
                "a.toml:1: ignore: expected a list of [[ignore]] sections, found an integer"
                    .to_owned()
            )
        );
    }

    #[test]
    fn a_reload_takes_other_rules_at_once() {
        let config = |text: &str| Config::parse(Path::new("a.toml"), text).unwrap();
        let from = config("[[ignore]]\nkind = \"duplicate\"");
        let changes = from.reload(&config("[[ignore]]\nkind = \"chatty_unit\""));
        assert_eq!(changes.unwrap().keys, ["ignore"]);
        assert_eq!(from.reload(&from.clone()).unwrap().keys, [""; 0]);
    }
}

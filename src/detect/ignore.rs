//! What nobody wants to hear of: rules of the configuration.

use std::sync::Arc;

use super::{FindingId, Kind};
use crate::sql::Fingerprint;

/// One rule: a finding that has all that it names is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IgnoreRule {
    /// This finding.
    pub finding: Option<FindingId>,
    /// Findings of this kind.
    pub kind: Option<Kind>,
    /// Findings whose child or parent is this shape.
    pub fingerprint: Option<Fingerprint>,
    /// Findings whose child or parent table is this one, with its schema or without.
    pub table: Option<Arc<str>>,
    /// Findings in units of this route.
    pub route: Option<Arc<str>>,
    /// Findings in units with this tag: key and value.
    pub tag: Option<(Arc<str>, Arc<str>)>,
    /// The rule as the configuration writes it.
    pub text: Arc<str>,
}

/// What a rule is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub finding: FindingId,
    pub kind: Kind,
    pub fingerprints: [Option<Fingerprint>; 2],
    pub tables: [Option<&'a str>; 2],
    pub tags: &'a [(Arc<str>, Arc<str>)],
}

impl IgnoreRule {
    pub(super) fn matches(&self, asked: &Asked<'_>) -> bool {
        let has_tag =
            |key: &str, value: &str| asked.tags.iter().any(|(k, v)| &**k == key && &**v == value);
        let is_table = |table: &str| {
            asked
                .tables
                .iter()
                .flatten()
                .any(|found| *found == table || found.rsplit('.').next() == Some(table))
        };
        self.finding.is_none_or(|finding| finding == asked.finding)
            && self.kind.is_none_or(|kind| kind == asked.kind)
            && self
                .fingerprint
                .is_none_or(|fingerprint| asked.fingerprints.contains(&Some(fingerprint)))
            && self.table.as_deref().is_none_or(is_table)
            && self
                .route
                .as_deref()
                .is_none_or(|route| has_tag("route", route))
            && self
                .tag
                .as_ref()
                .is_none_or(|(key, value)| has_tag(key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_matches_what_has_all_that_it_names() {
        let tags = [(Arc::from("route"), Arc::from("orders/"))];
        let asked = Asked {
            finding: FindingId(7),
            kind: Kind::WriteLoop,
            fingerprints: [Some(Fingerprint(1)), None],
            tables: [Some("public.audit_log"), None],
            tags: &tags,
        };
        let rule = |change: fn(&mut IgnoreRule)| {
            let mut rule = IgnoreRule::default();
            change(&mut rule);
            rule.matches(&asked)
        };
        assert!(rule(|rule| rule.finding = Some(FindingId(7))));
        assert!(!rule(|rule| rule.finding = Some(FindingId(8))));
        assert!(rule(|rule| rule.table = Some("audit_log".into())));
        assert!(rule(|rule| rule.table = Some("public.audit_log".into())));
        assert!(!rule(|rule| rule.table = Some("log".into())));
        assert!(rule(|rule| rule.route = Some("orders/".into())));
        assert!(!rule(|rule| {
            rule.route = Some("orders/".into());
            rule.kind = Some(Kind::Duplicate);
        }));
        assert!(rule(|rule| rule.fingerprint = Some(Fingerprint(1))));
        assert!(!rule(|rule| rule.tag = Some(("route".into(), "x".into()))));
    }
}

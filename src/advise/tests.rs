//! Findings as Django's own statements make them, with and without the map of the project in `python/tests`.

#![allow(
    clippy::needless_raw_string_hashes,
    reason = "statements and lines look the same, with quotes and without"
)]

mod figures;
mod paths;
mod rows;
mod sources;
mod words;
mod write_loops;

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::detect::{
    self, Confidence, Detail, Finding, FindingId, Kind, Link, Severity, Side, Status, Trait,
};
use crate::event::Moment;
use crate::sql::Fingerprint;
use crate::sql::facts::{Facts, Lock, Output, extract};
use crate::unit::Evidence;

const GOLDEN: &[u8] = include_bytes!("../../python/tests/golden/models.json");

fn golden() -> Models {
    Models::parse(Path::new("models.json"), GOLDEN).unwrap()
}

/// `table.column` split at its last dot; the rest is the shape's text.
fn side(place: &str, query: &str) -> (Side, Option<Facts>) {
    let (table, column) = place.rsplit_once('.').unwrap();
    let side = Side {
        fingerprint: Fingerprint(1),
        query: query.into(),
        table: Some(table.into()),
        column: Some(column.into()),
    };
    (side, extract(query))
}

fn place(text: &str) -> (Option<Arc<str>>, Option<Arc<str>>) {
    let (table, column) = text.rsplit_once('.').unwrap();
    (Some(table.into()), Some(column.into()))
}

/// A loop: what it is, the parent's column and shape, the child's column and shape.
#[derive(Clone, Copy)]
struct Loop {
    kind: Kind,
    parent: Option<(&'static str, &'static str)>,
    child: (&'static str, &'static str),
    chain: &'static [(&'static str, &'static str)],
}

impl Loop {
    fn case(self) -> Case {
        let (child, child_facts) = side(self.child.0, self.child.1);
        assert!(child_facts.is_some(), "{}", self.child.1);
        let parent = self.parent.map(|(place, query)| side(place, query));
        let (parent, parent_facts) = parent.unzip();
        let chain = self.chain.iter().map(|(parent, child)| {
            let ((parent_table, parent_column), (child_table, child_column)) =
                (place(parent), place(child));
            Link {
                parent_table,
                parent_column,
                child_table,
                child_column,
                kind: Kind::NPlusOneReverse,
            }
        });
        let finding = Finding {
            id: FindingId(1),
            kind: self.kind,
            status: Status::Open,
            confidence: Confidence::Proved,
            evidence: Evidence::Connection,
            severity: Severity::Low,
            child,
            parent,
            chain: chain.collect(),
            occurrences: 4,
            units: 4,
            queries: 160,
            cost_ns: 160_000_000,
            saves_ns: 152_000_000,
            children_per_row: 1.0,
            first_seen: Moment(0),
            last_seen: Moment(0),
            tags: Vec::new(),
            proof: None,
            queries_before: 43,
            queries_after: 3,
            example_unit: None,
            detail: detail(
                self.kind,
                self.child,
                child_facts.as_ref().unwrap(),
                parent_facts.as_ref().and_then(Option::as_ref),
            ),
        };
        Case::of(
            &finding,
            child_facts.as_ref(),
            parent_facts.flatten().as_ref(),
        )
    }
}

/// What the detectors say of such a statement, each of whose runs got one row at most where it has LIMIT.
fn detail(
    kind: Kind,
    (place, query): (&str, &str),
    facts: &Facts,
    parent: Option<&Facts>,
) -> Detail {
    let operation = match (&*facts.outputs, facts.summary.split(' ').next().unwrap()) {
        (_, "INSERT") if query.contains("ON CONFLICT") => detect::Operation::Add,
        (_, "INSERT") => detect::Operation::Insert,
        (_, "UPDATE") => detect::Operation::Update,
        (_, "DELETE") => detect::Operation::Delete,
        _ if kind == Kind::WriteLoop && facts.lock == Lock::Rows => {
            detect::Operation::UpdateOrCreate
        }
        _ if kind == Kind::WriteLoop => detect::Operation::GetOrCreate,
        ([Output::Constant], _) => detect::Operation::Exists,
        ([Output::Aggregate(name)], _) => detect::Operation::Aggregate(vec![name.clone()]),
        _ => detect::Operation::Rows,
    };
    let (table, key) = place.rsplit_once('.').unwrap();
    let had = parent.map_or(&[][..], |parent| &parent.outputs);
    let is_missing = |output: &&Output| kind == Kind::NPlusOneDeferred && !had.contains(output);
    let columns = facts.outputs.iter().filter(is_missing);
    Detail {
        operation,
        main_table: facts.main_table.as_deref().map(Arc::from),
        columns: columns
            .filter_map(|output| match output {
                Output::Column(column) if column.table.as_deref() == Some(table) => {
                    (*column.name != *key).then(|| Arc::from(&*column.name))
                }
                _ => None,
            })
            .collect(),
        traits: [
            (Trait::Limited, facts.limit),
            (Trait::Single, facts.limit),
            (Trait::Ordered, !facts.ordering.is_empty()),
        ]
        .into_iter()
        .filter_map(|(one, is)| is.then_some(one))
        .collect(),
        ..Detail::default()
    }
}

fn flat(
    kind: Kind,
    parent: (&'static str, &'static str),
    child: (&'static str, &'static str),
) -> Loop {
    Loop {
        kind,
        parent: Some(parent),
        child,
        chain: &[],
    }
}

/// The line with the map, complete; the line without, and whether that one is.
#[track_caller]
fn check(case: &Case, with_map: &str, without: &str, without_is_complete: bool) {
    let none = Relations::default();
    let advice = advise(case, &golden(), &none);
    assert_eq!(advice.django, with_map, "with the map: {}", advice.title);
    assert!(advice.complete, "with the map: {}", advice.django);
    assert!(!advice.django.contains('<'));
    check_without(case, without, without_is_complete);
}

#[track_caller]
fn check_without(case: &Case, without: &str, is_complete: bool) {
    let advice = advise(case, &Models::default(), &Relations::default());
    assert_eq!(advice.django, without, "without: {}", advice.title);
    assert_eq!(advice.complete, is_complete, "without: {}", advice.django);
    // What is open is said in angle brackets, and nothing else is; what is a convention is said too.
    assert_eq!(advice.django.contains('<'), !is_complete);
}

const ORDERS: &str = r#"SELECT "shop_order"."id", "shop_order"."customer_id", "shop_order"."created_by_id" FROM "shop_order" LIMIT $1"#;
const PRODUCTS: &str = r#"SELECT "shop_product"."id", "shop_product"."name", "shop_product"."supplied_by" FROM "shop_product""#;
const CUSTOMER: &str = r#"SELECT "shop_customer"."id", "shop_customer"."name" FROM "shop_customer" WHERE "shop_customer"."id" = $1 LIMIT $2"#;
const ITEMS: &str = r#"SELECT "shop_orderitem"."id", "shop_orderitem"."order_id", "shop_orderitem"."product_id" FROM "shop_orderitem" WHERE "shop_orderitem"."order_id" = $1"#;
const REVIEWS: &str =
    r#"SELECT "shop_review"."id" FROM "shop_review" WHERE "shop_review"."product_id" = $1"#;

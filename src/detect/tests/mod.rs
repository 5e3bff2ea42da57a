//! Units told as stories: what was asked, what came back, and what is found.

mod chance;
mod price;
mod property;
mod reads;
mod silent;
mod trials;
mod writes;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::{Confidence, Detector, Finding, Kind, Loops, Settings};
use crate::event::{
    ClosedEvent, Columns, Constant, ConstantCount, Constants, Flow, Held, Moment, Phases, Protocol,
    QueryEvent, RowColumn, RowColumns, RowKeys, SessionFacts, SessionId, Shape, ShapeRef,
};
use crate::sql::facts::{Output, extract};
use crate::sql::value::ValueKey;
use crate::sql::{Fingerprint, Verb, scan_all};
use crate::unit::{self, Unit, Units};
use crate::wire::TransactionStatus;

const MS: u64 = 1_000_000;

/// A value of a test: of a constant, or of a key column.
#[derive(Debug, Clone, Copy)]
enum V {
    Int(i64),
    Null,
    Text(&'static str),
    /// A list of several values.
    Many,
}

impl From<i64> for V {
    fn from(value: i64) -> V {
        V::Int(value)
    }
}

fn ints(values: &[i64]) -> Vec<V> {
    values.iter().copied().map(V::Int).collect()
}

/// One connection's story.
struct Story {
    detector: Detector,
    units: Units<Loops>,
    key: ValueKey,
    session: u64,
    sequence: u64,
    now: u64,
    /// The test that runs, by number.
    test: Option<u64>,
    transaction: TransactionStatus,
    shapes: HashMap<String, (ShapeRef, Columns)>,
    tables: HashMap<Arc<str>, u32>,
}

impl Story {
    fn new() -> Story {
        Story {
            detector: Detector::new(Settings::default()),
            units: Units::new(unit::Settings::default()),
            key: ValueKey::random(),
            session: 1,
            sequence: 0,
            now: 1_000 * MS,
            test: None,
            transaction: TransactionStatus::Idle,
            shapes: HashMap::new(),
            tables: HashMap::new(),
        }
    }

    fn facts(&self) -> Arc<SessionFacts> {
        Arc::new(SessionFacts {
            id: SessionId(self.session),
            listener: "default".into(),
            client: "127.0.0.1".into(),
            user: "shop".into(),
            database: "shop".into(),
            application: "".into(),
            backend_pid: 1,
        })
    }

    fn pause(&mut self, ms: u64) {
        self.now += ms * MS;
    }

    /// A statement, already normalised, with its constants and the key columns of its rows: those named `id`,
    /// `..._id`, `code` and `...ptr_id` in the order of its outputs.
    fn run(&mut self, text: &str, constants: &[V], rows: &[Vec<V>]) {
        self.run_full(text, constants, rows, rows.len() as u64);
    }

    /// A write that changes `count` rows.
    fn write(&mut self, text: &str, constants: &[V], count: u64) {
        self.run_full(text, constants, &[], count);
    }

    fn run_full(&mut self, text: &str, constants: &[V], rows: &[Vec<V>], count: u64) {
        let (shape, columns) = self.shape(text);
        let verb = shape.verb;
        let before = self.transaction;
        self.transaction = match verb {
            Verb::Begin => TransactionStatus::InTransaction,
            Verb::Commit | Verb::Rollback => TransactionStatus::Idle,
            _ => before,
        };
        let result = (!columns.all.is_empty()).then(|| RowKeys {
            keys: rows
                .iter()
                .flat_map(|row| {
                    assert_eq!(row.len(), columns.keys.len(), "keys of {text}");
                    row.iter()
                        .map(|value| self.hash(*value))
                        .collect::<Vec<_>>()
                })
                .collect(),
            rows: rows.len() as u32,
            rows_total: rows.len() as u64,
            columns: columns.clone(),
            held: Held::default(),
        });
        let constants: Constants = constants
            .iter()
            .map(|value| Constant {
                value: self.hash(*value),
                count: match value {
                    V::Many => ConstantCount::Several,
                    _ => ConstantCount::One,
                },
            })
            .collect();
        let values = constants.iter().fold(7u64, |hash, constant| {
            hash.rotate_left(5).wrapping_mul(31) ^ constant.value.map_or(0, |value| value.bits())
        });
        let event = QueryEvent {
            facts: self.facts(),
            sequence: self.sequence,
            fingerprint: shape.fingerprint,
            verb,
            shape: Some(shape),
            protocol: Protocol::Simple,
            requested_at: Moment(self.now),
            completed_at: Moment(self.now + MS),
            phases: Phases {
                database_ns: MS,
                ..Phases::default()
            },
            round_trips: 1,
            rows: count,
            sqlstate: None,
            transaction_before: before,
            transaction_after: self.transaction,
            pipeline_index: 0,
            tags: self.test.and_then(|test| {
                let text = format!("/*test='t{test}',test_id='{test}'*/");
                crate::sql::tags::parse(text.as_bytes()).map(Arc::new)
            }),
            cursor: None,
            flow: Some(Flow {
                constants,
                values,
                result,
            }),
        };
        self.sequence += 1;
        // Looping code takes half a millisecond between two statements.
        self.now += MS + MS / 2;
        self.observe(&event);
    }

    fn observe(&mut self, event: &QueryEvent) {
        let Story {
            detector, units, ..
        } = self;
        let mut over = Vec::new();
        let joined = units.query(
            event,
            |unit, event, apart| detector.continues(unit, event, apart),
            &mut |unit| over.push(unit),
        );
        if let Some((unit, joined)) = joined {
            detector.query(unit, event, &joined);
        }
        self.judge(over);
    }

    fn judge(&mut self, over: Vec<Unit<Loops>>) {
        for mut unit in over {
            self.detector.ended(&mut unit);
        }
    }

    /// The connection ends right behind its last statement.
    fn close(&mut self) {
        let mut over = Vec::new();
        let event = ClosedEvent {
            facts: self.facts(),
            at: Moment(self.now),
            queries: self.sequence,
        };
        self.units.closed(&event, &mut |unit| over.push(unit));
        self.judge(over);
        self.detector.closed(event.facts.id);
        assert_eq!(self.detector.connections(), 0, "a closed one is remembered");
        self.session += 1;
        self.sequence = 0;
        self.pause(30);
    }

    /// Nothing happens for a while.
    fn quiet(&mut self) {
        self.pause(5_000);
        let mut over = Vec::new();
        self.units
            .tick(Moment(self.now), &mut |unit| over.push(unit));
        self.judge(over);
    }

    fn hash(&self, value: V) -> Option<crate::sql::value::ValueHash> {
        match value {
            V::Int(value) => Some(self.key.int(value)),
            V::Text(text) => self.key.text(text.as_bytes()),
            V::Null | V::Many => None,
        }
    }

    fn shape(&mut self, text: &str) -> (ShapeRef, Columns) {
        if let Some((shape, columns)) = self.shapes.get(text) {
            return (*shape, columns.clone());
        }
        let verb = scan_all(text).first().unwrap().verb;
        let facts = extract(text);
        let mut all = Vec::new();
        let outputs = || facts.iter().flat_map(|facts| &facts.outputs);
        let has_id = outputs()
            .any(|output| matches!(output, Output::Column(column) if &*column.name == "id"));
        for output in outputs() {
            let (table, name) = match output {
                Output::Column(column) => (column.table.clone(), column.name.clone()),
                _ => (None, "?column?".into()),
            };
            let next = 1_000 + self.tables.len() as u32;
            let table_oid = table.map_or(0, |table| *self.tables.entry(table).or_insert(next));
            all.push(RowColumn {
                // `id` is the first column of every table here, else `code`; the others follow in any order.
                attribute: match &*name {
                    "id" => 1,
                    "code" if !has_id => 1,
                    name => 2 + (name.len() % 40) as i16,
                },
                type_oid: if &*name == "code" { 1043 } else { 20 },
                name: (*name).into(),
                table_oid,
            });
        }
        let is_key = |column: &RowColumn| {
            &*column.name == "id" || column.name.ends_with("_id") || &*column.name == "code"
        };
        let columns = Columns::from(RowColumns {
            keys: (0..all.len() as u16)
                .filter(|index| is_key(&all[usize::from(*index)]))
                .collect(),
            all: all.into(),
        });
        let shape = Shape::kept(Shape {
            fingerprint: Fingerprint(1 + self.shapes.len() as u64),
            number: crate::event::ShapeNumber(self.shapes.len() as u32),
            verb,
            text: text.into(),
            facts: OnceLock::from(facts),
            parsed: crate::event::Parsed::yes(),
        });
        self.shapes
            .insert(text.to_owned(), (shape, columns.clone()));
        (shape, columns)
    }

    fn found(&self) -> Vec<&Finding> {
        let mut found: Vec<_> = self.detector.findings().collect();
        found.sort_by_key(|finding| (finding.kind, finding.id));
        found
    }

    #[track_caller]
    fn only(&self) -> &Finding {
        match self.found().as_slice() {
            [only] => only,
            found => panic!(
                "not one finding but {}: {:#?}",
                found.len(),
                found
                    .iter()
                    .map(|finding| summary(finding))
                    .collect::<Vec<_>>()
            ),
        }
    }
}

fn summary(finding: &Finding) -> (Kind, Confidence, String) {
    let name = |side: &super::Side| {
        format!(
            "{}.{}",
            side.table.as_deref().unwrap_or("?"),
            side.column.as_deref().unwrap_or("?")
        )
    };
    let parent = finding.parent.as_ref().map_or("-".to_owned(), name);
    (
        finding.kind,
        finding.confidence,
        format!("{parent} -> {}", name(&finding.child)),
    )
}

/// The rows of a result with one key column.
fn column(values: &[i64]) -> Vec<Vec<V>> {
    values.iter().map(|value| vec![V::Int(*value)]).collect()
}

#[test]
fn memory_is_bounded_and_given_back() {
    let mut story = Story::new();
    story.detector = Detector::new(Settings {
        bytes_max: 256 << 10,
        hashes_max: 2_000,
        ..Settings::default()
    });
    let mut most = 0;
    for shape in 0..600 {
        let text =
            format!(r#"SELECT "t{shape}"."id" FROM "t{shape}" WHERE "t{shape}"."x_id" = $1"#);
        let ids: Vec<i64> = (0..40).collect();
        for value in 0..4 {
            story.run(&text, &ints(&[value]), &column(&ids));
            most = most.max(story.detector.held_bytes());
        }
    }
    assert!(most > 200 << 10, "{most}");
    assert!(most < 400 << 10, "{most}");
    story.close();
    assert_eq!(story.detector.held_bytes(), 0);
    assert_eq!(story.detector.units_cut(), 1);
    assert_eq!(story.found().len(), 0, "no finding from half a unit");
}

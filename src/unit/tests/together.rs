//! Connections side by side.

use proptest::prelude::*;

use super::*;
use crate::event::Observed;
use crate::unit::role::{Role, Roles};

/// What somebody does on a connection.
#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    Run(&'static str),
    Cursor(&'static str),
    Lose(&'static str),
}

/// Pauses are none or clear: in between the connection's rhythm decides, and a loss starts that anew.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sql = prop::sample::select(vec![
        ORDERS, CUSTOMER, SESSION, USER, SAVE, "BEGIN", "COMMIT", "SELECT 1", "",
    ]);
    prop::collection::vec(
        prop_oneof![
            6 => sql.prop_map(Step::Run),
            2 => prop_oneof![0u64..3, 60u64..120].prop_map(Step::Wait),
            1 => Just(Step::Cursor(ORDERS)),
            1 => Just(Step::Lose(CUSTOMER)),
        ],
        0..40,
    )
}

fn line(id: u64, steps: &[Step]) -> Line {
    // A class of its own: what is known of a class does come from all its connections.
    let mut line = Line::new(id, &format!("10.0.0.{id}"));
    for step in steps {
        match *step {
            Step::Wait(ms) => line.wait_ms(ms),
            Step::Run(sql) => line.run(sql),
            Step::Cursor(sql) => line.cursor(sql, |line| {
                line.run(CUSTOMER);
            }),
            Step::Lose(sql) => line.lost(sql),
        };
    }
    line.close();
    line
}

type Shown = (SessionId, Moment, Moment, Evidence, Completeness, u64, u64);

fn shown(records: Vec<UnitRecord>) -> Vec<Shown> {
    let mut shown: Vec<Shown> = records
        .into_iter()
        .map(|unit| {
            (
                unit.facts.id,
                unit.started_at,
                unit.ended_at,
                unit.evidence,
                unit.completeness,
                unit.queries,
                unit.duplicates,
            )
        })
        .collect();
    shown.sort_by_key(|unit| (unit.0, unit.1));
    shown
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn connections_side_by_side_have_the_units_that_each_has_alone(
        all in prop::collection::vec(steps(), 1..5),
        order in prop::collection::vec(any::<prop::sample::Index>(), 300),
    ) {
        let lines: Vec<Line> = (0..).zip(&all).map(|(id, steps)| line(id, steps)).collect();
        let alone = lines.iter().flat_map(|line| units_of(&[line])).collect();

        let mut left: Vec<_> = lines.iter().map(|line| line.events.iter()).collect();
        let mut mixed: Vec<&Observed> = Vec::new();
        for index in &order {
            let count = left.len();
            mixed.extend(left[index.index(count)].next());
        }
        left.into_iter().for_each(|rest| mixed.extend(rest));
        let together = follow(&mut Units::new(Settings::default()), mixed.into_iter(), |_, _| false);
        prop_assert_eq!(shown(together), shown(alone));
    }

    #[test]
    fn every_query_is_in_one_unit(steps in steps()) {
        let line = line(1, &steps);
        let queries = line.events.iter().filter(|event| match event {
            Observed::Query(event) => matches!(Roles::default().of(event), Role::Query(_)),
            Observed::Rows(_) | Observed::Closed(_) => false,
        });
        let expected = queries.count() as u64;
        let units = units_of(&[&line]);
        prop_assert_eq!(units.iter().map(|unit| unit.queries).sum::<u64>(), expected);
        for unit in &units {
            prop_assert_eq!(unit.timeline.len() as u64, unit.queries);
            prop_assert!(unit.timeline.iter().is_sorted_by_key(|entry| entry.requested_at));
        }
    }

    #[test]
    fn whoever_loses_a_statement_is_told(steps in steps(), lost in any::<prop::sample::Index>()) {
        let whole = line(1, &steps);
        let mut partly = line(1, &steps);
        let queries: Vec<usize> = (0..partly.events.len())
            .filter(|index| matches!(partly.events[*index], Observed::Query(_)))
            .collect();
        prop_assume!(!queries.is_empty());
        partly.events.remove(queries[lost.index(queries.len())]);
        let complete = |line: &Line| -> Vec<Shown> {
            let mut units = shown(units_of(&[line]));
            units.retain(|unit| unit.4 == Completeness::Complete);
            units
        };
        // What is called complete is no more than a unit that was there when nothing was lost.
        let truth = shown(units_of(&[&whole]));
        for unit in complete(&partly) {
            let holds = |other: &Shown| other.1 <= unit.1 && unit.2 <= other.2;
            prop_assert!(truth.iter().any(holds), "{:?} is in none of {:?}", unit, truth);
        }
    }
}

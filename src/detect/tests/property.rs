//! Whatever a connection does: nothing panics, what is held is given back, and chance proves nothing.

use proptest::prelude::*;

use super::*;

const TEXTS: [&str; 9] = [
    r#"SELECT "a_order"."id", "a_order"."customer_id" FROM "a_order" WHERE "a_order"."status" = $1"#,
    r#"SELECT "a_customer"."id", "a_customer"."country_id" FROM "a_customer" WHERE "a_customer"."id" = $1 LIMIT $2"#,
    r#"SELECT "a_item"."id", "a_item"."order_id" FROM "a_item" WHERE "a_item"."order_id" IN ($1 /*, ... */)"#,
    r#"SELECT COUNT(*) FROM "a_item" WHERE "a_item"."order_id" = $1"#,
    r#"UPDATE "a_order" SET "status" = $1 WHERE "a_order"."id" = $2"#,
    r#"INSERT INTO "a_item" ("order_id") VALUES ($1) RETURNING "a_item"."id""#,
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
];

#[derive(Debug, Clone)]
enum Act {
    Run(usize, Vec<i64>, Vec<Vec<i64>>),
    Pause(u64),
    Close,
    Quiet,
    Grow,
}

fn act() -> impl Strategy<Value = Act> {
    let values = || prop::collection::vec(0i64..6, 0..4);
    prop_oneof![
        12 => (0..TEXTS.len(), values(), prop::collection::vec(values(), 0..6))
            .prop_map(|(text, constants, rows)| Act::Run(text, constants, rows)),
        2 => (0u64..200).prop_map(Act::Pause),
        1 => Just(Act::Close),
        1 => Just(Act::Quiet),
        1 => Just(Act::Grow),
    ]
}

fn play(story: &mut Story, acts: &[Act]) {
    for act in acts {
        match act {
            Act::Run(text, constants, rows) => {
                let text = TEXTS[*text];
                let width = story.shape(text).1.keys.len();
                let rows: Vec<Vec<V>> = rows
                    .iter()
                    .map(|row| {
                        (0..width)
                            .map(|at| row.get(at).map_or(V::Null, |value| V::Int(*value)))
                            .collect()
                    })
                    .collect();
                story.run(text, &ints(constants), &rows);
            }
            Act::Pause(ms) => story.pause(*ms),
            Act::Close => story.close(),
            Act::Quiet => story.quiet(),
            Act::Grow => {
                let Story {
                    detector, units, ..
                } = &mut *story;
                for unit in units.open_mut() {
                    detector.grown(unit);
                }
            }
        }
    }
    story.close();
    story.quiet();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_panics_and_nothing_stays(acts in prop::collection::vec(act(), 0..120)) {
        let mut story = Story::new();
        play(&mut story, &acts);
        prop_assert_eq!(story.detector.held_bytes(), 0);
        for finding in story.found() {
            prop_assert!(finding.units >= 1 && finding.occurrences == finding.units);
            prop_assert!(finding.saves_ns <= finding.cost_ns);
            prop_assert!(finding.queries_after <= finding.queries_before);
        }
    }

    /// Units that are judged while they grow end with the same figures as those that are judged once.
    #[test]
    fn growing_changes_no_figure(acts in prop::collection::vec(act(), 0..80)) {
        let mut growing = Story::new();
        play(&mut growing, &acts);
        let whole: Vec<Act> = acts.into_iter().filter(|act| !matches!(act, Act::Grow)).collect();
        let mut once = Story::new();
        play(&mut once, &whole);
        let figures = |story: &Story| {
            let mut all: Vec<_> = story
                .found()
                .iter()
                .map(|finding| (finding.id, finding.queries, finding.cost_ns, finding.occurrences))
                .collect();
            all.sort_unstable();
            all
        };
        prop_assert_eq!(figures(&growing), figures(&once));
    }

    /// Values that no result had prove nothing, whatever their order.
    #[test]
    fn values_from_nowhere_prove_nothing(
        customers in prop::collection::vec(100i64..200, 3..20),
        lists in prop::collection::vec(prop::collection::vec(1i64..90, 2..8), 1..4),
    ) {
        let mut story = Story::new();
        for list in &lists {
            let rows: Vec<_> = list.iter().map(|id| ints(&[*id, *id])).collect();
            story.run(TEXTS[0], &ints(&[1]), &rows);
        }
        for customer in &customers {
            story.run(TEXTS[1], &ints(&[*customer, 21]), &[ints(&[*customer, 3])]);
        }
        story.close();
        for finding in story.found() {
            prop_assert!(finding.proof.is_none(), "{:?}", summary(finding));
        }
    }
}

//! Tests: what is sent while one runs carries its id.

use super::*;
use crate::event::Observed;

const ONE: &str = "/*test='shop/tests.py::test_one',test_id='1111111111111111'*/";
const TWO: &str = "/*test='shop/tests.py::test_two',test_id='2222222222222222'*/";
const REQUEST: &str =
    "/*request_id='aa',route='orders/',test='shop/tests.py::test_one',test_id='1111111111111111'*/";
const SAME_REQUEST: &str =
    "/*request_id='aa',test='shop/tests.py::test_two',test_id='2222222222222222'*/";

/// Test id (its first digit), evidence, number of statements of each unit, in the order in which they began.
fn of_tests(units: &[UnitRecord]) -> Vec<(Option<char>, Evidence, u64)> {
    let mut units: Vec<_> = units.iter().collect();
    units.sort_by_key(|unit| unit.id);
    let id = |unit: &UnitRecord| unit.test_id.as_ref().and_then(|id| id.chars().next());
    units
        .iter()
        .map(|unit| (id(unit), unit.evidence, unit.queries))
        .collect()
}

#[test]
fn a_class_of_tests_in_one_transaction_is_a_unit_for_each() {
    let mut line = Line::new(1, "tests");
    line.run("BEGIN").run(ORDERS).run(ORDERS);
    for (test, statements) in [(ONE, 2), (TWO, 3)] {
        line.run("SAVEPOINT a").tagged(Some(test));
        for _ in 0..statements {
            line.run(CUSTOMER);
        }
        line.tagged(None).run("ROLLBACK TO SAVEPOINT a");
    }
    line.run(USER).run("ROLLBACK").close();
    let units = units_of(&[&line]);
    assert_eq!(
        of_tests(&units),
        [
            (None, Evidence::Transaction, 2),
            (Some('1'), Evidence::Trace, 2),
            (Some('2'), Evidence::Trace, 3),
            (None, Evidence::Transaction, 1),
        ]
    );
    let of_first = units
        .iter()
        .find(|unit| unit.queries == 2 && unit.test.is_some());
    let first = of_first.unwrap();
    assert_eq!(first.test.as_deref(), Some("shop/tests.py::test_one"));
    assert_eq!(first.rows, 2);
}

#[test]
fn a_request_of_a_test_is_a_unit_of_its_own_and_the_test_goes_on_behind_it() {
    let mut line = Line::new(1, "tests");
    line.run("BEGIN").tagged(Some(ONE)).run(ORDERS);
    // However slow it is.
    line.wait_ms(2_000)
        .tagged(Some(REQUEST))
        .run_all(&[SESSION, ORDERS]);
    line.wait_ms(2_000).tagged(Some(ONE)).run(CUSTOMER);
    // The next test sends the same id: a constant of its test client.
    line.tagged(Some(SAME_REQUEST)).run(CUSTOMER);
    line.tagged(None).run("ROLLBACK").close();
    let units = units_of(&[&line]);
    assert_eq!(
        of_tests(&units),
        [
            (Some('1'), Evidence::Trace, 2),
            (Some('1'), Evidence::Trace, 2),
            (Some('2'), Evidence::Trace, 1),
        ]
    );
    assert_eq!(units[0].route.as_deref(), Some("SELECT shop_order"));
    assert!(
        units
            .iter()
            .any(|unit| unit.route.as_deref() == Some("orders/"))
    );
}

#[test]
fn a_test_is_one_unit_over_its_connections() {
    let mut main = Line::new(1, "tests");
    main.tagged(Some(ONE)).run(ORDERS);
    let mut thread = Line::new(2, "tests");
    thread.tagged(Some(ONE)).run(CUSTOMER);
    assert_eq!(
        of_tests(&units_of(&[&main, &thread])),
        [(Some('1'), Evidence::Trace, 2)]
    );
}

/// What ends and when, as the ids of tests, at the end of these seconds behind the last event.
fn ends(line: &Line, seconds: u64) -> usize {
    let mut units: Units<()> = Units::new(Settings::default());
    let mut ended = 0;
    let mut end = |_| ended += 1;
    let mut last = Moment(0);
    for event in &line.events {
        match event {
            Observed::Query(event) => {
                last = event.completed_at;
                units.query(event, |_, _, _| false, &mut end);
            }
            Observed::Closed(event) => units.closed(event, &mut end),
            Observed::Rows(_) => {}
        }
    }
    units.tick(Moment(last.0 + seconds * SECOND), &mut end);
    ended
}

#[test]
fn a_test_ends_when_asked_soon_behind_the_next_one_or_late() {
    let mut line = Line::new(1, "tests");
    line.tagged(Some(ONE))
        .run(ORDERS)
        .tagged(Some(REQUEST))
        .run(ORDERS);
    assert_eq!(
        ends(&line, 2),
        0,
        "the request may go on, and so may the test"
    );
    assert_eq!(ends(&line, 11), 2);
    let mut units: Units<()> = Units::new(Settings::default());
    for event in &line.events {
        if let Observed::Query(event) = event {
            units.query(event, |_, _, _| false, &mut |_| panic!("nothing ends"));
        }
    }
    let mut ended = 0;
    units.end_test(TestId::of("2222222222222222"), &mut |_| ended += 1);
    assert_eq!(ended, 0);
    units.end_test(TestId::of("1111111111111111"), &mut |_| ended += 1);
    assert_eq!((ended, units.open_count()), (2, 0));

    line.tagged(Some(TWO)).run(ORDERS);
    assert_eq!(ends(&line, 2), 2, "both of the first");
    line.close();
    assert_eq!(ends(&line, 2), 3);
}

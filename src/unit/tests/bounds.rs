//! Limits, and what was lost.

use super::*;
use crate::event::Observed;

#[test]
fn a_long_unit_counts_what_it_does_not_keep() {
    let mut line = Line::new(1, "job");
    (0..50).for_each(|_| {
        line.run(CUSTOMER);
    });
    let settings = Settings {
        statements_max: 20,
        ..Settings::default()
    };
    let units = follow(&mut Units::new(settings), line.events.iter(), |_, _| false);
    assert_eq!((units[0].queries, units[0].timeline.len()), (50, 20));
    assert_eq!(units[0].completeness, Completeness::Complete);
    assert_eq!(units[0].duplicates, 49);
}

#[test]
fn the_bytes_of_all_timelines_are_bounded() {
    let bytes = 100 * super::super::open::ENTRY_BYTES;
    let mut units = Units::<()>::new(Settings {
        timeline_bytes_max: bytes,
        ..Settings::default()
    });
    let mut lines: Vec<Line> = (0..40).map(|n| Line::new(n, "web")).collect();
    for line in &mut lines {
        (0..10).for_each(|_| {
            line.run(CUSTOMER);
        });
        for event in &line.events {
            if let Observed::Query(event) = event {
                units.query(event, |_, _, _| false, &mut |_| {});
            }
        }
    }
    assert_eq!(units.timeline_bytes(), bytes);
    let mut queries = 0;
    let mut count = |unit: Unit<()>| queries += unit.queries();
    units.tick(Moment(100 * SECOND), &mut count);
    assert_eq!((queries, units.timeline_bytes()), (400, 0));
}

#[test]
fn the_connections_followed_are_bounded() {
    let mut units = Units::<()>::new(Settings {
        open_max: 100,
        ..Settings::default()
    });
    let mut ended = 0;
    for n in 0..1_000 {
        let mut line = Line::new(n, "web");
        line.run(CUSTOMER);
        if let Observed::Query(event) = &line.events[0] {
            units.query(event, |_, _, _| false, &mut |_| ended += 1);
        }
        assert!(units.open_count() <= 100 && units.connections() <= 100);
    }
    assert_eq!(ended + units.open_count(), 1_000);
}

#[test]
fn cursors_whose_end_was_lost_are_forgotten() {
    let mut line = Line::new(1, "web");
    let mut units = Units::<()>::new(Settings::default());
    let mut cursors = Vec::new();
    for _ in 0..1_000 {
        line.cursor(ORDERS, |_| {});
        // The rest of its rows and its end are lost.
        if let Some(Observed::Rows(event)) = std::mem::take(&mut line.events).first() {
            let unit = units.rows(event, &mut |_| {}).unwrap();
            assert!(unit.cursor_index(SessionId(1), event.cursor).is_some());
            cursors.push(event.cursor);
        }
    }
    assert_eq!(units.open_count(), 1);
    let unit = units.open_mut().next().unwrap();
    let known = |cursor: &&NameHash| unit.cursor_index(SessionId(1), **cursor).is_some();
    let followed = cursors.iter().filter(known).count();
    assert_eq!(followed, super::super::open::CURSORS_MAX);
}

#[test]
fn a_connection_that_is_silent_for_long_is_forgotten() {
    let mut units = Units::<()>::new(Settings::default());
    let mut line = Line::new(1, "web");
    line.run("BEGIN").run(CUSTOMER);
    for event in &line.events {
        if let Observed::Query(event) = event {
            units.query(event, |_, _, _| false, &mut |_| {});
        }
    }
    let mut ended = 0;
    units.tick(Moment(60 * SECOND), &mut |_| ended += 1);
    assert_eq!((ended, units.connections()), (0, 1), "in a transaction");
    units.tick(Moment(3_700 * SECOND), &mut |_| ended += 1);
    assert_eq!((ended, units.connections(), units.open_count()), (1, 0, 0));
}

#[test]
fn what_was_lost_marks_the_units_on_both_sides() {
    let mut line = Line::new(1, "web");
    line.run(ORDERS).run(CUSTOMER);
    line.wait_ms(30)
        .lost(ORDERS)
        .run("BEGIN")
        .run(CUSTOMER)
        .run("COMMIT");
    line.wait_ms(30).run(ORDERS).run(CUSTOMER);
    let units = units_of(&[&line]);
    let complete: Vec<_> = units.iter().map(|unit| unit.completeness).collect();
    assert_eq!(
        complete,
        [
            Completeness::Incomplete,
            Completeness::Incomplete,
            Completeness::Complete
        ]
    );
}

#[test]
fn a_connection_whose_begin_or_end_is_unknown_is_incomplete() {
    let mut begin = Line::new(1, "web");
    begin.lost(SESSION).run(CUSTOMER).close();
    let mut end = Line::new(2, "web");
    end.run(CUSTOMER).lost(CUSTOMER).close();
    for unit in units_of(&[&begin, &end]) {
        assert_eq!(unit.completeness, Completeness::Incomplete);
    }
}

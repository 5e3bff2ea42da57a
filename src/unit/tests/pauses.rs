//! Pauses, and what goes on over them.

use super::*;

#[test]
fn a_pause_that_values_flow_over_separates_nothing() {
    let mut line = Line::new(1, "web");
    line.run(ORDERS).wait_ms(78).run(CUSTOMER).run(CUSTOMER);
    let mut units = Units::<()>::new(Settings::default());
    let mut pauses = Vec::new();
    for event in &line.events {
        let crate::event::Observed::Query(event) = event else {
            unreachable!()
        };
        let joined = units.query(event, |_, _, _| true, &mut |_| {});
        pauses.extend(joined.map(|(_, joined)| (joined.index, joined.pause)));
    }
    assert_eq!(
        pauses,
        [(0, Pause::None), (1, Pause::Soft), (2, Pause::None)]
    );
}

#[test]
fn the_gap_before_a_statement_includes_the_housekeeping_there() {
    let mut line = Line::new(1, "web");
    line.run(ORDERS).run("BEGIN").run(CUSTOMER).run("COMMIT");
    let units = units_of(&[&line]);
    // BEGIN's millisecond, and half of one before each of the two.
    assert_eq!(
        units[0].timeline.get(1).unwrap().phases.application_ns,
        2 * MS
    );
}

#[test]
fn a_loop_over_a_cursor_is_one_unit_however_slow() {
    let mut line = Line::new(1, "job");
    line.cursor(ORDERS, |line| {
        for _ in 0..3 {
            line.wait_ms(90).run(CUSTOMER);
        }
    });
    line.wait_ms(90).run(CUSTOMER);
    let units = units_of(&[&line]);
    assert_eq!(brief(&units), [(Evidence::Pause, 4), (Evidence::Pause, 1)]);
    let timeline: Vec<_> = units[0].timeline.iter().collect();
    assert_eq!(timeline[0].fingerprint, scan_all(ORDERS)[0].fingerprint);
    assert_eq!(timeline[0].rows, 1, "told at its end");
    assert!(timeline[0].completed_at > timeline[3].completed_at);
}

#[test]
fn a_cursor_is_the_first_statement_of_its_own_request() {
    let mut line = Line::new(1, "web");
    line.run(CUSTOMER).wait_ms(100);
    line.cursor(ORDERS, |line| {
        line.run(CUSTOMER);
    });
    let units = units_of(&[&line]);
    assert_eq!(brief(&units), [(Evidence::Pause, 1), (Evidence::Pause, 2)]);
}

#[test]
fn a_unit_that_goes_quiet_ends() {
    let mut line = Line::new(1, "web");
    line.run(ORDERS);
    let mut units = Units::<()>::new(Settings::default());
    let mut ended = 0;
    let crate::event::Observed::Query(event) = &line.events[0] else {
        unreachable!()
    };
    units.query(event, |_, _, _| false, &mut |_| ended += 1);
    units.tick(Moment(event.completed_at.0 + SECOND / 2), &mut |_| {
        ended += 1;
    });
    assert_eq!((ended, units.open_count()), (0, 1));
    let mut last = None;
    units.tick(Moment(event.completed_at.0 + SECOND), &mut |unit| {
        last = Some(unit.evidence());
    });
    assert_eq!((last, units.open_count()), (Some(Evidence::Pause), 0));
}

#[test]
fn an_open_transaction_keeps_its_unit_open() {
    let mut line = Line::new(1, "web");
    line.run("BEGIN")
        .run(ORDERS)
        .wait_ms(5_000)
        .run(CUSTOMER)
        .run("COMMIT");
    let mut units = Units::<()>::new(Settings::default());
    let mut ended = 0;
    for event in &line.events {
        let crate::event::Observed::Query(event) = event else {
            unreachable!()
        };
        units.tick(event.requested_at, &mut |_| ended += 1);
        units.query(event, |_, _, _| false, &mut |_| ended += 1);
    }
    assert_eq!((ended, units.open_count()), (0, 1));
}

#[test]
fn the_transactions_of_a_unit_are_numbered() {
    let mut line = Line::new(1, "web");
    line.run(ORDERS);
    for _ in 0..2 {
        line.run("BEGIN").run(CUSTOMER).run(CUSTOMER).run("COMMIT");
    }
    let mut units = Units::<()>::new(Settings::default());
    let mut ordinals = Vec::new();
    for event in &line.events {
        let crate::event::Observed::Query(event) = event else {
            unreachable!()
        };
        if let Some((unit, joined)) = units.query(event, |_, _, _| false, &mut |_| {})
            && !joined.housekeeping
        {
            ordinals.push(unit.transaction_ordinal());
        }
    }
    assert_eq!(ordinals, [None, Some(0), Some(0), Some(1), Some(1)]);
    let unit = units.open_mut().next().unwrap();
    let told: Vec<_> = unit.timeline().iter().map(|it| it.transaction).collect();
    assert_eq!(told, ordinals);
}

#[test]
fn a_slow_statement_is_not_quietness() {
    let mut line = Line::new(1, "web");
    line.run(ORDERS);
    let is_running = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = Arc::clone(&is_running);
    let mut units = Units::<()>::new(Settings {
        running: Running(Arc::new(move |session| {
            session == SessionId(1) && asked.load(std::sync::atomic::Ordering::Relaxed)
        })),
        ..Settings::default()
    });
    let crate::event::Observed::Query(event) = &line.events[0] else {
        unreachable!()
    };
    units.query(event, |_, _, _| false, &mut |_| {});
    units.tick(Moment(100 * SECOND), &mut |_| {});
    assert_eq!(units.open_count(), 1);
    is_running.store(false, std::sync::atomic::Ordering::Relaxed);
    units.tick(Moment(101 * SECOND), &mut |_| {});
    assert_eq!(units.open_count(), 0);
}

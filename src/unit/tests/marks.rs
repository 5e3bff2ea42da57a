//! What each setting of Django shows of where a request begins and ends.

use super::*;
use Evidence::{Connection, HealthCheck, Pause, PoolCheck, SessionLookup, Trace, Transaction};

const PAGE: [&str; 3] = [ORDERS, CUSTOMER, CUSTOMER];

#[test]
fn without_conn_max_age_the_connection_is_the_request() {
    let lines: Vec<Line> = (0..3)
        .map(|n| {
            let mut line = Line::new(n, "web");
            line.run("SELECT set_config('TimeZone', 'UTC', false)")
                .run("SELECT oid, typarray FROM pg_type WHERE typname = 'hstore'")
                .run_all(&PAGE)
                .close();
            line
        })
        .collect();
    let units = units_of(&lines.iter().collect::<Vec<_>>());
    assert_eq!(brief(&units), [(Connection, 3); 3]);
    let first = &units[0];
    assert_eq!((first.shapes, first.duplicates), (2, 1));
    assert_eq!(first.timeline.len(), 3, "housekeeping is in no timeline");
    assert_eq!(first.route.as_deref(), Some("SELECT shop_order"));
    assert_eq!(first.completeness, Completeness::Complete);
    assert_eq!(
        first.phases.application_ns, MS,
        "two gaps of half a millisecond"
    );
}

#[test]
fn a_persistent_connection_shows_nothing_but_pauses() {
    let mut line = Line::new(1, "web");
    for _ in 0..3 {
        line.run_all(&PAGE).wait_ms(20);
    }
    assert_eq!(brief(&units_of(&[&line])), [(Pause, 3); 3]);
}

#[test]
fn a_persistent_connection_that_is_closed_early_is_no_request() {
    let mut busy = Line::new(1, "web");
    for _ in 0..3 {
        busy.run_all(&PAGE).wait_ms(20);
    }
    let mut early = Line::new(2, "web");
    early.run_all(&PAGE).close();
    let mut other = Line::new(3, "elsewhere");
    other.run_all(&PAGE).close();
    let units = units_of(&[&busy, &early, &other]);
    let evidence = |id| {
        let mut found = units.iter().filter(|unit| unit.facts.id == SessionId(id));
        found.next_back().map(|unit| unit.evidence)
    };
    assert_eq!(evidence(2), Some(Pause));
    assert_eq!(evidence(3), Some(Connection));
}

#[test]
fn a_connection_with_pauses_is_not_one_request() {
    let mut paused = Line::new(1, "web");
    paused.run_all(&PAGE).wait_ms(16).run_all(&PAGE).close();
    let records = follow(
        &mut Units::new(Settings::default()),
        paused.events.iter(),
        |_, _| true,
    );
    assert_eq!(brief(&records), [(Pause, 6)], "values go on flowing");
    let mut late = Line::new(2, "web");
    late.run_all(&PAGE).wait_ms(60).close();
    assert_eq!(
        brief(&units_of(&[&late])),
        [(Connection, 3)],
        "a page rendered behind its last statement"
    );
    let mut idle = Line::new(3, "elsewhere");
    idle.run_all(&PAGE).wait_ms(1_001).close();
    assert_eq!(brief(&units_of(&[&idle])), [(Pause, 3)]);
}

#[test]
fn a_health_check_begins_every_request_but_the_first() {
    let mut line = Line::new(1, "web");
    line.run_all(&PAGE);
    for _ in 0..3 {
        // Also without any pause.
        line.run("SELECT 1").run_all(&PAGE);
    }
    line.wait_ms(20)
        .run("SELECT 1")
        .run("BEGIN")
        .run_all(&PAGE)
        .run("COMMIT");
    let units = brief(&units_of(&[&line]));
    assert_eq!(units[0], (Pause, 3), "one check proves nothing");
    assert_eq!(units[1..], [(HealthCheck, 3); 4]);
}

#[test]
fn with_health_checks_a_pause_is_one_inside_a_request() {
    let mut line = Line::new(1, "web");
    for _ in 0..6 {
        line.wait_ms(20).run("SELECT 1").run_all(&PAGE);
    }
    line.wait_ms(80).run_all(&PAGE);
    line.wait_ms(20).run("SELECT 1").run_all(&PAGE);
    let units = brief(&units_of(&[&line]));
    assert_eq!(units.len(), 7);
    assert_eq!(units[5], (HealthCheck, 6));
}

#[test]
fn checks_that_no_query_follows_prove_nothing() {
    let mut line = Line::new(1, "web");
    for _ in 0..5 {
        // A view for the load balancer, and requests without checks.
        line.wait_ms(100).run("SELECT 1");
        line.wait_ms(100).run_all(&PAGE);
    }
    assert_eq!(brief(&units_of(&[&line])), [(Pause, 3); 5]);
}

#[test]
fn checks_after_errors_separate_and_prove_nothing() {
    let mut line = Line::new(1, "web");
    for _ in 0..4 {
        line.run_all(&PAGE).fails().run(CUSTOMER).run("SELECT 1");
    }
    line.run(CUSTOMER);
    assert_eq!(
        brief(&units_of(&[&line])),
        [(Pause, 4), (Pause, 4), (Pause, 4), (Pause, 4), (Pause, 1)]
    );
}

#[test]
fn the_pool_sends_an_empty_query() {
    let mut line = Line::new(1, "web");
    for _ in 0..3 {
        line.run("").run_all(&PAGE);
    }
    let units = brief(&units_of(&[&line]));
    assert_eq!(units[1..], [(PoolCheck, 3); 2]);
}

#[test]
fn atomic_requests_are_transactions() {
    let mut line = Line::new(1, "web");
    for _ in 0..2 {
        line.run(SESSION).run(USER).run("BEGIN").run(ORDERS);
        // Inside the transaction no pause separates.
        line.wait_ms(200)
            .run_all(&PAGE)
            .run("COMMIT")
            .run(SAVE)
            .wait_ms(20);
    }
    line.wait_ms(20).run("BEGIN").run_all(&PAGE).run("COMMIT");
    assert_eq!(
        brief(&units_of(&[&line])),
        [(Transaction, 7), (Transaction, 7), (Transaction, 3)]
    );

    let mut two = Line::new(2, "web");
    for _ in 0..2 {
        two.run("BEGIN").run(ORDERS).run("COMMIT");
    }
    assert_eq!(
        brief(&units_of(&[&two])),
        [(Pause, 2)],
        "get_or_create in a loop"
    );
}

#[test]
fn a_second_look_up_of_the_session_is_a_second_request() {
    let mut line = Line::new(1, "web");
    for _ in 0..3 {
        line.run(SESSION).run(USER).run_all(&PAGE);
    }
    let units = units_of(&[&line]);
    assert_eq!(brief(&units), [(SessionLookup, 5); 3]);
    let route = units[0].route.as_deref();
    assert_eq!(route, Some("SELECT shop_order"), "named after its work");
}

#[test]
fn a_trace_joins_connections_and_separates_requests() {
    const FIRST: &str = "/*traceparent='00-11111111111111111111111111111111-aaaaaaaaaaaaaaaa-01'*/";
    const SECOND: &str =
        "/*traceparent='00-22222222222222222222222222222222-bbbbbbbbbbbbbbbb-01'*/";
    let mut one = Line::new(1, "web");
    one.tagged(Some(FIRST)).run(ORDERS);
    one.tagged(None).run("BEGIN");
    one.tagged(Some(FIRST)).run(CUSTOMER);
    one.tagged(None).run("COMMIT");
    let mut other = Line::new(2, "web");
    other.tagged(Some(FIRST)).run(CUSTOMER);
    other.tagged(Some(SECOND)).run(CUSTOMER).run(CUSTOMER);
    let units = brief(&units_of(&[&one, &other]));
    assert_eq!(units, [(Trace, 3), (Trace, 2)]);
}

#[test]
fn a_trace_of_several_requests_is_cut_where_their_span_changes() {
    const LIST: &str = "/*traceparent='00-11111111111111111111111111111111-aaaaaaaaaaaaaaaa-01'*/";
    const ITEM: &str = "/*traceparent='00-11111111111111111111111111111111-bbbbbbbbbbbbbbbb-01'*/";
    let mut line = Line::new(1, "web");
    line.tagged(Some(LIST)).run(ORDERS).run(CUSTOMER);
    line.tagged(Some(ITEM)).run(CUSTOMER);
    assert_eq!(units_of(&[&line]).len(), 2);
}

#[test]
fn a_trace_id_of_zeros_is_none() {
    let mut line = Line::new(1, "web");
    line.tagged(Some(
        "/*traceparent='00-00000000000000000000000000000000-0000000000000000-00',route='orders'*/",
    ));
    line.run_all(&PAGE);
    let units = units_of(&[&line]);
    assert_eq!(brief(&units), [(Pause, 3)]);
    assert_eq!(units[0].route.as_deref(), Some("orders"));
}

#[test]
fn where_connections_live_for_a_request_each_a_busy_machines_pause_separates_nothing() {
    let short: Vec<Line> = (0..20)
        .map(|n| {
            let mut line = Line::new(n, "web");
            line.run_all(&PAGE).close();
            line
        })
        .collect();
    let mut slow = Line::new(20, "web");
    slow.wait_ms(500).run_all(&PAGE).wait_ms(80).run_all(&PAGE);
    slow.close();
    // CONN_MAX_AGE was changed: the same application keeps its connections now.
    let mut kept = Line::new(21, "web");
    kept.wait_ms(1_000);
    for _ in 0..6 {
        kept.run_all(&PAGE).wait_ms(80);
    }
    let lines: Vec<&Line> = short.iter().chain([&slow, &kept]).collect();
    let units = units_of(&lines);
    let of = |id| {
        let mine = units.iter().filter(|unit| unit.facts.id == SessionId(id));
        brief(&mine.cloned().collect::<Vec<_>>())
    };
    assert_eq!(of(7), [(Connection, 3)]);
    assert_eq!(of(20), [(Pause, 6)], "together, but nothing proves it");
    assert_eq!(of(21), [(Pause, 12), (Pause, 3), (Pause, 3)]);
}

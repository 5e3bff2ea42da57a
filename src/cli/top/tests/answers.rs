//! What answers make of the state.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use super::super::look::divided;
use super::super::poller::{Answer, Found, Open};
use super::super::rates::{Extent, Rates, quantile_ms};
use super::super::sheet::Known;
use super::super::state::View;
use super::{
    at, connection, finding, findings, fresh, list, press, pulse, read, screen, second, shape,
    take, unit,
};
use crate::cli::client::{ClientError, Column};

#[test]
fn rates_are_what_happened_between_two_answers() {
    let mut state = fresh(View::Shapes);
    state.take(pulse(1_000, json!({})), second(100));
    take(&mut state, vec![shape(1, 100, 500.0, "SELECT 1")]);
    assert!(state.header.flow.is_none());
    assert!(state.shapes.rows()[0].recent.is_none());
    at(&mut state, 102);
    state.take(pulse(1_200, json!({})), second(102));
    take(
        &mut state,
        vec![
            shape(1, 150, 550.0, "SELECT 1"),
            shape(2, 8, 80.0, "SELECT 2"),
        ],
    );
    let flow = state.header.flow.unwrap();
    assert_eq!((flow.queries_per_s, flow.errors_per_s), (100.0, 1.0));
    assert_eq!(flow.phases.database_ms, 100.0);
    let rates: Vec<f64> = state
        .shapes
        .rows()
        .iter()
        .map(|row| row.recent.unwrap().rate(0))
        .collect();
    // By their time in the interval: 80 ms, and it is new; 50 ms.
    assert_eq!(rates, [4.0, 25.0]);
}

#[test]
fn a_restarted_proxy_and_a_reset_give_no_negative_rates() {
    for change in [json!({"started_at": "2026-11-22T09:18:00.000Z"}), json!({})] {
        let mut state = fresh(View::Shapes);
        state.take(pulse(1_000, json!({})), second(100));
        take(&mut state, vec![shape(1, 100, 500.0, "SELECT 1")]);
        at(&mut state, 101);
        state.take(pulse(3, change.clone()), second(101));
        take(&mut state, vec![shape(1, 3, 1.0, "SELECT 1")]);
        assert!(state.header.flow.is_none());
        assert!(state.shapes.rows()[0].recent.is_none());
        at(&mut state, 102);
        state.take(pulse(13, change), second(102));
        take(&mut state, vec![shape(1, 13, 5.0, "SELECT 1")]);
        assert_eq!(state.header.flow.unwrap().queries_per_s, 10.0);
        assert_eq!(state.shapes.rows()[0].recent.unwrap().rate(0), 10.0);
    }
}

#[test]
fn an_answer_that_comes_soon_changes_no_rate() {
    let mut rates = Rates::default();
    let interval = Duration::from_secs(1);
    let answer = |rates: &mut Rates, seconds: f64, calls: f64, extent| {
        let at = crate::event::Moment((seconds * 1e9) as u64);
        let counters = HashMap::from([("a".to_owned(), [calls, 0.0, 0.0, 0.0])]);
        rates.take(at, interval, extent, "", counters);
        rates.of("a").map(|recent| recent.rate(0))
    };
    assert_eq!(answer(&mut rates, 1.0, 10.0, Extent::All), None);
    assert_eq!(answer(&mut rates, 2.0, 30.0, Extent::All), Some(20.0));
    assert_eq!(answer(&mut rates, 2.1, 90.0, Extent::All), Some(20.0));
    assert_eq!(answer(&mut rates, 3.0, 40.0, Extent::All), Some(10.0));
    // After a long time in another view there is no "last interval".
    assert_eq!(answer(&mut rates, 99.0, 50.0, Extent::All), None);
}

#[test]
fn a_row_that_was_not_asked_for_before_is_not_new() {
    let mut rates = Rates::default();
    let interval = Duration::from_secs(1);
    let counters = |id: &str| HashMap::from([(id.to_owned(), [50.0, 0.0, 0.0, 0.0])]);
    rates.take(second(1), interval, Extent::Some, "", counters("a"));
    rates.take(second(2), interval, Extent::Some, "", counters("b"));
    assert_eq!(rates.of("b"), None);
    rates.take(second(3), interval, Extent::All, "", counters("b"));
    rates.take(second(4), interval, Extent::All, "", counters("c"));
    assert_eq!(rates.of("c").map(|recent| recent.rate(0)), Some(50.0));
    rates.take(second(5), interval, Extent::All, "x", counters("d"));
    assert_eq!(rates.of("d"), None);
}

#[test]
fn quantiles_lie_between_the_bounds() {
    let column = |buckets: Vec<u64>| -> Column {
        read(json!({"at": "2026-11-22T09:18:00Z", "calls": 1, "errors": 0, "buckets": buckets}))
    };
    let mut buckets = vec![0; 18];
    assert_eq!(quantile_ms(&[column(buckets.clone())], 0.95), None);
    buckets[7] = 90; // 10 to 25 ms
    buckets[9] = 10; // 50 to 100 ms
    let p95 = quantile_ms(&[column(buckets.clone()), column(buckets.clone())], 0.95).unwrap();
    assert!((p95 - 75.0).abs() < 1e-9, "{p95}");
    buckets[17] = 900;
    assert_eq!(quantile_ms(&[column(buckets)], 0.95), Some(30_000.0));
}

#[test]
fn parts_of_a_bar_are_together_all_of_it() {
    for parts in [
        [1.0, 1.0, 1.0, 1.0],
        [0.1, 0.1, 0.1, 99.7],
        [3.0, 0.0, 0.0, 2.0],
        [0.0, 0.0, 7.0, 0.0],
    ] {
        for cells in 0..50 {
            assert_eq!(
                divided(parts, cells).iter().sum::<usize>(),
                cells,
                "{parts:?}"
            );
        }
    }
    assert_eq!(divided([0.0; 4], 9), [0; 4]);
    assert_eq!(divided([f64::NAN, 1.0, 0.0, 0.0], 9), [0; 4]);
}

#[test]
fn what_was_filtered_otherwise_is_not_shown() {
    let mut state = fresh(View::Units);
    state.take(pulse(10, json!({})), second(100));
    let old = list(&state, vec![unit(1, 10.0, "books/")]);
    press(&mut state, "/orders\n");
    state.take(old, second(100));
    assert!(state.units.rows().is_empty());
    assert_eq!(state.units.known, Known::Nothing);
    take(&mut state, vec![]);
    let lines = screen(&state).join("\n");
    assert!(lines.contains("Nothing matches `orders`"), "{lines}");
}

#[test]
fn a_filter_that_the_proxy_cannot_read_says_why() {
    let mut state = fresh(View::Connections);
    press(&mut state, "/table:x\n");
    let refused = Answer::RefusedFilter {
        view: View::Connections,
        filter: "table:x".to_owned(),
        message: "this list has no `table`; it has db, user".to_owned(),
    };
    state.take(refused, second(100));
    let lines = screen(&state).join("\n");
    assert!(
        lines.contains("filter: this list has no `table`; it has db, user"),
        "{lines}"
    );
    assert!(state.silence().is_none());
}

#[test]
fn a_proxy_that_is_gone_leaves_the_last_figures() {
    let mut state = fresh(View::Findings);
    state.take(pulse(1_000, json!({})), second(100));
    take(&mut state, findings(2));
    let failed = || {
        Answer::Failed(ClientError::Unreachable {
            url: "http://127.0.0.1:9433".to_owned(),
            message: "Connection refused".to_owned(),
        })
    };
    at(&mut state, 101);
    state.take(failed(), second(101));
    at(&mut state, 112);
    state.take(failed(), second(112));
    let lines = screen(&state);
    assert_eq!(
        lines[4],
        "no answer from http://127.0.0.1:9433 since 12 s, trying again"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.contains("Join author number 2"))
    );
    state.take(pulse(1_000, json!({})), second(112));
    assert!(!screen(&state).join("\n").contains("no answer"));
    // Without a failure, too: it takes the question and says nothing.
    at(&mut state, 116);
    assert!(screen(&state)[4].starts_with("no answer from http://127.0.0.1:9433 since 4 s"));
    // Nobody asks while it is paused.
    press(&mut state, "p");
    assert!(state.silence().is_none());
}

#[test]
fn what_is_open_stays_when_the_proxy_forgets_it() {
    let mut state = fresh(View::Units);
    take(&mut state, vec![unit(7, 10.0, "books/")]);
    press(&mut state, "\n");
    let what = Open::Unit(format!("{:016x}", 7));
    let gone = |what: &Open| Answer::Detail {
        what: what.clone(),
        found: Found::Gone,
    };
    assert!(screen(&state).join("\n").contains("Asking the proxy."));
    let mut detail = unit(7, 10.0, "books/");
    detail["timeline"] = json!([]);
    let found = Answer::Detail {
        what: what.clone(),
        found: Found::Unit(Box::new(read(detail))),
    };
    state.take(found, second(100));
    state.take(gone(&what), second(100));
    let text = screen(&state).join("\n");
    assert!(
        text.contains("books/") && text.contains("does not keep it any more"),
        "{text}"
    );
    press(&mut state, "\u{1b}\n");
    state.take(gone(&what), second(100));
    assert!(screen(&state).join("\n").contains("Esc leads back."));
    // An answer for something that is not open any more.
    state.take(gone(&Open::Unit("1".to_owned())), second(100));
}

#[test]
fn a_connection_that_has_ended_keeps_its_last_figures() {
    let mut state = fresh(View::Connections);
    take(
        &mut state,
        vec![connection(7, "active", 10), connection(8, "idle", 10)],
    );
    press(&mut state, "\n");
    assert!(screen(&state).join("\n").contains("Connection 7"));
    take(&mut state, vec![connection(8, "idle", 10)]);
    let text = screen(&state).join("\n");
    assert!(
        text.contains("It has ended") && text.contains("127.0.0.1:7"),
        "{text}"
    );
}

#[test]
fn a_finding_that_could_not_be_muted_is_not() {
    let mut state = fresh(View::Findings);
    take(&mut state, findings(1));
    press(&mut state, "m");
    state.take(
        Answer::Muted {
            id: format!("{:016x}", 1),
            muting: crate::cli::client::Muting::Mute,
            result: Err(ClientError::Refused {
                url: "http://127.0.0.1:9433".to_owned(),
                message: "no".to_owned(),
            }),
        },
        second(100),
    );
    assert_eq!(state.findings.rows()[0].finding.status, "open");
    assert!(screen(&state)[22].contains("refuses: no"));
}

#[test]
fn muted_and_fixed_findings_come_last() {
    let mut state = fresh(View::Findings);
    let items = vec![
        finding(1, 9_000.0, "muted"),
        finding(2, 8_000.0, "fixed"),
        finding(3, 10.0, "open"),
    ];
    take(&mut state, items);
    let order: Vec<&str> = state
        .findings
        .rows()
        .iter()
        .map(|row| row.finding.status.as_str())
        .collect();
    assert_eq!(order, ["open", "fixed", "muted"]);
}

//! What keys make of the state.

use super::super::keys::{Effect, Key};
use super::super::poller::Open;
use super::super::sheet::{Direction, Span};
use super::super::state::{Feed, Mode, View};
use super::{finding, findings, fresh, press, screen, selected, shape, take, unit};
use crate::cli::client::Muting;

#[test]
fn digits_and_tab_choose_the_view() {
    let mut state = fresh(View::Findings);
    for (keys, view) in [
        ("2", View::Shapes),
        ("\t", View::Units),
        ("\t\t", View::Findings),
        ("4", View::Connections),
        ("\t", View::Findings),
    ] {
        assert_eq!(press(&mut state, keys), Effect::Nothing);
        assert_eq!(state.view, view, "{keys:?}");
        assert_eq!(state.wanted().view, view);
    }
    state.press(Key::BackTab);
    assert_eq!(state.view, View::Connections);
}

#[test]
fn the_selection_moves_and_stays_in_the_list() {
    let mut state = fresh(View::Findings);
    take(&mut state, findings(60));
    let height = state.layout().body_lines() as u64;
    for (keys, expected) in [
        ("j", 2),
        ("jj", 4),
        ("k", 3),
        ("G", 60),
        ("j", 60),
        ("g", 1),
        ("k", 1),
    ] {
        press(&mut state, keys);
        assert_eq!(selected(&state), format!("{expected:x}"), "{keys:?}");
    }
    state.press(Key::PageDown);
    assert_eq!(selected(&state), format!("{height:x}"));
    state.press(Key::End);
    state.press(Key::PageUp);
    assert_eq!(selected(&state), format!("{:x}", 61 - height));
    let lines = screen(&state);
    assert!(
        lines.iter().any(|line| line.starts_with("> ")),
        "{lines:#?}"
    );
}

#[test]
fn the_selection_goes_with_its_row_once_it_was_moved() {
    let mut state = fresh(View::Findings);
    take(&mut state, findings(3));
    take(
        &mut state,
        vec![finding(9, 5_000.0, "open"), finding(1, 1.0, "open")],
    );
    assert_eq!(selected(&state), "9");
    press(&mut state, "j");
    assert_eq!(selected(&state), "1");
    take(
        &mut state,
        vec![finding(9, 1.0, "open"), finding(1, 2.0, "open")],
    );
    assert_eq!(selected(&state), "1");
    // Gone: the one that stands in its place now.
    take(&mut state, vec![finding(9, 1.0, "open")]);
    assert_eq!(selected(&state), "9");
    take(&mut state, vec![]);
    assert_eq!(selected(&state), "");
    assert_eq!(press(&mut state, "j\nmkG"), Effect::Nothing);
}

#[test]
fn columns_sort_and_turn_around() {
    let mut state = fresh(View::Findings);
    let mut cheap = finding(1, 10.0, "open");
    cheap["queries"] = 9_000.into();
    take(
        &mut state,
        vec![cheap, finding(2, 500.0, "open"), finding(3, 90.0, "open")],
    );
    let order = |state: &super::State| {
        let rows = state.findings.rows().iter();
        rows.map(|row| row.finding.id[15..].to_owned())
            .collect::<String>()
    };
    assert_eq!(order(&state), "231");
    press(&mut state, "r");
    assert_eq!(order(&state), "132");
    assert_eq!(
        state.sheet().order(Span::Live).direction,
        Direction::Reversed
    );
    state.size = (200, 24);
    // cost, saves, units, queries
    press(&mut state, ">>>");
    assert_eq!(state.sheet().order(Span::Live).heading, "queries");
    assert_eq!(state.wanted().sort, "queries");
    assert_eq!(order(&state), "123");
    press(&mut state, "S");
    assert_eq!(state.sheet().order(Span::Live).heading, "units");
    press(&mut state, "<<<");
    assert_eq!(state.sheet().order(Span::Live).heading, "kind");
}

#[test]
fn only_columns_that_are_seen_sort() {
    let mut state = fresh(View::Shapes);
    let seen = |state: &super::State| {
        let heads = state
            .sheet()
            .heads(state.span, state.layout().table_columns());
        heads.iter().map(|head| head.heading).collect::<Vec<_>>()
    };
    let headings = seen(&state);
    assert!(!headings.contains(&"fingerprint"));
    for _ in 0..20 {
        press(&mut state, ">");
        assert!(headings.contains(&state.sheet().order(state.span).heading));
    }
}

#[test]
fn a_filter_is_typed_applied_and_cleared() {
    let mut state = fresh(View::Units);
    take(&mut state, vec![unit(1, 10.0, "books/")]);
    press(&mut state, "/route:booksq");
    assert_eq!(state.mode, Mode::Filtering("route:booksq".to_owned()));
    assert_eq!(state.wanted().filter, "");
    state.press(Key::Backspace);
    press(&mut state, "\n");
    assert_eq!(state.wanted().filter, "route:books");
    assert_eq!(state.mode, Mode::Browsing);
    assert!(
        screen(&state)
            .iter()
            .any(|line| line.contains("filter: route:books"))
    );
    // Each view has its own.
    press(&mut state, "1");
    assert_eq!(state.wanted().filter, "");
    press(&mut state, "3\u{1b}");
    assert_eq!(state.wanted().filter, "");
    press(&mut state, "/x\u{1b}");
    assert_eq!(
        (state.wanted().filter.as_str(), &state.mode),
        ("", &Mode::Browsing)
    );
    press(&mut state, "/two words");
    state.press(Key::Ctrl('w'));
    assert_eq!(state.mode, Mode::Filtering("two ".to_owned()));
    state.press(Key::Ctrl('u'));
    state.press(Key::Backspace);
    assert_eq!(state.mode, Mode::Browsing);
}

#[test]
fn a_filter_is_no_longer_than_the_proxy_takes() {
    let mut state = fresh(View::Units);
    press(&mut state, "/");
    for _ in 0..5_000 {
        press(&mut state, "漢");
    }
    let Mode::Filtering(text) = &state.mode else {
        panic!("{:?}", state.mode)
    };
    assert!(text.len() <= 1_000);
    assert!(screen(&state)[22].ends_with("Enter: filter, Esc: leave"));
}

#[test]
fn things_are_opened_one_from_another_and_left_in_order() {
    let mut state = fresh(View::Findings);
    take(&mut state, findings(3));
    press(&mut state, "j\n");
    let second = Open::Finding(format!("{:016x}", 2));
    assert_eq!(state.wanted().open, Some(second.clone()));
    press(&mut state, "u");
    assert_eq!(
        state.wanted().open,
        Some(Open::Unit("0000000000000007".to_owned()))
    );
    press(&mut state, "\u{1b}");
    assert_eq!(state.wanted().open, Some(second));
    assert_eq!(press(&mut state, "q"), Effect::Nothing);
    assert_eq!(state.wanted().open, None);
    assert_eq!(selected(&state), "2");
    assert_eq!(press(&mut state, "q"), Effect::Quit);
}

#[test]
fn a_text_scrolls_no_further_than_its_end() {
    let mut state = fresh(View::Findings);
    state.size = (80, 14);
    take(&mut state, findings(1));
    press(&mut state, "\n");
    for _ in 0..99 {
        state.press(Key::PageDown);
    }
    let last = state.opened[0].scroll;
    assert!(last > 0);
    assert_eq!(state.page().lines.len() - last, state.layout().page_lines());
    press(&mut state, "k");
    assert_eq!(state.opened[0].scroll, last - 1);
    press(&mut state, "g");
    assert_eq!(state.opened[0].scroll, 0);
}

#[test]
fn muting_is_seen_at_once_and_undone_by_the_same_key() {
    let mut state = fresh(View::Findings);
    take(&mut state, findings(3));
    let id = format!("{:016x}", 1);
    let effect = |muting| Effect::Mute {
        id: id.clone(),
        muting,
    };
    assert_eq!(press(&mut state, "m"), effect(Muting::Mute));
    let lines = screen(&state);
    assert!(lines[5].contains("muted"), "{lines:#?}");
    assert!(lines[22].contains("m again undoes it"), "{lines:#?}");
    // The proxy says so too: it keeps its place.
    take(
        &mut state,
        vec![finding(2, 999.0, "open"), finding(1, 1_000.0, "muted")],
    );
    assert_eq!(selected(&state), "1");
    assert_eq!(press(&mut state, "m"), effect(Muting::Unmute));
    press(&mut state, "m");
    // Elsewhere and back: what is muted stands at the end.
    press(&mut state, "21");
    take(
        &mut state,
        vec![finding(2, 999.0, "open"), finding(1, 1_000.0, "muted")],
    );
    assert_eq!(state.findings.rows()[1].finding.id, id);
    press(&mut state, "2");
    take(&mut state, vec![shape(1, 10, 10.0, "SELECT 1")]);
    assert_eq!(press(&mut state, "m"), Effect::Nothing);
}

#[test]
fn pausing_and_totals_are_switches() {
    let mut state = fresh(View::Shapes);
    press(&mut state, "p");
    assert_eq!(
        (state.feed, state.wanted().feed),
        (Feed::Paused, Feed::Paused)
    );
    press(&mut state, " ");
    assert_eq!(state.feed, Feed::Running);
    assert_eq!(state.wanted().sort, "last_seen");
    press(&mut state, "t");
    assert_eq!((state.span, state.wanted().sort), (Span::Total, "total_ms"));
}

#[test]
fn control_keys_work_everywhere() {
    let mut state = fresh(View::Units);
    for keys in ["", "/abc", "\n?"] {
        press(&mut state, keys);
        let mode = state.mode.clone();
        assert_eq!(state.press(Key::Ctrl('z')), Effect::Suspend);
        assert_eq!(state.press(Key::Ctrl('l')), Effect::Redraw);
        assert_eq!(state.press(Key::Ctrl('c')), Effect::Quit);
        assert_eq!(state.mode, mode);
    }
    assert_eq!(press(&mut state, "q"), Effect::Nothing);
    assert_eq!(state.mode, Mode::Browsing);
}

//! What is drawn, to the column.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;
use serde_json::json;

use super::super::draw;
use super::super::look::{Colours, Glyphs, Look};
use super::super::poller::{Answer, Found};
use super::super::state::{State, View};
use super::{
    PLAIN, at, connection, finding, findings, fresh, press, pulse, read, screen, second, shape,
    take, unit,
};
use crate::cli::report::text::width;

/// Every view with something in it, at 80 columns and 24 lines.
fn filled(view: View) -> State {
    let mut state = fresh(view);
    state.take(pulse(1_000, json!({})), second(99));
    state.take(pulse(1_100, json!({})), second(100));
    let items = match view {
        View::Findings => findings(30),
        View::Shapes => (1..30)
            .map(|id| shape(id, id * 10, id as f64, "SELECT a FROM b"))
            .collect(),
        View::Units => (1..30)
            .map(|id| unit(id, id as f64, "books/<int:pk>/"))
            .collect(),
        View::Connections => (1..30).map(|id| connection(id, "active", id)).collect(),
    };
    take(&mut state, items);
    state
}

#[test]
fn the_screen_of_findings() {
    let mut state = fresh(View::Findings);
    state.take(pulse(1_000, json!({})), second(99));
    state.take(pulse(1_412, json!({})), second(100));
    let muted = finding(3, 3.0, "muted");
    take(
        &mut state,
        vec![
            finding(1, 4_600.0, "open"),
            finding(2, 900.0, "fixed"),
            muted,
        ],
    );
    let lines = screen(&state);
    let expected = [
        "pgprism 0.1.0  http://127.0.0.1:9433  up 3 min 12 s              live, every 1 s",
        "412 queries/s   4.0 errors/s   p95 -   8 connections   nothing dropped",
        "time ██████████░░░░░░░░░  █ db 50 %  ▓ transfer 0 %  ▒ client 0 %  ░ app 50 %",
        " 1 Findings 2  2 Shapes  3 Units 214  4 Connections 8",
        "     cost▼    saves    seen status    what to do",
        ">    4.6 s    2.3 s    10 s proved    Join author number 1",
        "    900 ms   450 ms    10 s fixed     Join author number 2",
        "    3.0 ms   1.5 ms    10 s muted     Join author number 3",
    ];
    assert_eq!(lines[..expected.len()], expected);
    assert_eq!(lines[22].trim(), "1-3 of 3, by cost");
    assert_eq!(
        lines[23],
        "q quit  ? help  Enter open  m mute  / filter  < > sort  t total  p pause"
    );
}

#[test]
fn no_line_is_wider_than_the_terminal_and_every_size_is_drawn() {
    for view in View::ALL {
        let mut state = filled(view);
        for (columns, lines) in [
            (40, 10),
            (41, 11),
            (60, 13),
            (80, 24),
            (101, 30),
            (200, 50),
            (400, 80),
        ] {
            state.size = (columns, lines);
            for keys in ["", "t", "\n", "\u{1b}", "?", " ", "/abc", "\u{1b}"] {
                press(&mut state, keys);
                let drawn = screen(&state);
                assert_eq!(drawn.len(), usize::from(lines));
                for line in &drawn {
                    assert!(width(line) <= usize::from(columns), "{columns}: {line}");
                }
                assert!(drawn.iter().any(|line| !line.is_empty()));
            }
        }
    }
    for (columns, lines) in [(39, 24), (80, 9), (1, 1), (0, 0), (3, 200)] {
        let mut state = filled(View::Shapes);
        state.size = (columns, lines);
        press(&mut state, "jG\n");
        let text = screen(&state).join("\n");
        assert!(!text.contains("pgprism"), "{text}");
        assert!(
            columns < 30 || text.contains("too small: 40x10 is needed"),
            "{text}"
        );
    }
}

#[test]
fn columns_go_by_their_rank() {
    let mut state = filled(View::Shapes);
    let headings = |state: &State| {
        let heads = state
            .sheet()
            .heads(state.span, state.layout().table_columns());
        heads.iter().map(|head| head.heading).collect::<Vec<_>>()
    };
    for (columns, expected) in [
        (40, vec!["calls/s", "time", "query"]),
        (51, vec!["calls/s", "time", "mean", "query"]),
        (60, vec!["calls/s", "time", "mean", "p95", "query"]),
        (
            80,
            vec![
                "calls/s", "time", "mean", "errors/s", "p95", "calls", "query",
            ],
        ),
    ] {
        state.size = (columns, 24);
        assert_eq!(headings(&state), expected, "{columns}");
    }
    state.size = (200, 24);
    assert_eq!(headings(&state).len(), 10);
}

#[test]
fn what_comes_from_the_network_commands_nothing_and_keeps_its_columns() {
    let mut state = fresh(View::Units);
    state.size = (140, 24);
    let evil = "a\u{1b}[2J\u{9b}31m\u{202e}漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字";
    take(&mut state, vec![unit(1, 10.0, evil), unit(2, 10.0, "b")]);
    let lines = screen(&state);
    assert!(lines.iter().all(|line| !line.contains(char::is_control)));
    let row = lines
        .iter()
        .find(|line| line.contains("a?[2J?31m?漢"))
        .unwrap();
    assert!(row.contains('…'), "{row}");
    // What stands behind it stands where it does in other rows.
    let place = |row: &str| width(&row[..row.find("gunicorn").unwrap()]);
    let other = lines.iter().find(|line| line.contains(" b  ")).unwrap();
    assert_eq!(place(row), place(other));
}

fn cells(state: &State) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, state.size.0, state.size.1));
    draw::draw(state, &mut buffer);
    buffer
}

#[test]
fn colours_are_there_only_where_they_are_taken() {
    for view in View::ALL {
        let mut state = filled(view);
        let coloured = |state: &State| {
            let buffer = cells(state);
            let mut cells = buffer.content().iter();
            cells.any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
        };
        assert!(!coloured(&state));
        assert!(
            cells(&state)
                .content()
                .iter()
                .any(|cell| !cell.modifier.is_empty())
        );
        state.look.colours = Colours::Sixteen;
        assert!(coloured(&state));
    }
}

#[test]
fn the_environment_says_what_the_terminal_takes() {
    let of = |set: &[(&str, &str)]| {
        Look::of(|name| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    };
    let xterm = ("TERM", "xterm-256color");
    for (set, colours, glyphs) in [
        (
            vec![xterm, ("LANG", "en_US.UTF-8")],
            Colours::Sixteen,
            Glyphs::Unicode,
        ),
        (vec![xterm, ("LANG", "C")], Colours::Sixteen, Glyphs::Ascii),
        (
            vec![xterm, ("LC_ALL", "C"), ("LANG", "C.UTF-8")],
            Colours::Sixteen,
            Glyphs::Ascii,
        ),
        (
            vec![xterm, ("LC_CTYPE", "de_DE.utf8")],
            Colours::Sixteen,
            Glyphs::Unicode,
        ),
        (
            vec![xterm, ("NO_COLOR", "")],
            Colours::Sixteen,
            Glyphs::Ascii,
        ),
        (vec![xterm, ("NO_COLOR", "1")], Colours::None, Glyphs::Ascii),
        (vec![("TERM", "dumb")], Colours::None, Glyphs::Ascii),
        (vec![], Colours::None, Glyphs::Ascii),
    ] {
        let look = of(&set);
        assert_eq!((look.colours, look.glyphs), (colours, glyphs), "{set:?}");
    }
}

#[test]
fn in_ascii_there_is_nothing_else() {
    for view in View::ALL {
        let mut state = filled(view);
        state.look.glyphs = Glyphs::Ascii;
        state.size = (200, 50);
        for keys in ["", "r", "t", "?", "x"] {
            press(&mut state, keys);
            let text = screen(&state).join("\n");
            assert!(text.is_ascii(), "{text}");
        }
    }
}

#[test]
fn empty_lists_say_what_to_do() {
    for (view, queries, words) in [
        (View::Findings, 0, "Waiting for the first query."),
        (View::Shapes, 0, "at 127.0.0.1:6433"),
        (View::Findings, 5, "No findings in 214 units."),
        (View::Connections, 5, "Nobody is connected."),
    ] {
        let mut state = fresh(view);
        state.take(pulse(queries, json!({})), second(100));
        take(&mut state, vec![]);
        let text = screen(&state).join("\n");
        assert!(text.contains(words), "{text}");
    }
    let state = fresh(View::Units);
    assert!(screen(&state).join("\n").contains("Asking the proxy."));
}

#[test]
fn what_is_degraded_is_told() {
    let mut state = fresh(View::Findings);
    let reasons: Vec<String> = (1..6).map(|number| format!("reason_{number}")).collect();
    let degraded = json!({"degraded": reasons, "dropped": 1_204});
    state.take(pulse(10, degraded), second(100));
    take(&mut state, vec![]);
    let lines = screen(&state);
    assert!(lines[1].ends_with("1,204 dropped"), "{}", lines[1]);
    assert_eq!(lines[3], "! reason_1, and 4 more");
    state.size = (80, 40);
    assert_eq!(screen(&state)[5], "! reason_3, and 2 more");
    state.size = (80, 11);
    assert!(!screen(&state).join("\n").contains("reason_1"));
}

#[test]
fn a_unit_is_a_waterfall() {
    let mut state = fresh(View::Units);
    state.size = (120, 30);
    take(&mut state, vec![unit(7, 100.0, "books/")]);
    press(&mut state, "\n");
    let phases = |ms: f64| json!({"database_ms": ms, "transfer_ms": 0.0, "client_ms": 0.0, "application_ms": 0.0});
    let statement = |at: f64, ms: f64, query: &str, sqlstate: Option<&str>| {
        json!({"at_ms": at, "fingerprint": query, "query": query, "phases": phases(ms), "rows": 1,
            "sqlstate": sqlstate, "parent_index": null})
    };
    let mut timeline = vec![statement(0.0, 20.0, "SELECT id FROM shop_book", None)];
    for child in 0..4 {
        let at = 60.0 + f64::from(child) * 5.0;
        timeline.push(statement(at, 1.0, "SELECT id FROM shop_author", None));
    }
    timeline.push(statement(
        90.0,
        10.0,
        "UPDATE shop_stock SET a = 1",
        Some("40001"),
    ));
    let mut detail = unit(7, 100.0, "books/");
    detail["timeline"] = timeline.into();
    let what = state.wanted().open.unwrap();
    let found = Found::Unit(Box::new(read(detail)));
    state.take(Answer::Detail { what, found }, second(100));
    let lines = screen(&state);
    let row = |words: &str| {
        let line = lines.iter().find(|line| line.contains(words));
        line.unwrap_or_else(|| panic!("{words}: {lines:#?}"))
            .as_str()
    };
    let cells = |row: &str, glyph: char| row.chars().filter(|c| *c == glyph).count();
    let track = 120 - 1 - 26 - 48 - 2;
    let near = |found: usize, share: f64| (found as f64 - f64::from(track) * share).abs() <= 1.5;
    assert!(near(cells(row("SELECT shop_book"), '█'), 0.2), "{lines:#?}");
    assert!(
        near(cells(row("    20.0    40 ms"), '░'), 0.4),
        "{lines:#?}"
    );
    assert!(row("×4 SELECT shop_author, 1.0 ms each").contains("4.0 ms"));
    assert_eq!(cells(row("×4 SELECT"), '█'), 4);
    assert!(row("! 40001 UPDATE shop_stock").starts_with("    90.0    10 ms"));
}

#[test]
fn a_shape_has_its_histogram() {
    let mut state = fresh(View::Shapes);
    state.size = (80, 40);
    take(
        &mut state,
        vec![shape(1, 100, 500.0, "SELECT a FROM b WHERE c = $1")],
    );
    press(&mut state, "\n");
    let mut detail = shape(1, 100, 500.0, "SELECT a FROM b WHERE c = $1");
    let bucket = |le: Option<f64>, count: u64| json!({"le_ms": le, "count": count});
    detail["histogram"] = json!([
        bucket(Some(0.1), 0),
        bucket(Some(0.25), 60),
        bucket(Some(0.5), 0),
        bucket(Some(1.0), 30),
        bucket(None, 0),
    ]);
    detail["error_codes"] = json!([{"code": "40001", "count": 3}]);
    detail["findings"] = json!([finding(1, 10.0, "open")]);
    detail["example_units"] = json!([unit(9, 12.0, "books/")]);
    let what = state.wanted().open.unwrap();
    let found = Found::Shape(Box::new(read(detail)));
    state.take(Answer::Detail { what, found }, second(100));
    let lines = screen(&state);
    let has = |words: &str| {
        let line = lines.iter().find(|line| line.contains(words));
        line.unwrap_or_else(|| panic!("{words}: {lines:#?}"))
            .as_str()
    };
    let blocks = |row: &str| row.chars().filter(|c| *c == '█').count();
    assert_eq!(blocks(has("up to 0.25 ms")), 2 * blocks(has("up to 1 ms")));
    assert_eq!(blocks(has("up to 0.5 ms")), 0);
    assert!(!lines.join("\n").contains("up to 0.1 ms") && !lines.join("\n").contains("longer"));
    has("SQL           SELECT a");
    has("              FROM b");
    has("40001 3 times");
    has("Join author number 1");
    has("books/");
}

#[test]
fn only_what_has_changed_is_sent() {
    let mut state = filled(View::Findings);
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let mut draw = |state: &State| {
        let before = terminal.backend().buffer().clone();
        terminal
            .draw(|frame| draw::draw(state, frame.buffer_mut()))
            .unwrap();
        before.diff(terminal.backend().buffer()).len()
    };
    assert!(draw(&state) > 500);
    assert_eq!(draw(&state), 0);
    at(&mut state, 101);
    // The uptime, and how long ago each finding was seen.
    let changed = draw(&state);
    assert!(changed > 0 && changed < 100, "{changed}");
    press(&mut state, "j");
    assert!(draw(&state) <= 2 * 80 + 40);
    assert_eq!(PLAIN, state.look);
}

//! Tests of `top`: what keys make of the state, what answers make of it, and what is drawn, to the column.

mod answers;
mod drawing;
mod keys;
mod poller;

use std::time::{Duration, UNIX_EPOCH};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::draw;
use super::keys::{Effect, Key};
use super::look::{Colours, Glyphs, Look};
use super::poller::{Answer, Listed};
use super::state::{State, View};
use crate::cli::client::Part;
use crate::event::Moment;

/// 2026-11-22T09:18:12Z.
const WALL: Duration = Duration::from_secs(1_795_339_092);

pub(super) const PLAIN: Look = Look {
    colours: Colours::None,
    glyphs: Glyphs::Unicode,
};

pub(super) fn second(seconds: u64) -> Moment {
    Moment(seconds * 1_000_000_000)
}

pub(super) fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A state of 80 columns and 24 lines that knows nothing.
pub(super) fn fresh(view: View) -> State {
    let mut state = State::new("http://127.0.0.1:9433", Duration::from_secs(1), PLAIN, view);
    at(&mut state, 100);
    state
}

/// Time passes.
pub(super) fn at(state: &mut State, seconds: u64) {
    let wall = UNIX_EPOCH + WALL + Duration::from_secs(seconds) - Duration::from_secs(100);
    state.tick(second(seconds), wall);
}

pub(super) fn pulse(queries: u64, changes: Value) -> Answer {
    let mut pulse = json!({
        "version": "0.1.0", "started_at": "2026-11-22T09:15:00.000Z",
        "listeners": [{"name": "default", "listen": "0.0.0.0:6433"}],
        "queries": queries, "errors": queries / 100,
        "phases": {
            "database_ms": queries as f64 * 0.5, "transfer_ms": 0.0, "client_ms": 0.0,
            "application_ms": queries as f64 * 0.5,
        },
        "connections": 8, "findings_open": 2, "units": 214, "ignore_rules": [], "dropped": 0, "degraded": [],
    });
    let Value::Object(changes) = changes else {
        panic!("{changes}")
    };
    for (name, value) in changes {
        pulse[name.as_str()] = value;
    }
    Answer::Pulse(Box::new(read(pulse)))
}

pub(super) fn finding(id: u64, cost_ms: f64, status: &str) -> Value {
    json!({
        "id": format!("{id:016x}"), "kind": "n_plus_one_forward", "status": status, "confidence": "proved",
        "evidence": "trace", "severity": "high", "fingerprint": "51c0be77d2093fa8",
        "query": "SELECT name FROM shop_author WHERE id = $1", "parent_fingerprint": "9f02c1d4a87b3e51",
        "parent_query": "SELECT id, author_id FROM shop_book WHERE title LIKE $1",
        "parent_table": "shop_book", "parent_column": "author_id",
        "child_table": "shop_author", "child_column": "id", "chain": [],
        "occurrences": 61, "units": 61, "queries": 2440, "cost_ms": cost_ms,
        "first_seen": "2026-11-22T09:15:12.000Z", "last_seen": "2026-11-22T09:18:02.000Z",
        "tags": {"route": ["books/"]},
        "advice": {
            "title": format!("Join author number {id}"), "django": "Book.objects.select_related(\"author\")",
            "why": "The foreign key is read in a loop.", "saves_ms": cost_ms / 2.0,
        },
        "proof": {"rows": 43, "nulls": 3, "distinct": 40, "matched": 40, "in_order": 40,
            "pattern": "shop_book.author_id -> shop_author.id, 40 of 40 rows in order"},
        "queries_before": 44, "queries_after": 4, "example_unit": "0000000000000007",
    })
}

pub(super) fn shape(id: u64, calls: u64, total_ms: f64, query: &str) -> Value {
    json!({
        "fingerprint": format!("{id:016x}"), "query": query, "summary": format!("SELECT table_{id}"),
        "calls": calls, "errors": 0, "rows": calls * 2, "bytes": 1_234_567,
        "total_ms": total_ms, "mean_ms": total_ms / calls as f64, "min_ms": 0.2, "max_ms": 90.0,
        "p50_ms": 1.0, "p95_ms": 8.2, "p99_ms": 20.0,
        "phases": {"database_ms": total_ms, "transfer_ms": 0.0, "client_ms": 0.0, "application_ms": 0.0},
        "first_seen": "2026-11-22T09:15:12.000Z", "last_seen": "2026-11-22T09:18:02.000Z",
        "databases": ["shop"], "users": ["web"], "applications": ["gunicorn"], "routes": ["books/"],
        "tables": ["shop_book"],
    })
}

pub(super) fn unit(id: u64, duration_ms: f64, route: &str) -> Value {
    json!({
        "id": format!("{id:016x}"), "state": "ended", "started_at": "2026-11-22T09:18:02.000Z",
        "duration_ms": duration_ms, "evidence": "trace", "incomplete": false, "route": route,
        "controller": "shop.views.books", "application": "gunicorn", "database": "shop",
        "queries": 44, "shapes": 5, "duplicates": 3, "findings": ["0000000000000001"],
        "phases": {"database_ms": duration_ms * 0.4, "transfer_ms": 0.0, "client_ms": 0.0,
            "application_ms": duration_ms * 0.6},
    })
}

pub(super) fn connection(id: u64, state: &str, queries: u64) -> Value {
    json!({
        "id": id, "listener": "default", "client": format!("127.0.0.1:{id}"), "upstream": "127.0.0.1:5432",
        "user": "web", "database": "shop", "application": format!("worker {id}"), "backend_pid": 4711,
        "state": state, "since": "2026-11-22T09:18:02.000Z", "queries": queries, "transactions": queries / 2,
        "observed": true, "tls": false,
    })
}

fn part<T: DeserializeOwned>(items: Vec<Value>) -> Part<T> {
    Part {
        total: items.len() as u64,
        items: items.into_iter().map(read).collect(),
    }
}

/// The answer that holds these items, for the view that is open and its filter.
pub(super) fn list(state: &State, items: Vec<Value>) -> Answer {
    Answer::List {
        filter: state.sheet().filter().to_owned(),
        listed: match state.view {
            View::Findings => Listed::Findings(part(items)),
            View::Shapes => Listed::Shapes(part(items)),
            View::Units => Listed::Units(part(items)),
            View::Connections => Listed::Connections(part(items)),
        },
    }
}

pub(super) fn take(state: &mut State, items: Vec<Value>) {
    let answer = list(state, items);
    let now = state.now;
    state.take(answer, now);
}

/// Findings that cost 1,000 ms, 999 ms and so on.
pub(super) fn findings(count: u64) -> Vec<Value> {
    (1..=count)
        .map(|id| finding(id, 1_001.0 - id as f64, "open"))
        .collect()
}

pub(super) fn press(state: &mut State, keys: &str) -> Effect {
    let mut effect = Effect::Nothing;
    for key in keys.chars() {
        effect = state.press(match key {
            '\n' => Key::Enter,
            '\u{1b}' => Key::Escape,
            '\t' => Key::Tab,
            c => Key::Char(c),
        });
    }
    effect
}

/// What is drawn, line by line.
pub(super) fn screen(state: &State) -> Vec<String> {
    let mut buffer = Buffer::empty(Rect::new(0, 0, state.size.0, state.size.1));
    draw::draw(state, &mut buffer);
    draw::lines(&buffer)
}

/// The id of the selected row.
pub(super) fn selected(state: &State) -> String {
    let id = state.sheet().selected_id().unwrap_or_default();
    id.trim_start_matches('0').to_owned()
}

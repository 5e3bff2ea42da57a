//! What the keys do.

use super::Canvas;
use super::layout::Layout;
use crate::cli::report::text::pad;
use crate::cli::top::look::Paint;

const KEYS: [(&str, &str); 16] = [
    ("1 2 3 4, Tab", "findings, shapes, units, connections"),
    ("j k, arrows", "down, up; PgDn PgUp, Home End, g G"),
    ("Enter", "open what is selected"),
    ("Esc, q", "back; q at a list leaves pgprism top"),
    ("< >, s S", "sort by the next, the previous column"),
    ("r", "turn the order around"),
    ("t", "figures of the last interval, or since the start"),
    (
        "/",
        "filter: route:books table:shop_book app:web d>100ms n>50",
    ),
    (
        "",
        "error kind:n_plus_one status:open \"any text\"; Esc clears",
    ),
    ("p, Space", "stop the figures, and go on"),
    ("m", "mute a finding; again: unmute it"),
    ("u", "in a finding or a shape: an example unit"),
    ("f", "in a unit or a shape: its first finding"),
    ("^L", "draw all of it anew"),
    ("^Z", "to the shell; fg comes back"),
    ("-", "stands for a figure that is not known yet"),
];

/// Columns of the keys.
const KEY: usize = 14;

pub(super) fn draw(layout: &Layout, canvas: &mut Canvas<'_>) {
    canvas.text(2, layout.body, canvas.columns, Paint::Bold, "Keys");
    for (y, (key, words)) in (layout.body + 1..layout.status).zip(KEYS) {
        let x = canvas.text(2, y, canvas.columns, Paint::Bold, &pad(key, KEY));
        canvas.text(x, y, canvas.columns, Paint::Plain, words);
    }
}

//! Small drawings of figures: where time went as one bar, and queries before and after a fix.

use maud::{Markup, html};

use crate::cli::client::Phases;
use crate::cli::report::{figures, words};

/// Width of the bar of all time.
const WIDTH: f64 = 960.0;

/// Gap between two parts.
const GAP: f64 = 1.0;

/// One bar of all time, cut into phases, with a legend that says the same in words.
pub(super) fn phases(phases: &Phases) -> Markup {
    let whole = phases.whole_ms();
    let mut x = 0.0;
    let parts: Vec<(&str, f64, f64)> = words::phases_in_order(phases)
        .into_iter()
        .map(|(name, ms)| {
            let width = WIDTH * figures::share(ms, whole) / 100.0;
            let part = (name, x, (width - GAP).max(0.0));
            x += width;
            part
        })
        .filter(|(_, _, width)| *width > 0.0)
        .collect();
    html! {
        svg.timebar viewBox={ "0 0 " (WIDTH) " 28" } preserveAspectRatio="none" role="img"
            aria-label=(in_words(phases)) {
            @for (name, x, width) in parts {
                rect class={ "p-" (name) } x=(px(x)) y="0.5" width=(px(width)) height="27" {}
            }
        }
        ul.legend {
            @for (name, ms) in words::phases_in_order(phases) {
                li {
                    svg.key viewBox="0 0 14 14" aria-hidden="true" {
                        rect class={ "p-" (name) } x="0.5" y="0.5" width="13" height="13" {}
                    }
                    b { (name) } " " (figures::duration(ms)) " "
                    span.muted { (figures::percent(ms, whole)) }
                }
            }
        }
    }
}

fn in_words(phases: &Phases) -> String {
    let whole = phases.whole_ms();
    words::phases_in_order(phases)
        .map(|(name, ms)| format!("{name} {}", figures::percent(ms, whole)))
        .join(", ")
}

/// The queries of a unit with and without the loop, as two bars.
pub(super) fn before_after(before: u64, after: u64) -> Markup {
    #[allow(clippy::cast_precision_loss, reason = "a drawing")]
    let long = 160.0 * (after as f64 / before.max(1) as f64).clamp(0.0, 1.0);
    html! {
        svg.gain viewBox="0 0 176 22" role="img" aria-label={ (before) " queries become " (after) } {
            rect.before x="0" y="1" width="160" height="8" {}
            rect.after x="0" y="13" width=(px(long.max(2.0))) height="8" {}
        }
    }
}

/// A coordinate with as many digits as a screen can show.
pub(super) fn px(value: f64) -> String {
    let rounded = format!("{value:.1}");
    rounded.strip_suffix(".0").unwrap_or(&rounded).to_owned()
}

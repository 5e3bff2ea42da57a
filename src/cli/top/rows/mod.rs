//! What the four views list, a file each: the columns of its table, and the page of one that was opened.

pub(super) mod connections;
pub(super) mod findings;
pub(super) mod shapes;
pub(super) mod units;

use std::time::{Duration, SystemTime};

use crate::cli::report::figures;

/// `12 s`, `3 min`, `5 h`, `9 d`: how long ago a time of the API was; never less than nothing, whatever the clocks say.
pub(super) fn ago(time: &str, now: SystemTime) -> String {
    let Some(seconds) = since(time, now).map(|passed| passed.as_secs()) else {
        return String::new();
    };
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long ago a time of the API was.
pub(super) fn since(time: &str, now: SystemTime) -> Option<Duration> {
    let then = humantime::parse_rfc3339(time).ok()?;
    Some(now.duration_since(then).unwrap_or_default())
}

/// `0`, `0.4`, `12`, `1,234`: so often a second.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate < 0.05 => "0".to_owned(),
        rate if rate < 9.95 => format!("{rate:.1}"),
        rate => figures::short_count(rate.round() as u64),
    }
}

/// A figure that is not known until two answers have come.
pub(super) fn known(figure: Option<String>) -> String {
    figure.unwrap_or_else(|| "-".to_owned())
}

/// `812 B`, `1.2 kB`, `3.4 MB`.
pub(super) fn bytes(bytes: u64) -> String {
    let figure = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", figure / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", figure / 1e6),
        _ => format!("{:.1} GB", figure / 1e9),
    }
}

/// Some names, and how many more there are.
pub(super) fn names(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown = names
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

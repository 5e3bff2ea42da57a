//! Numbers as people read them, at most eight characters wide wherever a table shows them.

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// As [`count`], shortened from a million on: `1.2 M`.
pub fn short_count(number: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
    let number_f64 = number as f64;
    match number {
        0..1_000_000 => count(number),
        1_000_000..1_000_000_000 => format!("{:.1} M", number_f64 / 1e6),
        _ => format!("{:.1} G", number_f64 / 1e9),
    }
}

/// Milliseconds with a unit that leaves two or three digits: `0.21 ms`, `1.2 ms`, `111 ms`, `6.8 s`, `12 min`, `3.4 h`.
pub fn duration(ms: f64) -> String {
    let (seconds, minutes, hours) = (ms / 1e3, ms / 6e4, ms / 3.6e6);
    match () {
        () if ms == 0.0 => "0 ms".to_owned(),
        () if ms < 0.995 => format!("{ms:.2} ms"),
        () if ms < 9.95 => format!("{ms:.1} ms"),
        () if ms < 999.5 => format!("{ms:.0} ms"),
        () if seconds < 99.95 => format!("{seconds:.1} s"),
        () if seconds < 599.5 => format!("{seconds:.0} s"),
        () if minutes < 59.5 => format!("{minutes:.0} min"),
        () if hours < 99.95 => format!("{hours:.1} h"),
        () => format!("{} h", count(hours as u64)),
    }
}

/// Whole seconds in words: `42 s`, `3 min 12 s`, `5 h 2 min`, `12 days 3 h`.
pub fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if minutes == 0 => format!("{seconds} s"),
        () if hours == 0 => format!("{minutes} min {} s", seconds % 60),
        () if days == 0 => format!("{hours} h {} min", minutes % 60),
        () => format!("{days} days {} h", hours % 24),
    }
}

/// `part` of `whole` in per cent: `59 %`, `<1 %`, `0 %`.
pub fn percent(part: f64, whole: f64) -> String {
    match share(part, whole) {
        share if share > 0.0 && share < 0.5 => "<1 %".to_owned(),
        share => format!("{share:.0} %"),
    }
}

/// `part` of `whole`, from 0 to 100.
pub fn share(part: f64, whole: f64) -> f64 {
    match whole > 0.0 {
        true => 100.0 * part / whole,
        false => 0.0,
    }
}

/// `1 query`, `9,812 queries`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

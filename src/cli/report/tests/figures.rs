//! Numbers as people read them.

use crate::cli::report::figures;

#[test]
fn figures_fit_their_columns() {
    for (ms, expected) in [
        (0.0, "0 ms"),
        (0.012, "0.01 ms"),
        (0.994, "0.99 ms"),
        (0.996, "1.0 ms"),
        (9.96, "10 ms"),
        (111.4, "111 ms"),
        (999.6, "1.0 s"),
        (99_940.0, "99.9 s"),
        (99_960.0, "100 s"),
        (599_600.0, "10 min"),
        (3_570_001.0, "1.0 h"),
        (3.6e8, "100 h"),
        (3.6e9, "1,000 h"),
    ] {
        assert_eq!(figures::duration(ms), expected);
        assert!(expected.len() <= 8, "{expected}");
    }
    for (number, expected) in [
        (0, "0"),
        (999, "999"),
        (1000, "1,000"),
        (999_999, "999,999"),
        (1_250_000, "1.2 M"),
        (7_100_000_000, "7.1 G"),
    ] {
        assert_eq!(figures::short_count(number), expected);
    }
    assert_eq!(figures::count(1_234_567), "1,234,567");
    for (seconds, expected) in [
        (0, "0 s"),
        (192, "3 min 12 s"),
        (18_120, "5 h 2 min"),
        (1_047_600, "12 days 3 h"),
    ] {
        assert_eq!(figures::age(seconds), expected);
    }
    for (part, expected) in [(0.0, "0 %"), (0.4, "<1 %"), (0.6, "1 %"), (99.6, "100 %")] {
        assert_eq!(figures::percent(part, 100.0), expected);
    }
    assert_eq!(figures::percent(1.0, 0.0), "0 %");
}

//! SQL text of any content, mostly none that PostgreSQL would accept: the same statements however it is cut, in order
//! and inside of the text. What holds of SQL only is asked of `shapes`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pgprism::sql::scan::{OwnedScanned, Scanner};
use pgprism::sql::value::{CONSTANTS_MAX, ValueKey};
use pgprism::sql::{FINGERPRINT_BYTES_MAX, normalize};

fn whole(key: ValueKey, text: &str) -> Vec<OwnedScanned> {
    let mut statements = Vec::new();
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    scanner.set_key(Some(key));
    scanner.scan(text.as_bytes(), &mut |scanned| {
        statements.push(scanned.to_owned())
    });
    statements
}

fn cut(key: ValueKey, text: &str, size: usize) -> Vec<OwnedScanned> {
    let mut statements = Vec::new();
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    scanner.set_key(Some(key));
    scanner.begin();
    for piece in text.as_bytes().chunks(size) {
        scanner.feed(piece, &mut |scanned| statements.push(scanned.to_owned()));
    }
    scanner.end(&mut |scanned| statements.push(scanned.to_owned()));
    statements
}

fuzz_target!(|input: (u8, &str)| {
    let (size, text) = input;
    let key = ValueKey::random();
    let statements = whole(key, text);
    assert_eq!(statements, cut(key, text, usize::from(size).max(1)));
    let mut last = 0;
    for statement in &statements {
        assert!(
            last <= statement.start
                && statement.start <= statement.end
                && statement.end <= text.len() as u64
        );
        last = statement.end;
        assert!(statement.slots.len() <= CONSTANTS_MAX);
    }
    let _ = normalize(&normalize(text));
});

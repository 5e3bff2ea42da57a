//! SQL text of any content, mostly none that PostgreSQL would accept: the same statements however it is cut, in order
//! and inside of the text. What holds of SQL only is asked of `shapes`.

use pgprism::sql::scan::{OwnedScanned, Scanner};
use pgprism::sql::value::{CONSTANTS_MAX, ValueKey};
use pgprism::sql::{FINGERPRINT_BYTES_MAX, normalize};

use super::{Cuts, text};

fn whole(key: ValueKey, text: &str) -> Vec<OwnedScanned> {
    let mut statements = Vec::new();
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    scanner.set_key(Some(key));
    scanner.scan(text.as_bytes(), &mut |scanned| {
        statements.push(scanned.to_owned());
    });
    statements
}

fn cut(key: ValueKey, text: &str, cuts: &mut Cuts<'_>) -> Vec<OwnedScanned> {
    let mut statements = Vec::new();
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    scanner.set_key(Some(key));
    scanner.begin();
    for piece in cuts.pieces(text.as_bytes()) {
        scanner.feed(piece, &mut |scanned| statements.push(scanned.to_owned()));
    }
    scanner.end(&mut |scanned| statements.push(scanned.to_owned()));
    statements
}

/// What the text is when it comes again, and again with other digits: by then it may be known.
fn again(key: ValueKey, text: &str) {
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    scanner.set_key(Some(key));
    let other: String = text
        .chars()
        .map(|one| match one {
            '1'..='8' => char::from(one as u8 + 1),
            other => other,
        })
        .collect();
    for text in [text, text, text, &other] {
        let mut statements = Vec::new();
        scanner.scan(text.as_bytes(), &mut |scanned| {
            statements.push(scanned.to_owned());
        });
        assert_eq!(statements, whole(key, text), "{text}");
    }
}

/// The target's body.
pub fn run(input: &[u8]) {
    let (mut cuts, bytes) = Cuts::read(input);
    let text = text(bytes);
    let key = ValueKey::random();
    let statements = whole(key, text);
    assert_eq!(statements, cut(key, text, &mut cuts));
    again(key, text);
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
}

//! Statements: where they begin and end, what they are, and that pieces make no difference.

use super::super::{
    FINGERPRINT_BYTES_MAX, OwnedScanned, Scanner, Verb, VerbClass, name_hash, scan_all,
};
use super::one;

/// What a scanner says of `pieces`.
fn scan_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<OwnedScanned> {
    let mut found = Vec::new();
    let mut scanner = Scanner::new(FINGERPRINT_BYTES_MAX);
    scanner.begin();
    for piece in pieces {
        scanner.feed(piece, &mut |scanned| found.push(scanned.to_owned()));
    }
    scanner.end(&mut |scanned| found.push(scanned.to_owned()));
    found
}

#[test]
fn verbs() {
    for (text, verb) in [
        ("SELECT 1", Verb::Select),
        ("((SELECT 1) UNION (SELECT 2))", Verb::Select),
        ("/* c */ select 1", Verb::Select),
        ("WITH a AS (SELECT 1) SELECT 2", Verb::Select),
        (
            "WITH RECURSIVE a (x, y) AS (SELECT 1), b AS (SELECT 2) UPDATE t SET a = 1",
            Verb::Update,
        ),
        (
            "WITH a AS MATERIALIZED (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM a",
            Verb::Insert,
        ),
        ("WITH a AS (SELECT 1) DELETE FROM t", Verb::Delete),
        ("INSERT INTO t VALUES (1)", Verb::Insert),
        (
            "MERGE INTO t USING u ON a = b WHEN MATCHED THEN DELETE",
            Verb::Merge,
        ),
        ("VALUES (1)", Verb::Values),
        ("TABLE t", Verb::Table),
        ("COPY t FROM STDIN", Verb::Copy),
        ("BEGIN ISOLATION LEVEL READ COMMITTED", Verb::Begin),
        ("START TRANSACTION", Verb::Begin),
        ("END", Verb::Commit),
        ("COMMIT PREPARED 'x'", Verb::CommitPrepared),
        ("ABORT", Verb::Rollback),
        ("ROLLBACK TRANSACTION TO x", Verb::RollbackTo),
        ("ROLLBACK TO SAVEPOINT x", Verb::RollbackTo),
        ("ROLLBACK PREPARED 'x'", Verb::RollbackPrepared),
        ("PREPARE TRANSACTION 'x'", Verb::PrepareTransaction),
        (
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            Verb::SetTransaction,
        ),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            Verb::SetTransaction,
        ),
        ("SET SESSION x = 1", Verb::Set),
        ("DECLARE c CURSOR FOR SELECT 1", Verb::Declare),
        ("EXPLAIN SELECT 1", Verb::Explain),
        ("REFRESH MATERIALIZED VIEW x", Verb::Refresh),
        ("START_REPLICATION SLOT x", Verb::Other),
        ("", Verb::Empty),
        (" ; ;", Verb::Empty),
        ("-- nothing", Verb::Empty),
    ] {
        assert_eq!(one(text).verb, verb, "{text}");
    }
}

#[test]
fn every_verb_has_a_name_of_its_own() {
    let mut names: Vec<_> = Verb::ALL.iter().map(|verb| verb.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Verb::ALL.len());
    assert_eq!(Verb::RollbackTo.class(), VerbClass::Transaction);
}

#[test]
fn statements_are_split_where_postgresql_splits_them() {
    let text = "SELECT ';' ; /* ; */ SELECT \";\"; SELECT $$;$$ -- ;\n;CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);;";
    let found: Vec<_> = scan_all(text)
        .iter()
        .map(|s| &text[s.start as usize..s.end as usize])
        .collect();
    assert_eq!(
        found,
        [
            "SELECT ';'",
            "/* ; */ SELECT \";\"",
            "SELECT $$;$$ -- ;\n",
            "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)"
        ]
    );
    let atomic = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END; SELECT 3";
    assert_eq!(scan_all(atomic).len(), 2);
    assert_eq!(scan_all("BEGIN; SELECT 1; END; SELECT 2").len(), 4);
}

#[test]
fn the_inner_statement_is_the_bare_one() {
    let bare = one("SELECT a FROM t WHERE b IN (1, 2)").fingerprint;
    for text in [
        "DECLARE \"_django_curs_1_sync_1\" NO SCROLL CURSOR WITH HOLD FOR SELECT a FROM t WHERE b IN (1, 2)",
        "DECLARE \"_django_curs_1_sync_1\" CURSOR FOR SELECT a FROM t WHERE b IN (1, 2)",
        "DECLARE c NO SCROLL CURSOR WITHOUT HOLD FOR /*route='x'*/ SELECT a FROM t WHERE b IN ($1)",
        "DECLARE c BINARY INSENSITIVE SCROLL CURSOR FOR SELECT a FROM t WHERE b IN (3)",
        "PREPARE p AS SELECT a FROM t WHERE b IN (1)",
        "PREPARE p (int, text) AS SELECT a FROM t WHERE b IN (1)",
    ] {
        let scanned = one(text);
        let inner = scanned.inner.expect("an inner statement");
        assert_eq!(inner.fingerprint, bare, "{text}");
        assert_eq!(inner.verb, Verb::Select);
        assert!(text[inner.start as usize..].starts_with("SELECT a"));
        assert_ne!(scanned.fingerprint, bare);
        assert_eq!(scanned.holdable, text.contains("WITH HOLD"));
    }
    assert_eq!(one("EXPLAIN SELECT 1").inner, None);
    assert_eq!(one("DECLARE c CURSOR FOR").inner, None);
    let inner = one("DECLARE c CURSOR FOR (SELECT 1) UNION (SELECT 2)")
        .inner
        .expect("an inner statement");
    assert_eq!(
        inner.fingerprint,
        one("(SELECT 1) UNION (SELECT 2)").fingerprint
    );
}

#[test]
fn subjects() {
    let orders = Some(name_hash(b"orders"));
    for text in [
        "DECLARE orders CURSOR FOR SELECT 1",
        "DECLARE \"orders\" CURSOR FOR SELECT 1",
        "FETCH FORWARD 100 FROM Orders",
        "FETCH orders",
        "FETCH NEXT IN \"orders\"",
        "FETCH -1 orders",
        "MOVE ALL FROM orders",
        "CLOSE ORDERS",
        "PREPARE orders AS SELECT 1",
        "EXECUTE orders (1)",
        "DEALLOCATE orders",
        "DEALLOCATE PREPARE \"orders\"",
    ] {
        assert_eq!(one(text).subject, orders, "{text}");
    }
    for text in [
        "CLOSE ALL",
        "DEALLOCATE ALL",
        "DEALLOCATE PREPARE ALL",
        "SELECT orders",
        "SAVEPOINT orders",
    ] {
        assert_eq!(one(text).subject, None, "{text}");
    }
    assert_eq!(one("CLOSE \"U0\"").subject, Some(name_hash(b"U0")));
    assert_eq!(one("CLOSE \"a\"\"b\"").subject, Some(name_hash(b"a\"b")));
    assert_ne!(one("CLOSE \"Orders\"").subject, orders);
}

#[test]
fn comments_are_kept_apart() {
    let scanned = one("/*a*/ SELECT '/*no*/' /*b /*c*/ d*/ -- e\n FROM t -- f");
    assert_eq!(scanned.comments, b"/*a*//*b /*c*/ d*/-- e\n-- f");
    let statements = scan_all("SELECT 1 /*a*/; /*b*/ SELECT 2");
    assert_eq!(statements[0].comments, b"/*a*/");
    assert_eq!(statements[1].comments, b"/*b*/");
    assert_eq!(one("/*only*/").comments, b"/*only*/");
    let long = format!("SELECT 1 /*{}*/", "x".repeat(100_000));
    assert_eq!(one(&long).comments.len(), 16 * 1024);
}

#[test]
fn the_identity_has_an_end() {
    let scan = |text: &str| {
        let mut found = Vec::new();
        let mut scanner = Scanner::new(100);
        scanner.begin();
        scanner.feed(text.as_bytes(), &mut |scanned| {
            found.push(scanned.to_owned());
        });
        scanner.end(&mut |scanned| found.push(scanned.to_owned()));
        found
    };
    let first = &scan(&format!(
        "SELECT 1 WHERE a = '{}' AND (b; c)",
        "x".repeat(200)
    ))[0];
    let second = scan(&format!(
        "SELECT 1 WHERE a = '{}' AND c; SELECT 2",
        "x".repeat(150)
    ));
    assert!(first.truncated);
    assert_eq!(first.fingerprint, second[0].fingerprint);
    assert_eq!(second.len(), 2);
    assert!(!second[1].truncated);
    assert_eq!(second[1].fingerprint, one("SELECT 2").fingerprint);
}

#[test]
fn pieces_make_no_difference() {
    let texts = [
        "SELECT \"a\".\"b\" FROM t WHERE x IN (1.5e+3, 0x1F, $12, 'it''s', E'a\\'b', $tag$ $ta $tag$) AND y <= -5::numeric(3,1)",
        "/* a /* b */ c */ DECLARE \"c\"\"d\" CURSOR WITH HOLD FOR SELECT U&'x' UESCAPE '!', a..b FROM t -- e\n; CLOSE x",
        "INSERT INTO t VALUES (1, DEFAULT), (2, 3) /*route='x'*/; SELECT 'a'\n'b', U&\"x\", a @> b, a<-1, x'1F', é",
        "SELECT a:b, c::int, d:=e, .5, 1..2, $, $a, $$x$$, a--b\n/c",
    ];
    for text in texts {
        let whole = scan_all(text);
        for size in 1..12 {
            assert_eq!(
                scan_pieces(text.as_bytes().chunks(size)),
                whole,
                "{size}: {text}"
            );
        }
        for cut in 0..=text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            assert_eq!(scan_pieces([a, b].into_iter()), whole, "{cut}: {text}");
        }
    }
}

#[test]
fn long_tokens_in_pieces() {
    let names = [
        format!("SELECT {}", "n".repeat(5000)),
        format!("SELECT \"{}\" FROM t", "n".repeat(5000)),
        format!("SELECT \"{}\"", "\"\"".repeat(5000)),
        format!("SELECT {} , a", "1".repeat(5000)),
        format!("SELECT ${} , a", "1".repeat(5000)),
        format!("SELECT {} a", "+*".repeat(5000)),
        format!("SELECT ${}$ a", "t".repeat(5000)),
        format!("SELECT '{}' a", "''".repeat(5000)),
    ];
    for text in &names {
        let whole = scan_all(text);
        for size in [1, 7, 100, 511, 512, 513, 1024, 4000] {
            assert_eq!(
                scan_pieces(text.as_bytes().chunks(size)),
                whole,
                "{size}: {}",
                &text[..20]
            );
        }
    }
}

#[test]
fn a_long_statement_is_hashed_in_blocks() {
    let columns: Vec<_> = (0..30_000).map(|n| format!("column_{n}")).collect();
    let text = format!("SELECT {} FROM t WHERE a IN (1, 2)", columns.join(", "));
    let bare = one(&text);
    assert!(!bare.truncated);
    let inner = one(&format!("DECLARE c CURSOR FOR {text}"))
        .inner
        .expect("an inner statement");
    assert_eq!(inner.fingerprint, bare.fingerprint);
    assert_eq!(
        scan_pieces(text.as_bytes().chunks(1000))[0].fingerprint,
        bare.fingerprint
    );
    let other = text.replace("column_29000,", "column_x,");
    assert_ne!(one(&other).fingerprint, bare.fingerprint);
    super::stable(&text);
}

use std::sync::mpsc;
use std::time::Duration;

use super::super::normalize;
use super::*;

#[track_caller]
fn facts(text: &str) -> Facts {
    extract(&normalize(text)).unwrap_or_else(|| panic!("does not parse: {}", normalize(text)))
}

fn column(table: &str, name: &str) -> Column {
    Column {
        table: Some(table.into()),
        name: name.into(),
    }
}

#[test]
fn of_a_django_select() {
    let facts = facts(
        "SELECT \"shop_book\".\"id\", COUNT(U0.\"id\") FROM \"shop_book\" \
         INNER JOIN \"shop_author\" U0 ON (\"shop_book\".\"author_id\" = U0.\"id\") \
         LEFT OUTER JOIN \"shop_tag\" ON (\"shop_book\".\"tag_id\" = \"shop_tag\".\"id\") \
         WHERE (\"shop_book\".\"id\" IN (1, 2) AND NOT (U0.\"name\" IS NULL) AND UPPER(U0.\"name\"::text) LIKE UPPER('%x') \
         AND EXISTS(SELECT 1 AS a FROM \"shop_sale\" V0 WHERE V0.\"book_id\" = (\"shop_book\".\"id\"))) \
         GROUP BY 1 ORDER BY \"shop_book\".\"title\" DESC LIMIT 21 OFFSET 5",
    );
    assert_eq!(
        facts.tables,
        ["shop_author", "shop_book", "shop_sale", "shop_tag"]
    );
    assert_eq!(
        facts.summary,
        "SELECT shop_book shop_author shop_tag shop_sale"
    );
    assert_eq!(
        facts.joins,
        [
            Join {
                kind: JoinKind::Inner,
                table: Some("shop_author".to_owned()),
                on: vec![(
                    column("shop_book", "author_id"),
                    column("shop_author", "id")
                )],
            },
            Join {
                kind: JoinKind::Left,
                table: Some("shop_tag".to_owned()),
                on: vec![(column("shop_book", "tag_id"), column("shop_tag", "id"))],
            },
        ]
    );
    let predicates: Vec<_> = facts
        .predicates
        .iter()
        .map(|p| {
            (
                p.column.table.as_deref().unwrap_or(""),
                &*p.column.name,
                p.operator.as_str(),
            )
        })
        .collect();
    assert_eq!(
        predicates,
        [
            ("shop_book", "author_id", "="),
            ("shop_book", "tag_id", "="),
            ("shop_book", "id", "IN"),
            ("shop_author", "name", "NOT IS NULL"),
            ("shop_author", "name", "LIKE"),
            ("shop_sale", "book_id", "="),
        ]
    );
    assert_eq!(facts.predicates[2].operand, Operand::Constant(1));
    assert_eq!(facts.predicates[4].operand, Operand::Constant(2));
    assert_eq!(
        facts.predicates[5].operand,
        Operand::Column(column("shop_book", "id"))
    );
    assert_eq!(facts.aggregates, ["count"]);
    assert_eq!(facts.ordering, ["shop_book.title DESC"]);
    assert!(facts.limit && facts.offset);
}

#[test]
fn of_writes() {
    let insert = facts(
        "INSERT INTO \"t\" (\"a\") SELECT * FROM UNNEST((ARRAY[1])::bigint[]) RETURNING \"t\".\"id\"",
    );
    assert_eq!(insert.summary, "INSERT t");
    assert_eq!(insert.tables, ["t"]);
    let update = facts("UPDATE \"t\" SET \"a\" = 1 WHERE \"t\".\"id\" = 2");
    assert_eq!(update.summary, "UPDATE t");
    assert_eq!(update.predicates.len(), 1);
    assert_eq!(update.predicates[0].column, column("t", "id"));
    let delete = facts("DELETE FROM s.t WHERE id IN (SELECT b FROM u)");
    assert_eq!(delete.tables, ["s.t", "u"]);
    assert_eq!(delete.predicates[0].operand, Operand::Subquery);
    assert!(!delete.limit);
}

#[test]
fn of_ctes_and_functions() {
    let facts = facts(
        "WITH x AS (SELECT a FROM t WHERE b = 1) SELECT * FROM x JOIN generate_series(1, 2) g ON true",
    );
    assert_eq!(facts.tables, ["t"]);
    assert_eq!(facts.summary, "SELECT t");
    assert_eq!(facts.predicates[0].column, column("t", "b"));
}

#[test]
fn what_does_not_parse_is_unknown() {
    assert_eq!(extract("SELECT ("), None);
    assert_eq!(extract(""), None);
    assert_eq!(summary_of(Verb::Savepoint), "SAVEPOINT");
}

#[test]
fn what_is_too_large_is_not_tried() {
    let and = |count: usize| {
        format!(
            "SELECT a FROM t WHERE {}",
            vec!["a = $1"; count].join(" AND ")
        )
    };
    assert_eq!(extract(&and(50_000)), None);
    assert_eq!(
        extract(&format!("SELECT {}", vec!["1"; 50_000].join("+"))),
        None
    );
    assert_eq!(
        extract(&format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000))),
        None
    );
    assert_eq!(extract(&format!("SELECT {} a", "NOT ".repeat(5000))), None);
    assert_eq!(extract(&format!("SELECT {}a", "- ".repeat(5000))), None);
    assert_eq!(
        extract(&format!(
            "SELECT {}",
            vec!["SELECT 1"; 3000].join(" UNION ")
        )),
        None
    );
    assert_eq!(extract(&format!("SELECT '{}'", "x".repeat(70_000))), None);
}

#[test]
fn the_worker_survives_what_the_budget_lets_through() {
    let worker = FactsWorker::start(64).expect("a thread");
    let (send, receive) = mpsc::channel();
    let depth = 190;
    let texts = [
        format!(
            "SELECT a FROM t WHERE {}",
            vec!["a = $1"; 900].join(" AND ")
        ),
        format!("SELECT {}1{}", "(".repeat(depth), ")".repeat(depth)),
        format!("SELECT {}1{}", "(SELECT ".repeat(depth), ")".repeat(depth)),
        format!(
            "SELECT {} 1 {}",
            "CASE WHEN a THEN ".repeat(depth),
            "END ".repeat(depth)
        ),
        format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(1900)),
        format!("SELECT {} a", "NOT ".repeat(1900)),
        format!("SELECT {}a", "- ".repeat(1900)),
        format!("SELECT 1 {}", "+ 1".repeat(1900)),
        format!("SELECT 1 {}", "+ a".repeat(1900)),
        format!("SELECT a{}", "::int".repeat(1900)),
        format!("SELECT a{}", "[1]".repeat(1500)),
        format!("SELECT a {}", "IS NULL ".repeat(2500)),
        format!("SELECT a {}", "COLLATE x ".repeat(3000)),
        format!("SELECT a{}", ".a".repeat(3500)),
        format!("SELECT a {}", "-> 'b' ".repeat(1900)),
        format!("SELECT * FROM t {}", "JOIN t ON a ".repeat(1500)),
        "SELECT 1".to_owned(),
    ];
    for text in &texts {
        let send = send.clone();
        worker
            .submit(text.as_str(), move |facts| {
                send.send(facts).expect("a listener");
            })
            .expect("room in the queue");
    }
    let answers: Vec<_> = texts
        .iter()
        .map(|_| {
            receive
                .recv_timeout(Duration::from_secs(60))
                .expect("an answer")
        })
        .collect();
    assert!(answers[0].is_some());
    assert!(answers.last().is_some_and(Option::is_some));
}

#[test]
fn a_full_queue_refuses() {
    let worker = FactsWorker::start(1).expect("a thread");
    let (go, wait) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    worker
        .submit("SELECT 1", move |_| {
            begun.send(()).expect("a listener");
            let _ = wait.recv();
        })
        .expect("room in the queue");
    has_begun
        .recv_timeout(Duration::from_secs(10))
        .expect("the first job begins");
    assert_eq!(worker.submit("SELECT 2", |_| {}), Ok(()));
    assert_eq!(worker.submit("SELECT 3", |_| {}), Err(QueueFull));
    drop(go);
}

#[test]
fn of_what_is_returned() {
    let plain = facts(
        "SELECT \"t\".\"id\", \"t\".\"a_id\" AS \"x\", 1 AS \"a\", a + 1 FROM \"t\" WHERE \"t\".\"id\" = 3 LIMIT 21",
    );
    assert_eq!(
        plain.outputs,
        [
            Output::Column(column("t", "id")),
            Output::Column(column("t", "a_id")),
            Output::Constant,
            Output::Expression,
        ]
    );
    assert_eq!(plain.main_table.as_deref(), Some("t"));
    assert_eq!((plain.lock, plain.grouped), (Lock::None, false));
    let count = facts(
        "SELECT COUNT(*) AS \"__count\" FROM \"t\" INNER JOIN \"u\" ON (t.id = u.t_id) WHERE u.x = 1",
    );
    assert_eq!(count.outputs, [Output::Aggregate("count".to_owned())]);
    let sum = facts("SELECT COALESCE(SUM(\"t\".\"a\"), 0) FROM t GROUP BY b");
    assert_eq!(sum.outputs, [Output::Aggregate("sum".to_owned())]);
    assert!(sum.grouped);
    let queue =
        facts("SELECT * FROM job WHERE done = false ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED");
    assert_eq!(queue.lock, Lock::SkipLocked);
    let taken = facts(
        "UPDATE job SET taken = true WHERE id = (SELECT id FROM job LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
    );
    assert_eq!(taken.lock, Lock::SkipLocked);
    assert_eq!(queue.outputs, [Output::All]);
    assert_eq!(facts("SELECT a FROM t FOR UPDATE").lock, Lock::Rows);
}

#[test]
fn of_what_is_written() {
    let insert = facts(
        "INSERT INTO \"t\" (\"a\", \"b\") VALUES (1, now()), (2, now()) RETURNING \"t\".\"id\"",
    );
    assert_eq!(insert.main_table.as_deref(), Some("t"));
    assert_eq!(
        insert.assignments[0],
        ("a".to_owned(), Operand::Constant(1))
    );
    assert_eq!(insert.assignments[1].1, Operand::Expression);
    assert_eq!(insert.outputs, [Output::Column(column("t", "id"))]);
    let update = facts("UPDATE \"t\" SET \"a\" = 5, \"b\" = \"b\" + 1 WHERE \"t\".\"id\" = 2");
    assert_eq!(
        update.assignments[0],
        ("a".to_owned(), Operand::Constant(1))
    );
    assert_eq!(update.predicates[0].operand, Operand::Constant(3));
    assert_eq!(
        facts("DELETE FROM t WHERE id = 1").main_table.as_deref(),
        Some("t")
    );
}

#[test]
fn a_casts_modifiers_are_no_reason_to_know_nothing() {
    let update = extract(
        r#"UPDATE "shop_book" SET "price" = (CASE WHEN ("shop_book"."id" = $1) THEN $2 ELSE $3 END)::numeric($4, $5) WHERE "shop_book"."id" IN ($6 /*, ... */)"#,
    )
    .unwrap();
    assert_eq!(update.main_table.as_deref(), Some("shop_book"));
    let cast =
        extract("SELECT CAST(a AS character varying($1)) FROM b AS c WHERE lower($2) = d").unwrap();
    assert_eq!(cast.main_table.as_deref(), Some("b"));
}

#[test]
fn foreign_keys_of_definitions() {
    let of = |sql: &str| -> Vec<String> {
        let facts = extract(&crate::sql::normalize(sql)).unwrap_or_else(|| panic!("{sql}"));
        let one = |reference: &Reference| {
            format!(
                "{}.{} {}.{}",
                reference.key.table.as_deref().unwrap_or_default(),
                reference.key.name,
                reference.to_table,
                reference.to_column.as_deref().unwrap_or("*")
            )
        };
        facts.references.iter().map(one).collect()
    };
    for sql in [
        "ALTER TABLE \"shop_book\" ADD CONSTRAINT \"shop_book_author_id_1_fk\" FOREIGN KEY (\"author_id\") \
         REFERENCES \"shop_author\" (\"id\") DEFERRABLE INITIALLY DEFERRED",
        "ALTER TABLE \"shop_book\" ADD COLUMN \"author_id\" bigint NOT NULL CONSTRAINT \"c\" REFERENCES \
         \"shop_author\"(\"id\") DEFERRABLE INITIALLY DEFERRED",
        "CREATE TABLE shop_book (id bigint PRIMARY KEY, author_id bigint REFERENCES shop_author (id))",
        "CREATE TABLE shop_book (author_id bigint, FOREIGN KEY (author_id) REFERENCES shop_author (id))",
    ] {
        assert_eq!(of(sql), ["shop_book.author_id shop_author.id"], "{sql}");
    }
    assert_eq!(
        of(
            "CREATE TABLE a (b_id int REFERENCES b, c int, d int, FOREIGN KEY (c, d) REFERENCES e (f, g))"
        ),
        ["a.b_id b.*"]
    );
    assert!(of("SELECT a FROM b").is_empty());
}

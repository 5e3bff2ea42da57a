//! Tests, whose statements carry an id: neither pace nor neighbours change what is found in them.

use super::*;

const BOOKS: &str = r#"SELECT "shop_book"."id", "shop_book"."maker_id" FROM "shop_book" ORDER BY "shop_book"."id" ASC"#;
const MAKER: &str =
    r#"SELECT "shop_maker"."id" FROM "shop_maker" WHERE "shop_maker"."id" = $1 LIMIT $2"#;
const BY_CODE: &str =
    r#"SELECT "shop_book"."id" FROM "shop_book" WHERE "shop_book"."title" = $1 LIMIT $2"#;

/// A loop over the makers of books, `pause_ms` between any two of its statements.
fn loop_over_makers(story: &mut Story, pause_ms: u64) {
    let rows: Vec<_> = (1..6).map(|id| ints(&[id, id + 70])).collect();
    story.run(BOOKS, &[], &rows);
    for maker in 71..76 {
        story.pause(pause_ms);
        story.run(MAKER, &ints(&[maker, 21]), &column(&[maker]));
    }
}

/// The same question again and again, to which there is no answer.
fn asks_in_vain(story: &mut Story, pause_ms: u64) {
    for _ in 0..4 {
        story.pause(pause_ms);
        story.run(BY_CODE, &[V::Text("none"), V::Int(21)], &[]);
    }
}

fn told(story: &Story) -> Vec<(Kind, Confidence, String)> {
    story.found().into_iter().map(summary).collect()
}

#[test]
fn a_slow_machine_finds_what_a_fast_one_does() {
    let found = |pause_ms| {
        let mut story = Story::new();
        for test in 1..3 {
            story.test = Some(test);
            loop_over_makers(&mut story, pause_ms);
            asks_in_vain(&mut story, pause_ms);
        }
        story.close();
        story.quiet();
        told(&story)
    };
    let fast = found(0);
    assert_eq!(fast.len(), 2, "{fast:?}");
    assert_eq!(fast[0].1.max(fast[1].1), Confidence::Proved);
    for pause_ms in [3, 20, 60, 2_000] {
        assert_eq!(found(pause_ms), fast, "{pause_ms} ms");
    }
}

#[test]
fn what_the_connection_did_before_is_no_matter() {
    let found = |before: &dyn Fn(&mut Story)| {
        let mut story = Story::new();
        before(&mut story);
        story.test = Some(1);
        asks_in_vain(&mut story, 0);
        story.close();
        story.quiet();
        told(&story)
    };
    let alone = found(&|_| {});
    assert_eq!(alone.len(), 1);
    let behind_a_tool = found(&|story| {
        story.run(
            "CREATE TABLE \"shop_book\" (\"id\" bigint, \"title\" text)",
            &[],
            &[],
        );
    });
    assert_eq!(behind_a_tool, alone);
    let behind_the_same = found(&|story| {
        story.test = Some(7);
        story.run(BY_CODE, &[V::Text("other"), V::Int(21)], &[]);
    });
    assert_eq!(behind_the_same, alone);
}

#[test]
fn a_foreign_key_whose_making_was_seen_is_known_whatever_it_is_called() {
    const OWNED: &str = r#"SELECT "pet"."id", "pet"."walker_id" FROM "pet""#;
    const PERSON: &str = r#"SELECT "person"."id" FROM "person" WHERE "person"."id" = $1 LIMIT $2"#;
    let found = |made: bool| {
        let mut story = Story::new();
        if made {
            let sql = "ALTER TABLE \"pet\" ADD CONSTRAINT \"c\" FOREIGN KEY (\"walker_id\") REFERENCES \"person\" (\"id\")";
            story.run(sql, &[], &[]);
        }
        story.test = Some(1);
        // Asked in an order of its own: small numbers, which agree by chance.
        let rows: Vec<_> = (1..9).map(|id| ints(&[id, id])).collect();
        story.run(OWNED, &[], &rows);
        for person in [7, 2, 5, 1, 8, 3, 6, 4] {
            story.run(PERSON, &ints(&[person, 21]), &column(&[person]));
        }
        story.close();
        story.quiet();
        story
            .found()
            .into_iter()
            .map(|finding| finding.kind)
            .collect::<Vec<Kind>>()
    };
    assert_eq!(
        found(false),
        [Kind::QueryLoop],
        "chance, as far as is known"
    );
    assert_eq!(found(true), [Kind::NPlusOneForward]);
}

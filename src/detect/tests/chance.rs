//! Which column it is where several have the values, and what is said where no name helps.

use super::*;

const ARTICLES: &str =
    r#"SELECT "press_article"."id", "press_article"."code" FROM "press_article" LIMIT $1"#;
const COMMENTS: &str =
    r#"SELECT COUNT(*) AS "__count" FROM "press_comment" WHERE "press_comment"."article_id" = $1"#;

#[test]
fn a_foreign_key_names_the_key_among_columns_that_agree() {
    let mut story = Story::new();
    let rows: Vec<_> = (1..7).map(|id| ints(&[id, id])).collect();
    story.run(ARTICLES, &ints(&[10]), &rows);
    for id in 1..7 {
        story.run(COMMENTS, &ints(&[id]), &[]);
    }
    story.close();
    assert_eq!(
        summary(story.only()),
        (
            Kind::NPlusOneAggregate,
            Confidence::Proved,
            "press_article.id -> press_comment.article_id".to_owned()
        )
    );
}

/// A legacy column that no name explains, asked for by a key.
fn legacy(keys: &[V]) -> Story {
    let faculties = r#"SELECT "uni_faculty"."code" FROM "uni_faculty""#;
    let institutes =
        r#"SELECT "uni_institute"."id" FROM "uni_institute" WHERE "uni_institute"."FacRef" = $1"#;
    let mut story = Story::new();
    let rows: Vec<_> = keys.iter().map(|key| vec![*key]).collect();
    story.run(faculties, &[], &rows);
    for key in keys {
        story.run(institutes, &[*key], &column(&[1, 2]));
    }
    story.close();
    story
}

#[test]
fn each_of_a_tables_words_in_turn_is_no_chance() {
    let story = legacy(&["arts", "law", "art", "maths"].map(V::Text));
    assert_eq!(
        summary(story.only()),
        (
            Kind::NPlusOneReverse,
            Confidence::Likely,
            "uni_faculty.code -> uni_institute.FacRef".to_owned()
        )
    );
    let few = legacy(&["arts", "law"].map(V::Text));
    assert_eq!(few.found().len(), 0, "two of anything");
}

/// Nobody is there: asked so many times, with such pauses.
fn asked_in_vain(pause_ms: u64) -> Story {
    let exists = r#"SELECT 1 AS "a" FROM "auth_group" WHERE "auth_group"."name" = $1 LIMIT $2"#;
    let mut story = Story::new();
    for _ in 0..4 {
        story.run_full(exists, &ints(&[7, 1]), &[], 0);
        story.pause(pause_ms);
    }
    story.close();
    story
}

#[test]
fn an_empty_answer_asked_for_again_at_once_is_a_duplicate() {
    assert_eq!(asked_in_vain(0).only().kind, Kind::Duplicate);
    assert_eq!(asked_in_vain(5).found().len(), 0, "somebody waits");
}

#[test]
fn a_queue_that_one_statement_takes_from() {
    let take = r#"UPDATE "press_mail" SET "state" = $1 WHERE "press_mail"."id" = (SELECT "press_mail"."id" FROM "press_mail" WHERE "press_mail"."state" = $2 ORDER BY "press_mail"."id" LIMIT $3 FOR UPDATE SKIP LOCKED)"#;
    let mut story = Story::new();
    for _ in 0..6 {
        story.write(take, &ints(&[2, 1, 1]), 1);
    }
    story.close();
    assert_eq!(story.found().len(), 0);
}

/// A list, then its rows one by one, each after `pause_ms`.
fn slow_loop(story: &mut Story, pause_ms: u64) {
    let lines = r#"SELECT "shop_line"."id", "shop_line"."product_id" FROM "shop_line" LIMIT $1"#;
    let product =
        r#"SELECT "shop_product"."id" FROM "shop_product" WHERE "shop_product"."id" = $1 LIMIT $2"#;
    let rows: Vec<_> = (1..9).map(|id| ints(&[id, id * 3])).collect();
    story.run(lines, &ints(&[10]), &rows);
    for id in 1..9 {
        story.run(product, &ints(&[id * 3, 21]), &column(&[id * 3]));
        story.pause(pause_ms);
    }
    story.close();
}

#[test]
fn a_slow_loop_of_a_connection_of_its_own() {
    let mut story = Story::new();
    for _ in 0..8 {
        story.run(COMMENTS, &ints(&[1]), &[]);
        story.close();
    }
    slow_loop(&mut story, 70);
    assert_eq!(
        summary(story.only()),
        (
            Kind::NPlusOneForward,
            Confidence::Likely,
            "shop_line.product_id -> shop_product.id".to_owned()
        )
    );
}

#[test]
fn tasks_from_a_list_are_no_slow_loop() {
    let mut story = Story::new();
    for _ in 0..8 {
        story.run(COMMENTS, &ints(&[1]), &[]);
        story.close();
    }
    let due = r#"SELECT "shop_line"."id", "shop_line"."product_id" FROM "shop_line" LIMIT $1"#;
    let product =
        r#"SELECT "shop_product"."id" FROM "shop_product" WHERE "shop_product"."id" = $1 LIMIT $2"#;
    let rows: Vec<_> = (1..9).map(|id| ints(&[id, id * 3])).collect();
    story.run(due, &ints(&[10]), &rows);
    for id in 1..9 {
        story.pause(70);
        story.run("BEGIN", &[], &[]);
        story.run(product, &ints(&[id * 3, 21]), &column(&[id * 3]));
        story.run("COMMIT", &[], &[]);
    }
    story.close();
    assert_eq!(story.found().len(), 0);
}

#[test]
fn a_slow_loop_may_be_requests_where_nothing_is_known_of_the_connections() {
    let mut story = Story::new();
    slow_loop(&mut story, 70);
    assert_eq!(story.found().len(), 0);
}

#[test]
fn the_first_pause_of_a_page_may_be_behind_its_first_child() {
    let lines = r#"SELECT "shop_line"."id", "shop_line"."product_id" FROM "shop_line" LIMIT $1"#;
    let product =
        r#"SELECT "shop_product"."id" FROM "shop_product" WHERE "shop_product"."id" = $1 LIMIT $2"#;
    let mut story = Story::new();
    let rows: Vec<_> = (1..9).map(|id| ints(&[id, id * 3])).collect();
    story.run(lines, &ints(&[10]), &rows);
    for id in 1..9 {
        story.run(product, &ints(&[id * 3, 21]), &column(&[id * 3]));
        if id == 1 {
            story.pause(30);
        }
    }
    story.quiet();
    let finding = story.only();
    assert_eq!(
        (finding.kind, finding.confidence, finding.queries),
        (Kind::NPlusOneForward, Confidence::Likely, 8)
    );
}

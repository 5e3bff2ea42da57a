//! What loops cost and their fixes save: each statement takes 1 ms, the application 0.5 ms between two.

use super::*;

const ROWS: i64 = 10;
const US: u64 = 1_000;
const INSERT: &str = r#"INSERT INTO "shop_note" ("text") VALUES ($1) RETURNING "shop_note"."id""#;
const UPDATE: &str = r#"UPDATE "shop_order" SET "total" = $1 WHERE "shop_order"."id" = $2"#;
const DELETE: &str = r#"DELETE FROM "shop_order" WHERE "shop_order"."id" IN ($1 /*, ... */)"#;

/// Cost and saving of the story's one finding, microseconds.
fn price(mut story: Story) -> (u64, u64) {
    story.close();
    let finding = story.only();
    assert_eq!(finding.queries, ROWS as u64);
    (finding.cost_ns / US, finding.saves_ns / US)
}

fn written(text: &str, constants: impl Fn(i64) -> Vec<i64>) -> Story {
    let mut story = Story::new();
    for id in 1..=ROWS {
        story.write(text, &ints(&constants(id)), 1);
    }
    story
}

#[test]
fn a_bulk_insert_is_a_transaction_of_its_own() {
    let story = written(INSERT, |id| vec![900 + id]);
    // One of ten statements stays; BEGIN and COMMIT come with it, and 20 us for each row.
    assert_eq!(price(story), (13_500, 13_500 - 2_000 - 200));
}

#[test]
fn within_a_transaction_it_is_one_statement() {
    let mut story = Story::new();
    story.run("BEGIN", &[], &[]);
    for id in 1..=ROWS {
        story.write(INSERT, &ints(&[900 + id]), 1);
    }
    story.run("COMMIT", &[], &[]);
    let (cost, saves) = price(story);
    assert_eq!(cost - saves, 200);
}

#[test]
fn a_bulk_update_builds_an_expression_for_each_row() {
    let story = written(UPDATE, |id| vec![7, id]);
    assert_eq!(price(story), (13_500, 13_500 - 2_000 - 1_500));
}

#[test]
fn a_deleted_row_is_a_row() {
    let story = written(DELETE, |id| vec![id]);
    assert_eq!(price(story), (13_500, 13_500 - 2_000 - 200));
}

#[test]
fn a_join_leaves_no_statement() {
    let mut story = Story::new();
    let ids: Vec<Vec<V>> = (1..=ROWS)
        .map(|id| vec![V::Int(id), V::Int(40 + id)])
        .collect();
    let orders = r#"SELECT "shop_order"."id", "shop_order"."customer_id" FROM "shop_order""#;
    let customer = r#"SELECT "shop_customer"."id" FROM "shop_customer" WHERE "shop_customer"."id" = $1 LIMIT $2"#;
    story.run(orders, &[], &ids);
    for id in 1..=ROWS {
        story.run(customer, &ints(&[40 + id, 21]), &column(&[40 + id]));
    }
    assert_eq!(price(story), (15_000, 15_000 - 200));
}

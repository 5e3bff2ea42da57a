use super::*;

const INSERT: &str =
    r#"INSERT INTO "shop_note" ("text", "order_id") VALUES ($1, $2) RETURNING "shop_note"."id""#;
const GET: &str = r#"SELECT "shop_tag"."id", "shop_tag"."name" FROM "shop_tag" WHERE "shop_tag"."name" = $1 LIMIT $2"#;
const CREATE: &str = r#"INSERT INTO "shop_tag" ("name") VALUES ($1) RETURNING "shop_tag"."id""#;
const UPDATE: &str = r#"UPDATE "shop_order" SET "total" = $1 WHERE "shop_order"."id" = $2"#;

#[test]
fn rows_written_one_by_one() {
    let mut story = Story::new();
    for id in 1..6 {
        story.run(INSERT, &ints(&[900 + id, 4]), &column(&[id]));
    }
    story.close();
    let finding = story.only();
    assert_eq!((finding.kind, finding.queries), (Kind::WriteLoop, 5));
    assert_eq!(finding.child.table.as_deref(), Some("shop_note"));
    assert_eq!(finding.detail.operation, super::super::Operation::Insert);
}

#[test]
fn get_or_create_is_one_cause() {
    let names = ["red", "green", "blue", "white"];
    let mut story = Story::new();
    for (id, name) in names.iter().enumerate() {
        story.run(GET, &[V::Text(name), V::Int(21)], &[]);
        story.run("BEGIN", &[], &[]);
        story.run(CREATE, &[V::Text(name)], &column(&[id as i64 + 1]));
        story.run("COMMIT", &[], &[]);
    }
    story.close();
    let finding = story.only();
    assert_eq!(finding.kind, Kind::WriteLoop);
    assert_eq!(
        finding.detail.operation,
        super::super::Operation::GetOrCreate
    );
    assert_eq!(finding.queries, 8);
}

#[test]
fn a_saved_row_for_each_row() {
    let orders = r#"SELECT "shop_order"."id" FROM "shop_order""#;
    let mut story = Story::new();
    story.run(orders, &[], &column(&[41, 42, 43]));
    for order in [41, 42, 43] {
        story.write(UPDATE, &ints(&[7, order]), 1);
    }
    story.close();
    assert_eq!(
        summary(story.only()),
        (
            Kind::WriteLoop,
            Confidence::Proved,
            "shop_order.id -> shop_order.id".to_owned()
        )
    );
}

#[test]
fn a_deleted_object_takes_others_with_it() {
    let objects = r#"SELECT "shop_order"."id" FROM "shop_order""#;
    let collect = r#"SELECT "shop_item"."id" FROM "shop_item" WHERE "shop_item"."order_id" IN ($1 /*, ... */)"#;
    let items = r#"DELETE FROM "shop_item" WHERE "shop_item"."order_id" IN ($1 /*, ... */)"#;
    let order = r#"DELETE FROM "shop_order" WHERE "shop_order"."id" IN ($1 /*, ... */)"#;
    let mut story = Story::new();
    story.run(objects, &[], &column(&[41, 42, 43]));
    for id in [41, 42, 43] {
        story.run(collect, &ints(&[id]), &column(&[id * 10]));
        story.run("BEGIN", &[], &[]);
        story.write(items, &ints(&[id]), 1);
        story.write(order, &ints(&[id]), 1);
        story.run("COMMIT", &[], &[]);
    }
    story.close();
    let finding = story.only();
    assert_eq!(finding.kind, Kind::WriteLoop);
    assert_eq!(finding.child.table.as_deref(), Some("shop_order"));
}

#[test]
fn the_same_again_is_a_duplicate() {
    let settings =
        r#"SELECT "shop_setting"."id" FROM "shop_setting" WHERE "shop_setting"."name" = $1"#;
    let mut story = Story::new();
    for _ in 0..2 {
        story.run(settings, &[V::Text("theme")], &column(&[1]));
    }
    story.close();
    assert_eq!(story.found().len(), 0, "two of a kind");
    for _ in 0..4 {
        story.run(settings, &[V::Text("theme")], &column(&[1]));
    }
    story.close();
    let finding = story.only();
    assert_eq!(
        (finding.kind, finding.confidence),
        (Kind::Duplicate, Confidence::Likely)
    );
    assert_eq!((finding.queries_before, finding.queries_after), (4, 1));
}

#[test]
fn a_loop_over_constants_is_suspected() {
    let mut story = Story::new();
    for name in ["red", "green", "blue"] {
        story.run(GET, &[V::Text(name), V::Int(21)], &[vec![V::Int(1)]]);
    }
    story.close();
    let finding = story.only();
    assert_eq!(
        (finding.kind, finding.confidence),
        (Kind::QueryLoop, Confidence::Suspected)
    );
}

use super::*;

const ORDERS: &str =
    r#"SELECT "shop_order"."id", "shop_order"."customer_id" FROM "shop_order" LIMIT $1"#;
const DETAIL: &str = r#"SELECT "shop_order"."id", "shop_order"."customer_id", "shop_order"."note" FROM "shop_order" WHERE "shop_order"."id" = $1 LIMIT $2"#;
const CUSTOMER: &str =
    r#"SELECT "shop_customer"."id" FROM "shop_customer" WHERE "shop_customer"."id" = $1 LIMIT $2"#;

fn orders(story: &mut Story) {
    let rows: Vec<_> = (1..6).map(|id| ints(&[id, id + 70])).collect();
    story.run(ORDERS, &ints(&[10]), &rows);
}

/// What is surer than a suspicion.
fn alarms(story: &Story) -> Vec<(Kind, Confidence, String)> {
    story
        .found()
        .into_iter()
        .map(summary)
        .filter(|(_, confidence, _)| *confidence > Confidence::Suspected)
        .collect()
}

#[test]
fn requests_behind_a_list_page() {
    let mut story = Story::new();
    orders(&mut story);
    for order in 1..6 {
        story.pause(25);
        story.run(DETAIL, &ints(&[order, 21]), &[ints(&[order, order + 70])]);
        story.run(CUSTOMER, &ints(&[order + 70, 21]), &column(&[order + 70]));
    }
    story.quiet();
    assert_eq!(alarms(&story), []);
}

#[test]
fn requests_at_once_behind_a_list_page_are_never_proved() {
    let mut story = Story::new();
    orders(&mut story);
    for order in 1..6 {
        story.run(DETAIL, &ints(&[order, 21]), &[ints(&[order, order + 70])]);
    }
    story.quiet();
    assert!(
        alarms(&story)
            .iter()
            .all(|alarm| alarm.1 == Confidence::Likely)
    );
}

#[test]
fn a_poller() {
    let mut story = Story::new();
    for _ in 0..20 {
        story.run(DETAIL, &ints(&[3, 21]), &[ints(&[3, 73])]);
        story.pause(25);
    }
    story.quiet();
    assert_eq!(story.found().len(), 0);
}

#[test]
fn ids_that_agree_by_chance() {
    let tags = r#"SELECT "shop_tag"."id" FROM "shop_tag""#;
    let mut story = Story::new();
    story.run(tags, &[], &column(&[1, 2, 3, 4, 5]));
    for customer in 1..6 {
        story.run(CUSTOMER, &ints(&[customer, 21]), &column(&[customer]));
    }
    story.close();
    assert_eq!(alarms(&story), []);
}

#[test]
fn batches() {
    let items = r#"SELECT "shop_item"."id", "shop_item"."order_id" FROM "shop_item" WHERE "shop_item"."order_id" IN ($1 /*, ... */)"#;
    let mut story = Story::new();
    for _ in 0..5 {
        orders(&mut story);
        story.run(items, &[V::Many], &[ints(&[1, 1]), ints(&[2, 1])]);
    }
    story.close();
    assert_eq!(
        story
            .found()
            .into_iter()
            .filter(|finding| finding.kind != Kind::Duplicate)
            .count(),
        0
    );
}

#[test]
fn chunks_by_key_and_by_offset() {
    let by_key = r#"SELECT "shop_order"."id" FROM "shop_order" WHERE "shop_order"."id" > $1 ORDER BY "shop_order"."id" ASC LIMIT $2"#;
    let by_offset = r#"SELECT "shop_customer"."id" FROM "shop_customer" WHERE "shop_customer"."country_id" = $1 ORDER BY "shop_customer"."id" ASC LIMIT $2 OFFSET $3"#;
    let mut story = Story::new();
    for chunk in 0..6 {
        let ids: Vec<i64> = (chunk * 3 + 1..chunk * 3 + 4).collect();
        story.run(by_key, &ints(&[chunk * 3, 3]), &column(&ids));
        story.run(by_offset, &ints(&[4, 3, chunk * 3]), &column(&ids));
    }
    story.close();
    assert_eq!(story.found().len(), 0);
}

#[test]
fn a_queue() {
    let take = r#"SELECT "shop_job"."id" FROM "shop_job" WHERE "shop_job"."done" = $1 ORDER BY "shop_job"."id" ASC LIMIT $2 FOR UPDATE SKIP LOCKED"#;
    let done = r#"UPDATE "shop_job" SET "done" = $1 WHERE "shop_job"."id" = $2"#;
    let mut story = Story::new();
    for job in 1..9 {
        story.run("BEGIN", &[], &[]);
        story.run(take, &ints(&[0, 1]), &column(&[job]));
        story.write(done, &ints(&[1, job]), 1);
        story.run("COMMIT", &[], &[]);
    }
    story.close();
    assert_eq!(story.found().len(), 0);
}

#[test]
fn many_rows_in_few_statements() {
    let insert = r#"INSERT INTO "shop_note" ("text") VALUES ($1) RETURNING "shop_note"."id""#;
    let mut story = Story::new();
    for _ in 0..4 {
        story.write(insert, &[V::Many], 100);
    }
    story.close();
    assert_eq!(story.found().len(), 0);
}

#[test]
fn migrations() {
    let record = r#"INSERT INTO "django_migrations" ("app", "name") VALUES ($1, $2) RETURNING "django_migrations"."id""#;
    let look = r#"SELECT "django_content_type"."id" FROM "django_content_type" WHERE "django_content_type"."app_label" = $1"#;
    let mut story = Story::new();
    for number in 0..6 {
        story.run("BEGIN", &[], &[]);
        story.run(
            &format!(r#"CREATE TABLE "t{number}" ("id" bigint)"#),
            &[],
            &[],
        );
        story.run(
            record,
            &ints(&[500 + number, 600 + number]),
            &column(&[number]),
        );
        story.run("COMMIT", &[], &[]);
        story.run(look, &ints(&[500 + number]), &column(&[number]));
    }
    story.close();
    assert_eq!(story.found().len(), 0);
}

#[test]
fn a_poller_whose_pauses_do_not_stand_out() {
    let mut story = Story::new();
    for order in 1..9 {
        story.run(DETAIL, &ints(&[order, 21]), &[ints(&[order, order + 70])]);
        story.run(CUSTOMER, &ints(&[order + 70, 21]), &column(&[order + 70]));
        story.pause(3);
    }
    story.quiet();
    assert_eq!(alarms(&story), []);
}

#[test]
fn a_loop_that_a_pause_has_cut() {
    let mut story = Story::new();
    orders(&mut story);
    for customer in 71..73 {
        story.run(CUSTOMER, &ints(&[customer, 21]), &column(&[customer]));
    }
    // So long that the unit is over by then.
    story.quiet();
    for customer in 73..90 {
        story.run(CUSTOMER, &ints(&[customer, 21]), &column(&[customer]));
    }
    story.quiet();
    assert_eq!(story.found().len(), 0);
}

/// One connection of a pool serves request after request, and nothing tells where one begins.
fn asked_again(statements: &[&str], times: usize, gap_ms: u64) -> Story {
    let other = r#"SELECT "shop_tag"."id" FROM "shop_tag""#;
    let mut story = Story::new();
    story.run(other, &[], &column(&[1]));
    story.pause(200);
    for _ in 0..times {
        for statement in statements {
            story.run(statement, &[], &column(&[1, 2]));
        }
        story.pause(gap_ms);
    }
    story.pause(200);
    story.run(other, &[], &column(&[1]));
    story.close();
    story
}

#[test]
fn a_page_that_requests_ask_for_at_once_repeats_nothing() {
    let categories = r#"SELECT "shop_category"."id" FROM "shop_category""#;
    let settings = r#"SELECT "shop_setting"."id" FROM "shop_setting""#;
    assert_eq!(asked_again(&[categories], 4, 6).found().len(), 0);
    assert_eq!(asked_again(&[categories, settings], 4, 1).found().len(), 0);
}

#[test]
fn what_repeats_as_fast_as_a_loop_does_is_one() {
    let categories = r#"SELECT "shop_category"."id" FROM "shop_category""#;
    let story = asked_again(&[categories], 4, 0);
    let finding = story.only();
    assert_eq!(
        (finding.kind, finding.confidence),
        (Kind::Duplicate, Confidence::Likely)
    );
}

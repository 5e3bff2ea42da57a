use super::*;

const ORDERS: &str =
    r#"SELECT "shop_order"."id", "shop_order"."customer_id" FROM "shop_order" LIMIT $1"#;
const CUSTOMER: &str = r#"SELECT "shop_customer"."id", "shop_customer"."country_id" FROM "shop_customer" WHERE "shop_customer"."id" = $1 LIMIT $2"#;
const COUNTRY: &str =
    r#"SELECT "shop_country"."id" FROM "shop_country" WHERE "shop_country"."id" = $1 LIMIT $2"#;
const ITEMS: &str = r#"SELECT "shop_orderitem"."id", "shop_orderitem"."order_id", "shop_orderitem"."product_id" FROM "shop_orderitem" WHERE "shop_orderitem"."order_id" = $1"#;
const PRODUCT: &str =
    r#"SELECT "shop_product"."id" FROM "shop_product" WHERE "shop_product"."id" = $1 LIMIT $2"#;
const COUNT: &str =
    r#"SELECT COUNT(*) AS "__count" FROM "shop_orderitem" WHERE "shop_orderitem"."order_id" = $1"#;

fn orders(story: &mut Story, rows: &[(i64, i64)]) {
    let rows: Vec<Vec<V>> = rows
        .iter()
        .map(|(id, customer)| ints(&[*id, *customer]))
        .collect();
    story.run(ORDERS, &ints(&[10]), &rows);
}

#[test]
fn a_foreign_key_followed() {
    let mut story = Story::new();
    orders(&mut story, &[(1, 71), (2, 72), (3, 71), (4, 74)]);
    for customer in [71, 72, 71, 74] {
        story.run(CUSTOMER, &ints(&[customer, 21]), &[ints(&[customer, 5])]);
    }
    story.close();
    let finding = story.only();
    assert_eq!(
        summary(finding),
        (
            Kind::NPlusOneForward,
            Confidence::Proved,
            "shop_order.customer_id -> shop_customer.id".to_owned()
        )
    );
    let proof = finding.proof.as_ref().unwrap();
    assert_eq!(
        (proof.rows, proof.matched, proof.in_order, proof.distinct),
        (4, 4, 4, 3)
    );
    assert_eq!(finding.queries, 4);
    assert_eq!((finding.queries_before, finding.queries_after), (5, 1));
    assert!((finding.children_per_row - 1.0).abs() < 1e-9);
    // Four statements of 1 ms with half a millisecond behind each.
    assert_eq!(finding.cost_ns, 6 * MS);
}

#[test]
fn nulls_are_skipped() {
    let mut story = Story::new();
    let rows = [
        vec![V::Int(1), V::Int(71)],
        vec![V::Int(2), V::Null],
        vec![V::Int(3), V::Int(73)],
        vec![V::Int(4), V::Int(74)],
    ];
    story.run(ORDERS, &ints(&[10]), &rows);
    for customer in [71, 73, 74] {
        story.run(CUSTOMER, &ints(&[customer, 21]), &[ints(&[customer, 5])]);
    }
    story.close();
    let finding = story.only();
    assert_eq!(finding.confidence, Confidence::Proved);
    assert_eq!(finding.proof.as_ref().unwrap().nulls, 1);
    assert!(finding.detail.is(super::super::Trait::Nullable));
}

#[test]
fn one_customer_of_all_orders_is_no_duplicate() {
    let mut story = Story::new();
    orders(&mut story, &[(1, 71), (2, 71), (3, 71), (4, 71)]);
    for _ in 0..4 {
        story.run(CUSTOMER, &ints(&[71, 21]), &[ints(&[71, 5])]);
    }
    story.close();
    assert_eq!(story.only().kind, Kind::NPlusOneForward);
}

#[test]
fn rows_that_refer_to_it() {
    let mut story = Story::new();
    orders(&mut story, &[(1, 71), (2, 72), (3, 73)]);
    for order in [1, 2, 3] {
        story.run(ITEMS, &ints(&[order]), &[ints(&[order * 10, order, 900])]);
        story.run(COUNT, &ints(&[order]), &[vec![]]);
    }
    story.close();
    let found: Vec<_> = story.found().into_iter().map(summary).collect();
    let parent = "shop_order.id -> shop_orderitem.order_id".to_owned();
    assert_eq!(
        found,
        [
            (Kind::NPlusOneReverse, Confidence::Proved, parent.clone()),
            (Kind::NPlusOneAggregate, Confidence::Proved, parent),
        ]
    );
}

#[test]
fn loops_in_loops_are_one_chain() {
    let mut story = Story::new();
    orders(&mut story, &[(1, 71), (2, 72), (3, 73)]);
    for order in [1, 2, 3] {
        let products = [order * 100 + 1, order * 100 + 2];
        let rows: Vec<_> = products
            .iter()
            .map(|product| ints(&[product * 7, order, *product]))
            .collect();
        story.run(ITEMS, &ints(&[order]), &rows);
        for product in products {
            story.run(PRODUCT, &ints(&[product, 21]), &column(&[product]));
        }
    }
    story.close();
    let finding = story.only();
    assert_eq!(
        summary(finding),
        (
            Kind::NPlusOneForward,
            Confidence::Proved,
            "shop_orderitem.product_id -> shop_product.id".to_owned()
        )
    );
    assert_eq!(finding.chain.len(), 1);
    assert_eq!(finding.chain[0].kind, Kind::NPlusOneReverse);
    assert_eq!(finding.chain[0].parent_table.as_deref(), Some("shop_order"));
    assert_eq!(finding.queries, 9);
}

#[test]
fn a_chain_of_foreign_keys() {
    let mut story = Story::new();
    orders(&mut story, &[(1, 71), (2, 72), (3, 73), (4, 74)]);
    for customer in [71, 72, 73, 74] {
        story.run(
            CUSTOMER,
            &ints(&[customer, 21]),
            &[ints(&[customer, customer % 3 + 500])],
        );
        story.run(
            COUNTRY,
            &ints(&[customer % 3 + 500, 21]),
            &column(&[customer % 3 + 500]),
        );
    }
    story.close();
    let finding = story.only();
    assert_eq!(
        summary(finding).2,
        "shop_customer.country_id -> shop_country.id"
    );
    assert_eq!(finding.chain.len(), 1);
}

#[test]
fn deferred_columns_and_rows_read_again() {
    let names = r#"SELECT "shop_product"."id" FROM "shop_product""#;
    let column_again = r#"SELECT "shop_product"."id", "shop_product"."description" FROM "shop_product" WHERE "shop_product"."id" = $1 LIMIT $2"#;
    let mut story = Story::new();
    story.run(names, &[], &column(&[31, 32, 33]));
    for product in [31, 32, 33] {
        story.run(column_again, &ints(&[product, 21]), &column(&[product]));
    }
    story.close();
    let finding = story.only();
    assert_eq!(finding.kind, Kind::NPlusOneDeferred);
    assert_eq!(finding.confidence, Confidence::Proved);
    assert_eq!(finding.detail.columns, [Arc::<str>::from("description")]);
}

#[test]
fn through_a_table_between() {
    let products = r#"SELECT "shop_product"."id" FROM "shop_product""#;
    let tags = r#"SELECT "shop_tag"."id" FROM "shop_tag" INNER JOIN "shop_product_tags" ON ("shop_tag"."id" = "shop_product_tags"."tag_id") WHERE "shop_product_tags"."product_id" = $1"#;
    let mut story = Story::new();
    story.run(products, &[], &column(&[31, 32, 33]));
    for product in [31, 32, 33] {
        story.run(tags, &ints(&[product]), &column(&[1, 2]));
    }
    story.close();
    let finding = story.only();
    assert_eq!(
        summary(finding),
        (
            Kind::NPlusOneManyToMany,
            Confidence::Proved,
            "shop_product.id -> shop_product_tags.product_id".to_owned()
        )
    );
    assert_eq!(finding.detail.through.as_deref(), Some("shop_product_tags"));
}

#[test]
fn keys_that_are_texts() {
    let cities = r#"SELECT "geo_city"."id", "geo_city"."country_id" FROM "geo_city""#;
    let country = r#"SELECT "geo_country"."code" FROM "geo_country" WHERE "geo_country"."code" = $1 LIMIT $2"#;
    let mut story = Story::new();
    let codes = ["de", "fr", "it", "de"];
    let rows: Vec<_> = codes
        .iter()
        .enumerate()
        .map(|(id, code)| vec![V::Int(id as i64), V::Text(code)])
        .collect();
    story.run(cities, &[], &rows);
    for code in codes {
        story.run(
            country,
            &[V::Text(code), V::Int(21)],
            &[vec![V::Text(code)]],
        );
    }
    story.close();
    assert_eq!(
        summary(story.only()),
        (
            Kind::NPlusOneForward,
            Confidence::Proved,
            "geo_city.country_id -> geo_country.code".to_owned()
        )
    );
}

#[test]
fn a_pause_is_soft_evidence() {
    let mut story = Story::new();
    // The first page of this process: the template takes its time before it asks for the first customer.
    orders(&mut story, &[(1, 71), (2, 72), (3, 73), (4, 74)]);
    story.pause(78);
    for customer in [71, 72, 73, 74] {
        story.run(CUSTOMER, &ints(&[customer, 21]), &[ints(&[customer, 5])]);
    }
    story.quiet();
    let finding = story.only();
    assert_eq!(
        (finding.kind, finding.confidence),
        (Kind::NPlusOneForward, Confidence::Likely)
    );
}

#[test]
fn one_transaction_holds_what_no_connection_holds() {
    let mut story = Story::new();
    story.run("BEGIN", &[], &[]);
    orders(&mut story, &[(1, 71), (2, 72), (3, 73)]);
    for customer in [71, 72, 73] {
        story.run(CUSTOMER, &ints(&[customer, 21]), &[ints(&[customer, 5])]);
    }
    story.run("COMMIT", &[], &[]);
    story.quiet();
    let finding = story.only();
    assert_eq!(finding.confidence, Confidence::Proved);
    assert_eq!(finding.evidence, crate::unit::Evidence::Transaction);
}

#[test]
fn what_is_not_seen_any_more_is_fixed() {
    let joined = r#"SELECT "shop_order"."id", "shop_order"."customer_id", "shop_customer"."id" FROM "shop_order" INNER JOIN "shop_customer" ON ("shop_order"."customer_id" = "shop_customer"."id") LIMIT $1"#;
    let mut story = Story::new();
    orders(&mut story, &[(1, 71), (2, 72), (3, 73)]);
    for customer in [71, 72, 73] {
        story.run(CUSTOMER, &ints(&[customer, 21]), &[ints(&[customer, 5])]);
    }
    story.close();
    for _ in 0..5 {
        assert_eq!(story.only().status, super::super::Status::Open);
        let rows: Vec<_> = (1..4).map(|id| ints(&[id, id + 70, id + 70])).collect();
        story.run(joined, &ints(&[10]), &rows);
        story.close();
    }
    assert_eq!(story.only().status, super::super::Status::Fixed);
    orders(&mut story, &[(1, 71), (2, 72), (3, 73)]);
    for customer in [71, 72, 73] {
        story.run(CUSTOMER, &ints(&[customer, 21]), &[ints(&[customer, 5])]);
    }
    story.close();
    assert_eq!(story.only().status, super::super::Status::Open);
    assert_eq!(story.only().occurrences, 2);
}

#[test]
fn a_unit_that_grows_is_counted_once() {
    let mut story = Story::new();
    let customers: Vec<i64> = (71..91).collect();
    let rows: Vec<_> = customers
        .iter()
        .map(|customer| (customer - 70, *customer))
        .collect();
    orders(&mut story, &rows);
    for customer in customers {
        story.run(CUSTOMER, &ints(&[customer, 21]), &[ints(&[customer, 5])]);
        let Story {
            detector, units, ..
        } = &mut story;
        for unit in units.open_mut() {
            detector.grown(unit);
        }
    }
    assert_eq!(story.only().queries, 20);
    story.close();
    let finding = story.only();
    assert_eq!(
        (finding.queries, finding.occurrences, finding.units),
        (20, 1, 1)
    );
    let totals: Vec<_> = story.detector.totals().collect();
    assert_eq!(totals.len(), 1);
    assert_eq!(totals[0].2.queries, 20);
}

#[test]
fn every_child_knows_its_parent() {
    let mut story = Story::new();
    orders(&mut story, &[(1, 71), (2, 72), (3, 73), (4, 74)]);
    for customer in [71, 72, 73, 74] {
        story.run(CUSTOMER, &ints(&[customer, 21]), &[ints(&[customer, 5])]);
    }
    let unit = story.units.open_mut().next().unwrap();
    let parents: Vec<_> = unit.timeline().iter().map(|entry| entry.parent).collect();
    assert_eq!(parents, [None, Some(0), Some(0), Some(0), Some(0)]);
}

#[test]
fn a_role_that_another_table_is_called_by() {
    let posts = r#"SELECT "blog_post"."id", "blog_post"."author_id" FROM "blog_post""#;
    let user = r#"SELECT "auth_user"."id" FROM "auth_user" WHERE "auth_user"."id" = $1 LIMIT $2"#;
    let mut story = Story::new();
    story.run(
        r#"SELECT "blog_author"."id" FROM "blog_author""#,
        &[],
        &column(&[901]),
    );
    let authors = [3, 7, 3, 5, 7];
    let rows: Vec<_> = (40..)
        .zip(authors)
        .map(|(id, author)| ints(&[id, author]))
        .collect();
    story.run(posts, &[], &rows);
    for author in authors {
        story.run(user, &ints(&[author, 21]), &column(&[author]));
    }
    story.close();
    assert_eq!(
        summary(story.only()),
        (
            Kind::NPlusOneForward,
            Confidence::Likely,
            "blog_post.author_id -> auth_user.id".to_owned()
        )
    );
}

#[test]
fn children_of_several_attempts_prove_nothing() {
    for (rolled_back, findings) in [(1, 1), (3, 0)] {
        let mut story = Story::new();
        orders(&mut story, &[(1, 71), (2, 72), (3, 73), (4, 74)]);
        for (round, customer) in [71, 72, 73, 74].into_iter().enumerate() {
            story.run("SAVEPOINT s", &[], &[]);
            story.run(CUSTOMER, &ints(&[customer, 21]), &[ints(&[customer, 5])]);
            if round < rolled_back {
                story.run("ROLLBACK TO SAVEPOINT s", &[], &[]);
            }
        }
        story.close();
        let found: Vec<_> = story.found().iter().map(|it| it.confidence).collect();
        assert_eq!(found, vec![Confidence::Likely; findings], "{rolled_back}");
    }
}

#[test]
fn two_lists_that_show_the_same_relation() {
    let visits = r#"SELECT "shop_visit"."id", "shop_visit"."customer_id" FROM "shop_visit""#;
    let mut story = Story::new();
    orders(&mut story, &[(1, 71), (2, 72), (3, 73), (4, 74)]);
    for customer in [71, 72, 73, 74] {
        story.run(CUSTOMER, &ints(&[customer, 21]), &[ints(&[customer, 5])]);
    }
    let rows: Vec<_> = (1..6).map(|id| ints(&[id, id + 90])).collect();
    story.run(visits, &[], &rows);
    for customer in 91..96 {
        story.run(CUSTOMER, &ints(&[customer, 21]), &[ints(&[customer, 5])]);
    }
    story.close();
    let found: Vec<_> = story
        .found()
        .into_iter()
        .map(|finding| (summary(finding), finding.queries))
        .collect();
    let forward = |pattern: &str, queries| {
        (
            (
                Kind::NPlusOneForward,
                Confidence::Proved,
                pattern.to_owned(),
            ),
            queries,
        )
    };
    let mut expected = vec![
        forward("shop_order.customer_id -> shop_customer.id", 4),
        forward("shop_visit.customer_id -> shop_customer.id", 5),
    ];
    if found != expected {
        expected.reverse();
    }
    assert_eq!(found, expected);
}

#[test]
fn one_look_up_of_the_same_shape_before_the_loop() {
    let mut story = Story::new();
    story.run(CUSTOMER, &ints(&[999, 21]), &[ints(&[999, 5])]);
    orders(&mut story, &[(1, 71), (2, 72), (3, 73), (4, 74)]);
    for customer in [71, 72, 73, 74] {
        story.run(CUSTOMER, &ints(&[customer, 21]), &[ints(&[customer, 5])]);
    }
    story.close();
    let finding = story.only();
    assert_eq!(
        (finding.kind, finding.confidence),
        (Kind::NPlusOneForward, Confidence::Proved)
    );
}

#[test]
fn an_exception_inside_a_loop() {
    let mut story = Story::new();
    orders(
        &mut story,
        &[(1, 71), (2, 72), (3, 73), (4, 74), (5, 75), (6, 76)],
    );
    for customer in [71, 72, 73, 999, 74, 75, 76] {
        story.run(CUSTOMER, &ints(&[customer, 21]), &[ints(&[customer, 5])]);
    }
    story.close();
    let finding = story.only();
    assert_eq!(
        (finding.kind, finding.confidence, finding.queries),
        (Kind::NPlusOneForward, Confidence::Likely, 7)
    );
}

//! Relations that are followed row by row.

use super::*;

#[test]
fn forward() {
    let case = flat(
        Kind::NPlusOneForward,
        ("shop_order.customer_id", ORDERS),
        ("shop_customer.id", CUSTOMER),
    )
    .case();
    check(
        &case,
        r#"Order.objects.select_related("customer")"#,
        r#"select_related("customer")  # on the queryset that reads shop_order; by convention from shop_order.customer_id"#,
        true,
    );
    let cursor = Case {
        cursor: true,
        ..case
    };
    check(
        &cursor,
        r#"Order.objects.select_related("customer").iterator()"#,
        r#"select_related("customer").iterator()  # on the queryset that reads shop_order; by convention from shop_order.customer_id"#,
        true,
    );
}

#[test]
fn forward_by_to_field_and_db_column() {
    check(
        &flat(
            Kind::NPlusOneForward,
            ("shop_product.supplied_by", PRODUCTS),
            (
                "shop_supplier.code",
                r#"SELECT "shop_supplier"."id" FROM "shop_supplier" WHERE "shop_supplier"."code" = $1 LIMIT $2"#,
            ),
        )
        .case(),
        r#"Product.objects.select_related("supplier")"#,
        "select_related(<the foreign key with the column shop_product.supplied_by, if it is one>)  # on the queryset that reads shop_product",
        false,
    );
}

#[test]
fn forward_to_itself_and_to_a_text_key() {
    let people =
        r#"SELECT "people_person"."id", "people_person"."manager_id" FROM "people_person""#;
    check(
        &flat(
            Kind::NPlusOneForward,
            ("people_person.manager_id", people),
            (
                "people_person.id",
                r#"SELECT "people_person"."id" FROM "people_person" WHERE "people_person"."id" = $1 LIMIT $2"#,
            ),
        )
        .case(),
        r#"Person.objects.select_related("manager")"#,
        r#"select_related("manager")  # on the queryset that reads people_person; by convention from people_person.manager_id"#,
        true,
    );
    check(
        &flat(
            Kind::NPlusOneForward,
            (
                "shop_customer.country_id",
                r#"SELECT "shop_customer"."country_id" FROM "shop_customer""#,
            ),
            (
                "shop_country.code",
                r#"SELECT "shop_country"."code" FROM "shop_country" WHERE "shop_country"."code" = $1 LIMIT $2"#,
            ),
        )
        .case(),
        r#"Customer.objects.select_related("country")"#,
        r#"select_related("country")  # on the queryset that reads shop_customer; by convention from shop_customer.country_id"#,
        true,
    );
}

#[test]
fn reverse() {
    let case = flat(
        Kind::NPlusOneReverse,
        ("shop_order.id", ORDERS),
        ("shop_orderitem.order_id", ITEMS),
    )
    .case();
    check(
        &case,
        r#"Order.objects.prefetch_related("orderitem_set")"#,
        "prefetch_related(<the reverse accessor of the foreign key shop_orderitem.order_id; orderitem_set unless related_name says otherwise>)  # on the queryset that reads shop_order",
        false,
    );
    let cursor = Case {
        cursor: true,
        ..case
    };
    assert_eq!(
        advise(&cursor, &golden(), &Relations::default()).django,
        r#"Order.objects.prefetch_related("orderitem_set").iterator(chunk_size=2000)"#
    );
    check(
        &flat(
            Kind::NPlusOneReverse,
            ("shop_product.id", PRODUCTS),
            ("shop_review.product_id", REVIEWS),
        )
        .case(),
        r#"Product.objects.prefetch_related("reviews")"#,
        "prefetch_related(<the reverse accessor of the foreign key shop_review.product_id; review_set unless related_name says otherwise>)  # on the queryset that reads shop_product",
        false,
    );
}

#[test]
fn reverse_one_to_one() {
    let case = flat(
        Kind::NPlusOneReverse,
        (
            "people_person.id",
            r#"SELECT "people_person"."id" FROM "people_person""#,
        ),
        (
            "people_badge.person_id",
            r#"SELECT "people_badge"."id" FROM "people_badge" WHERE "people_badge"."person_id" = $1 LIMIT $2"#,
        ),
    )
    .case();
    check(
        &case,
        r#"Person.objects.select_related("badge")"#,
        "select_related(<the reverse accessor of people_badge.person_id, if that is a one-to-one field; badge unless related_name says otherwise>)  # on the queryset that reads people_person",
        false,
    );
    // Its kind is not what decides: with the map the relation is known.
    let called_forward = Case {
        kind: Kind::NPlusOneForward,
        ..case
    };
    assert_eq!(
        advise(&called_forward, &golden(), &Relations::default()).django,
        r#"Person.objects.select_related("badge")"#
    );
}

#[test]
fn a_hidden_relation_has_no_way_back() {
    check(
        &flat(
            Kind::NPlusOneReverse,
            (
                "shop_customer.id",
                r#"SELECT "shop_customer"."id" FROM "shop_customer""#,
            ),
            (
                "shop_address.billed_id",
                r#"SELECT "shop_address"."id" FROM "shop_address" WHERE "shop_address"."billed_id" = $1"#,
            ),
        )
        .case(),
        "Address.objects.filter(billed__in=[...])",
        "prefetch_related(<the reverse accessor of the foreign key shop_address.billed_id; address_set unless related_name says otherwise>)  # on the queryset that reads shop_customer",
        false,
    );
}

#[test]
fn narrowed() {
    check(
        &flat(
            Kind::NPlusOneReverse,
            ("shop_product.id", PRODUCTS),
            (
                "shop_review.product_id",
                r#"SELECT "shop_review"."id" FROM "shop_review" WHERE ("shop_review"."product_id" = $1 AND "shop_review"."n_stars" >= $2 AND "shop_review"."author_id" IS NOT NULL)"#,
            ),
        )
        .case(),
        r#"Product.objects.prefetch_related(Prefetch("reviews", queryset=Review.objects.filter(stars__gte=..., author__isnull=False), to_attr="some_reviews"))"#,
        r#"prefetch_related(Prefetch(<the reverse accessor of the foreign key shop_review.product_id; review_set unless related_name says otherwise>, queryset=<the model of shop_review>.objects.filter(n_stars__gte=..., author_id__isnull=False), to_attr="some_of_them"))  # on the queryset that reads shop_product; by convention from shop_review.n_stars, shop_review.author_id"#,
        false,
    );
}

#[test]
fn the_first_of_several() {
    check(
        &flat(
            Kind::NPlusOneReverse,
            ("shop_product.id", PRODUCTS),
            (
                "shop_review.product_id",
                r#"SELECT "shop_review"."id" FROM "shop_review" WHERE "shop_review"."product_id" = $1 ORDER BY "shop_review"."created_at" DESC, "shop_review"."id" ASC LIMIT $2"#,
            ),
        )
        .case(),
        r#"Product.objects.prefetch_related(Prefetch("reviews", queryset=Review.objects.order_by("-created_at", "pk")[:1], to_attr="first_of_reviews"))"#,
        r#"prefetch_related(Prefetch(<the reverse accessor of the foreign key shop_review.product_id; review_set unless related_name says otherwise>, queryset=<the model of shop_review>.objects.order_by("-created_at", "pk")[:1], to_attr="first_of_them"))  # on the queryset that reads shop_product; by convention from shop_review.created_at"#,
        false,
    );
}

const TAGS: &str = r#"SELECT "shop_tag"."id", "shop_tag"."name" FROM "shop_tag" INNER JOIN "shop_product_tags" ON ("shop_tag"."id" = "shop_product_tags"."tag_id") WHERE "shop_product_tags"."product_id" = $1"#;

#[test]
fn many_to_many() {
    check(
        &flat(
            Kind::NPlusOneManyToMany,
            ("shop_product.id", PRODUCTS),
            ("shop_product_tags.product_id", TAGS),
        )
        .case(),
        r#"Product.objects.prefetch_related("tags")"#,
        r#"prefetch_related("tags")  # on the queryset that reads shop_product; by convention from shop_product_tags"#,
        true,
    );
    check(
        &flat(
            Kind::NPlusOneManyToMany,
            ("shop_tag.id", r#"SELECT "shop_tag"."id" FROM "shop_tag""#),
            (
                "shop_product_tags.tag_id",
                r#"SELECT "shop_product"."id" FROM "shop_product" INNER JOIN "shop_product_tags" ON ("shop_product"."id" = "shop_product_tags"."product_id") WHERE "shop_product_tags"."tag_id" = $1"#,
            ),
        )
        .case(),
        r#"Tag.every.prefetch_related("products")"#,
        "prefetch_related(<the reverse accessor of the many-to-many field tags of shop_product; product_set unless related_name says otherwise>)  # on the queryset that reads shop_tag",
        false,
    );
    check(
        &flat(
            Kind::NPlusOneManyToMany,
            (
                "stock.warehouse.id",
                r#"SELECT "stock"."warehouse"."id" FROM "stock"."warehouse""#,
            ),
            (
                "stock.stock.wh",
                r#"SELECT "shop_product"."id" FROM "shop_product" INNER JOIN "stock"."stock" ON ("shop_product"."id" = "stock"."stock"."prod") WHERE "stock"."stock"."wh" = $1"#,
            ),
        )
        .case(),
        r#"Warehouse.objects.prefetch_related("products")"#,
        "prefetch_related(<the relation that leads over stock.stock to shop_product>)  # on the queryset that reads stock.warehouse",
        false,
    );
    check(
        &flat(
            Kind::NPlusOneManyToMany,
            (
                "people_person.id",
                r#"SELECT "people_person"."id" FROM "people_person""#,
            ),
            (
                "people_person_friends.from_person_id",
                r#"SELECT "people_person"."id" FROM "people_person" INNER JOIN "people_person_friends" ON ("people_person"."id" = "people_person_friends"."to_person_id") WHERE "people_person_friends"."from_person_id" = $1"#,
            ),
        )
        .case(),
        r#"Person.objects.prefetch_related("friends")"#,
        r#"prefetch_related("friends")  # on the queryset that reads people_person; by convention from people_person_friends"#,
        true,
    );
}

#[test]
fn generic_relations_both_ways() {
    check(
        &flat(
            Kind::NPlusOneReverse,
            ("shop_product.id", PRODUCTS),
            (
                "shop_note.target_id",
                r#"SELECT "shop_note"."id" FROM "shop_note" WHERE ("shop_note"."kind_id" = $1 AND "shop_note"."target_id" = $2)"#,
            ),
        )
        .case(),
        r#"Product.objects.prefetch_related("notes")"#,
        r#"prefetch_related(Prefetch(<the reverse accessor of the foreign key shop_note.target_id; note_set unless related_name says otherwise>, queryset=<the model of shop_note>.objects.filter(kind_id=...), to_attr="some_of_them"))  # on the queryset that reads shop_product; by convention from shop_note.kind_id"#,
        false,
    );
    let by_default_names = flat(
        Kind::NPlusOneReverse,
        ("blog_post.id", r#"SELECT "blog_post"."id" FROM "blog_post""#),
        (
            "blog_note.object_id",
            r#"SELECT "blog_note"."id" FROM "blog_note" WHERE ("blog_note"."content_type_id" = $1 AND "blog_note"."object_id" = $2)"#,
        ),
    )
    .case();
    check_without(
        &by_default_names,
        "prefetch_related(<the GenericRelation to blog_note>)  # on the queryset that reads blog_post",
        false,
    );
    check(
        &flat(
            Kind::NPlusOneForward,
            (
                "shop_note.target_id",
                r#"SELECT "shop_note"."id", "shop_note"."kind_id", "shop_note"."target_id" FROM "shop_note""#,
            ),
            (
                "shop_product.id",
                r#"SELECT "shop_product"."id" FROM "shop_product" WHERE "shop_product"."id" = $1 LIMIT $2"#,
            ),
        )
        .case(),
        r#"Note.objects.prefetch_related("target")"#,
        r#"select_related("target")  # on the queryset that reads shop_note; by convention from shop_note.target_id"#,
        true,
    );
}

#[test]
fn inheritance_over_tables() {
    // The key of a child has its parent's values: rows of Restaurant, whose query reads both tables.
    let restaurants = r#"SELECT "shop_place"."id", "shop_restaurant"."place_ptr_id" FROM "shop_restaurant" INNER JOIN "shop_place" ON ("shop_restaurant"."place_ptr_id" = "shop_place"."id")"#;
    let waiters =
        r#"SELECT "shop_waiter"."id" FROM "shop_waiter" WHERE "shop_waiter"."restaurant_id" = $1"#;
    for parent in ["shop_restaurant.place_ptr_id", "shop_place.id"] {
        check(
            &flat(
                Kind::NPlusOneReverse,
                (parent, restaurants),
                ("shop_waiter.restaurant_id", waiters),
            )
            .case(),
            r#"Restaurant.objects.prefetch_related("waiter_set")"#,
            "prefetch_related(<the reverse accessor of the foreign key shop_waiter.restaurant_id; waiter_set unless related_name says otherwise>)  # on the queryset that reads shop_restaurant",
            false,
        );
    }
    check(
        &flat(
            Kind::NPlusOneReverse,
            ("shop_place.id", r#"SELECT "shop_place"."id" FROM "shop_place""#),
            (
                "shop_restaurant.place_ptr_id",
                r#"SELECT "shop_place"."id" FROM "shop_restaurant" INNER JOIN "shop_place" ON ("shop_restaurant"."place_ptr_id" = "shop_place"."id") WHERE "shop_restaurant"."place_ptr_id" = $1 LIMIT $2"#,
            ),
        )
        .case(),
        r#"Place.objects.select_related("restaurant")"#,
        "select_related(<the reverse accessor of the one-to-one field shop_restaurant.place_ptr_id; restaurant unless related_name says otherwise>)  # on the queryset that reads shop_place",
        false,
    );
}

#[test]
fn a_proxy_shares_its_originals_relations() {
    check(
        &flat(
            Kind::NPlusOneForward,
            (
                "shop_parcel.order_id",
                r#"SELECT "shop_parcel"."order_id" FROM "shop_parcel""#,
            ),
            (
                "shop_order.id",
                r#"SELECT "shop_order"."id" FROM "shop_order" WHERE "shop_order"."id" = $1 LIMIT $2"#,
            ),
        )
        .case(),
        r#"Parcel.objects.select_related("order")"#,
        r#"select_related("order")  # on the queryset that reads shop_parcel; by convention from shop_parcel.order_id"#,
        true,
    );
}

#[test]
fn over_a_row_that_nobody_reads() {
    check(
        &flat(
            Kind::NPlusOneReverse,
            ("shop_order.customer_id", ORDERS),
            (
                "shop_address.customer_id",
                r#"SELECT "shop_address"."id" FROM "shop_address" WHERE "shop_address"."customer_id" = $1"#,
            ),
        )
        .case(),
        r#"Order.objects.prefetch_related("customer__addresses")"#,
        r#"prefetch_related("customer__<the reverse accessor of the foreign key shop_address.customer_id; address_set unless related_name says otherwise>")  # on the queryset that reads shop_order; by convention from shop_order.customer_id"#,
        false,
    );
}

#[test]
fn nested_loops() {
    let items = r#"SELECT "shop_orderitem"."id", "shop_orderitem"."product_id" FROM "shop_orderitem" WHERE "shop_orderitem"."order_id" = $1"#;
    let product =
        r#"SELECT "shop_product"."id" FROM "shop_product" WHERE "shop_product"."id" = $1 LIMIT $2"#;
    check(
        &Loop {
            chain: &[("shop_order.id", "shop_orderitem.order_id")],
            ..flat(
                Kind::NPlusOneForward,
                ("shop_orderitem.product_id", items),
                ("shop_product.id", product),
            )
        }
        .case(),
        r#"Order.objects.prefetch_related("orderitem_set__product")"#,
        r#"prefetch_related("<the reverse accessor of the foreign key shop_orderitem.order_id; orderitem_set unless related_name says otherwise>__product")  # on the queryset that reads shop_order; by convention from shop_orderitem.product_id"#,
        false,
    );
    let customers = r#"SELECT "shop_customer"."id", "shop_customer"."country_id" FROM "shop_customer" WHERE "shop_customer"."id" = $1 LIMIT $2"#;
    check(
        &Loop {
            chain: &[("shop_order.customer_id", "shop_customer.id")],
            ..flat(
                Kind::NPlusOneForward,
                ("shop_customer.country_id", customers),
                (
                    "shop_country.code",
                    r#"SELECT "shop_country"."code" FROM "shop_country" WHERE "shop_country"."code" = $1 LIMIT $2"#,
                ),
            )
        }
        .case(),
        r#"Order.objects.select_related("customer__country")"#,
        r#"select_related("customer__country")  # on the queryset that reads shop_order; by convention from shop_order.customer_id, shop_customer.country_id"#,
        true,
    );
    check(
        &Loop {
            chain: &[("shop_product.id", "shop_product_tags.product_id")],
            ..flat(
                Kind::NPlusOneAggregate,
                ("shop_tag.id", TAGS),
                (
                    "shop_product_tags.tag_id",
                    r#"SELECT COUNT(*) AS "__count" FROM "shop_product_tags" WHERE "shop_product_tags"."tag_id" = $1"#,
                ),
            )
        }
        .case(),
        r#"Product.objects.prefetch_related(Prefetch("tags", queryset=Tag.every.annotate(products_count=Count("products"))))"#,
        r#"prefetch_related(Prefetch("tags", queryset=<the model of shop_tag>.objects.annotate(count=Count(<the query name of the foreign key shop_product_tags.tag_id>))))  # on the queryset that reads shop_product; by convention from shop_product_tags"#,
        false,
    );
}

#[test]
fn a_joined_parent_gives_the_path_from_its_own_table() {
    let joined = r#"SELECT "shop_order"."id", "shop_customer"."id", "shop_customer"."country_id" FROM "shop_order" INNER JOIN "shop_customer" ON ("shop_order"."customer_id" = "shop_customer"."id")"#;
    check(
        &flat(
            Kind::NPlusOneForward,
            ("shop_customer.country_id", joined),
            (
                "shop_country.code",
                r#"SELECT "shop_country"."code" FROM "shop_country" WHERE "shop_country"."code" = $1 LIMIT $2"#,
            ),
        )
        .case(),
        r#"Order.objects.select_related("customer__country")"#,
        r#"select_related("customer__country")  # on the queryset that reads shop_order; by convention from shop_order.customer_id, shop_customer.country_id"#,
        true,
    );
}

#[test]
fn a_column_that_led_to_several_tables_is_a_generic_foreign_key() {
    let case = flat(
        Kind::NPlusOneForward,
        (
            "blog_note.about_id",
            r#"SELECT "blog_note"."id", "blog_note"."about_id" FROM "blog_note""#,
        ),
        (
            "blog_post.id",
            r#"SELECT "blog_post"."id" FROM "blog_post" WHERE "blog_post"."id" = $1 LIMIT $2"#,
        ),
    )
    .case();
    check_without(
        &case,
        r#"select_related("about")  # on the queryset that reads blog_note; by convention from blog_note.about_id"#,
        true,
    );
    let several = Case {
        generic: Generic::Certain,
        ..case.clone()
    };
    check_without(
        &several,
        "prefetch_related(<the GenericForeignKey over blog_note.about_id>)  # on the queryset that reads blog_note",
        false,
    );
    let typed = Case {
        generic: Generic::Possible,
        ..case
    };
    check_without(
        &typed,
        "prefetch_related(<the GenericForeignKey over blog_note.about_id, or the foreign key of that column>)  # on the queryset that reads blog_note",
        false,
    );
}

#[test]
fn a_slice_is_no_single_row() {
    let case = flat(
        Kind::NPlusOneReverse,
        ("shop_product.id", PRODUCTS),
        (
            "shop_review.product_id",
            r#"SELECT "shop_review"."id" FROM "shop_review" WHERE "shop_review"."product_id" = $1 LIMIT $2"#,
        ),
    )
    .case();
    let case = Case {
        operation: Operation::First {
            ordering: Vec::new(),
            rows: FirstRows::Several,
        },
        ..case
    };
    assert_eq!(
        advise(&case, &golden(), &Relations::default()).django,
        r#"Product.objects.prefetch_related(Prefetch("reviews", queryset=Review.objects.all()[:...], to_attr="first_of_reviews"))"#
    );
}

#[test]
fn a_condition_on_a_joined_table_goes_over_its_relation() {
    check(
        &flat(
            Kind::NPlusOneReverse,
            ("shop_product.id", PRODUCTS),
            (
                "shop_review.product_id",
                r#"SELECT "shop_review"."id" FROM "shop_review" INNER JOIN "shop_customer" ON ("shop_review"."author_id" = "shop_customer"."id") WHERE ("shop_review"."product_id" = $1 AND "shop_customer"."country_id" = $2)"#,
            ),
        )
        .case(),
        r#"Product.objects.prefetch_related(Prefetch("reviews", queryset=Review.objects.filter(author__country=...), to_attr="some_reviews"))"#,
        r#"prefetch_related(Prefetch(<the reverse accessor of the foreign key shop_review.product_id; review_set unless related_name says otherwise>, queryset=<the model of shop_review>.objects.filter(author__country_id=...), to_attr="some_of_them"))  # on the queryset that reads shop_product; by convention from shop_review.author_id, shop_customer.country_id"#,
        false,
    );
}

#[test]
fn a_row_that_the_parents_query_joins_already_is_not_joined_again() {
    let badges = r#"SELECT "people_badge"."id", "people_person"."id", "people_person"."manager_id" FROM "people_badge" INNER JOIN "people_person" ON ("people_badge"."person_id" = "people_person"."id")"#;
    check(
        &flat(
            Kind::NPlusOneForward,
            ("people_badge.person_id", badges),
            (
                "people_person.id",
                r#"SELECT "people_person"."id" FROM "people_person" WHERE "people_person"."id" = $1 LIMIT $2"#,
            ),
        )
        .case(),
        r#"Badge.objects.select_related("person__manager")"#,
        r#"select_related("person__<a foreign key of people_person to itself, if the loop follows one>")  # on the queryset that reads people_badge; by convention from people_badge.person_id"#,
        false,
    );
    let orders = r#"SELECT "shop_order"."id", "shop_customer"."id" FROM "shop_order" INNER JOIN "shop_customer" ON ("shop_order"."customer_id" = "shop_customer"."id")"#;
    let case = flat(
        Kind::NPlusOneForward,
        ("shop_order.customer_id", orders),
        ("shop_customer.id", CUSTOMER),
    )
    .case();
    assert_eq!(
        advise(&case, &golden(), &Relations::default()).django,
        r#"# in the loop: use "customer" of the rows of Order, whose query reads Customer already"#
    );
    // A join for a condition alone reads nothing.
    let filtered = r#"SELECT "shop_order"."id", "shop_order"."customer_id" FROM "shop_order" INNER JOIN "shop_customer" ON ("shop_order"."customer_id" = "shop_customer"."id") WHERE "shop_customer"."name" = $1"#;
    let case = flat(
        Kind::NPlusOneForward,
        ("shop_order.customer_id", filtered),
        ("shop_customer.id", CUSTOMER),
    )
    .case();
    assert_eq!(
        advise(&case, &golden(), &Relations::default()).django,
        r#"Order.objects.select_related("customer")"#
    );
}

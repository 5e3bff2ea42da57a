//! Counts, existence and aggregates for each row.

use super::*;

fn count(child: &'static str, query: &'static str) -> Case {
    flat(
        Kind::NPlusOneAggregate,
        ("shop_product.id", PRODUCTS),
        (child, query),
    )
    .case()
}

#[test]
fn counts() {
    check(
        &count(
            "shop_review.product_id",
            r#"SELECT COUNT(*) AS "__count" FROM "shop_review" WHERE "shop_review"."product_id" = $1"#,
        ),
        r#"Product.objects.annotate(review_count=Count("review"))"#,
        "annotate(count=Count(<the query name of the foreign key shop_review.product_id; review unless related_name says otherwise>))  # on the queryset that reads shop_product",
        false,
    );
}

#[test]
fn counts_with_a_condition_and_beside_another() {
    let case = count(
        "shop_review.product_id",
        r#"SELECT COUNT(*) AS "__count" FROM "shop_review" WHERE ("shop_review"."product_id" = $1 AND "shop_review"."n_stars" >= $2)"#,
    );
    let case = Case {
        siblings: true,
        ..case
    };
    check(
        &case,
        r#"Product.objects.annotate(review_count=Count("review", filter=Q(review__stars__gte=...), distinct=True))"#,
        "annotate(count=Count(<the query name of the foreign key shop_review.product_id; review unless related_name says otherwise>, filter=Q(<the query name of the foreign key shop_review.product_id; review unless related_name says otherwise>__n_stars__gte=...), distinct=True))  # on the queryset that reads shop_product; by convention from shop_review.n_stars",
        false,
    );
}

#[test]
fn counts_over_a_many_to_many_table_with_and_without_its_join() {
    for query in [
        r#"SELECT COUNT(*) AS "__count" FROM "shop_product_tags" WHERE "shop_product_tags"."product_id" = $1"#,
        r#"SELECT COUNT(*) AS "__count" FROM "shop_tag" INNER JOIN "shop_product_tags" ON ("shop_tag"."id" = "shop_product_tags"."tag_id") WHERE "shop_product_tags"."product_id" = $1"#,
    ] {
        check(
            &count("shop_product_tags.product_id", query),
            r#"Product.objects.annotate(tags_count=Count("tags"))"#,
            r#"annotate(tags_count=Count("tags"))  # on the queryset that reads shop_product; by convention from shop_product_tags"#,
            true,
        );
    }
}

#[test]
fn existence() {
    check(
        &count(
            "shop_review.product_id",
            r#"SELECT $1 AS "a" FROM "shop_review" WHERE "shop_review"."product_id" = $2 LIMIT $3"#,
        ),
        r#"Product.objects.annotate(has_review=Exists(Review.objects.filter(product=OuterRef("pk"))))"#,
        r#"annotate(has_any=Exists(<the model of shop_review>.objects.filter(product_id=OuterRef("pk"))))  # on the queryset that reads shop_product; by convention from shop_review.product_id"#,
        false,
    );
    check(
        &count(
            "shop_note.target_id",
            r#"SELECT $1 AS "a" FROM "shop_note" WHERE ("shop_note"."kind_id" = $2 AND "shop_note"."target_id" = $3) LIMIT $4"#,
        ),
        r#"Product.objects.annotate(has_notes=Exists(Note.objects.filter(target_id=OuterRef("pk"), kind=...)))"#,
        r#"annotate(has_any=Exists(<the model of shop_note>.objects.filter(target_id=OuterRef("pk"), kind_id=...)))  # on the queryset that reads shop_product; by convention from shop_note.target_id, shop_note.kind_id"#,
        false,
    );
    check(
        &flat(
            Kind::NPlusOneAggregate,
            ("shop_supplier.code", r#"SELECT "shop_supplier"."id", "shop_supplier"."code" FROM "shop_supplier""#),
            (
                "shop_product.supplied_by",
                r#"SELECT $1 AS "a" FROM "shop_product" WHERE "shop_product"."supplied_by" = $2 LIMIT $3"#,
            ),
        )
        .case(),
        r#"Supplier.objects.annotate(has_supplied=Exists(Product.objects.filter(supplier=OuterRef("code"))))"#,
        r#"annotate(has_any=Exists(<the model of shop_product>.objects.filter(supplied_by=OuterRef("code"))))  # on the queryset that reads shop_supplier; by convention from shop_product.supplied_by, shop_supplier.code"#,
        false,
    );
    check(
        &flat(
            Kind::NPlusOneAggregate,
            ("shop_order.customer_id", ORDERS),
            (
                "shop_address.customer_id",
                r#"SELECT $1 AS "a" FROM "shop_address" WHERE "shop_address"."customer_id" = $2 LIMIT $3"#,
            ),
        )
        .case(),
        r#"Order.objects.annotate(has_addresses=Exists(Address.objects.filter(customer=OuterRef("customer_id"))))"#,
        r#"annotate(has_any=Exists(<the model of shop_address>.objects.filter(customer_id=OuterRef("customer_id"))))  # on the queryset that reads shop_order; by convention from shop_address.customer_id, shop_order.customer_id"#,
        false,
    );
}

#[test]
fn aggregates() {
    let case = count(
        "shop_review.product_id",
        r#"SELECT AVG("shop_review"."n_stars") AS "a" FROM "shop_review" WHERE "shop_review"."product_id" = $1"#,
    );
    check(
        &case,
        r#"Product.objects.annotate(review_stars_avg=Avg("review__stars"))"#,
        r#"annotate(avg=Avg("<the query name of the foreign key shop_review.product_id; review unless related_name says otherwise>__n_stars"))  # on the queryset that reads shop_product; by convention from shop_review.n_stars"#,
        false,
    );
    let case = Case {
        siblings: true,
        ..case
    };
    check(
        &case,
        r#"Product.objects.annotate(stars_avg=Subquery(Review.objects.filter(product=OuterRef("pk")).values("product").annotate(it=Avg("stars")).values("it")))"#,
        r#"annotate(n_stars_avg=Subquery(<the model of shop_review>.objects.filter(product_id=OuterRef("pk")).values("product_id").annotate(it=Avg("n_stars")).values("it")))  # on the queryset that reads shop_product; by convention from shop_review.product_id, shop_review.n_stars"#,
        false,
    );
}

#[test]
fn figures_by_values_that_are_no_relation() {
    check(
        &flat(
            Kind::NPlusOneAggregate,
            ("shop_customer.name", r#"SELECT "shop_customer"."name" FROM "shop_customer""#),
            (
                "shop_product.name",
                r#"SELECT COUNT(*) AS "__count" FROM "shop_product" WHERE "shop_product"."name" = $1"#,
            ),
        )
        .case(),
        r#"Product.objects.filter(name__in=[...]).values("name").annotate(count=Count("pk"))"#,
        "annotate(count=Count(<the query name of the foreign key shop_product.name, if it is one; product unless related_name says otherwise>))  # on the queryset that reads shop_customer",
        false,
    );
}

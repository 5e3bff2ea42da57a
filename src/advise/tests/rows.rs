//! Deferred columns, look-ups, repetitions.

use super::*;

#[test]
fn deferred_columns_and_whole_rows() {
    check(
        &flat(
            Kind::NPlusOneDeferred,
            ("shop_product.id", PRODUCTS),
            (
                "shop_product.id",
                r#"SELECT "shop_product"."id", "shop_product"."descr" FROM "shop_product" WHERE "shop_product"."id" = $1 LIMIT $2"#,
            ),
        )
        .case(),
        r#"Product.objects.only(..., "description")  # or take "description" out of defer()"#,
        r#"only(..., "descr")  # on the queryset that reads shop_product; or take "descr" out of defer(); by convention from shop_product.descr"#,
        true,
    );
    let case = flat(
        Kind::NPlusOneDeferred,
        ("shop_product.id", PRODUCTS),
        (
            "shop_product.id",
            r#"SELECT "shop_product"."id", "shop_product"."name", "shop_product"."supplied_by" FROM "shop_product" WHERE "shop_product"."id" = $1 LIMIT $2"#,
        ),
    )
    .case();
    let advice = advise(&case, &golden(), &Relations::default());
    assert_eq!(advice.title, "Use the rows of Product that were read");
    assert!(advice.complete);
}

#[test]
fn lookups() {
    let lookup = |child, query| Loop {
        kind: Kind::QueryLoop,
        parent: None,
        child: (child, query),
        chain: &[],
    };
    check(
        &lookup("shop_customer.id", CUSTOMER).case(),
        "Customer.objects.in_bulk([...])",
        "in_bulk([...])  # on the manager of the model of shop_customer",
        true,
    );
    check(
        &lookup(
            "shop_customer.email",
            r#"SELECT "shop_customer"."id" FROM "shop_customer" WHERE "shop_customer"."email" = $1 LIMIT $2"#,
        )
        .case(),
        "Customer.objects.filter(email__in=[...])",
        "filter(email__in=[...])  # on the manager of the model of shop_customer; by convention from shop_customer.email",
        true,
    );
    // A flow between two columns that no relation of the project connects.
    check(
        &flat(
            Kind::NPlusOneForward,
            ("shop_country.code", r#"SELECT "shop_country"."code" FROM "shop_country""#),
            (
                "shop_supplier.code",
                r#"SELECT "shop_supplier"."id" FROM "shop_supplier" WHERE "shop_supplier"."code" = $1 LIMIT $2"#,
            ),
        )
        .case(),
        "Supplier.objects.filter(code__in=[...])",
        "select_related(<the foreign key with the column shop_country.code, if it is one>)  # on the queryset that reads shop_country",
        false,
    );
}

#[test]
fn duplicates_and_chatty_units_need_no_names() {
    for kind in [Kind::Duplicate, Kind::ChattyUnit] {
        let case = Loop {
            kind,
            parent: None,
            child: ("shop_customer.id", CUSTOMER),
            chain: &[],
        }
        .case();
        for models in [golden(), Models::default()] {
            let advice = advise(&case, &models, &Relations::default());
            assert!(
                advice.complete && advice.django.starts_with("# "),
                "{}",
                advice.django
            );
        }
    }
}

#[test]
fn nothing_known_is_said_openly() {
    for kind in Kind::ALL {
        let advice = advise(&Case::of_kind(kind), &golden(), &Relations::default());
        assert!(
            !advice.title.is_empty() && !advice.django.is_empty(),
            "{kind:?}"
        );
        assert!(!advice.django.contains("None"), "{}", advice.django);
    }
}

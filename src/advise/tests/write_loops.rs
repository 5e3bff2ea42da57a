//! Writes row by row.

use super::*;

fn write(child: &'static str, query: &'static str) -> Case {
    Loop {
        kind: Kind::WriteLoop,
        parent: None,
        child: (child, query),
        chain: &[],
    }
    .case()
}

#[test]
fn inserts() {
    check(
        &write(
            "shop_review.product_id",
            r#"INSERT INTO "shop_review" ("product_id", "n_stars") VALUES ($1, $2) RETURNING "shop_review"."id""#,
        ),
        "Review.objects.bulk_create([...])",
        "bulk_create([...])  # on the manager of the model of shop_review",
        true,
    );
    check(
        &write(
            "shop_restaurant.place_ptr_id",
            r#"INSERT INTO "shop_restaurant" ("place_ptr_id", "serves_pizza") VALUES ($1, $2)"#,
        ),
        "with transaction.atomic(): ...  # bulk_create() takes no model of multi-table inheritance, and Restaurant is one",
        "with transaction.atomic(): ...  # bulk_create() takes no model of multi-table inheritance, and shop_restaurant is one",
        true,
    );
}

#[test]
fn many_to_many_links() {
    check(
        &write(
            "shop_product_tags.tag_id",
            r#"INSERT INTO "shop_product_tags" ("product_id", "tag_id") VALUES ($1, $2) ON CONFLICT DO NOTHING"#,
        ),
        "product.tags.add(*objects)",
        "<the many-to-many field of shop_product_tags>.add(*objects)",
        false,
    );
    check(
        &write(
            "shop_product_tags.tag_id",
            r#"DELETE FROM "shop_product_tags" WHERE ("shop_product_tags"."product_id" = $1 AND "shop_product_tags"."tag_id" IN ($2))"#,
        ),
        "product.tags.remove(*objects)",
        "<the many-to-many field of shop_product_tags, if it has one>.remove(*objects)",
        false,
    );
}

#[test]
fn updates() {
    check(
        &write(
            "shop_review.id",
            r#"UPDATE "shop_review" SET "n_stars" = $1 WHERE "shop_review"."id" = $2"#,
        ),
        r#"Review.objects.bulk_update(objects, ["stars"])  # or one update() where all get the same value"#,
        r#"bulk_update(objects, ["n_stars"])  # on the manager of the model of shop_review; or one update() where all get the same value; by convention from shop_review.n_stars"#,
        true,
    );
    check(
        &write(
            "shop_review.id",
            r#"UPDATE "shop_review" SET "n_stars" = ("shop_review"."n_stars" + $1) WHERE "shop_review"."id" = $2"#,
        ),
        r#"Review.objects.filter(pk__in=[...]).update(stars=F("stars") ...)"#,
        r#"filter(pk__in=[...]).update(n_stars=F("n_stars") ...)  # on the manager of the model of shop_review; by convention from shop_review.n_stars"#,
        true,
    );
    check(
        &write(
            "people_account.id",
            r#"UPDATE "people_account" SET "password" = $1, "last_login" = $2, "username" = $3, "email" = $4, "is_staff" = $5 WHERE "people_account"."id" = $6"#,
        ),
        "Account.objects.bulk_update(objects, [...])  # or one update() where all get the same value",
        "bulk_update(objects, [...])  # on the manager of the model of people_account; or one update() where all get the same value",
        true,
    );
}

#[test]
fn deletes() {
    check(
        &write(
            "shop_review.id",
            r#"DELETE FROM "shop_review" WHERE "shop_review"."id" IN ($1)"#,
        ),
        "Review.objects.filter(pk__in=[...]).delete()",
        "filter(pk__in=[...]).delete()  # on the manager of the model of shop_review",
        true,
    );
}

#[test]
fn get_or_create() {
    let get = |table_column, query| write(table_column, query);
    let unique = r#"SELECT "shop_supplier"."id" FROM "shop_supplier" WHERE "shop_supplier"."code" = $1 LIMIT $2"#;
    check(
        &get("shop_supplier.code", unique),
        "Supplier.objects.bulk_create([...], ignore_conflicts=True)",
        "bulk_create([...], ignore_conflicts=True)  # on the manager of the model of shop_supplier; if code is unique; else filter(code__in=[...]) first; by convention from shop_supplier.code",
        true,
    );
    check(
        &get(
            "shop_supplier.code",
            r#"SELECT "shop_supplier"."id" FROM "shop_supplier" WHERE "shop_supplier"."code" = $1 LIMIT $2 FOR UPDATE"#,
        ),
        r#"Supplier.objects.bulk_create([...], update_conflicts=True, update_fields=[...], unique_fields=["code"])"#,
        "bulk_create([...], update_conflicts=True, update_fields=[...])  # on the manager of the model of shop_supplier; if code is unique; else filter(code__in=[...]) first; by convention from shop_supplier.code",
        true,
    );
    check(
        &get(
            "shop_customer.name",
            r#"SELECT "shop_customer"."id" FROM "shop_customer" WHERE "shop_customer"."name" = $1 LIMIT $2"#,
        ),
        "Customer.objects.filter(name__in=[...])  # then bulk_create([...]) of what is missing",
        "bulk_create([...], ignore_conflicts=True)  # on the manager of the model of shop_customer; if name is unique; else filter(name__in=[...]) first; by convention from shop_customer.name",
        true,
    );
    // What the look-up is by, an INSERT does not say.
    let insert = write(
        "shop_supplier.code",
        r#"INSERT INTO "shop_supplier" ("code") VALUES ($1) RETURNING "shop_supplier"."id""#,
    );
    let case = Case {
        child: None,
        write: Some(Write::GetOrCreate),
        ..insert
    };
    check(
        &case,
        "Supplier.objects.bulk_create([...], ignore_conflicts=True)  # if the look-up is by a unique field; else look up all of them first",
        "bulk_create([...], ignore_conflicts=True)  # on the manager of the model of shop_supplier; if the look-up is by a unique field; else look up all of them first",
        true,
    );
}

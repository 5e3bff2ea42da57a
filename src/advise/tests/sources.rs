//! The model map, and the constraints of a database.

use super::*;

fn models(text: &str) -> Result<Models, String> {
    Models::parse(Path::new("models.json"), text.as_bytes()).map_err(|error| error.to_string())
}

/// The golden file with one thing changed.
fn changed(from: &str, to: &str) -> String {
    let text = String::from_utf8(GOLDEN.to_vec()).unwrap();
    assert!(text.contains(from));
    text.replacen(from, to, 1)
}

#[test]
fn errors_name_the_file_and_the_place() {
    for (text, expected) in [
        (String::new(), "models.json: the file: EOF"),
        ("[]".to_owned(), "models.json: the file: invalid length 0"),
        (
            r#"{"version": 2, "models": "elsewhere"}"#.to_owned(),
            "models.json: version: it is 2, and this pgprism reads 1",
        ),
        (
            r#"{"version": 1}"#.to_owned(),
            "models.json: the file: missing field `models`",
        ),
        (
            changed(r#""kind": "many_to_one""#, r#""kind": "many_to_none""#),
            "models.json: models[0].fields[1].relation.kind: unknown variant `many_to_none`",
        ),
        (
            changed(r#""pk_columns": ["#, r#""pk_columns": [1, "#),
            "models.json: models[0].pk_columns[0]: invalid type: integer `1`",
        ),
        (
            format!("{} {{}}", String::from_utf8(GOLDEN.to_vec()).unwrap()),
            "models.json: the file: trailing characters",
        ),
    ] {
        let error = models(&text).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let missing = Models::read(Path::new("/no/such/models.json")).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("/no/such/models.json: No such file")
    );
    assert!(
        models(&changed(r#""version": 1"#, r#""version": 1, "later": [7]"#)).is_ok(),
        "a key that is not known"
    );
}

#[test]
fn a_file_beyond_the_limit_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models.json");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(FILE_BYTES_MAX + 1).unwrap();
    assert!(matches!(
        Models::read(&path),
        Err(ModelsError::TooLarge { .. })
    ));
    std::fs::write(&path, GOLDEN).unwrap();
    assert_eq!(Models::read(&path).unwrap().len(), golden().len());
}

#[test]
fn tables_are_found_with_and_without_their_schema() {
    let models = golden();
    for (table, label) in [
        ("shop_order", Some("shop.Order")),
        ("public.shop_order", Some("shop.Order")),
        ("stock.warehouse", Some("shop.Warehouse")),
        ("warehouse", Some("shop.Warehouse")),
        ("invoices.lines", Some("legacy.Line")),
        ("INVOICES", Some("legacy.Invoice")),
        ("invoices", None),
        ("elsewhere.warehouse2", None),
    ] {
        let found = models.of_table(table, None).map(|model| &*model.label);
        assert_eq!(found, label, "{table}");
    }
    let by = |label| models.labelled(label).unwrap();
    assert!(models.are_kin(by("shop.Bistro"), by("shop.Place")));
    assert!(!models.are_kin(by("shop.Bistro"), by("shop.Order")));
    assert_eq!(
        models.concrete(by("shop.PriorityOrder")).label,
        "shop.Order"
    );
}

#[test]
fn parents_that_go_in_a_circle_are_no_trap() {
    let text = changed(
        r#""parents": []"#,
        r#""parents": [{"to": "legacy.Line", "field": "x"}]"#,
    );
    let text = text.replacen(
        r#""parents": []"#,
        r#""parents": [{"to": "legacy.Invoice", "field": "x"}]"#,
        1,
    );
    let models = models(&text).unwrap();
    let by = |label| models.labelled(label).unwrap();
    assert!(models.are_kin(by("legacy.Line"), by("legacy.Invoice")));
    assert!(!models.are_kin(by("legacy.Line"), by("shop.Order")));
}

#[test]
fn a_table_that_the_map_does_not_know_goes_by_convention() {
    let case = flat(
        Kind::NPlusOneForward,
        ("shop_order.carrier_id", ORDERS),
        (
            "logistics_carrier.id",
            r#"SELECT "logistics_carrier"."id" FROM "logistics_carrier" WHERE "logistics_carrier"."id" = $1 LIMIT $2"#,
        ),
    )
    .case();
    let advice = advise(&case, &golden(), &Relations::default());
    assert_eq!(
        advice.django,
        r#"Order.objects.select_related("carrier")  # by convention from shop_order.carrier_id"#
    );
    assert!(advice.complete);
}

#[test]
fn the_databases_constraints_decide_where_the_map_is_silent() {
    let case = flat(
        Kind::NPlusOneReverse,
        ("people_person.id", r#"SELECT "people_person"."id" FROM "people_person""#),
        (
            "people_badge.person_id",
            r#"SELECT "people_badge"."id" FROM "people_badge" WHERE "people_badge"."person_id" = $1 LIMIT $2"#,
        ),
    )
    .case();
    let with = |unique: &[&str]| {
        let mut relations = Relations::default();
        relations.learn(
            "people_badge",
            TableKeys {
                primary_key: vec!["id".to_owned()],
                unique: unique.iter().map(|column| (*column).to_owned()).collect(),
                ..TableKeys::default()
            },
        );
        advise(&case, &Models::default(), &relations).django
    };
    assert!(
        with(&["id", "person_id"])
            .starts_with("select_related(<the reverse accessor of the one-to-one field")
    );
    assert!(with(&["id"]).starts_with("prefetch_related(<the reverse accessor of the foreign key"));

    // A key that is called otherwise: forward, although its name does not say so.
    let by_code = flat(
        Kind::NPlusOneReverse,
        ("shop_customer.country_id", r#"SELECT "shop_customer"."country_id" FROM "shop_customer""#),
        (
            "shop_country.code",
            r#"SELECT "shop_country"."code" FROM "shop_country" WHERE "shop_country"."code" = $1 LIMIT $2"#,
        ),
    )
    .case();
    let mut relations = Relations::default();
    relations.learn(
        "shop_customer",
        TableKeys {
            foreign_keys: [("country_id".to_owned(), Place::new("shop_country", "code"))].into(),
            ..TableKeys::default()
        },
    );
    let advice = advise(&by_code, &Models::default(), &relations);
    assert!(
        advice.django.starts_with(r#"select_related("country")"#),
        "{}",
        advice.django
    );
}

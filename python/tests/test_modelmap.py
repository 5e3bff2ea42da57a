"""The map of the test project: against a file that people have read, and against what Django itself does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import django
import pytest
from django.apps import apps
from django.db import connection, models
from django.test.utils import isolate_apps

from django_pgprism.modelmap import MappedField, MappedModel, _model, model_map, split_table

GOLDEN = Path(__file__).parent / "golden" / "models.json"
OURS = ("people.", "shop.", "legacy.")


def mapped(label: str) -> MappedModel:
    return next(model for model in model_map()["models"] if model["label"] == label)


def field(label: str, name: str) -> MappedField:
    return next(field for field in mapped(label)["fields"] if field["name"] == name)


def relation(label: str, name: str, *keys: str) -> list[Any]:
    found: dict[str, Any] = field(label, name)["relation"]  # type: ignore[assignment]
    return [found[key] for key in keys]


def test_the_map_of_the_test_project_is_the_golden_file() -> None:
    """PGPRISM_REWRITE_GOLDEN=1 writes it anew; read the difference before you keep it."""
    # Django's own models differ from version to version, and so does what it says of itself.
    found = model_map()
    found["django"] = ""
    found["models"] = [model for model in found["models"] if model["label"].startswith(OURS)]
    text = json.dumps(found, indent=1) + "\n"
    if os.environ.get("PGPRISM_REWRITE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_every_name_is_one_that_django_knows() -> None:
    for model in model_map()["models"]:
        if model["swapped_by"]:
            continue
        django_model = apps.get_model(model["label"])
        quoted = ".".join(f'"{name}"' for name in (model["db_schema"], model["db_table"]) if name)
        assert connection.ops.quote_name(django_model._meta.db_table) == quoted
        for field in model["fields"]:
            there = field["relation"]
            if there is None or there["to"] is None:
                continue
            to = apps.get_model(there["to"])
            if there["accessor"]:
                assert hasattr(to, there["accessor"]), (model["label"], field["name"])
            if there["query_name"]:
                to._default_manager.filter(**{f"{there['query_name']}__isnull": True})
            columns = {f.column for f in django_model._meta.get_fields() if hasattr(f, "column")}
            assert set(there["from_columns"]) <= columns


def joins(queryset: models.QuerySet[Any]) -> str:
    return str(queryset.query).partition(" WHERE ")[0].partition(" FROM ")[2]


@pytest.mark.parametrize(
    ("label", "name", "joined"),
    [
        ("shop.Product", "supplier", 'INNER JOIN "shop_supplier" ON ("shop_product"."supplied_by" = "shop_supplier"."code")'),
        ("shop.Product", "tags", 'INNER JOIN "shop_product_tags" ON ("shop_product"."id" = "shop_product_tags"."product_id")'),
        ("shop.Warehouse", "products", 'INNER JOIN "stock"."stock" ON ("stock"."warehouse"."id" = "stock"."stock"."wh")'),
        ("shop.Waiter", "restaurant", 'INNER JOIN "shop_restaurant" ON ("shop_waiter"."restaurant_id" = "shop_restaurant"."place_ptr_id")'),
    ],
)
def test_columns_are_those_that_django_joins(label: str, name: str, joined: str) -> None:
    # A field of the other end that the relation does not go by: Django has to join it.
    inner = {"supplier": "id", "tags": "name", "products": "name", "restaurant": "serves_pizza"}[name]
    queryset = apps.get_model(label).objects.filter(**{f"{name}__{inner}": "1"})
    assert joined in joins(queryset)
    found = field(label, name)["relation"]
    assert found
    through = found["through"]
    if through:
        assert f'"{through["db_table"]}"."{through["from_column"]}")' in joined
        assert f'"{found["from_columns"][0]}" = ' in joined
    else:
        assert f'"{found["from_columns"][0]}" = "{found["to_table"]}"."{found["to_columns"][0]}"' in joined


@pytest.mark.parametrize(
    ("label", "name", "accessor", "query_name"),
    [
        ("shop.OrderItem", "order", "orderitem_set", "orderitem"),
        ("shop.OrderItem", "product", None, None),
        ("shop.Order", "customer", "orders", "placed"),
        ("shop.Order", "created_by", "shop_order_created", "created_order"),
        ("shop.Product", "supplier", "product_set", "supplied"),
        ("shop.Product", "tags", "products", "products"),
        ("shop.Product", "secret_tags", None, None),
        ("shop.Product", "notes", None, "product"),
        ("people.Badge", "person", "badge", "badge"),
        ("people.Person", "manager", "reports", "reports"),
        ("people.Person", "follows", "followers", "followers"),
        ("people.Person", "friends", None, None),
        ("shop.Restaurant", "place_ptr", "restaurant", "restaurant"),
        ("shop.Bistro", "restaurant", "as_bistro", "as_bistro"),
        ("shop.Stock", "replaces", "replaced_stock", "replaced_stock"),
        ("people.Account", "groups", "user_set", "user"),
    ],
)
def test_the_way_back(label: str, name: str, accessor: str | None, query_name: str | None) -> None:
    assert relation(label, name, "accessor", "query_name") == [accessor, query_name]


def test_through_tables() -> None:
    def through(label: str, name: str) -> Any:
        return relation(label, name, "through")[0]

    assert through("shop.Product", "tags") == {
        "model": "shop.Product_tags",
        "db_schema": None,
        "db_table": "shop_product_tags",
        "from_column": "product_id",
        "to_column": "tag_id",
    }
    assert through("shop.Warehouse", "products") == {
        "model": "shop.Stock",
        "db_schema": "stock",
        "db_table": "stock",
        "from_column": "wh",
        "to_column": "prod",
    }
    follows = through("people.Person", "follows")
    assert (follows["from_column"], follows["to_column"]) == ("from_person_id", "to_person_id")
    assert through("shop.Product", "secret_tags")["db_table"] == "shop_hidden_tagging"
    made = mapped("shop.Product_tags")
    assert made["auto_created_by"] == "shop.Product"
    assert relation("shop.Product_tags", "tag", "accessor") == [None]


def test_generic_relations() -> None:
    assert relation("shop.Note", "target", "kind", "to", "from_columns", "content_type_column") == [
        "generic_foreign_key",
        None,
        ["target_id"],
        "kind_id",
    ]
    assert relation("shop.Product", "notes", "kind", "to", "from_columns", "to_columns", "content_type_column") == [
        "generic_relation",
        "shop.Note",
        ["id"],
        ["target_id"],
        "kind_id",
    ]
    assert field("shop.Note", "target")["column"] is None
    # A child has its parent's generic relation by inheritance; it is told once.
    assert [field["name"] for field in mapped("shop.Restaurant")["fields"]] == ["place_ptr", "serves_pizza"]


def test_inheritance_proxies_and_swapped_models() -> None:
    assert mapped("shop.Restaurant")["parents"] == [{"to": "shop.Place", "field": "place_ptr"}]
    assert mapped("shop.Bistro")["parents"] == [{"to": "shop.Restaurant", "field": "restaurant"}]
    assert mapped("shop.Bistro")["pk_columns"] == ["restaurant_id"]
    proxy = mapped("shop.PriorityOrder")
    assert (proxy["proxy_for"], proxy["fields"], proxy["db_table"]) == ("shop.Order", [], "shop_order")
    assert relation("shop.Parcel", "order", "to", "to_table", "to_columns") == ["shop.PriorityOrder", "shop_order", ["id"]]
    swapped = mapped("auth.User")
    assert (swapped["swapped_by"], swapped["fields"]) == ("people.Account", [])
    assert not any(model["label"] == "people.Stamped" for model in model_map()["models"])
    assert mapped("legacy.Invoice")["managed"] is False
    assert [mapped(label)["manager"] for label in ("shop.Tag", "shop.Order", "auth.User")] == ["every", "objects", None]
    assert mapped("legacy.Invoice")["pk_columns"] == ["InvoiceNo"]


@pytest.mark.parametrize(
    ("label", "name", "unique"),
    [
        ("shop.Customer", "id", True),
        ("shop.Customer", "email", True),
        ("shop.Customer", "name", False),
        ("shop.Tag", "name", True),
        ("shop.Stock", "product", False),
        ("people.Badge", "person", True),
        ("people.Desk", "person", True),
        ("shop.Product", "tags", False),
    ],
)
def test_unique(label: str, name: str, unique: bool) -> None:
    assert field(label, name)["unique"] is unique


@pytest.mark.parametrize(
    ("db_table", "expected"),
    [
        ("shop_order", (None, "shop_order")),
        ('sales"."order', ("sales", "order")),
        ('"sales"."order"', ("sales", "order")),
        ('"order"', (None, "order")),
        ("sales.order", (None, "sales.order")),
        ('a "quoted" name', (None, 'a ')),
        ('"od""d"."t"', ('od"d', "t")),
    ],
)
def test_schemas(db_table: str, expected: tuple[str | None, str]) -> None:
    assert split_table(db_table) == expected


@isolate_apps("project.shop")
def test_conditional_and_composite_constraints_make_nothing_unique() -> None:
    class Slot(models.Model):
        room = models.IntegerField()
        hour = models.IntegerField()
        person = models.IntegerField()

        class Meta:
            app_label = "shop"
            unique_together = [("person",)]
            constraints = [
                models.UniqueConstraint(fields=["room", "hour"], name="one_at_a_time"),
                models.UniqueConstraint(fields=["room"], condition=models.Q(hour=8), name="first_come"),
            ]

    unique = {field["name"]: field["unique"] for field in _model(Slot)["fields"]}
    assert unique == {"id": True, "room": False, "hour": False, "person": True}


@pytest.mark.skipif(django.VERSION < (5, 2), reason="CompositePrimaryKey is new in Django 5.2")
@isolate_apps("project.shop")
def test_a_composite_primary_key() -> None:
    class Seat(models.Model):
        pk = models.CompositePrimaryKey("row", "number")
        row = models.IntegerField()
        number = models.IntegerField()

        class Meta:
            app_label = "shop"

    found = _model(Seat)
    assert found["pk_columns"] == ["row", "number"]
    assert [(field["name"], field["column"], field["unique"]) for field in found["fields"]] == [
        ("pk", None, False),
        ("row", "row", False),
        ("number", "number", False),
    ]

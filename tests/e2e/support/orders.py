"""Orders and their customers in two small tables, read as an ORM would read them: the shortest way to a finding."""

from __future__ import annotations

from urllib.parse import quote

import psycopg

from .postgres import Address

ORDERS = 12


def prepare(address: Address) -> Address:
    """Makes the tables in that database."""
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TABLE shop_customer (id int PRIMARY KEY, name text)")
        connection.execute("CREATE TABLE shop_order (id int PRIMARY KEY, customer_id int, note text)")
        connection.execute("INSERT INTO shop_customer SELECT 1000 + n, 'c' || n FROM generate_series(1, 50) n")
        connection.execute("INSERT INTO shop_order SELECT n, 1000 + n * 3, '' FROM generate_series(1, 12) n")
    return address


def list_orders(address: Address, route: str = "orders/") -> None:
    """`order.customer.name` in a loop, on a connection of its own: what a view does with CONN_MAX_AGE=0."""
    tag = f" /*route='{quote(route, safe='').replace('%', '%%')}'*/"
    with psycopg.connect(
        address.conninfo(application_name="web"), cursor_factory=psycopg.ClientCursor, autocommit=True
    ) as connection:
        rows = connection.execute(
            'SELECT "shop_order"."id", "shop_order"."customer_id" FROM "shop_order"'
            ' WHERE "shop_order"."id" > %s ORDER BY "shop_order"."id"' + tag,
            [0],
        ).fetchall()
        assert len(rows) == ORDERS
        for _, customer_id in rows:
            connection.execute(
                'SELECT "shop_customer"."id", "shop_customer"."name" FROM "shop_customer"'
                ' WHERE "shop_customer"."id" = %s LIMIT 21' + tag,
                [customer_id],
            )

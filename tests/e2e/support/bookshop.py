"""A few tables and one page with an N+1, for tests that need a finding and no Django."""

from __future__ import annotations

import psycopg

from .postgres import Address

ROWS = 20
_TAG = "/*route='books/'*/"


def furnish(address: Address) -> None:
    with psycopg.connect(address.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TABLE author (id int PRIMARY KEY, name text)")
        connection.execute("CREATE TABLE muted (id int PRIMARY KEY)")
        connection.execute("CREATE TABLE book (id int PRIMARY KEY, author_id int REFERENCES author)")
        connection.execute("CREATE TABLE sink (line text)")
        connection.execute(f"INSERT INTO author SELECT n, 'name' FROM generate_series(1, {ROWS}) n")
        connection.execute(f"INSERT INTO muted SELECT n FROM generate_series(1, {ROWS}) n")
        connection.execute(f"INSERT INTO book SELECT n, n FROM generate_series(1, {ROWS}) n")


def visit(connection: psycopg.Connection) -> None:
    """The page: each book asks for its author."""
    with connection.transaction():
        books = connection.execute(f"SELECT id, author_id FROM book ORDER BY id {_TAG}").fetchall()
        for _, author in books:
            connection.execute(f"SELECT id, name FROM author WHERE id = %s {_TAG}", [author])


def look_up(connection: psycopg.Connection) -> None:
    """A loop over constants, of a table that a test may have pgprism ignore."""
    for number in range(1, 8):
        connection.execute(f"SELECT id FROM muted WHERE id = %s {_TAG}", [number])


def fail(connection: psycopg.Connection) -> None:
    """SQLSTATE 22012."""
    try:
        connection.execute("SELECT 1 / 0")
    except psycopg.errors.DivisionByZero:
        return
    raise AssertionError("1 / 0 has a result")

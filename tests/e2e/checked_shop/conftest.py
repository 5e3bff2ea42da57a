"""Tags the queries of each test, and the rows that most of them look at."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from django.db.backends.signals import connection_created
from shop.models import Author, Book, Customer, Order, OrderItem, Publisher, Review, Stock, Tag

ROWS = 12
_tags: dict[str, str] = {}


def _tag(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    if _tags and isinstance(sql, str):
        pairs = ",".join(f"{key}='{quote(value, safe='')}'" for key, value in _tags.items())
        sql = f"{sql} /*{pairs if params is None else pairs.replace('%', '%%')}*/"
    return execute(sql, params, many, context)


def _install(connection: Any, **_: Any) -> None:
    if _tag not in connection.execute_wrappers:
        connection.execute_wrappers.append(_tag)


connection_created.connect(_install)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fixtures of a class run before the first of its tests, whichever that is: they are nobody's."""
    _tags.update(test=item.nodeid, test_id=secrets.token_hex(8))
    try:
        return (yield)
    finally:
        _tags.clear()


def fill() -> None:
    """Rows of every kind, each with as many others as make a loop."""
    publishers = Publisher.objects.bulk_create(Publisher(name=f"House {n}", city="Utrecht") for n in range(ROWS))
    authors = Author.objects.bulk_create(Author(name=f"Author {n:02}", biography="Writes.") for n in range(ROWS))
    tags = Tag.objects.bulk_create(Tag(name=f"tag {n}") for n in range(3))
    books = Book.objects.bulk_create(
        Book(
            title=f"Book {n:02}", isbn=f"{n:013}", author=authors[n], publisher=publishers[-n], price=Decimal("9.90"),
            description="A book.", published_on=date(2024, 1, 1 + n),
        )
        for n in range(ROWS)
    )
    through = Book.tags.through
    through.objects.bulk_create(through(book_id=book.pk, tag_id=tag.pk) for book in books for tag in tags)
    Stock.objects.bulk_create(Stock(book=book, quantity=n) for n, book in enumerate(books))
    customers = Customer.objects.bulk_create(
        Customer(name=f"Customer {n}", email=f"customer{n}@shop.example") for n in range(ROWS)
    )
    orders = Order.objects.bulk_create(
        Order(customer=customer, placed_at=datetime(2024, 5, 1, tzinfo=UTC) + timedelta(days=n))
        for n, customer in enumerate(customers)
    )
    OrderItem.objects.bulk_create(
        OrderItem(order=order, book=books[(n + m) % ROWS], quantity=1, price=Decimal("9.90"))
        for n, order in enumerate(orders)
        for m in range(2)
    )
    Review.objects.bulk_create(
        Review(book=books[n], customer=customers[-n], stars=n % 5 + 1, text="wonderful") for n in range(ROWS)
    )


@pytest.fixture
def shop(db: None) -> None:
    fill()

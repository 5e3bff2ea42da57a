"""The rows that most tests look at. The plugin of `django_pgprism` tags the queries of each test."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from shop.models import Author, Book, Customer, Order, OrderItem, Publisher, Review, Stock, Tag

ROWS = 12


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

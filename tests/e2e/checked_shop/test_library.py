"""What is called without a request, and what a test does itself."""

from __future__ import annotations

import pytest
from django.test import TransactionTestCase
from shop.models import Author, Book, Order, Publisher, Tag

from conftest import ROWS, fill


@pytest.mark.parametrize("number", range(6))
def test_rows_are_made_one_by_one(db: None, number: int) -> None:
    """A loop of a test is nobody's page."""
    for n in range(ROWS):
        Tag.objects.create(name=f"{number} {n}")
    for _ in range(5):
        assert Tag.objects.get(name=f"{number} 3").name == f"{number} 3"


def test_names_of_publishers(shop: None) -> None:
    """A loop in what a test calls is a finding: rows flow."""
    assert len({book.publisher.name for book in Book.objects.order_by("pk")}) == ROWS


@pytest.mark.parametrize("prefetched", [True, False])
def test_items_of_orders(shop: None, prefetched: bool) -> None:
    orders = Order.objects.prefetch_related("items") if prefetched else Order.objects.all()
    assert sum(len(order.items.all()) for order in orders) == 2 * ROWS


class Committed(TransactionTestCase):
    """Tables are emptied behind each test."""

    def setUp(self) -> None:
        fill()

    def test_authors_have_books(self) -> None:
        assert Author.objects.filter(books__isnull=False).count() == ROWS

    def test_publishers_have_books(self) -> None:
        assert [len(publisher.books.all()) for publisher in Publisher.objects.all()] == [1] * ROWS

"""Pages with a loop of fifty statements or more, each beside the page that the loop's fix makes of it.

Both give the same answer: what differs in time is what the loop costs and the fix saves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Count, Exists, OuterRef
from shop.models import Author, Book, Customer, Order, OrderItem, Publisher, Review, Stock

from shop_site.labels import ROWS

Page = Callable[[], list[Any]]


def _first(model: type, **filters: Any) -> Any:
    return model.objects.filter(**filters).order_by("pk")[:ROWS]


def _publishers() -> list[Any]:
    return [book.publisher.name for book in _first(Book)]


def _publishers_joined() -> list[Any]:
    return [book.publisher.name for book in _first(Book).select_related("publisher")]


def _books() -> list[Any]:
    return [[book.title for book in author.books.all()] for author in _first(Author)]


def _books_prefetched() -> list[Any]:
    return [[book.title for book in author.books.all()] for author in _first(Author).prefetch_related("books")]


def _tags() -> list[Any]:
    return [[tag.name for tag in book.tags.all()] for book in _first(Book)]


def _tags_prefetched() -> list[Any]:
    return [[tag.name for tag in book.tags.all()] for book in _first(Book).prefetch_related("tags")]


def _counts() -> list[Any]:
    return [customer.orders.count() for customer in _first(Customer)]


def _counts_annotated() -> list[Any]:
    return [customer.count for customer in _first(Customer).annotate(count=Count("orders"))]


def _tests() -> list[Any]:
    return [customer.reviews.filter(stars=5).exists() for customer in _first(Customer)]


def _tests_annotated() -> list[Any]:
    best = Review.objects.filter(customer=OuterRef("pk"), stars=5)
    return [customer.pleased for customer in _first(Customer).annotate(pleased=Exists(best))]


def _texts() -> list[Any]:
    return [author.biography for author in _first(Author).only("name")]


def _texts_loaded() -> list[Any]:
    return [author.biography for author in _first(Author).only("name", "biography")]


def _orders() -> list[Any]:
    """Two levels: twenty orders of three items each, and the book of each item."""
    listed = Order.objects.order_by("pk")[: ROWS // 3]
    return [[item.book.title for item in order.items.all()] for order in listed]


def _orders_prefetched() -> list[Any]:
    listed = Order.objects.order_by("pk").prefetch_related("items__book")[: ROWS // 3]
    return [[item.book.title for item in order.items.all()] for order in listed]


def _reviews() -> list[Review]:
    return [Review(book_id=1, customer_id=n, stars=n % 5 + 1, text=f"What {n} thinks of it.") for n in range(1, ROWS + 1)]


def _create() -> list[Any]:
    for review in _reviews():
        review.save()
    return []


def _create_in_bulk() -> list[Any]:
    Review.objects.bulk_create(_reviews())
    return []


def _update() -> list[Any]:
    for stock in _first(Stock):
        stock.quantity += 1
        stock.save(update_fields=["quantity"])
    return []


def _update_in_bulk() -> list[Any]:
    stocks = list(_first(Stock))
    for stock in stocks:
        stock.quantity += 1
    Stock.objects.bulk_update(stocks, ["quantity"])
    return []


def _look_ups() -> list[Any]:
    return [OrderItem.objects.get(pk=n).quantity for n in range(1, ROWS + 1)]


def _look_ups_in_bulk() -> list[Any]:
    found = OrderItem.objects.in_bulk(range(1, ROWS + 1))
    return [found[n].quantity for n in range(1, ROWS + 1)]


def _repeated() -> list[Any]:
    return [Publisher.objects.get(name="Publisher 07").city for _ in range(ROWS)]


def _kept() -> list[Any]:
    publisher = Publisher.objects.get(name="Publisher 07")
    return [publisher.city for _ in range(ROWS)]


# By the names that `labels.py` gives them: problem, fixed.
PAGES: dict[str, tuple[Page, Page]] = {
    "forward": (_publishers, _publishers_joined),
    "reverse": (_books, _books_prefetched),
    "many to many": (_tags, _tags_prefetched),
    "count": (_counts, _counts_annotated),
    "exists": (_tests, _tests_annotated),
    "deferred": (_texts, _texts_loaded),
    "nested": (_orders, _orders_prefetched),
    "create": (_create, _create_in_bulk),
    "update": (_update, _update_in_bulk),
    "look-up": (_look_ups, _look_ups_in_bulk),
    "duplicate": (_repeated, _kept),
}

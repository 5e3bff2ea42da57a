"""What only looks like a loop: pages without a mistake, and the ways in which people and programs call them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from django.db import IntegrityError, transaction
from shop.models import Author, Book, Customer, Order, OrderItem, Publisher, Review, Stock, Tag, Voucher

LISTED = 25


def one() -> list[Any]:
    return [Tag.objects.order_by("pk").first().name]


def listed(page: int) -> list[Any]:
    """A list page as it should be: one query for each relation."""
    start = (page - 1) * LISTED
    books = Book.objects.select_related("author").prefetch_related("tags").order_by("pk")[start : start + LISTED]
    return [[book.pk, book.author.name, len(book.tags.all())] for book in books]


def detail(book: int) -> list[Any]:
    """What a click on a line of the list opens."""
    shown = Book.objects.select_related("author", "publisher").get(pk=book)
    return [shown.title, [review.stars for review in shown.reviews.order_by("-pk")[:5]]]


def status(order: int) -> list[Any]:
    """What a page asks again and again until it changes."""
    return [Order.objects.only("status").get(pk=order).status]


def export() -> list[Any]:
    """A server-side cursor with a prefetch for each chunk."""
    lines = Order.objects.filter(pk__lte=400).order_by("pk").prefetch_related("items").iterator(chunk_size=50)
    return [len(order.items.all()) for order in lines]


def by_key() -> list[Any]:
    """A job in chunks, each from where the last one ended."""
    last, sums = 0, []
    for _ in range(8):
        chunk = list(OrderItem.objects.filter(pk__gt=last).order_by("pk")[:100])
        last = chunk[-1].pk
        sums.append(sum(item.quantity for item in chunk))
    return sums


def by_offset() -> list[Any]:
    return [
        sum(item.quantity for item in OrderItem.objects.order_by("pk")[start : start + 100])
        for start in range(0, 800, 100)
    ]


def queue() -> list[Any]:
    """A worker's five rounds: one job, one transaction."""
    done = []
    for _ in range(5):
        with transaction.atomic():
            order = Order.objects.select_for_update(skip_locked=True).filter(status="open").order_by("pk").first()
            if order is not None:
                order.status = Order.Status.PAID
                order.save(update_fields=["status"])
                done.append(order.pk)
    return done


def in_batches() -> list[Any]:
    """Many rows a statement, and more than two statements."""
    reviews = [Review(book_id=n % 50 + 1, customer_id=n % 50 + 1, stars=3, text="In a batch.") for n in range(300)]
    return [len(Review.objects.bulk_create(reviews, batch_size=60))]


def tables() -> list[Any]:
    """A dashboard: one count for each table."""
    return [model.objects.count() for model in (Author, Book, Customer, Order, Publisher, Stock, Tag, Voucher)]


def cascade() -> list[Any]:
    """One object is deleted, and with it what hangs on it."""
    order = Order.objects.create(customer_id=1, placed_at="2024-01-01T00:00:00Z")
    OrderItem.objects.bulk_create(OrderItem(order=order, book_id=n, quantity=1, price=1) for n in range(1, 5))
    return [order.delete()[0]]


def retried() -> list[Any]:
    """A code that is taken is tried again with another; a savepoint each."""
    codes = ["taken", "taken", "taken", uuid.uuid4().hex[:16]]
    Voucher.objects.get_or_create(code="taken", defaults={"customer_id": 1})
    for code in codes:
        try:
            with transaction.atomic():
                Voucher.objects.create(code=code, customer_id=2)
        except IntegrityError:
            continue
    return codes


PAGES: dict[str, Callable[..., list[Any]]] = {
    "one": one,
    "list/<int:page>": listed,
    "book/<int:book>": detail,
    "status/<int:order>": status,
    "export": export,
    "by-key": by_key,
    "by-offset": by_offset,
    "queue": queue,
    "in-batches": in_batches,
    "tables": tables,
    "cascade": cascade,
    "retried": retried,
}


def visits(chance: random.Random, problems: int) -> Iterator[str]:
    """The addresses that one visitor asks for, one after another: problems, their fixed twins, look-alikes."""
    while True:
        what = chance.choice(("problem", "fixed", "clicks", "polls", "visitors", "quiet", "quiet"))
        if what in ("problem", "fixed"):
            yield f"/pairs/{chance.randrange(problems)}/{what}/"
        elif what == "clicks":
            # The lines of a list are opened in turn.
            page = chance.randrange(1, 5)
            yield f"/quiet/list/{page}/"
            first = (page - 1) * LISTED + 1
            yield from (f"/quiet/book/{book}/" for book in range(first, first + 8))
        elif what == "polls":
            order = chance.randrange(1, 100)
            yield from [f"/quiet/status/{order}/"] * 6
        elif what == "visitors":
            # The same page by many people.
            yield from (f"/quiet/book/{chance.randrange(1, 100)}/" for _ in range(6))
        else:
            yield f"/quiet/{chance.choice([route for route in PAGES if '<' not in route])}/"

"""Rows of the shop."""

from datetime import date
from decimal import Decimal

from shop.models import Author, Book, Publisher, Stock

BOOKS = 12


def fill() -> None:
    """Books, each with an author and a publisher of its own: four statements."""
    numbers = range(BOOKS)
    publishers = Publisher.objects.bulk_create(Publisher(name=f"Publisher {n}", city="Utrecht") for n in numbers)
    authors = Author.objects.bulk_create(Author(name=f"Author {n}", biography="Writes.") for n in numbers)
    books = Book.objects.bulk_create(
        Book(
            title=f"Book {n}", isbn=f"{n:013}", author=authors[n], publisher=publishers[n], price=Decimal("9.90"),
            description="A book.", published_on=date(2024, 1, 1),
        )
        for n in numbers
    )
    Stock.objects.bulk_create(Stock(book=book, quantity=1) for book in books)

"""Tests of a few pages, as a project has them: `pgprism run -- ./manage.py test` shows what their queries are."""

from datetime import date
from decimal import Decimal

from django.test import TestCase

from shop.models import Author, Book, Publisher, Stock

BOOKS = 12


class Pages(TestCase):
    @classmethod
    def setUpTestData(cls):
        publisher = Publisher.objects.create(name="Blue Door", city="Utrecht")
        for number in range(BOOKS):
            author = Author.objects.create(name=f"Author {number}", biography="Writes.")
            book = Book.objects.create(
                title=f"Book {number}",
                isbn=f"{number:013}",
                author=author,
                publisher=publisher,
                price=Decimal("9.90"),
                description="A book.",
                published_on=date(2024, 1, 1),
            )
            Stock.objects.create(book=book, quantity=number)

    def test_books_are_listed_with_their_authors(self):
        for address in ("/books/", "/bad/books/"):
            page = self.client.get(address)
            self.assertEqual(page.status_code, 200)
            self.assertContains(page, "Author 7")

    def test_authors_are_listed_with_their_books(self):
        for address in ("/authors/", "/bad/authors/"):
            self.assertContains(self.client.get(address), "Book 7")

    def test_stock_is_shown(self):
        stock = self.client.get("/bad/stock/").json()["stock"]
        self.assertEqual(len(stock), BOOKS)

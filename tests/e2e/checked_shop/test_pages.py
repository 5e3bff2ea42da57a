"""Every page answers."""

from __future__ import annotations

import pytest
from django.test import Client, TestCase
from shop.models import Author, Book, Customer

from conftest import ROWS, fill

PAGES = [
    "/", "/books/", "/books/best/", "/authors/", "/orders/", "/search/?q=wonderful", "/reports/sales/",
    "/reports/rivals/", "/bad/books/", "/bad/authors/", "/bad/tags/", "/bad/orders/", "/bad/counts/", "/bad/stock/",
    "/bad/descriptions/", "/bad/columns/", "/login/",
]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_answers(shop: None, client: Client, page: str) -> None:
    assert client.get(page).status_code == 200


@pytest.mark.parametrize("page", ["/books/", "/bad/books/"])
@pytest.mark.parametrize("number", [1, 2])
def test_pages_are_numbered(shop: None, client: Client, page: str, number: int) -> None:
    assert client.get(page, {"page": number}).status_code == 200


@pytest.mark.django_db
def test_an_empty_shop_has_pages_too(client: Client) -> None:
    assert client.get("/books/").status_code == 200


class Writes(TestCase):
    """One transaction holds what the class needs and all of its tests."""

    @classmethod
    def setUpTestData(cls) -> None:
        fill()

    def test_prices_are_raised_one_by_one(self) -> None:
        author = Author.objects.get(name="Author 03")
        book = author.books.get()
        for n in range(4):
            book.pk, book.isbn = None, f"copy{n}"
            book.save()
        assert self.client.post("/bad/prices/", {"author": author.pk}).json() == {"changed": 5}

    def test_an_order_is_placed(self) -> None:
        customer = Customer.objects.first()
        books = list(Book.objects.values_list("pk", flat=True)[:3])
        answer = self.client.post("/checkout/", {"customer": customer.pk, "book": books, "voucher": "once"})
        assert answer.json()["items"] == 3

    def test_a_voucher_is_redeemed_once(self) -> None:
        customer = Customer.objects.first()
        form = {"customer": customer.pk, "voucher": "twice"}
        assert self.client.post("/vouchers/redeem/", form).status_code == 201

    def test_rows_are_there(self) -> None:
        assert Book.objects.count() == ROWS

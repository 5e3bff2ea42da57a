"""Tests that pass and tests that fail: the end of a name says which."""

import urllib.request
from threading import Thread

import pytest
from django.db import connection, transaction
from django.test import TestCase
from shop.models import Author, Book
from shop_suite.filling import BOOKS, fill


@pytest.fixture
def books(db):
    fill()


@pytest.mark.pgprism(n_plus_one=0, max_queries=3)
def test_page_passes(books, client):
    assert client.get("/books/").status_code == 200


@pytest.mark.pgprism
def test_page_fails(books, client):
    assert client.get("/bad/books/").status_code == 200


@pytest.mark.pgprism(n_plus_one=2)
def test_page_with_known_loops_passes(books, client):
    assert client.get("/bad/books/").status_code == 200


@pytest.mark.pgprism(n_plus_one=0)
def test_joined_passes(books):
    assert len([book.author.name for book in Book.objects.select_related("author")]) == BOOKS


@pytest.mark.pgprism(n_plus_one=0)
def test_loop_fails(books):
    assert len([book.author.name for book in Book.objects.order_by("id")]) == BOOKS


@pytest.fixture
def read(books):
    return list(Book.objects.order_by("id"))


@pytest.mark.pgprism(n_plus_one=0)
def test_loop_over_what_a_fixture_read_passes(read):
    """The rows were read outside of what is measured: nothing proves that it is a loop over them."""
    assert len([book.author.name for book in read]) == BOOKS


@pytest.mark.pgprism(max_queries=2)
def test_queries_passes(books):
    Book.objects.count()
    with transaction.atomic():
        Author.objects.count()


@pytest.mark.pgprism(max_queries=2)
def test_queries_fails(books):
    for _ in range(3):
        Author.objects.count()


@pytest.mark.pgprism(max_queries=1, max_rows=BOOKS)
def test_cursor_passes(books):
    assert sum(1 for _ in Book.objects.iterator(chunk_size=5)) == BOOKS


@pytest.mark.pgprism(max_rows=BOOKS - 1)
def test_cursor_fails(books):
    assert sum(1 for _ in Book.objects.iterator(chunk_size=5)) == BOOKS


@pytest.mark.pgprism(duplicates=1)
def test_duplicates_passes(books):
    for _ in range(2):
        Author.objects.count()


@pytest.mark.pgprism(duplicates=1)
def test_duplicates_fails(books):
    for _ in range(3):
        Author.objects.count()


@pytest.mark.pgprism(max_time_ms=10_000)
def test_time_passes(books):
    Author.objects.count()


@pytest.mark.pgprism(max_time_ms=50)
def test_time_fails(books):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.06)")


@pytest.mark.pgprism(max_queries=0)
def test_without_queries_passes():
    assert True


@pytest.mark.pgprism(max_queries=3)
def test_long_statements_passes(books):
    """Their tags stand behind all of it."""
    for size in (100_000, 900_000, 3_000_000):
        assert not Book.objects.filter(title="x" * size).exists()


@pytest.mark.pgprism(max_queries=30)
def test_errors_of_queries_passes(books):
    from django.db import DatabaseError

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT no_such_column FROM shop_book")
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE shop_book SET title = %s WHERE id = %s", [("a", 1), ("b", 2)])
    assert Book.objects.exists()


@pytest.mark.pgprism(n_plus_one=0)
@pytest.mark.django_db(transaction=True)
def test_live_server_fails(live_server):
    fill()
    with urllib.request.urlopen(f"{live_server.url}/bad/books/", timeout=20) as answer:
        assert answer.status == 200


@pytest.mark.pgprism(max_queries=5)
@pytest.mark.django_db(transaction=True)
def test_thread_fails():
    def work():
        for _ in range(6):
            Author.objects.count()
        connection.close()

    thread = Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.pgprism(max_queries=3, n_plus_one=0)
class PagesTest(TestCase):
    @classmethod
    def setUpTestData(cls):
        fill()

    def setUp(self):
        for book in Book.objects.order_by("id"):
            assert book.author.name

    def test_page_passes(self):
        self.assertEqual(self.client.get("/books/").status_code, 200)

    def test_page_fails(self):
        self.assertEqual(self.client.get("/bad/books/").status_code, 200)

    async def test_async_page_passes(self):
        self.assertEqual((await self.async_client.get("/books/")).status_code, 200)

    async def test_async_page_fails(self):
        self.assertEqual((await self.async_client.get("/bad/books/")).status_code, 200)


def test_block_passes(books, client, pgprism):
    client.get("/bad/books/")
    with pgprism.budget(max_queries=3, n_plus_one=0):
        client.get("/books/")
    client.get("/bad/books/")


def test_block_fails(books, client, pgprism):
    with pgprism.budget(n_plus_one=0):
        client.get("/bad/books/")


def test_figures_passes(books, client, pgprism):
    with pgprism.measure() as good:
        client.get("/books/")
    with pgprism.measure() as bad:
        client.get("/bad/books/")
    assert good.n_plus_one == []
    assert {one.kind for one in bad.n_plus_one} == {"n_plus_one_forward"}
    assert {one.relation for one in bad.n_plus_one} == {
        "shop_book.author_id -> shop_author.id", "shop_book.publisher_id -> shop_publisher.id"
    }
    assert bad.queries == good.queries + 2 * BOOKS
    assert [shape.calls for shape in bad.shapes][:2] == [BOOKS, BOOKS]
    assert bad.rows > BOOKS and 0 < bad.time_ms < 10_000


@pytest.mark.pgprism(max_queries=100_000)
def test_flood_passes(books):
    """More than a proxy keeps whose analysis is slow."""
    with connection.cursor() as cursor:
        for _ in range(9_000):
            cursor.execute("SELECT id FROM shop_tag WHERE id = 1")

"""One test of each kind. The word in the condition of a statement says where it was sent, `mark` which test sent it."""

import asyncio
import threading
import urllib.request

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.test import AsyncClient, TestCase, TransactionTestCase
from shop.models import Tag
from shop_suite.filling import fill


def mark(where, test):
    list(Tag.objects.filter(name=f"{where} in {test}"))


@pytest.fixture(scope="module", autouse=True)
def of_the_module(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        mark("module", "none")
    yield
    with django_db_blocker.unblock():
        mark("module", "none")
        connections.close_all()


@pytest.fixture
def around(request, db):
    mark("before", request.node.name)
    yield
    mark("after", request.node.name)


def test_function(around, client):
    fill()
    mark("body", "test_function")
    assert client.get("/books/").status_code == 200
    assert client.get("/bad/books/").status_code == 200


@pytest.mark.parametrize("n", [1, 2])
def test_parameters(around, n, request):
    mark("body", request.node.name)


@pytest.mark.django_db(transaction=True)
def test_threads_and_loops(client):
    def thread():
        mark("thread", "test_threads_and_loops")
        connection.close()

    async def loop():
        await sync_to_async(mark)("loop", "test_threads_and_loops")
        tag = Tag.objects.filter(name="loop in test_threads_and_loops")
        await tag.afirst()
        await asyncio.gather(tag.aexists(), tag.acount())
        assert (await AsyncClient().get("/books/")).status_code == 200
        await sync_to_async(connections.close_all)()

    worker = threading.Thread(target=thread)
    worker.start()
    worker.join()
    asyncio.run(loop())
    for _ in Tag.objects.filter(name="cursor in test_threads_and_loops").iterator(chunk_size=10):
        pass


@pytest.mark.django_db(transaction=True)
def test_live_server(live_server):
    fill()
    with urllib.request.urlopen(f"{live_server.url}/books/", timeout=20) as answer:
        assert answer.status == 200


class Pages(TestCase):
    @classmethod
    def setUpTestData(cls):
        mark("class", "none")
        fill()

    def setUp(self):
        mark("before", self._testMethodName)
        self.addCleanup(mark, "after", self._testMethodName)

    def test_page(self):
        mark("body", "test_page")
        self.assertEqual(self.client.get("/books/").status_code, 200)

    async def test_page_async(self):
        await sync_to_async(mark)("body", "test_page_async")
        self.assertEqual((await self.async_client.get("/books/")).status_code, 200)


class Committed(TransactionTestCase):
    def test_committed(self):
        with connection.cursor() as cursor:
            sql = "SELECT id FROM shop_tag WHERE name = %s AND name LIKE '%%committed'"
            cursor.execute(sql, ["body in test_committed"])

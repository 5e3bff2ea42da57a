"""Tests as `manage.py test` runs them."""

import urllib.request

from asgiref.sync import sync_to_async
from django.db import connection
from django.test import LiveServerTestCase, TestCase, TransactionTestCase
from shop.models import Tag
from shop_suite.filling import fill


class Pages(TestCase):
    @classmethod
    def setUpTestData(cls):
        fill()

    def setUp(self):
        self.addCleanup(Tag.objects.count)

    def test_page(self):
        self.assertEqual(self.client.get("/books/").status_code, 200)

    async def test_page_async(self):
        await sync_to_async(Tag.objects.count)()
        self.assertEqual((await self.async_client.get("/books/")).status_code, 200)


class Live(LiveServerTestCase):
    def test_live(self):
        with urllib.request.urlopen(f"{self.live_server_url}/books/", timeout=20) as answer:
            self.assertEqual(answer.status, 200)


class Committed(TransactionTestCase):
    def test_committed(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM shop_tag WHERE name LIKE 'a%'")

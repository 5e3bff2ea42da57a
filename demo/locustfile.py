"""People in the shop: one who opens every page in turn, readers, buyers and members who log in.

    locust -f demo/locustfile.py --headless --users 6 --run-time 20s --host http://127.0.0.1:8000

The tourist makes sure that even a short run on a slow machine has seen every page.
"""

import random
import re
import uuid
from urllib.parse import urlencode

from locust import FastHttpUser, between, task

BAD_PAGES = [
    "/bad/books/",
    "/bad/authors/",
    "/bad/tags/",
    "/bad/orders/",
    "/bad/counts/",
    "/bad/stock/",
    "/bad/descriptions/",
    "/bad/basket/",
    "/bad/gifts/",
]
PAGES = [
    "/",
    "/books/",
    "/books/best/",
    "/books/7/",
    "/authors/",
    "/orders/",
    *BAD_PAGES,
    "/bad/columns/",
    "/search/?q=wonderful winter hero page",
    "/reports/sales/",
    "/reports/rivals/",
    "/reports/warehouse/",
    "/export/orders.csv",
]


class Visitor(FastHttpUser):
    """What all visitors share: a steady, short pause between two pages."""

    abstract = True
    wait_time = between(0.05, 0.2)

    def look(self, path, name=None):
        self.client.get(path, name=name or path.split("?")[0])

    def redeem(self, code):
        """Redeems a voucher; the shop says 409 to one that was used before, which is what should happen."""
        form = {"voucher": code, "customer": random.randrange(1, 400)}
        with self.client.post("/vouchers/redeem/", data=form, catch_response=True) as answer:
            if answer.status_code in (201, 409):
                answer.success()
            else:
                answer.failure(f"status {answer.status_code}")

    def check_out(self, voucher):
        books = random.sample(range(1, 1900), 3)
        form = {"customer": random.randrange(1, 400), "book": books, "voucher": voucher}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self.client.post("/checkout/", data=urlencode(form, doseq=True), headers=headers)


class Tourist(Visitor):
    """Opens every page and does everything once, then begins again."""

    fixed_count = 1

    @task
    def tour(self):
        for path in PAGES:
            self.look(path)
            self.wait()
        self.check_out(f"tour-{uuid.uuid4().hex[:8]}")
        self.check_out("WELCOME")
        self.redeem("WELCOME")
        self.client.post("/import/", data={"book": random.randrange(1, 1900)})
        for path in ("/prices/", "/bad/prices/"):
            self.client.post(path, data={"author": random.randrange(1, 190)})


class Reader(Visitor):
    """Turns pages; now and then one of the bad ones."""

    weight = 4

    @task(6)
    def book(self):
        self.look(f"/books/{random.randrange(1, 1900)}/", "/books/<id>/")

    @task(3)
    def books(self):
        self.look(f"/books/?page={random.randrange(1, 40)}")

    @task(2)
    def bad_books(self):
        self.look(f"/bad/books/?page={random.randrange(1, 40)}")

    @task(2)
    def bad_page(self):
        self.look(random.choice(BAD_PAGES))

    @task(1)
    def search(self):
        self.look(f"/search/?q={random.choice(['sharp hero dull', 'old stone page long', 'a b c d'])}")


class Buyer(Visitor):
    """Fills a basket and pays."""

    weight = 2

    @task
    def buy(self):
        self.look(f"/books/{random.randrange(1, 1900)}/", "/books/<id>/")
        self.check_out(random.choice(["WELCOME", uuid.uuid4().hex[:12]]))


class Member(Visitor):
    """Logs in once and reads the own orders: a session and a user are looked up in every request."""

    weight = 1

    def on_start(self):
        page = self.client.get("/login/", name="/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text).group(1)
        form = {"username": f"user{random.randrange(10)}", "password": "demo", "csrfmiddlewaretoken": token}
        self.client.post("/login/", data=form, name="/login/", headers={"Referer": f"{self.host}/login/"})

    @task
    def account(self):
        self.look("/account/")

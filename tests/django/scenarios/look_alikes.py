"""Requests and jobs that repeat themselves, rightly."""

from __future__ import annotations

import datetime
from typing import Any

from clinic.models import Department, Handover, Patient, Ward
from django.core.paginator import Paginator
from django.db import connection, transaction
from django.db.models import F
from shop.models import (
    Category,
    Coupon,
    Customer,
    Invoice,
    Order,
    OrderLine,
    OutboxMessage,
    Product,
    Profile,
    Region,
    Review,
    Setting,
    Shelf,
    Shipment,
    Subscription,
    Supplier,
    Tag,
    Warehouse,
)

from .registry import Where, clean, look_alike
from .serving import page
from .writes import EMPTY, SUBSCRIPTIONS

EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def again(count: int) -> Any:
    """The same page, asked for again and again."""

    def drive(browser: Any) -> None:
        for n in range(count):
            browser.get(n=n)

    return drive


def list_then_details(count: int, low_s: float = 0.0, high_s: float = 0.0) -> Any:
    """A list page, then its entries one after the other, as a person clicks."""

    def drive(browser: Any) -> None:
        for key in browser.get()[:count]:
            if high_s:
                browser.think(low_s, high_s)
            browser.get("detail", key=key)

    return drive


def hurried(browser: Any, count: int) -> None:
    """A script's visit: no pause between the list and its entries."""
    for key in browser.get()[:count]:
        browser.get("detail", hurry=True, key=key)


def at_once(count: int, times: int = 1) -> Any:
    """So many people, each on a thread and a connection of their own."""

    def drive(browser: Any) -> None:
        def visit(index: int) -> None:
            for n in range(times):
                browser.get(thread=index + 1, n=index * times + n)

        browser.visitors(count, visit)

    return drive


@look_alike("polling", drive=again(10))
def poll_one_status(request: Any) -> Any:
    return Order.objects.only("status").get(pk=31005).status


@look_alike("polling", drive=again(10))
def poll_many_orders(request: Any) -> Any:
    """Each time another key, in the order of the table, from the browser's side."""
    order = Order.objects.only("status", "number").get(pk=31001 + int(request.GET["n"]))
    return [order.number, order.status]


@look_alike("polling", drive=again(10), login=True)
def poll_as_a_user(request: Any) -> Any:
    return OutboxMessage.objects.filter(state="new").count()


@look_alike("polling", drive=again(10))
def poll_a_list(request: Any) -> Any:
    return list(OutboxMessage.objects.filter(state="failed").order_by("id")[:5])


@look_alike("same_page", drive=at_once(8, 2), crowd=True)
def many_people_one_page(request: Any) -> Any:
    order = Order.objects.select_related("customer").get(pk=31001 + int(request.GET["n"]))
    return [order.customer.name, [line.quantity for line in order.lines.all()]]


@look_alike("same_page", drive=at_once(8, 2), crowd=True, login=True)
def many_users_one_page(request: Any) -> Any:
    return [one.title for one in Ward.objects.order_by("number")[:8]]


@look_alike("same_page", where=Where.ASGI, drive=lambda browser: [browser.gather(["page"] * 4) for _ in range(3)])
def four_async_requests_at_once(request: Any) -> Any:
    return [category.name for category in Category.objects.filter(parent__isnull=True).order_by("id")]


@look_alike("same_page", drive=again(8), login=True)
def one_page_again(request: Any) -> Any:
    return [product.sku for product in Product.objects.order_by("-id")[:20]]


@look_alike("list_then_details", drive=list_then_details(8))
def products_then_each(request: Any) -> Any:
    return [product.pk for product in Product.objects.only("sku", "price").order_by("id")[:8]]


@products_then_each.step("detail")
def _(request: Any) -> Any:
    product = Product.objects.only("sku", "name", "price").get(pk=request.GET["key"])
    return product.name


@look_alike("list_then_details", drive=list_then_details(6, 0.12, 0.2))
def customers_then_each_slowly(request: Any) -> Any:
    return [customer.pk for customer in Customer.objects.only("name").order_by("id")[:8]]


@customers_then_each_slowly.step("detail")
def _(request: Any) -> Any:
    customer = Customer.objects.only("name", "email", "region_id").get(pk=request.GET["key"])
    return [customer.name, Order.objects.filter(customer=customer).count()]


@look_alike("list_then_details", drive=list_then_details(8), login=True)
def orders_then_each_as_a_user(request: Any) -> Any:
    return [order.pk for order in Order.objects.only("number").order_by("-id")[:8]]


@orders_then_each_as_a_user.step("detail")
def _(request: Any) -> Any:
    order = Order.objects.only("number", "status", "customer_id").get(pk=request.GET["key"])
    return [order.number, [line.quantity for line in order.lines.only("order_id", "quantity").order_by("id")]]


@look_alike("list_then_details", drive=list_then_details(8))
def patients_then_each_in_a_transaction(request: Any) -> Any:
    with transaction.atomic():
        return [str(patient.pk) for patient in Patient.objects.only("name").order_by("name")[:8]]


@patients_then_each_in_a_transaction.step("detail")
def _(request: Any) -> Any:
    with transaction.atomic():
        patient = Patient.objects.only("name", "anamnesis").get(pk=request.GET["key"])
        return [patient.name, len(patient.anamnesis)]


@look_alike("list_then_details", drive=list_then_details(6))
def categories_then_their_products(request: Any) -> Any:
    """What a detail page shows is filtered by the list's key."""
    return [category.pk for category in Category.objects.only("name").order_by("-name")[:6]]


@categories_then_their_products.step("detail")
def _(request: Any) -> Any:
    products = Product.objects.filter(category_id=request.GET["key"]).only("sku").order_by("sku")
    return [product.sku for product in products]


@look_alike("list_then_details", drive=lambda browser: hurried(browser, 8), login=True)
def invoices_then_each_at_once_as_a_user(request: Any) -> Any:
    """No pause, but each request begins with the look-up of its session and user."""
    return [invoice.pk for invoice in Invoice.objects.only("id", "total").order_by("-total")[:8]]


@invoices_then_each_at_once_as_a_user.step("detail")
def _(request: Any) -> Any:
    invoice = Invoice.objects.only("total", "order_id").get(pk=request.GET["key"])
    return [str(invoice.total), invoice.order_id]


def _typed(browser: Any) -> None:
    for length in range(1, 10):
        browser.get(q="Product 1"[:length])


@look_alike("typing", drive=_typed)
def completions(request: Any) -> Any:
    names = Product.objects.filter(name__startswith=request.GET["q"]).order_by("name").values_list("name", flat=True)
    return list(names[:10])


def _pages(browser: Any) -> None:
    for number in range(1, 6):
        browser.get(number=number)


@look_alike("paging", drive=_pages)
def page_after_page(request: Any) -> Any:
    paginator = Paginator(Product.objects.order_by("id").prefetch_related("tags"), 8)
    return [[p.sku, [t.name for t in p.tags.all()]] for p in paginator.get_page(request.GET["number"])]


@look_alike("chance")
def settings_by_small_constants(request: Any) -> Any:
    """A list whose ids count from 1, then look-ups of another table by 1, 2, 3: nothing flows."""
    regions = [region.name for region in Region.objects.order_by("id")[:10]]
    return regions + [Setting.objects.get(pk=n).value for n in range(1, 11)]


@look_alike("chance")
def numbers_that_are_no_keys(request: Any) -> Any:
    """Floors and capacities have the values of keys."""
    shelves = [[shelf.floor, shelf.capacity] for shelf in Shelf.objects.order_by("id")[:12]]
    return shelves + [Tag.objects.only("name").get(pk=n).name for n in (3, 5, 8, 9, 12, 13, 17, 20)]


@look_alike("chance")
def counts_by_floor(request: Any) -> Any:
    """Seven counts by a number from 1 to 7, behind a list with ids from 1 to 12."""
    names = [region.name for region in Region.objects.only("name").order_by("id")[:12]]
    return names + [Shelf.objects.filter(floor=n).count() for n in range(1, 8)]


@look_alike("chance", login=True)
def quantities_and_coupons(request: Any) -> Any:
    """Stars 1 to 5 in every order, then products by how many stars they got."""
    stars = [review.stars for review in Review.objects.order_by("-id")[:20]]
    per_star = [Review.objects.filter(stars=n).only("id").order_by("id")[0].pk for n in range(1, 6)]
    return [stars, per_star]


@look_alike("chance")
def offsets_like_ids(request: Any) -> Any:
    """LIMIT and OFFSET run over numbers that are ids of the list before."""
    tags = [tag.name for tag in Tag.objects.order_by("id")]
    return tags + [Order.objects.order_by("id").values_list("number", flat=True)[n] for n in range(1, 9)]


@look_alike("chunks", where=Where.COMMAND)
def chunks_by_key(job: Any) -> Any:
    last, total = 0, 0
    while chunk := list(OrderLine.objects.filter(id__gt=last).order_by("id")[:20]):
        last = chunk[-1].pk
        total += sum(line.quantity for line in chunk)
    return total


@look_alike("chunks", where=Where.COMMAND)
def chunks_by_offset(job: Any) -> Any:
    return [
        sum(review.stars for review in Review.objects.order_by("id")[offset : offset + 15])
        for offset in range(0, 120, 15)
    ]


@look_alike("chunks", where=Where.COMMAND)
def chunks_by_key_with_a_prefetch(job: Any) -> Any:
    last, seen = 0, 0
    while chunk := list(Order.objects.filter(id__gt=last).prefetch_related("lines__product").order_by("id")[:12]):
        last = chunk[-1].pk
        seen += sum(len(line.product.sku) for order in chunk for line in order.lines.all())
    return seen


@look_alike("chunks")
def chunks_by_range(request: Any) -> Any:
    """`BETWEEN` two keys, the next range behind the last."""
    return [Product.objects.filter(id__range=(first, first + 4)).count() for first in range(12001, 12041, 5)]


@look_alike("cursor")
def cursor_with_prefetch(request: Any) -> Any:
    orders = Order.objects.prefetch_related("lines").order_by("id")
    return [len(order.lines.all()) for order in orders.iterator(chunk_size=10)]


@look_alike("cursor", where=Where.COMMAND)
def long_cursor(job: Any) -> Any:
    return sum(line.quantity for line in OrderLine.objects.order_by("-id").iterator(chunk_size=9))


@look_alike("batches")
def several_prefetches(request: Any) -> Any:
    products = Product.objects.prefetch_related("tags", "stock__warehouse", "review_set__customer__region", "notes")
    return [
        [
            sorted(tag.name for tag in product.tags.all()),
            len(product.stock.all()),
            len(product.notes.all()),
            sorted(review.customer.region.name for review in product.review_set.all()),
        ]
        for product in products.order_by("id")[:15]
    ]


@look_alike("batches")
def in_bulk_by_twos(request: Any) -> Any:
    """A loader that asks for what it was given so far: IN lists, several times."""
    keys = [order.customer_id for order in Order.objects.order_by("id")[:24]]
    found: list[str] = []
    for first in range(0, 24, 4):
        customers = Customer.objects.in_bulk(keys[first : first + 4])
        found += [customers[key].name for key in keys[first : first + 4]]
    return found


@look_alike("batches", restore=EMPTY)
def bulk_create_in_batches(request: Any) -> Any:
    from shop.models import AuditEntry

    AuditEntry.objects.bulk_create([AuditEntry(kind="bulk", amount=n) for n in range(60)], batch_size=10)
    return AuditEntry.objects.filter(kind="bulk").count()


@look_alike("batches", restore=SUBSCRIPTIONS)
def bulk_update_in_batches(request: Any) -> Any:
    some = list(Subscription.objects.order_by("id"))
    for one in some:
        one.visits += 1
    return Subscription.objects.bulk_update(some, ["visits", "topic"], batch_size=5)


@look_alike("batches", where=Where.COMMAND, restore=EMPTY)
def import_in_batches(job: Any) -> Any:
    from shop.models import AuditEntry

    for first in range(0, 100, 20):
        with transaction.atomic():
            AuditEntry.objects.bulk_create(
                [AuditEntry(kind="file", reference=str(n)) for n in range(first, first + 20)]
            )
    return AuditEntry.objects.filter(kind="file").count()


@look_alike("delete")
def delete_with_cascades(request: Any) -> Any:
    """One order with all that belongs to it; taken back at the end."""
    with transaction.atomic():
        deleted = Order.objects.get(pk=31009).delete()
        transaction.set_rollback(True)
    return deleted[0]


@look_alike("delete")
def delete_many_with_cascades(request: Any) -> Any:
    with transaction.atomic():
        deleted = Customer.objects.filter(id__in=range(4030, 4034), orders__isnull=True).delete()
        Order.objects.filter(id__gt=31050).delete()
        transaction.set_rollback(True)
    return deleted[0]


@look_alike("savepoints")
def nested_atomics(request: Any) -> Any:
    found = []
    with transaction.atomic():
        for model in (Tag, Region, Shelf, Coupon, Profile, Supplier):
            with transaction.atomic():
                found.append(model.objects.count())
    return found


@look_alike("savepoints", where=Where.COMMAND)
def savepoints_around_nothing(job: Any) -> Any:
    with transaction.atomic():
        for _ in range(15):
            with transaction.atomic():
                pass
        return Tag.objects.count()


@look_alike("dashboard")
def one_count_per_table(request: Any) -> Any:
    models = (
        Order,
        OrderLine,
        Product,
        Customer,
        Review,
        Invoice,
        Shipment,
        Tag,
        Category,
        Supplier,
        Warehouse,
        Coupon,
    )
    return [model.objects.count() for model in models]


@look_alike("dashboard", login=True)
def counts_by_state(request: Any) -> Any:
    """A few counts of one table, by constants."""
    return {state: OutboxMessage.objects.filter(state=state).count() for state in ("new", "sent", "failed", "dead")}


@look_alike("warming", where=Where.COMMAND)
def warm_the_cache(job: Any) -> Any:
    """By a list in the code; only the user can tell whether that is right."""
    from django.core.cache import cache

    for n in range(20):
        cache.set(f"product {n}", Product.objects.only("id", "sku", "price").get(pk=12001 + n))
    return 20


@look_alike("minimum")
def two_rows_only(request: Any) -> Any:
    return [coupon.orders.only("number").count() for coupon in Coupon.objects.order_by("id")[:2]]


@look_alike("minimum")
def one_row_and_its_relations(request: Any) -> Any:
    order = Order.objects.get(number="O-00011")
    lines = [line.quantity for line in order.lines.all()]
    return [order.customer.name, order.customer.region.name, lines, order.invoice.total, order.shipments.count()]


@look_alike("one_row")
def four_people_of_one_row(request: Any) -> Any:
    """One row with four foreign keys to one table: four look-ups, and they stay four."""
    handover = Handover.objects.get(pk=46003)
    people = (handover.giver, handover.taker, handover.witness, handover.writer)
    return [person.name for person in people]


def _scrolled(browser: Any) -> None:
    last = 0
    for _ in range(6):
        last = browser.get(after=last)[-1]


@look_alike("paging", drive=_scrolled)
def load_more(request: Any) -> Any:
    """Each request asks for what comes behind the last row of the one before."""
    rows = Review.objects.filter(id__gt=request.GET["after"]).only("id", "stars").order_by("id")[:10]
    return [review.pk for review in rows]


@look_alike("writes")
def checkout(request: Any) -> Any:
    """One row or two in each of several tables; taken back at the end."""
    with transaction.atomic():
        order = Order.objects.create(number="X-1", customer_id=4002, placed_at=EPOCH)
        for product in (12003, 12007):
            OrderLine.objects.create(order=order, product_id=product, quantity=1, unit_price=2)
        Invoice.objects.create(order=order, total=4)
        Product.objects.filter(pk__in=(12003, 12007)).update(price=F("price"))
        Subscription.objects.filter(email="s3@example.org").update(visits=F("visits"))
        transaction.set_rollback(True)
    return "ordered"


@clean("page", login=True)
def a_good_page(request: Any) -> Any:
    source = "{% for o in orders %}{{ o }} {{ o.customer }} {{ o.lines.all|length }}{% endfor %}"
    orders = Order.objects.select_related("customer__region", "coupon").prefetch_related("lines__product")
    return page(source, orders=orders.order_by("-placed_at")[:20])


@clean("admin", login=True, drive=lambda browser: [browser.admin("shop/review/", p=n) for n in (1, 2, 3)])
def admin_without_relations(request: Any) -> Any:
    """A list of an admin, page after page."""


@clean("raw")
def raw_joins(request: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.name, count(*) FROM shop_region r JOIN shop_customer c ON c.region_id = r.id"
            " GROUP BY r.name ORDER BY r.name"
        )
        return cursor.fetchall()


@clean("write", restore=EMPTY)
def a_few_writes_of_one_request(request: Any) -> Any:
    from shop.models import AuditEntry

    with transaction.atomic():
        Subscription.objects.filter(pk=150003).update(visits=F("visits"))
        AuditEntry.objects.create(kind="seen", reference="a")
        Setting.objects.filter(name="setting 3").update(value="v3")
    return Department.objects.count()

"""Loops whose rows come, or are gone through, in other ways than a page does it."""

from __future__ import annotations

import random
from typing import Any

from asgiref.sync import sync_to_async
from clinic.models import Department, LabBatch, Patient
from django.db import connection, transaction
from django.db.models import Count, F
from django.http import StreamingHttpResponse
from shop.models import AuditEntry, Category, Coupon, Customer, Order, OrderLine, Product, Region, Review, Supplier, Tag

from .registry import Group, Where, aggregate, forward, many_to_many, problem, reverse, write_loop
from .writes import EMPTY


@problem("fewest", reverse("shop_coupon.id", "shop_order.coupon_id", "orders"), children=3)
def three_parents(request: Any) -> Any:
    return [[order.number for order in one.orders.order_by("id")] for one in Coupon.objects.order_by("code")[:3]]


@three_parents.fixed
def _(request: Any) -> Any:
    coupons = Coupon.objects.prefetch_related("orders").order_by("code")[:3]
    return [sorted(order.number for order in one.orders.all()) for one in coupons]


@problem("fewest", aggregate("clinic_department.code", "clinic_staff.department_id", "staff"), children=3, login=True)
def three_counts(request: Any) -> Any:
    return [one.staff.count() for one in Department.objects.order_by("-title")[:3]]


@three_counts.fixed
def _(request: Any) -> Any:
    return [one.n for one in Department.objects.annotate(n=Count("staff")).order_by("-title")[:3]]


@problem("fewest", many_to_many("shop_product.id", "shop_tag|shop_product_tags.product_id", "tags"), children=4)
def four_products_with_tags(request: Any) -> Any:
    return [[tag.name for tag in one.tags.all()] for one in Product.objects.order_by("-price", "-id")[:4]]


@four_products_with_tags.fixed
def _(request: Any) -> Any:
    products = Product.objects.prefetch_related("tags").order_by("-price", "-id")[:4]
    return [[tag.name for tag in one.tags.all()] for one in products]


@problem("order", forward("shop_order.customer_id", "shop_customer.id", "customer"), children=12)
def backwards(request: Any) -> Any:
    orders = list(Order.objects.filter(id__lte=31020).order_by("number")[:12])
    return [order.customer.name for order in reversed(orders)]


@backwards.fixed
def _(request: Any) -> Any:
    orders = list(Order.objects.filter(id__lte=31020).select_related("customer").order_by("number")[:12])
    return [order.customer.name for order in reversed(orders)]


@problem("order", reverse("clinic_patient.id", "clinic_appointment.patient_id", "appointments"), children=14)
def in_any_order(request: Any) -> Any:
    patients = list(Patient.objects.order_by("name")[:14])
    random.Random(5).shuffle(patients)
    return [sorted(one.room for one in patient.appointments.all()) for patient in patients]


@in_any_order.fixed
def _(request: Any) -> Any:
    patients = list(Patient.objects.prefetch_related("appointments").order_by("name")[:14])
    random.Random(5).shuffle(patients)
    return [sorted(one.room for one in patient.appointments.all()) for patient in patients]


@problem("order", reverse("shop_supplier.code", "shop_product.supplier_code", "products"), children=10, login=True)
def behind_other_lists(request: Any) -> Any:
    """Three lists are read before the first of them is gone through."""
    suppliers = list(Supplier.objects.order_by("name")[:10])
    tags = [tag.name for tag in Tag.objects.all()]
    regions = [region.name for region in Region.objects.order_by("name")]
    return [tags, regions, [sorted(product.sku for product in one.products.all()) for one in suppliers]]


@behind_other_lists.fixed
def _(request: Any) -> Any:
    suppliers = list(Supplier.objects.prefetch_related("products").order_by("name")[:10])
    tags = [tag.name for tag in Tag.objects.all()]
    regions = [region.name for region in Region.objects.order_by("name")]
    return [tags, regions, [sorted(product.sku for product in one.products.all()) for one in suppliers]]


@problem("parents", forward("shop_order.customer_id", "shop_customer.id", "customer"), children=10)
def grouped_parent(request: Any) -> Any:
    """The parent is a GROUP BY: who ordered most."""
    rows = Order.objects.values("customer_id").annotate(n=Count("id")).order_by("-n", "customer_id")[:10]
    return [[Customer.objects.get(pk=row["customer_id"]).name, row["n"]] for row in rows]


@grouped_parent.fixed
def _(request: Any) -> Any:
    rows = Order.objects.values("customer_id", "customer__name").annotate(n=Count("id")).order_by("-n", "customer_id")
    return [[row["customer__name"], row["n"]] for row in rows[:10]]


@problem("parents", forward("shop_review.customer_id", "shop_customer.id", "customer"), children=8)
def distinct_parent(request: Any) -> Any:
    keys = Review.objects.filter(stars=5).order_by("customer_id").values_list("customer_id", flat=True).distinct()[:10]
    return [Customer.objects.get(pk=key).email for key in keys]


@distinct_parent.fixed
def _(request: Any) -> Any:
    rows = Review.objects.filter(stars=5).order_by("customer_id").values_list("customer_id", "customer__email")
    return [email for _, email in rows.distinct()[:10]]


@problem("parents", forward("shop_orderline.product_id", "shop_product.id", "product"), children=12)
def renamed_parent(request: Any) -> Any:
    """The column goes by another name."""
    rows = OrderLine.objects.annotate(article=F("product_id")).values("article", "quantity").order_by("-id")[:12]
    return [[Product.objects.get(pk=row["article"]).sku, row["quantity"]] for row in rows]


@renamed_parent.fixed
def _(request: Any) -> Any:
    rows = OrderLine.objects.values("product__sku", "quantity").order_by("-id")[:12]
    return [[row["product__sku"], row["quantity"]] for row in rows]


@problem("parents", forward("shop_category.parent_id", "shop_category.id", "parent"), children=10)
def wide_parent(request: Any) -> Any:
    """Five joined tables and dozens of columns; the value is in one of the last."""
    lines = OrderLine.objects.select_related(
        "order__customer__region", "order__coupon", "product__supplier", "product__category"
    ).filter(product__category__parent__isnull=False)
    return [line.product.category.parent.name for line in lines.order_by("id")[:10]]


@wide_parent.fixed
def _(request: Any) -> Any:
    lines = OrderLine.objects.select_related(
        "order__customer__region", "order__coupon", "product__supplier", "product__category__parent"
    ).filter(product__category__parent__isnull=False)
    return [line.product.category.parent.name for line in lines.order_by("id")[:10]]


@problem("parents", forward("shop_order.customer_id", "shop_customer.id", "customer"), children=15, where=Where.COMMAND)
def fetched_in_pieces(job: Any) -> Any:
    """`fetchmany()` of an ordinary cursor: all rows are on the wire before the first child."""
    names = []
    with connection.cursor() as cursor, connection.cursor() as inner:
        cursor.execute(
            "select number, customer_id from shop_order where status = %s order by number limit 15", ["open"]
        )
        while rows := cursor.fetchmany(4):
            for number, key in rows:
                inner.execute("select name from shop_customer where shop_customer.id = %s", [key])
                names.append([number, inner.fetchone()[0]])
    return names


@fetched_in_pieces.fixed
def _(job: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(
            "select o.number, c.name from shop_order o join shop_customer c on c.id = o.customer_id"
            " where o.status = 'open' order by o.number limit 15"
        )
        return [list(row) for row in cursor.fetchall()]


@problem("big_keys", reverse("clinic_labbatch.id", "clinic_labresult.batch_id", "results"), children=15)
def keys_of_eight_bytes(request: Any) -> Any:
    return [sorted(one.value for one in batch.results.all()) for batch in LabBatch.objects.order_by("-title")]


@keys_of_eight_bytes.fixed
def _(request: Any) -> Any:
    batches = LabBatch.objects.prefetch_related("results").order_by("-title")
    return [sorted(one.value for one in batch.results.all()) for batch in batches]


@problem("savepoints", forward("shop_order.customer_id", "shop_customer.id", "customer"), children=10)
def a_savepoint_each(request: Any) -> Any:
    names = []
    with transaction.atomic():
        for order in Order.objects.filter(status="open").order_by("-id")[:10]:
            with transaction.atomic():
                names.append(order.customer.name)
    return names


@a_savepoint_each.fixed
def _(request: Any) -> Any:
    names = []
    with transaction.atomic():
        for order in Order.objects.filter(status="open").select_related("customer").order_by("-id")[:10]:
            with transaction.atomic():
                names.append(order.customer.name)
    return names


@problem(
    "read_and_write",
    forward("shop_review.product_id", "shop_product.id", "product"),
    write_loop("shop_auditentry", "bulk_create"),
    children=10,
    every=True,
    group=Group.READS,
    restore=EMPTY,
)
def read_and_write_in_turn(request: Any) -> Any:
    """A look-up and an INSERT for each row: two causes."""
    for review in Review.objects.filter(stars=4).order_by("id")[:10]:
        AuditEntry.objects.create(kind="praise", reference=review.product.sku)
    return sorted(AuditEntry.objects.filter(kind="praise").values_list("reference", flat=True))


@read_and_write_in_turn.fixed
def _(request: Any) -> Any:
    reviews = Review.objects.filter(stars=4).select_related("product").order_by("id")[:10]
    AuditEntry.objects.bulk_create([AuditEntry(kind="praise", reference=review.product.sku) for review in reviews])
    return sorted(AuditEntry.objects.filter(kind="praise").values_list("reference", flat=True))


@problem("streamed", forward("shop_product.category_id", "shop_category.id", "category"), children=20)
def streamed_rows(request: Any) -> Any:
    """The rows are asked for while the answer is on its way, behind the view's end."""
    products = Product.objects.order_by("sku")[:20]
    return StreamingHttpResponse(f"{one.sku};{one.category.name}\n" for one in products)


@streamed_rows.fixed
def _(request: Any) -> Any:
    products = Product.objects.select_related("category").order_by("sku")[:20]
    return StreamingHttpResponse(f"{one.sku};{one.category.name}\n" for one in products)


@problem("asgi", reverse("shop_category.id", "shop_product.category_id", "products"), children=10, where=Where.ASGI)
def gathered_children(request: Any) -> Any:
    raise NotImplementedError


async def _gathered_children(request: Any) -> Any:
    """All children asked for at once: Django runs them one after the other on one connection."""
    import asyncio

    categories = [one async for one in Category.objects.order_by("-name")[:10]]
    found = await asyncio.gather(*(sync_to_async(lambda one=one: list(one.products.all()))() for one in categories))
    return [sorted(product.sku for product in products) for products in found]


gathered_children.steps["problem", "page"] = _gathered_children


@gathered_children.fixed
async def _(request: Any) -> Any:
    categories = Category.objects.prefetch_related("products").order_by("-name")[:10]
    return [sorted(product.sku for product in one.products.all()) async for one in categories]


@problem("two_parents", forward("shop_order.customer_id", "shop_customer.id", "customer"), children=16)
def two_lists_one_relation(request: Any) -> Any:
    """Two lists of one model, asked for in different ways, each with the same loop."""
    paid = [order.customer.name for order in Order.objects.filter(status="paid").order_by("id")[:8]]
    late = [order.customer.name for order in Order.objects.order_by("-placed_at")[20:28]]
    return [paid, late]


@two_lists_one_relation.fixed
def _(request: Any) -> Any:
    orders = Order.objects.select_related("customer")
    paid = [order.customer.name for order in orders.filter(status="paid").order_by("id")[:8]]
    late = [order.customer.name for order in orders.order_by("-placed_at")[20:28]]
    return [paid, late]


@problem(
    "two_parents",
    forward("shop_order.customer_id", "shop_customer.id", "customer"),
    forward("shop_review.customer_id", "shop_customer.id", "customer"),
    children=18,
    every=True,
    login=True,
)
def one_child_of_two_parents(request: Any) -> Any:
    """Customers of orders, then customers of reviews: one statement, two relations."""
    buyers = [order.customer.email for order in Order.objects.order_by("-number")[20:29]]
    critics = [review.customer.email for review in Review.objects.filter(stars=2).order_by("-id")[:9]]
    return [buyers, critics]


@one_child_of_two_parents.fixed
def _(request: Any) -> Any:
    orders = Order.objects.select_related("customer").order_by("-number")[20:29]
    reviews = Review.objects.filter(stars=2).select_related("customer").order_by("-id")[:9]
    return [[order.customer.email for order in orders], [review.customer.email for review in reviews]]


@problem("two_parents", reverse("shop_order.id", "shop_orderline.order_id", "lines"), children=16, where=Where.COMMAND)
def pages_of_a_job(job: Any) -> Any:
    """A job that goes through pages by number: the first page has no OFFSET."""
    found = []
    for first in (0, 8):
        found += [len(order.lines.all()) for order in Order.objects.order_by("id")[first : first + 8]]
    return found


@pages_of_a_job.fixed
def _(job: Any) -> Any:
    found = []
    for first in (0, 8):
        orders = Order.objects.prefetch_related("lines").order_by("id")[first : first + 8]
        found += [len(order.lines.all()) for order in orders]
    return found

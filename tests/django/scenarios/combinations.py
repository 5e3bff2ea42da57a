"""Loops as they come about in grown code: half-fixed, over several columns, through joins, without any relation."""

from __future__ import annotations

from typing import Any

from clinic.models import Physician
from django.db import transaction
from django.db.models import Count, F, Prefetch, Q, Window
from django.db.models.functions import RowNumber
from shop.models import (
    Category,
    Customer,
    Order,
    OrderLine,
    OutboxMessage,
    Product,
    Review,
    StockRecord,
    Subscription,
    Tag,
)

from .registry import Where, aggregate, deferred, forward, many_to_many, problem, reverse


@problem(
    "half_fixed",
    many_to_many("shop_product.id", "shop_tag|shop_product_tags.product_id", "tags"),
    children=12,
)
def filtered_despite_prefetch(request: Any) -> Any:
    """The prefetch is thrown away: `filter()` asks again."""
    products = Product.objects.prefetch_related("tags").order_by("id")[:12]
    return [[tag.name for tag in product.tags.filter(name__contains="1")] for product in products]


@filtered_despite_prefetch.fixed
def _(request: Any) -> Any:
    ones = Prefetch("tags", Tag.objects.filter(name__contains="1"), to_attr="ones")
    return [
        [tag.name for tag in product.ones] for product in Product.objects.prefetch_related(ones).order_by("id")[:12]
    ]


@problem("half_fixed", reverse("shop_order.id", "shop_orderline.order_id", "lines"), children=12, login=True)
def first_despite_prefetch(request: Any) -> Any:
    orders = Order.objects.select_related("customer").prefetch_related("lines").order_by("id")[:12]
    return [[order.customer.name, order.lines.order_by("-quantity", "id").first().quantity] for order in orders]


@first_despite_prefetch.fixed
def _(request: Any) -> Any:
    orders = Order.objects.select_related("customer").prefetch_related("lines").order_by("id")[:12]
    return [[order.customer.name, max(line.quantity for line in order.lines.all())] for order in orders]


@problem("two_columns", aggregate("shop_orderline.product_id", "shop_stockrecord.product_id"), children=12)
def looked_up_by_two_columns(request: Any) -> Any:
    """One value from the row, the other the same for all."""
    lines = OrderLine.objects.order_by("id")[:12]
    return [
        StockRecord.objects.filter(product_id=line.product_id, quantity__gte=2).order_by("id").count() for line in lines
    ]


@looked_up_by_two_columns.fixed
def _(request: Any) -> Any:
    lines = list(OrderLine.objects.order_by("id")[:12])
    found = StockRecord.objects.filter(product_id__in=[line.product_id for line in lines], quantity__gte=2)
    counts = dict(found.values_list("product_id").annotate(n=Count("id")))
    return [counts.get(line.product_id, 0) for line in lines]


@problem("locking", deferred("shop_subscription.id"), children=10)
def locked_one_by_one(request: Any) -> Any:
    """Rows that were read are read again, each with a lock."""
    with transaction.atomic():
        some = Subscription.objects.filter(active=True).order_by("id")[:10]
        return [Subscription.objects.select_for_update().get(pk=one.pk).visits for one in some]


@locked_one_by_one.fixed
def _(request: Any) -> Any:
    with transaction.atomic():
        locked = Subscription.objects.select_for_update().filter(active=True).order_by("id")[:10]
        return [one.visits for one in locked]


@problem("narrowed", reverse("shop_category.id", "shop_product.category_id", "products"), children=12)
def top_three_of_each(request: Any) -> Any:
    categories = Category.objects.order_by("name")[:12]
    return [[p.sku for p in category.products.order_by("-price", "id")[:3]] for category in categories]


@top_three_of_each.fixed
def _(request: Any) -> Any:
    place = Window(RowNumber(), partition_by="category_id", order_by=[F("price").desc(), "id"])
    top = Prefetch(
        "products", Product.objects.annotate(place=place).filter(place__lte=3).order_by("-price", "id"), to_attr="top"
    )
    return [[p.sku for p in category.top] for category in Category.objects.order_by("name").prefetch_related(top)[:12]]


@problem("count", aggregate("shop_category.id", "shop_product.category_id", "products"), children=12)
def distinct_counts(request: Any) -> Any:
    """COUNT over a subquery that holds the predicate."""
    categories = Category.objects.order_by("id")[:12]
    return [category.products.values("supplier_id").distinct().count() for category in categories]


@distinct_counts.fixed
def _(request: Any) -> Any:
    categories = Category.objects.annotate(n=Count("products__supplier_id", distinct=True)).order_by("id")[:12]
    return [category.n for category in categories]


@problem(
    "aggregate",
    aggregate("shop_customer.id", "shop_order.customer_id", "orders", also=("n_plus_one_reverse",)),
    children=12,
)
def grouped_for_each(request: Any) -> Any:
    """A GROUP BY for each row: rows come back, and they are counts."""
    customers = Customer.objects.order_by("-id")[:12]
    return [
        [[row["status"], row["n"]] for row in one.orders.values("status").annotate(n=Count("id")).order_by("status")]
        for one in customers
    ]


@grouped_for_each.fixed
def _(request: Any) -> Any:
    customers = list(Customer.objects.order_by("-id")[:12])
    found: dict[int, list[Any]] = {one.pk: [] for one in customers}
    rows = Order.objects.filter(customer__in=customers).values("customer_id", "status")
    for row in rows.annotate(n=Count("id")).order_by("status"):
        found[row["customer_id"]].append([row["status"], row["n"]])
    return list(found.values())


@problem("join", reverse("shop_category.id", "shop_review|shop_product.category_id"), children=10)
def through_a_join(request: Any) -> Any:
    """The value is compared with a column of a joined table that is no through table."""
    categories = Category.objects.order_by("-id")[:10]
    return [sorted(Review.objects.filter(product__category=one).values_list("body", flat=True)) for one in categories]


@through_a_join.fixed
def _(request: Any) -> Any:
    categories = list(Category.objects.order_by("-id")[:10])
    found: dict[int, list[str]] = {one.pk: [] for one in categories}
    for category, body in Review.objects.filter(product__category__in=categories).values_list(
        "product__category_id", "body"
    ):
        found[category].append(body)
    return [sorted(bodies) for bodies in found.values()]


@problem("two_columns", reverse("shop_customer.id", "shop_order.customer_id"), children=10)
def own_or_referred(request: Any) -> Any:
    """The same value twice in one statement."""
    customers = Customer.objects.order_by("id")[:10]
    return [
        sorted(o.number for o in Order.objects.filter(Q(customer=one) | Q(customer__referred_by=one)))
        for one in customers
    ]


@own_or_referred.fixed
def _(request: Any) -> Any:
    customers = list(Customer.objects.order_by("id")[:10])
    wanted = Q(customer__in=customers) | Q(customer__referred_by__in=customers)
    orders = list(Order.objects.filter(wanted).select_related("customer"))
    return [
        sorted(o.number for o in orders if one.pk in (o.customer_id, o.customer.referred_by_id)) for one in customers
    ]


@problem(
    "by_hand",
    forward("shop_outboxmessage.order_number", "shop_order.number", also=("n_plus_one_reverse",)),
    children=12,
)
def no_relation_at_all(request: Any) -> Any:
    """Two tables that only their texts connect."""
    messages = OutboxMessage.objects.order_by("id")[:12]
    return [Order.objects.get(number=message.order_number).status for message in messages]


@no_relation_at_all.fixed
def _(request: Any) -> Any:
    messages = list(OutboxMessage.objects.order_by("id")[:12])
    found = {order.number: order for order in Order.objects.filter(number__in=[one.order_number for one in messages])}
    return [found[one.order_number].status for one in messages]


@problem("long", forward("shop_orderline.product_id", "shop_product.id", "product"), children=180, where=Where.COMMAND)
def a_long_page(job: Any) -> Any:
    return [line.product.price for line in OrderLine.objects.order_by("id")]


@a_long_page.fixed
def _(job: Any) -> Any:
    return [line.product.price for line in OrderLine.objects.select_related("product").order_by("id")]


@problem("long", aggregate("shop_product.id", "shop_review.product_id", "review_set", "review"), children=40)
def a_long_page_of_counts(request: Any) -> Any:
    products = Product.objects.filter(sku__startswith="SKU").order_by("-name")
    return [product.review_set.filter(stars__gt=2).count() for product in products]


@a_long_page_of_counts.fixed
def _(request: Any) -> Any:
    good = Count("review", filter=Q(review__stars__gt=2))
    return [p.n for p in Product.objects.filter(sku__startswith="SKU").annotate(n=good).order_by("-name")]


@problem("conditional", forward("shop_order.coupon_id", "shop_coupon.id", "coupon"), children=9)
def only_for_some_rows(request: Any) -> Any:
    """The relation is followed for some of the rows only: fewer children than rows."""
    orders = Order.objects.order_by("id")[:24]
    return [order.coupon.code for order in orders if order.status == "open" and order.coupon_id]


@only_for_some_rows.fixed
def _(request: Any) -> Any:
    orders = Order.objects.select_related("coupon").order_by("id")[:24]
    return [order.coupon.code for order in orders if order.status == "open" and order.coupon_id]


@problem(
    "conditional",
    reverse("clinic_physician.staff_ptr_id|clinic_staff.id", "clinic_patient.physician_id", "patients"),
    children=6,
    login=True,
)
def stopped_half_way(request: Any) -> Any:
    """A loop that ends as soon as it has found enough."""
    found: list[str] = []
    for physician in Physician.objects.order_by("-pk"):
        found += sorted(patient.name for patient in physician.patients.all())
        if len(found) >= 10:
            break
    return found[:10]


@stopped_half_way.fixed
def _(request: Any) -> Any:
    found: list[str] = []
    for physician in Physician.objects.prefetch_related("patients").order_by("-pk"):
        found += sorted(patient.name for patient in physician.patients.all())
    return found[:10]


@problem("own_cache", forward("shop_review.customer_id", "shop_customer.id", "customer"), children=8)
def each_key_once(request: Any) -> Any:
    """A dictionary of what was loaded: each key once, in the order of its first row."""
    seen: dict[int, str] = {}
    names = []
    for review in Review.objects.filter(product_id__in=(12001, 12002, 12003, 12004)).order_by("id"):
        if review.customer_id not in seen:
            seen[review.customer_id] = Customer.objects.get(pk=review.customer_id).name
        names.append(seen[review.customer_id])
    return names


@each_key_once.fixed
def _(request: Any) -> Any:
    reviews = Review.objects.filter(product_id__in=(12001, 12002, 12003, 12004)).select_related("customer")
    return [review.customer.name for review in reviews.order_by("id")]


@problem("own_cache", forward("shop_orderline.product_id", "shop_product.id", "product"), children=8)
def each_key_once_sorted(request: Any) -> Any:
    """Distinct keys, sorted: not the order of the rows."""
    lines = list(OrderLine.objects.filter(order_id__lte=31004).order_by("-id"))
    return {key: Product.objects.get(pk=key).sku for key in sorted({line.product_id for line in lines})}


@each_key_once_sorted.fixed
def _(request: Any) -> Any:
    lines = list(OrderLine.objects.filter(order_id__lte=31004).order_by("-id"))
    products = Product.objects.filter(pk__in={line.product_id for line in lines}).order_by("pk")
    return {product.pk: product.sku for product in products}

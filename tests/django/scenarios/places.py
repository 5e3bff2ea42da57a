"""The same causes in other places: admin, serializers, asynchronous views, commands, threads, workers."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from clinic.models import Appointment, Department, LabResult, Patient
from django.db import connections, reset_queries, transaction
from django.db.models import Count, prefetch_related_objects
from rest_framework import serializers
from shop.models import Category, Customer, Order, OrderLine, Product, Region, Review, Tag

from .registry import Where, aggregate, forward, many_to_many, problem, reverse


@problem(
    "admin",
    forward("shop_order.customer_id", "shop_customer.id", "customer"),
    children=12,
    login=True,
    drive=lambda browser: browser.admin("shop/order/"),
)
def admin_list(request: Any) -> Any:
    """`list_display` with a method that follows a foreign key."""


@problem(
    "admin",
    many_to_many("shop_product.id", "shop_tag|shop_product_tags.product_id", "tags"),
    children=12,
    login=True,
    drive=lambda browser: browser.admin("shop/product/"),
)
def admin_list_with_tags(request: Any) -> Any:
    """`list_display` with a many-to-many relation."""


@problem(
    "admin",
    aggregate("shop_customer.id", "shop_review.customer_id", "review_set", "review"),
    children=12,
    login=True,
    drive=lambda browser: browser.admin("shop/customer/"),
)
def admin_list_with_counts(request: Any) -> Any:
    """`list_display` with a count."""


@problem(
    "admin",
    forward("shop_orderline.product_id", "shop_product.id", "product"),
    children=3,
    login=True,
    drive=lambda browser: browser.admin("shop/order/31005/change/"),
)
def admin_inline(request: Any) -> Any:
    """An inline whose rows each show another table's column."""


for _scenario in (admin_list, admin_list_with_tags, admin_list_with_counts, admin_inline):
    _scenario.fixed(_scenario.steps["problem", "page"])


class CustomerSerializer(serializers.ModelSerializer):
    class Meta:
        model = Customer
        fields = ("name", "email")


class OrderSerializer(serializers.ModelSerializer):
    customer = CustomerSerializer()

    class Meta:
        model = Order
        fields = ("number", "customer")


@problem("serializer", forward("shop_order.customer_id", "shop_customer.id", "customer"), children=12)
def nested_serializer(request: Any) -> Any:
    return OrderSerializer(Order.objects.exclude(status="lost").order_by("id")[:12], many=True).data


@nested_serializer.fixed
def _(request: Any) -> Any:
    orders = Order.objects.exclude(status="lost").select_related("customer").order_by("id")[:12]
    return OrderSerializer(orders, many=True).data


class TaggedSerializer(serializers.ModelSerializer):
    tags = serializers.SlugRelatedField(many=True, read_only=True, slug_field="name")

    class Meta:
        model = Product
        fields = ("sku", "tags")


@problem(
    "serializer",
    many_to_many("shop_product.id", "shop_tag|shop_product_tags.product_id", "tags"),
    children=14,
    login=True,
)
def slugs_of_many(request: Any) -> Any:
    return TaggedSerializer(Product.objects.filter(price__gt=5).order_by("id")[:14], many=True).data


@slugs_of_many.fixed
def _(request: Any) -> Any:
    products = Product.objects.filter(price__gt=5).prefetch_related("tags").order_by("id")[:14]
    return TaggedSerializer(products, many=True).data


class LinesSerializer(serializers.ModelSerializer):
    lines = serializers.PrimaryKeyRelatedField(many=True, read_only=True)

    class Meta:
        model = Order
        fields = ("number", "lines")


@problem("serializer", reverse("shop_order.id", "shop_orderline.order_id", "lines"), children=12)
def keys_of_children(request: Any) -> Any:
    return LinesSerializer(Order.objects.filter(status="open").order_by("id")[:12], many=True).data


@keys_of_children.fixed
def _(request: Any) -> Any:
    orders = Order.objects.filter(status="open").prefetch_related("lines").order_by("id")[:12]
    return LinesSerializer(orders, many=True).data


class CountingSerializer(serializers.ModelSerializer):
    size = serializers.SerializerMethodField()

    class Meta:
        model = Category
        fields = ("name", "size")

    def get_size(self, category: Category) -> int:
        known = getattr(category, "n", None)
        return category.products.count() if known is None else known


@problem("serializer", aggregate("shop_category.id", "shop_product.category_id", "products"), children=12)
def counts_in_a_serializer(request: Any) -> Any:
    return CountingSerializer(Category.objects.order_by("-id")[:12], many=True).data


@counts_in_a_serializer.fixed
def _(request: Any) -> Any:
    return CountingSerializer(Category.objects.annotate(n=Count("products")).order_by("-id")[:12], many=True).data


class NamesSerializer(serializers.ModelSerializer):
    region = serializers.StringRelatedField()
    referred_by = serializers.StringRelatedField()

    class Meta:
        model = Customer
        fields = ("name", "region", "referred_by")


@problem(
    "serializer",
    forward("shop_customer.region_id", "shop_region.id", "region"),
    forward("shop_customer.referred_by_id", "shop_customer.id", "referred_by"),
    children=12,
    every=True,
)
def names_of_two_relations(request: Any) -> Any:
    return NamesSerializer(Customer.objects.filter(id__lte=4012).order_by("-id"), many=True).data


@names_of_two_relations.fixed
def _(request: Any) -> Any:
    customers = Customer.objects.filter(id__lte=4012).select_related("region", "referred_by").order_by("-id")
    return NamesSerializer(customers, many=True).data


@problem(
    "asgi", forward("clinic_appointment.patient_id", "clinic_patient.id", "patient"), children=12, where=Where.ASGI
)
def sync_view_on_asgi(request: Any) -> Any:
    return [one.patient.name for one in Appointment.objects.filter(room__gt=2).order_by("id")[:12]]


@sync_view_on_asgi.fixed
def _(request: Any) -> Any:
    appointments = Appointment.objects.filter(room__gt=2).select_related("patient")
    return [one.patient.name for one in appointments.order_by("id")[:12]]


@problem("asgi", reverse("shop_order.id", "shop_orderline.order_id", "lines"), children=10, where=Where.ASGI)
def async_loops(request: Any) -> Any:
    raise NotImplementedError


async def _async_loops(request: Any) -> Any:
    found = []
    async for order in Order.objects.order_by("number")[:10]:
        found.append([line.quantity async for line in order.lines.all()])
    return found


async_loops.steps["problem", "page"] = _async_loops


@async_loops.fixed
async def _(request: Any) -> Any:
    orders = Order.objects.prefetch_related("lines").order_by("number")[:10]
    return [[line.quantity for line in order.lines.all()] async for order in orders]


@problem("asgi", forward("shop_review.customer_id", "shop_customer.id", "customer"), children=12, where=Where.ASGI)
def async_get(request: Any) -> Any:
    raise NotImplementedError


async def _async_get(request: Any) -> Any:
    reviews = [review async for review in Review.objects.filter(stars=3).order_by("id")[:12]]
    return [(await Customer.objects.aget(pk=review.customer_id)).name for review in reviews]


async_get.steps["problem", "page"] = _async_get


@async_get.fixed
async def _(request: Any) -> Any:
    reviews = Review.objects.filter(stars=3).select_related("customer").order_by("id")[:12]
    return [review.customer.name async for review in reviews]


@problem(
    "asgi",
    aggregate("shop_customer.id", "shop_order.customer_id", "orders"),
    children=12,
    where=Where.ASGI,
    drive=lambda browser: browser.gather(["page"] * 4),
)
def four_requests_at_once(request: Any) -> Any:
    """Each of four requests on the event loop has the loop in it."""
    return [customer.orders.count() for customer in Customer.objects.order_by("email")[:12]]


@four_requests_at_once.fixed
def _(request: Any) -> Any:
    return [customer.n for customer in Customer.objects.annotate(n=Count("orders")).order_by("email")[:12]]


@problem("command", forward("shop_orderline.order_id", "shop_order.id", "order"), children=60, where=Where.COMMAND)
def export_lines(job: Any) -> Any:
    return [f"{line.order.number};{line.quantity}" for line in OrderLine.objects.order_by("id")[:60]]


@export_lines.fixed
def _(job: Any) -> Any:
    lines = OrderLine.objects.select_related("order").order_by("id")[:60]
    return [f"{line.order.number};{line.quantity}" for line in lines]


@problem(
    "command", reverse("clinic_department.code", "clinic_staff.department_id", "staff"), children=8, where=Where.COMMAND
)
def report_in_a_transaction(job: Any) -> Any:
    with transaction.atomic():
        return [sorted(one.name for one in dept.staff.all()) for dept in Department.objects.order_by("-code")]


@report_in_a_transaction.fixed
def _(job: Any) -> Any:
    with transaction.atomic():
        departments = Department.objects.prefetch_related("staff").order_by("-code")
        return [sorted(one.name for one in dept.staff.all()) for dept in departments]


@problem("command", forward("shop_review.product_id", "shop_product.id", "product"), children=40, where=Where.COMMAND)
def long_job_in_chunks(job: Any) -> Any:
    """A job that takes its rows by key, ten at a time, and looks something up for each."""
    last, names = 0, []
    for _ in range(4):
        chunk = list(Review.objects.filter(id__gt=last).order_by("id")[:10])
        names += [review.product.name for review in chunk]
        last = chunk[-1].pk
    return names


@long_job_in_chunks.fixed
def _(job: Any) -> Any:
    last, names = 0, []
    for _ in range(4):
        chunk = list(Review.objects.filter(id__gt=last).select_related("product").order_by("id")[:10])
        names += [review.product.name for review in chunk]
        last = chunk[-1].pk
    return names


@problem("command", forward("shop_region.parent_id", "shop_region.id", "parent"), children=12, where=Where.COMMAND)
def through_call_command(job: Any) -> Any:
    """A management command, called as Django calls it."""
    return _called("problem")


@through_call_command.fixed
def _(job: Any) -> Any:
    return _called("fixed")


def _called(variant: str) -> str:
    import io

    from django.core.management import call_command

    out = io.StringIO()
    call_command("regions", variant, stdout=out)
    return out.getvalue()


@problem(
    "threads", reverse("shop_customer.id", "shop_review.customer_id", "review_set"), children=32, where=Where.COMMAND
)
def loops_on_four_threads(job: Any) -> Any:
    """Each thread has its own page and its own loop."""

    def work(first: int) -> list[int]:
        customers = Customer.objects.filter(id__gte=first).order_by("id")[:8]
        return [len(customer.review_set.all()) for customer in customers]

    return job.threads([4001, 4009, 4017, 4025], work)


@loops_on_four_threads.fixed
def _(job: Any) -> Any:
    def work(first: int) -> list[int]:
        customers = Customer.objects.filter(id__gte=first).prefetch_related("review_set").order_by("id")[:8]
        return [len(customer.review_set.all()) for customer in customers]

    return job.threads([4001, 4009, 4017, 4025], work)


def _tasks(job: Any, work: Any) -> list[Any]:
    """A worker: tasks one after the other on one connection, with a pause between them."""
    done = []
    for task in range(4):
        if task:
            job.pause()
        done.append(work(task))
    return done


@problem(
    "worker", forward("clinic_patient.insurer_id", "clinic_insurer.slug", "insurer"), children=32, where=Where.COMMAND
)
def tasks_with_a_loop_each(job: Any) -> Any:
    return _tasks(job, lambda n: [one.insurer.title for one in Patient.objects.order_by("name")[n * 7 : n * 7 + 8]])


@tasks_with_a_loop_each.fixed
def _(job: Any) -> Any:
    def work(n: int) -> list[str]:
        patients = Patient.objects.select_related("insurer").order_by("name")[n * 7 : n * 7 + 8]
        return [one.insurer.title for one in patients]

    return _tasks(job, work)


@problem(
    "worker",
    many_to_many("shop_tag.id", "shop_product|shop_product_tags.tag_id", "products"),
    children=20,
    where=Where.COMMAND,
)
def tasks_in_transactions(job: Any) -> Any:
    def work(n: int) -> list[int]:
        with transaction.atomic():
            return [len(tag.products.all()) for tag in Tag.objects.order_by("id")[n * 5 : n * 5 + 5]]

    return _tasks(job, work)


@tasks_in_transactions.fixed
def _(job: Any) -> Any:
    def work(n: int) -> list[int]:
        with transaction.atomic():
            tags = Tag.objects.prefetch_related("products").order_by("id")[n * 5 : n * 5 + 5]
            return [len(tag.products.all()) for tag in tags]

    return _tasks(job, work)


@problem("one_at_a_time", reverse("shop_order.id", "shop_orderline.order_id", "lines"), children=12)
def prefetch_for_one_row_each(request: Any) -> Any:
    """A prefetch called once for each row: IN lists of one value."""
    found = []
    for order in Order.objects.filter(number__lt="O-00040").order_by("-id")[:12]:
        prefetch_related_objects([order], "lines")
        found.append(sum(line.quantity for line in order.lines.all()))
    return found


@prefetch_for_one_row_each.fixed
def _(request: Any) -> Any:
    orders = Order.objects.filter(number__lt="O-00040").prefetch_related("lines").order_by("-id")[:12]
    return [sum(line.quantity for line in order.lines.all()) for order in orders]


@problem("one_at_a_time", forward("shop_customer.region_id", "shop_region.id", "region"), children=12)
def filter_in_one(request: Any) -> Any:
    """`filter(pk__in=[one])` in a loop."""
    customers = Customer.objects.filter(id__gt=4020).order_by("id")[:12]
    return [[region.name for region in Region.objects.filter(pk__in=[one.region_id])] for one in customers]


@filter_in_one.fixed
def _(request: Any) -> Any:
    customers = Customer.objects.filter(id__gt=4020).select_related("region").order_by("id")[:12]
    return [[one.region.name] for one in customers]


def _traced(work: Any) -> Any:
    """As an instrumentation does it: one trace for the request, on every statement of both databases."""
    import secrets

    comment = f" /*traceparent='00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01'*/"

    def add(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        return execute(f"{sql}{comment}", params, many, context)

    reset_queries()
    with connections["default"].execute_wrapper(add), connections["archive"].execute_wrapper(add):
        return work()


def _values_of(patient: Patient) -> list[int]:
    return [one.value for one in LabResult.objects.filter(patient_ref=patient.pk).order_by("id")]


@problem("two_databases", reverse("clinic_patient.id", "clinic_labresult.patient_ref"), children=10)
def traced_over_two_databases(request: Any) -> Any:
    """Parent rows from one database, children from the other: a trace id joins their connections."""
    return _traced(lambda: [_values_of(patient) for patient in Patient.objects.order_by("name")[:10]])


@traced_over_two_databases.fixed
def _(request: Any) -> Any:
    def work() -> list[list[int]]:
        found: dict[Any, list[int]] = {patient.pk: [] for patient in Patient.objects.order_by("name")[:10]}
        for result in LabResult.objects.filter(patient_ref__in=list(found)).order_by("id"):
            found[result.patient_ref].append(result.value)
        return list(found.values())

    return _traced(work)


@problem("asgi", forward("shop_category.parent_id", "shop_category.id", "parent"), children=10, where=Where.ASGI)
def sync_to_async_for_each(request: Any) -> Any:
    raise NotImplementedError


async def _sync_to_async_for_each(request: Any) -> Any:
    found = []
    async for category in Category.objects.filter(parent__isnull=False).order_by("-id")[:10]:
        parent = await sync_to_async(lambda one=category: one.parent)()
        found.append(parent.name)
    return found


sync_to_async_for_each.steps["problem", "page"] = _sync_to_async_for_each


@sync_to_async_for_each.fixed
async def _(request: Any) -> Any:
    categories = Category.objects.filter(parent__isnull=False).select_related("parent").order_by("-id")[:10]
    return [category.parent.name async for category in categories]

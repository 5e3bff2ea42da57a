"""Deferred columns, counts, existence, aggregates, nested loops, cursors, raw SQL."""

from __future__ import annotations

from typing import Any

from clinic.models import Appointment, Department, LabBatch, LabResult, Measurement, Patient, Physician
from django.db import connection, transaction
from django.db.models import Avg, Count, Exists, F, Max, OuterRef, Sum
from shop.models import Category, Customer, Order, OrderLine, Product, Region, Review

from .registry import aggregate, deferred, forward, many_to_many, problem, reverse
from .serving import page

PACKING_LIST = """
{% for o in orders %}{{ o }}{% for l in o.lines.all %} {{ l.quantity }}x{{ l.product }}{% endfor %};{% endfor %}
"""


@problem("deferred", deferred("shop_product.id", "description"), children=12)
def deferred_description(request: Any) -> Any:
    return [len(product.description) for product in Product.objects.defer("description").order_by("id")[:12]]


@deferred_description.fixed
def _(request: Any) -> Any:
    return [len(product.description) for product in Product.objects.order_by("id")[:12]]


@problem("deferred", deferred("shop_product.id", "manual"), children=14, login=True)
def only_too_little(request: Any) -> Any:
    return [len(product.manual) for product in Product.objects.only("name").order_by("-id")[15:29]]


@only_too_little.fixed
def _(request: Any) -> Any:
    return [len(product.manual) for product in Product.objects.only("name", "manual").order_by("-id")[15:29]]


@problem("deferred", deferred("clinic_patient.id", "anamnesis"), children=12)
def deferred_by_uuid(request: Any) -> Any:
    return [len(patient.anamnesis) for patient in Patient.objects.defer("anamnesis").order_by("name")[:12]]


@deferred_by_uuid.fixed
def _(request: Any) -> Any:
    return [len(patient.anamnesis) for patient in Patient.objects.order_by("name")[:12]]


@problem("deferred", deferred("shop_product.id", "description", "manual"), children=12)
def two_deferred(request: Any) -> Any:
    """Two columns, each fetched for each row: two causes on one pair of tables."""
    products = Product.objects.defer("description", "manual").order_by("sku")[:12]
    return [len(product.description) + len(product.manual) for product in products]


@two_deferred.fixed
def _(request: Any) -> Any:
    return [len(product.description) + len(product.manual) for product in Product.objects.order_by("sku")[:12]]


@problem("refresh", deferred("shop_order.id"), children=12)
def refresh_in_a_loop(request: Any) -> Any:
    orders = list(Order.objects.filter(status="paid").order_by("id")[:12])
    for order in orders:
        order.refresh_from_db()
    return [order.status for order in orders]


@refresh_in_a_loop.fixed
def _(request: Any) -> Any:
    return [order.status for order in Order.objects.filter(status="paid").order_by("id")[:12]]


@problem("count", aggregate("shop_order.id", "shop_orderline.order_id", "lines"), children=12)
def count_lines(request: Any) -> Any:
    return [order.lines.count() for order in Order.objects.order_by("id")[:12]]


@count_lines.fixed
def _(request: Any) -> Any:
    return [order.n for order in Order.objects.annotate(n=Count("lines")).order_by("id")[:12]]


@problem("count", aggregate("shop_category.id", "shop_product.category_id", "products"), children=16, login=True)
def count_in_a_template(request: Any) -> Any:
    source = "{% for one in categories %}{{ one }} ({{ one.products.count }}) {% endfor %}"
    return page(source, categories=Category.objects.order_by("id"))


@count_in_a_template.fixed
def _(request: Any) -> Any:
    source = "{% for one in categories %}{{ one }} ({{ one.n }}) {% endfor %}"
    return page(source, categories=Category.objects.annotate(n=Count("products")).order_by("id"))


@problem("count", aggregate("shop_product.id", "shop_tag|shop_product_tags.product_id", "tags"), children=12)
def count_many_to_many(request: Any) -> Any:
    return [product.tags.count() for product in Product.objects.order_by("-price", "id")[:12]]


@count_many_to_many.fixed
def _(request: Any) -> Any:
    return [product.n for product in Product.objects.annotate(n=Count("tags")).order_by("-price", "id")[:12]]


@problem("count", aggregate("clinic_department.code", "clinic_staff.department_id", "staff"), children=8)
def count_by_text_key(request: Any) -> Any:
    return {one.title: one.staff.count() for one in Department.objects.order_by("title")}


@count_by_text_key.fixed
def _(request: Any) -> Any:
    return {one.title: one.n for one in Department.objects.annotate(n=Count("staff")).order_by("title")}


@problem("exists", aggregate("shop_customer.id", "shop_order.customer_id", "orders", "Order.objects"), children=15)
def exists_in_a_loop(request: Any) -> Any:
    return [customer.orders.exists() for customer in Customer.objects.order_by("id")[:15]]


@exists_in_a_loop.fixed
def _(request: Any) -> Any:
    buys = Exists(Order.objects.filter(customer=OuterRef("pk")))
    return [customer.buys for customer in Customer.objects.annotate(buys=buys).order_by("id")[:15]]


@problem(
    "exists",
    aggregate("clinic_patient.id", "clinic_measurement.patient_id", "measurements", "Measurement.objects"),
    children=12,
)
def exists_narrowed(request: Any) -> Any:
    patients = Patient.objects.order_by("name")[:12]
    return [patient.measurements.filter(value__gt=100).exists() for patient in patients]


@exists_narrowed.fixed
def _(request: Any) -> Any:
    high = Exists(Measurement.objects.filter(patient=OuterRef("pk"), value__gt=100))
    return [patient.high for patient in Patient.objects.annotate(high=high).order_by("name")[:12]]


@problem("aggregate", aggregate("shop_product.id", "shop_review.product_id", "review_set", "review"), children=12)
def average_stars(request: Any) -> Any:
    products = Product.objects.filter(id__lt=12013).order_by("id")
    return [round(product.review_set.aggregate(a=Avg("stars"))["a"], 3) for product in products]


@average_stars.fixed
def _(request: Any) -> Any:
    products = Product.objects.filter(id__lt=12013).annotate(a=Avg("review__stars")).order_by("id")
    return [round(product.a, 3) for product in products]


@problem("aggregate", aggregate("shop_order.id", "shop_orderline.order_id", "lines"), children=12)
def sums_of_orders(request: Any) -> Any:
    orders = Order.objects.order_by("-placed_at")[:12]
    return [int(order.lines.aggregate(t=Sum(F("quantity") * F("unit_price")))["t"]) for order in orders]


@sums_of_orders.fixed
def _(request: Any) -> Any:
    orders = Order.objects.annotate(t=Sum(F("lines__quantity") * F("lines__unit_price"))).order_by("-placed_at")[:12]
    return [int(order.t) for order in orders]


@problem(
    "aggregate",
    aggregate("clinic_physician.staff_ptr_id|clinic_staff.id", "clinic_patient.physician_id", "patients"),
    children=12,
)
def last_patient(request: Any) -> Any:
    return [one.patients.aggregate(m=Max("name"))["m"] for one in Physician.objects.order_by("pk")[:12]]


@last_patient.fixed
def _(request: Any) -> Any:
    return [one.m for one in Physician.objects.annotate(m=Max("patients__name")).order_by("pk")[:12]]


@problem(
    "nested",
    reverse("shop_customer.id", "shop_order.customer_id", "orders"),
    reverse("shop_order.id", "shop_orderline.order_id", "lines"),
    children=8,
)
def two_levels(request: Any) -> Any:
    customers = Customer.objects.filter(id__lte=4008).order_by("id")
    return [[len(order.lines.all()) for order in one.orders.order_by("id")] for one in customers]


@two_levels.fixed
def _(request: Any) -> Any:
    customers = Customer.objects.filter(id__lte=4008).prefetch_related("orders__lines").order_by("id")
    return [[len(order.lines.all()) for order in one.orders.all()] for one in customers]


@problem(
    "nested",
    reverse("shop_category.id", "shop_product.category_id", "products"),
    reverse("shop_product.id", "shop_review.product_id", "review_set"),
    forward("shop_review.customer_id", "shop_customer.id", "customer"),
    children=5,
    login=True,
)
def three_levels(request: Any) -> Any:
    categories = Category.objects.filter(id__lte=305).order_by("id")
    return [
        [
            sorted(review.customer.name for review in product.review_set.all())
            for product in category.products.order_by("id")
        ]
        for category in categories
    ]


@three_levels.fixed
def _(request: Any) -> Any:
    categories = Category.objects.filter(id__lte=305).order_by("id")
    categories = categories.prefetch_related("products__review_set__customer")
    return [
        [
            sorted(review.customer.name for review in product.review_set.all())
            for product in sorted(category.products.all(), key=lambda one: one.pk)
        ]
        for category in categories
    ]


@problem(
    "nested",
    reverse("shop_order.id", "shop_orderline.order_id", "lines"),
    forward("shop_orderline.product_id", "shop_product.id", "product"),
    children=6,
)
def lines_and_their_products(request: Any) -> Any:
    return page(PACKING_LIST, orders=Order.objects.order_by("id")[20:26])


@lines_and_their_products.fixed
def _(request: Any) -> Any:
    return page(PACKING_LIST, orders=Order.objects.prefetch_related("lines__product").order_by("id")[20:26])


@problem(
    "nested",
    reverse("clinic_patient.id", "clinic_appointment.patient_id", "appointments"),
    forward("clinic_appointment.staff_id", "clinic_staff.id", "staff"),
    children=8,
)
def who_treats_whom(request: Any) -> Any:
    patients = Patient.objects.filter(appointments__isnull=False).distinct().order_by("name")[:8]
    return [sorted(one.staff.name for one in patient.appointments.all()) for patient in patients]


@who_treats_whom.fixed
def _(request: Any) -> Any:
    patients = Patient.objects.filter(appointments__isnull=False).distinct()
    patients = patients.prefetch_related("appointments__staff").order_by("name")[:8]
    return [sorted(one.staff.name for one in patient.appointments.all()) for patient in patients]


@problem(
    "side_by_side",
    forward("shop_order.customer_id", "shop_customer.id", "customer"),
    reverse("shop_order.id", "shop_orderline.order_id", "lines"),
    children=12,
    every=True,
)
def two_relations_of_one_row(request: Any) -> Any:
    """Two loops over one parent, taking turns."""
    return [f"{one.customer.name} {len(one.lines.all())}" for one in Order.objects.order_by("number")[:12]]


@two_relations_of_one_row.fixed
def _(request: Any) -> Any:
    orders = Order.objects.select_related("customer").prefetch_related("lines").order_by("number")[:12]
    return [f"{one.customer.name} {len(one.lines.all())}" for one in orders]


@problem("iterator", forward("shop_orderline.product_id", "shop_product.id", "product"), children=40)
def server_side_cursor(request: Any) -> Any:
    """The parent's rows come in several FETCHes."""
    lines = OrderLine.objects.order_by("id")[:40]
    return [line.product.name for line in lines.iterator(chunk_size=10)]


@server_side_cursor.fixed
def _(request: Any) -> Any:
    lines = OrderLine.objects.select_related("product").order_by("id")[:40]
    return [line.product.name for line in lines.iterator(chunk_size=10)]


@problem("iterator", reverse("shop_order.id", "shop_orderline.order_id", "lines"), children=30)
def cursor_in_a_transaction(request: Any) -> Any:
    with transaction.atomic():
        orders = Order.objects.order_by("id")[:30]
        return [len(order.lines.all()) for order in orders.iterator(chunk_size=8)]


@cursor_in_a_transaction.fixed
def _(request: Any) -> Any:
    with transaction.atomic():
        orders = Order.objects.order_by("id").prefetch_related("lines")[:30]
        return [len(order.lines.all()) for order in orders.iterator(chunk_size=8)]


@problem("iterator", aggregate("clinic_patient.id", "clinic_appointment.patient_id", "appointments"), children=24)
def cursor_with_counts(request: Any) -> Any:
    patients = Patient.objects.order_by("name")[:24]
    return [patient.appointments.count() for patient in patients.iterator(chunk_size=6)]


@cursor_with_counts.fixed
def _(request: Any) -> Any:
    patients = Patient.objects.annotate(n=Count("appointments")).order_by("name")[:24]
    return [patient.n for patient in patients.iterator(chunk_size=6)]


@problem("raw", forward("shop_order.customer_id", "shop_customer.id", "customer"), children=12)
def raw_cursor(request: Any) -> Any:
    """Columns without their table's name; the table is the only one in FROM."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, number, customer_id FROM shop_order ORDER BY id LIMIT 12")
        names = []
        for _, _, customer in cursor.fetchall():
            cursor.execute("SELECT name FROM shop_customer WHERE id = %s", [customer])
            names.append(cursor.fetchone()[0])
    return names


@raw_cursor.fixed
def _(request: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.name FROM shop_order o JOIN shop_customer c ON c.id = o.customer_id ORDER BY o.id LIMIT 12"
        )
        return [name for (name,) in cursor.fetchall()]


@problem("raw", reverse("shop_product.id", "shop_review.product_id", "review_set"), children=12)
def raw_children(request: Any) -> Any:
    """Model instances for the parents, a hand-written statement for each one's children."""
    found = []
    with connection.cursor() as cursor:
        for product in Product.objects.filter(name__startswith="Product").order_by("id")[:12]:
            cursor.execute("select body from shop_review r where r.product_id = %s order by r.id", [product.pk])
            found.append([body for (body,) in cursor.fetchall()])
    return found


@raw_children.fixed
def _(request: Any) -> Any:
    products = Product.objects.filter(name__startswith="Product").order_by("id")[:12]
    found: dict[int, list[str]] = {product.pk: [] for product in products}
    with connection.cursor() as cursor:
        cursor.execute("select product_id, body from shop_review where product_id = any(%s) order by id", [list(found)])
        for product, body in cursor.fetchall():
            found[product].append(body)
    return list(found.values())


@problem("raw", forward("shop_customer.region_id", "shop_region.id", "region"), children=12)
def raw_queryset(request: Any) -> Any:
    customers = Customer.objects.raw("SELECT * FROM shop_customer WHERE id > %s ORDER BY id LIMIT 12", [4010])
    return [customer.region.name for customer in customers]


@raw_queryset.fixed
def _(request: Any) -> Any:
    customers = Customer.objects.filter(id__gt=4010).select_related("region").order_by("id")[:12]
    return [customer.region.name for customer in customers]


@problem("join", forward("shop_product.category_id", "shop_category.id", "category"), children=12)
def one_level_short(request: Any) -> Any:
    """`select_related` that stops one relation early: the value is in a joined table's column."""
    lines = OrderLine.objects.select_related("product").order_by("id")[:12]
    return [line.product.category.name for line in lines]


@one_level_short.fixed
def _(request: Any) -> Any:
    lines = OrderLine.objects.select_related("product__category").order_by("id")[:12]
    return [line.product.category.name for line in lines]


@problem("join", forward("shop_customer.region_id", "shop_region.id", "region"), children=12)
def one_level_short_of_a_prefetch(request: Any) -> Any:
    """The parent is the prefetch's own statement, not the page's."""
    orders = Order.objects.prefetch_related("customer").order_by("id")[:12]
    return [order.customer.region.name for order in orders]


@one_level_short_of_a_prefetch.fixed
def _(request: Any) -> Any:
    orders = Order.objects.prefetch_related("customer__region").order_by("id")[:12]
    return [order.customer.region.name for order in orders]


@problem("join", many_to_many("shop_product.id", "shop_tag|shop_product_tags.product_id", "tags"), children=12)
def tags_behind_select_related(request: Any) -> Any:
    lines = OrderLine.objects.select_related("product").order_by("-id")[:12]
    return [sorted(tag.name for tag in line.product.tags.all()) for line in lines]


@tags_behind_select_related.fixed
def _(request: Any) -> Any:
    lines = OrderLine.objects.select_related("product").prefetch_related("product__tags").order_by("-id")[:12]
    return [sorted(tag.name for tag in line.product.tags.all()) for line in lines]


@problem("archive", forward("clinic_labresult.batch_id", "clinic_labbatch.id", "batch"), children=12)
def batches_in_the_archive(request: Any) -> Any:
    """Parent and children both in the second database."""
    return [result.batch.title for result in LabResult.objects.order_by("id")[:12]]


@batches_in_the_archive.fixed
def _(request: Any) -> Any:
    return [result.batch.title for result in LabResult.objects.select_related("batch").order_by("id")[:12]]


@problem("archive", reverse("clinic_labbatch.id", "clinic_labresult.batch_id", "results"), children=12)
def results_beside_a_page(request: Any) -> Any:
    """A loop in the second database, in a request that also asks the first."""
    patients = Patient.objects.order_by("name")[:12]
    names = [patient.name for patient in patients]
    return [names, [len(batch.results.all()) for batch in LabBatch.objects.order_by("id")[:12]]]


@results_beside_a_page.fixed
def _(request: Any) -> Any:
    names = [patient.name for patient in Patient.objects.order_by("name")[:12]]
    return [names, [len(one.results.all()) for one in LabBatch.objects.prefetch_related("results").order_by("id")[:12]]]


@problem("slow_start", forward("clinic_appointment.staff_id", "clinic_staff.id", "staff"), children=12, login=True)
def slow_first_row(request: Any) -> Any:
    """The first template of a process takes its time between the rows and the first look-up."""
    import time

    appointments = list(Appointment.objects.filter(room__lt=5).order_by("id")[:12])
    time.sleep(0.08)
    return [one.staff.name for one in appointments]


@slow_first_row.fixed
def _(request: Any) -> Any:
    return [
        one.staff.name for one in Appointment.objects.filter(room__lt=5).select_related("staff").order_by("id")[:12]
    ]


@problem("mixed_in", forward("shop_region.parent_id", "shop_region.id", "parent"), children=10)
def among_other_statements(request: Any) -> Any:
    """Other statements come between the rows of the loop."""
    found = []
    for region in Region.objects.filter(id__gt=3).order_by("name")[:10]:
        found.append([region.parent.name, Review.objects.filter(stars=region.pk % 5 + 1).order_by("id")[0].body])
    return found


@among_other_statements.fixed
def _(request: Any) -> Any:
    first: dict[int, str] = {}
    for review in Review.objects.order_by("-id"):
        first[review.stars] = review.body
    regions = Region.objects.filter(id__gt=3).select_related("parent").order_by("name")[:10]
    return [[region.parent.name, first[region.pk % 5 + 1]] for region in regions]

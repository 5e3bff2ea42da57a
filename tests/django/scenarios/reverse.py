"""Rows that point back, many-to-many relations and generic ones, asked for one parent at a time."""

from __future__ import annotations

from typing import Any

from clinic.models import Department, Drug, Patient, Physician, Prescription, Ward
from django.db.models import Prefetch
from shop.models import Customer, Note, Order, OrderLine, Product, Region, Review, StockRecord, Warehouse

from .registry import forward, many_to_many, problem, reverse
from .serving import page

CUSTOMERS = """
{% for one in customers %}<p>{{ one }}: {% for order in one.orders.all %}{{ order }} {% endfor %}</p>{% endfor %}
"""


@problem("reverse", reverse("shop_order.id", "shop_orderline.order_id", "lines"), children=12)
def lines_of_orders(request: Any) -> Any:
    return [sum(line.quantity for line in order.lines.all()) for order in Order.objects.order_by("id")[:12]]


@lines_of_orders.fixed
def _(request: Any) -> Any:
    orders = Order.objects.prefetch_related("lines").order_by("id")[:12]
    return [sum(line.quantity for line in order.lines.all()) for order in orders]


@problem("reverse", reverse("shop_customer.id", "shop_order.customer_id", "orders"), children=15, login=True)
def orders_of_customers(request: Any) -> Any:
    return page(CUSTOMERS, customers=Customer.objects.order_by("-id")[:15])


@orders_of_customers.fixed
def _(request: Any) -> Any:
    return page(CUSTOMERS, customers=Customer.objects.prefetch_related("orders").order_by("-id")[:15])


@problem("reverse", reverse("shop_product.id", "shop_review.product_id", "review_set"), children=12)
def reviews_without_related_name(request: Any) -> Any:
    products = Product.objects.order_by("id")[:12]
    return [[review.stars for review in product.review_set.order_by("id")] for product in products]


@reviews_without_related_name.fixed
def _(request: Any) -> Any:
    products = Product.objects.prefetch_related(Prefetch("review_set", Review.objects.order_by("id")))
    return [[review.stars for review in product.review_set.all()] for product in products.order_by("id")[:12]]


@problem("narrowed", reverse("shop_product.id", "shop_review.product_id", "review_set"), children=14)
def good_reviews_only(request: Any) -> Any:
    products = Product.objects.order_by("-id").exclude(sku__startswith="EBK")[:14]
    return [sorted(review.body for review in product.review_set.filter(stars__gte=4)) for product in products]


@good_reviews_only.fixed
def _(request: Any) -> Any:
    good = Prefetch("review_set", Review.objects.filter(stars__gte=4), to_attr="good")
    products = Product.objects.order_by("-id").exclude(sku__startswith="EBK").prefetch_related(good)[:14]
    return [sorted(review.body for review in product.good) for product in products]


@problem("narrowed", reverse("shop_product.id", "shop_review.product_id", "review_set"), children=12)
def latest_review(request: Any) -> Any:
    products = Product.objects.filter(price__gt=3).order_by("sku")[:12]
    return [getattr(product.review_set.order_by("-id").first(), "body", None) for product in products]


@latest_review.fixed
def _(request: Any) -> Any:
    newest = Prefetch("review_set", Review.objects.order_by("-id"), to_attr="newest")
    products = Product.objects.filter(price__gt=3).order_by("sku").prefetch_related(newest)[:12]
    return [product.newest[0].body if product.newest else None for product in products]


@problem("narrowed", reverse("shop_customer.id", "shop_order.customer_id", "orders"), children=12)
def last_order_of_each(request: Any) -> Any:
    """`.last()`: ordered and limited to one row."""
    customers = Customer.objects.filter(orders__isnull=False).distinct().order_by("id")[:12]
    return [customer.orders.order_by("placed_at").last().number for customer in customers]


@last_order_of_each.fixed
def _(request: Any) -> Any:
    newest = Prefetch("orders", Order.objects.order_by("-placed_at"), to_attr="newest")
    customers = Customer.objects.filter(orders__isnull=False).distinct().prefetch_related(newest).order_by("id")[:12]
    return [customer.newest[0].number for customer in customers]


@problem("reverse", reverse("clinic_patient.id", "clinic_measurement.patient_id", "measurements"), children=12)
def measurements_by_uuid(request: Any) -> Any:
    patients = Patient.objects.order_by("name")[:12]
    return [sum(one.value for one in patient.measurements.all()) for patient in patients]


@measurements_by_uuid.fixed
def _(request: Any) -> Any:
    patients = Patient.objects.prefetch_related("measurements").order_by("name")[:12]
    return [sum(one.value for one in patient.measurements.all()) for patient in patients]


@problem("reverse", reverse("clinic_department.code", "clinic_staff.department_id", "staff"), children=8)
def staff_by_text_key(request: Any) -> Any:
    return [sorted(one.name for one in department.staff.all()) for department in Department.objects.order_by("code")]


@staff_by_text_key.fixed
def _(request: Any) -> Any:
    departments = Department.objects.prefetch_related("staff").order_by("code")
    return [sorted(one.name for one in department.staff.all()) for department in departments]


@problem("reverse", reverse("hospital_ward_register.ward_no", "clinic_patient.current_ward", "patients"), children=10)
def patients_of_wards(request: Any) -> Any:
    return [sorted(one.name for one in ward.patients.all()) for ward in Ward.objects.order_by("number")]


@patients_of_wards.fixed
def _(request: Any) -> Any:
    return [
        sorted(one.name for one in ward.patients.all())
        for ward in Ward.objects.prefetch_related("patients").order_by("number")
    ]


@problem(
    "inheritance",
    reverse("clinic_physician.staff_ptr_id|clinic_staff.id", "clinic_patient.physician_id", "patients"),
    children=12,
)
def patients_of_physicians(request: Any) -> Any:
    physicians = Physician.objects.order_by("name")[:12]
    return [sorted(patient.name for patient in physician.patients.all()) for physician in physicians]


@patients_of_physicians.fixed
def _(request: Any) -> Any:
    physicians = Physician.objects.prefetch_related("patients").order_by("name")[:12]
    return [sorted(patient.name for patient in physician.patients.all()) for physician in physicians]


@problem("self", reverse("shop_region.id", "shop_region.parent_id", "subregions"), children=12)
def subregions(request: Any) -> Any:
    regions = Region.objects.filter(id__lte=12).order_by("id")
    return [sorted(one.name for one in region.subregions.all()) for region in regions]


@subregions.fixed
def _(request: Any) -> Any:
    regions = Region.objects.filter(id__lte=12).prefetch_related("subregions").order_by("id")
    return [sorted(one.name for one in region.subregions.all()) for region in regions]


@problem("reverse", reverse("shop_warehouse.id", "shop_stockrecord.warehouse_id", "stock"), children=12)
def stock_of_warehouses(request: Any) -> Any:
    return [sum(one.quantity for one in house.stock.all()) for house in Warehouse.objects.order_by("city")]


@stock_of_warehouses.fixed
def _(request: Any) -> Any:
    houses = Warehouse.objects.prefetch_related("stock").order_by("city")
    return [sum(one.quantity for one in house.stock.all()) for house in houses]


@problem("many_to_many", many_to_many("shop_product.id", "shop_tag|shop_product_tags.product_id", "tags"), children=12)
def tags_of_products(request: Any) -> Any:
    return [sorted(tag.name for tag in product.tags.all()) for product in Product.objects.order_by("id")[:12]]


@tags_of_products.fixed
def _(request: Any) -> Any:
    products = Product.objects.prefetch_related("tags").order_by("id")[:12]
    return [sorted(tag.name for tag in product.tags.all()) for product in products]


@problem(
    "many_to_many",
    many_to_many("shop_tag.id", "shop_product|shop_product_tags.tag_id", "products"),
    children=12,
    login=True,
)
def products_of_tags(request: Any) -> Any:
    from shop.models import Tag

    return [len(tag.products.all()) for tag in Tag.objects.order_by("name")[:12]]


@products_of_tags.fixed
def _(request: Any) -> Any:
    from shop.models import Tag

    return [len(tag.products.all()) for tag in Tag.objects.prefetch_related("products").order_by("name")[:12]]


@problem(
    "many_to_many",
    many_to_many("shop_product.id", "shop_warehouse|shop_stockrecord.product_id", "warehouses"),
    children=14,
)
def warehouses_through_stock(request: Any) -> Any:
    products = Product.objects.filter(id__lt=12015).order_by("id")
    return [sorted(house.city for house in product.warehouses.all()) for product in products]


@warehouses_through_stock.fixed
def _(request: Any) -> Any:
    products = Product.objects.filter(id__lt=12015).prefetch_related("warehouses").order_by("id")
    return [sorted(house.city for house in product.warehouses.all()) for product in products]


@problem(
    "many_to_many",
    many_to_many("clinic_prescription.id", "clinic_drug|clinic_dose.prescription_id", "drugs"),
    children=12,
)
def drugs_through_doses(request: Any) -> Any:
    prescriptions = Prescription.objects.order_by("id")[:12]
    return [sorted(drug.name for drug in prescription.drugs.all()) for prescription in prescriptions]


@drugs_through_doses.fixed
def _(request: Any) -> Any:
    prescriptions = Prescription.objects.prefetch_related("drugs").order_by("id")[:12]
    return [sorted(drug.name for drug in prescription.drugs.all()) for prescription in prescriptions]


@problem(
    "many_to_many",
    many_to_many("clinic_drug.atc_code", "clinic_prescription|clinic_dose.drug_atc", "prescriptions"),
    children=12,
)
def prescriptions_by_text_key(request: Any) -> Any:
    return [len(drug.prescriptions.all()) for drug in Drug.objects.order_by("atc")[:12]]


@prescriptions_by_text_key.fixed
def _(request: Any) -> Any:
    return [
        len(drug.prescriptions.all()) for drug in Drug.objects.prefetch_related("prescriptions").order_by("atc")[:12]
    ]


@problem(
    "many_to_many",
    many_to_many("clinic_patient.id", "clinic_allergy|patient_allergy_map.patient_id", "allergies"),
    children=12,
)
def allergies_of_patients(request: Any) -> Any:
    """A through table with a name of its own, uuid keys."""
    patients = Patient.objects.order_by("-name")[:12]
    return [sorted(one.substance for one in patient.allergies.all()) for patient in patients]


@allergies_of_patients.fixed
def _(request: Any) -> Any:
    patients = Patient.objects.prefetch_related("allergies").order_by("-name")[:12]
    return [sorted(one.substance for one in patient.allergies.all()) for patient in patients]


@problem("many_to_many", many_to_many("shop_product.id", "shop_tag|shop_product_tags.product_id", "tags"), children=12)
def some_tags_of_products(request: Any) -> Any:
    products = Product.objects.order_by("price", "id")[:12]
    return [sorted(tag.name for tag in product.tags.filter(id__gt=5)) for product in products]


@some_tags_of_products.fixed
def _(request: Any) -> Any:
    from shop.models import Tag

    late = Prefetch("tags", Tag.objects.filter(id__gt=5), to_attr="late")
    products = Product.objects.prefetch_related(late).order_by("price", "id")[:12]
    return [sorted(tag.name for tag in product.late) for product in products]


@problem("generic", reverse("shop_product.id", "shop_note.object_id", "notes"), children=12)
def notes_on_products(request: Any) -> Any:
    products = Product.objects.filter(id__lt=12013).order_by("id")
    return [sorted(note.text for note in product.notes.all()) for product in products]


@notes_on_products.fixed
def _(request: Any) -> Any:
    products = Product.objects.filter(id__lt=12013).prefetch_related("notes").order_by("id")
    return [sorted(note.text for note in product.notes.all()) for product in products]


@problem("generic", reverse("shop_order.id", "shop_note.object_id", "notes"), children=12, login=True)
def notes_on_orders(request: Any) -> Any:
    orders = Order.objects.filter(id__lt=31013).order_by("number")
    return [[note.text for note in order.notes.order_by("id")] for order in orders]


@notes_on_orders.fixed
def _(request: Any) -> Any:
    in_order = Prefetch("notes", Note.objects.order_by("id"))
    orders = Order.objects.filter(id__lt=31013).prefetch_related(in_order).order_by("number")
    return [[note.text for note in order.notes.all()] for order in orders]


@problem(
    "generic",
    forward("shop_note.object_id", "shop_product.id", "subject"),
    forward("shop_note.object_id", "shop_order.id", "subject"),
    children=8,
)
def subjects_of_notes(request: Any) -> Any:
    """A generic foreign key: the values of one column, split over two tables."""
    return [str(note.subject) for note in Note.objects.order_by("id")[:16]]


@subjects_of_notes.fixed
def _(request: Any) -> Any:
    return [str(note.subject) for note in Note.objects.prefetch_related("subject").order_by("id")[:16]]


@problem("generic", forward("shop_note.object_id", "shop_product.id", "subject"), children=12)
def subjects_of_one_kind(request: Any) -> Any:
    notes = Note.objects.filter(content_type__model="product").order_by("-id")[:12]
    return [note.subject.sku for note in notes]


@subjects_of_one_kind.fixed
def _(request: Any) -> Any:
    notes = Note.objects.filter(content_type__model="product").prefetch_related("subject").order_by("-id")[:12]
    return [note.subject.sku for note in notes]


@problem("reverse", reverse("shop_order.id", "shop_shipment.order_id", "shipments"), children=12)
def shipments_of_orders(request: Any) -> Any:
    """Integer keys on this side, uuid keys in the rows that come."""
    return [[one.parcel for one in order.shipments.all()] for order in Order.objects.order_by("-id")[:12]]


@shipments_of_orders.fixed
def _(request: Any) -> Any:
    orders = Order.objects.prefetch_related("shipments").order_by("-id")[:12]
    return [[one.parcel for one in order.shipments.all()] for order in orders]


@problem("reverse", reverse("shop_product.id", "shop_stockrecord.product_id", "stock"), children=12)
def filter_with_parent_key(request: Any) -> Any:
    """Not the related manager but `filter(product=product)`."""
    products = Product.objects.order_by("name")[:12]
    return [sum(one.quantity for one in StockRecord.objects.filter(product=product)) for product in products]


@filter_with_parent_key.fixed
def _(request: Any) -> Any:
    products = Product.objects.prefetch_related("stock").order_by("name")[:12]
    return [sum(one.quantity for one in product.stock.all()) for product in products]


@problem("reverse", reverse("shop_order.id", "shop_orderline.order_id", "lines"), children=12)
def values_of_children(request: Any) -> Any:
    """`values_list()` of the children: no model instances, some columns only."""
    orders = Order.objects.order_by("placed_at")[:12]
    return [sorted(order.lines.values_list("quantity", flat=True)) for order in orders]


@values_of_children.fixed
def _(request: Any) -> Any:
    few = Prefetch("lines", OrderLine.objects.only("order_id", "quantity"))
    orders = Order.objects.prefetch_related(few).order_by("placed_at")[:12]
    return [sorted(line.quantity for line in order.lines.all()) for order in orders]

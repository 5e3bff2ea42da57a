"""Foreign keys and one-to-one relations followed one row at a time."""

from __future__ import annotations

from typing import Any

from clinic.models import Appointment, Badge, Department, Nurse, Patient, Physician
from django.db import transaction
from shop.models import (
    Category,
    Customer,
    Invoice,
    LoyalCustomer,
    Order,
    OrderLine,
    Product,
    Profile,
    Region,
    Review,
    Shipment,
)

from .registry import forward, problem, reverse
from .serving import page

ORDERS = "{% for order in orders %}<li>{{ order.number }} for {{ order.customer.name }}</li>{% endfor %}"


@problem("forward", forward("shop_order.customer_id", "shop_customer.id", "customer"), children=12)
def order_list(request: Any) -> Any:
    return [f"{order.number} {order.customer.name}" for order in Order.objects.order_by("id")[:12]]


@order_list.fixed
def _(request: Any) -> Any:
    orders = Order.objects.select_related("customer").order_by("id")[:12]
    return [f"{order.number} {order.customer.name}" for order in orders]


@problem("forward", forward("shop_order.customer_id", "shop_customer.id", "customer"), children=20, login=True)
def order_page_for_staff(request: Any) -> Any:
    return page(ORDERS, orders=Order.objects.filter(status="open").order_by("number")[:20])


@order_page_for_staff.fixed
def _(request: Any) -> Any:
    orders = Order.objects.filter(status="open").select_related("customer")
    return page(ORDERS, orders=orders.order_by("number")[:20])


@problem("forward", forward("shop_order.coupon_id", "shop_coupon.id", "coupon"), children=12)
def nullable_coupon(request: Any) -> Any:
    orders = Order.objects.order_by("-id")[:16]
    return [order.coupon.code if order.coupon else None for order in orders]


@nullable_coupon.fixed
def _(request: Any) -> Any:
    orders = Order.objects.select_related("coupon").order_by("-id")[:16]
    return [order.coupon.code if order.coupon else None for order in orders]


@problem("repeated", forward("shop_order.customer_id", "shop_customer.id", "customer"), children=10)
def orders_of_one_customer(request: Any) -> Any:
    """Ten orders, one customer: ten statements equal to the byte."""
    orders = Order.objects.filter(customer_id=4001, number__gte="O-00046").order_by("id")[:10]
    return [order.customer.email for order in orders]


@orders_of_one_customer.fixed
def _(request: Any) -> Any:
    orders = Order.objects.filter(customer_id=4001, number__gte="O-00046").select_related("customer")
    return [order.customer.email for order in orders.order_by("id")[:10]]


@problem("repeated", forward("shop_review.product_id", "shop_product.id", "product"), children=18)
def reviews_in_threes(request: Any) -> Any:
    """Three reviews in a row have the same product."""
    return [review.product.sku for review in Review.objects.order_by("id")[:18]]


@reviews_in_threes.fixed
def _(request: Any) -> Any:
    return [review.product.sku for review in Review.objects.select_related("product").order_by("id")[:18]]


@problem("forward", forward("shop_customer.region_id", "shop_region.id", "region"), children=15)
def small_ids(request: Any) -> Any:
    """Ids below 30 on both sides."""
    return [customer.region.name for customer in Customer.objects.order_by("name")[:15]]


@small_ids.fixed
def _(request: Any) -> Any:
    return [customer.region.name for customer in Customer.objects.select_related("region").order_by("name")[:15]]


@problem("forward", forward("shop_product.supplier_code", "shop_supplier.code", "supplier"), children=12)
def supplier_by_code(request: Any) -> Any:
    """`to_field` and `db_column`: a text that is unique but no primary key."""
    return [product.supplier.name for product in Product.objects.order_by("id")[:12]]


@supplier_by_code.fixed
def _(request: Any) -> Any:
    return [product.supplier.name for product in Product.objects.select_related("supplier").order_by("id")[:12]]


@problem("forward", forward("clinic_staff.department_id", "clinic_department.code", "department"), children=14)
def department_by_text_key(request: Any) -> Any:
    return [nurse.department.title for nurse in Nurse.objects.order_by("id")[:14]]


@department_by_text_key.fixed
def _(request: Any) -> Any:
    return [nurse.department.title for nurse in Nurse.objects.select_related("department").order_by("id")[:14]]


@problem("forward", forward("clinic_patient.insurer_id", "clinic_insurer.slug", "insurer"), children=15)
def insurer_by_slug(request: Any) -> Any:
    return [patient.insurer.title for patient in Patient.objects.order_by("name")[:15]]


@insurer_by_slug.fixed
def _(request: Any) -> Any:
    return [patient.insurer.title for patient in Patient.objects.select_related("insurer").order_by("name")[:15]]


@problem("forward", forward("clinic_patient.current_ward", "hospital_ward_register.ward_no", "ward"), children=15)
def ward_with_names_of_its_own(request: Any) -> Any:
    """`db_table` and `db_column` on both sides, and NULLs among the values."""
    patients = Patient.objects.order_by("name")[:18]
    return [patient.ward.title if patient.ward else "at home" for patient in patients]


@ward_with_names_of_its_own.fixed
def _(request: Any) -> Any:
    patients = Patient.objects.select_related("ward").order_by("name")[:18]
    return [patient.ward.title if patient.ward else "at home" for patient in patients]


@problem("forward", forward("clinic_appointment.patient_id", "clinic_patient.id", "patient"), children=12)
def appointments_by_uuid(request: Any) -> Any:
    return [one.patient.name for one in Appointment.objects.order_by("starts_at")[:12]]


@appointments_by_uuid.fixed
def _(request: Any) -> Any:
    return [one.patient.name for one in Appointment.objects.select_related("patient").order_by("starts_at")[:12]]


@problem("forward", forward("shop_shipment.warehouse_id", "shop_warehouse.id", "warehouse"), children=12)
def shipments_by_uuid(request: Any) -> Any:
    return [one.warehouse.city for one in Shipment.objects.order_by("parcel")[:12]]


@shipments_by_uuid.fixed
def _(request: Any) -> Any:
    return [one.warehouse.city for one in Shipment.objects.select_related("warehouse").order_by("parcel")[:12]]


@problem("self", forward("shop_customer.referred_by_id", "shop_customer.id", "referred_by"), children=12)
def who_referred_whom(request: Any) -> Any:
    customers = Customer.objects.filter(referred_by__isnull=False).order_by("id")[:12]
    return [customer.referred_by.name for customer in customers]


@who_referred_whom.fixed
def _(request: Any) -> Any:
    customers = Customer.objects.filter(referred_by__isnull=False).select_related("referred_by").order_by("id")[:12]
    return [customer.referred_by.name for customer in customers]


@problem("self", forward("shop_category.parent_id", "shop_category.id", "parent"), children=12)
def category_parents(request: Any) -> Any:
    return [str(category.parent) for category in Category.objects.order_by("name")]


@category_parents.fixed
def _(request: Any) -> Any:
    return [str(category.parent) for category in Category.objects.select_related("parent").order_by("name")]


@problem("self", forward("shop_region.parent_id", "shop_region.id", "parent"), children=18)
def regions_two_up(request: Any) -> Any:
    """Each row's parent, then that one's parent."""
    regions = Region.objects.filter(id__gt=12).order_by("id")
    return [f"{region.name} < {region.parent.name} < {region.parent.parent.name}" for region in regions]


@regions_two_up.fixed
def _(request: Any) -> Any:
    regions = Region.objects.filter(id__gt=12).select_related("parent__parent").order_by("id")
    return [f"{region.name} < {region.parent.name} < {region.parent.parent.name}" for region in regions]


@problem("one_to_one", forward("shop_profile.customer_id", "shop_customer.id", "customer"), children=12)
def profile_owner(request: Any) -> Any:
    return [profile.customer.name for profile in Profile.objects.order_by("-points")[:12]]


@profile_owner.fixed
def _(request: Any) -> Any:
    return [profile.customer.name for profile in Profile.objects.select_related("customer").order_by("-points")[:12]]


@problem("one_to_one", forward("clinic_badge.staff_id", "clinic_staff.id", "staff"), children=14)
def badge_holder(request: Any) -> Any:
    """The one-to-one field is the primary key."""
    return [badge.staff.name for badge in Badge.objects.order_by("serial")[:14]]


@badge_holder.fixed
def _(request: Any) -> Any:
    return [badge.staff.name for badge in Badge.objects.select_related("staff").order_by("serial")[:14]]


@problem(
    "one_to_one",
    reverse("shop_customer.id", "shop_profile.customer_id", "profile", also=("n_plus_one_forward",)),
    children=12,
)
def customer_profile(request: Any) -> Any:
    """The reverse of a one-to-one: looked up like a foreign key, by a unique column."""
    return [customer.profile.nickname for customer in Customer.objects.order_by("id")[:12]]


@customer_profile.fixed
def _(request: Any) -> Any:
    return [customer.profile.nickname for customer in Customer.objects.select_related("profile").order_by("id")[:12]]


@problem(
    "one_to_one",
    reverse("clinic_patient.id", "clinic_contact.patient_id", "emergency_contact", also=("n_plus_one_forward",)),
    children=12,
)
def emergency_contacts(request: Any) -> Any:
    return [patient.emergency_contact.phone for patient in Patient.objects.order_by("name")[:12]]


@emergency_contacts.fixed
def _(request: Any) -> Any:
    patients = Patient.objects.select_related("emergency_contact").order_by("name")[:12]
    return [patient.emergency_contact.phone for patient in patients]


@problem(
    "one_to_one",
    reverse("shop_order.id", "shop_invoice.order_id", "invoice", also=("n_plus_one_forward",)),
    children=15,
    login=True,
)
def order_invoices(request: Any) -> Any:
    orders = Order.objects.filter(status="paid").order_by("-placed_at")[:15]
    return [f"{order.number} {order.invoice.total}" for order in orders]


@order_invoices.fixed
def _(request: Any) -> Any:
    orders = Order.objects.filter(status="paid").select_related("invoice").order_by("-placed_at")[:15]
    return [f"{order.number} {order.invoice.total}" for order in orders]


@problem("one_to_one", forward("shop_invoice.order_id", "shop_order.id", "order"), children=12)
def invoices_and_their_orders(request: Any) -> Any:
    with transaction.atomic():
        return [invoice.order.number for invoice in Invoice.objects.order_by("total")[:12]]


@invoices_and_their_orders.fixed
def _(request: Any) -> Any:
    with transaction.atomic():
        return [one.order.number for one in Invoice.objects.select_related("order").order_by("total")[:12]]


@problem(
    "inheritance",
    forward("clinic_patient.physician_id", "clinic_physician|clinic_staff.staff_ptr_id", "physician"),
    children=12,
)
def physician_of_patients(request: Any) -> Any:
    """The far side is a child table: a join, looked up by its `staff_ptr_id`."""
    return [patient.physician.name for patient in Patient.objects.order_by("-name")[:12]]


@physician_of_patients.fixed
def _(request: Any) -> Any:
    return [patient.physician.name for patient in Patient.objects.select_related("physician").order_by("-name")[:12]]


@problem(
    "inheritance",
    reverse("clinic_staff.id", "clinic_physician|clinic_staff.staff_ptr_id", "physician", also=("n_plus_one_forward",)),
    children=10,
)
def down_to_the_physician(request: Any) -> Any:
    """From the base row to the row of the inheriting table."""
    from clinic.models import Staff

    staff = Staff.objects.filter(pk__lt=2011).order_by("id")
    return [one.physician.speciality for one in staff]


@down_to_the_physician.fixed
def _(request: Any) -> Any:
    from clinic.models import Staff

    staff = Staff.objects.filter(pk__lt=2011).select_related("physician").order_by("id")
    return [one.physician.speciality for one in staff]


@problem("inheritance", forward("clinic_staff.mentor_id", "clinic_staff.id", "mentor"), children=12)
def nurse_mentors(request: Any) -> Any:
    """The foreign key is a column of the base table, reached through a join."""
    return [nurse.mentor.name for nurse in Nurse.objects.order_by("name")[:12]]


@nurse_mentors.fixed
def _(request: Any) -> Any:
    return [nurse.mentor.name for nurse in Nurse.objects.select_related("mentor").order_by("name")[:12]]


@problem("proxy", forward("shop_customer.region_id", "shop_region.id", "region"), children=12)
def proxy_model(request: Any) -> Any:
    return [one.region.name for one in LoyalCustomer.objects.filter(id__lte=4012).order_by("id")]


@proxy_model.fixed
def _(request: Any) -> Any:
    return [
        one.region.name for one in LoyalCustomer.objects.filter(id__lte=4012).select_related("region").order_by("id")
    ]


@problem(
    "forward", forward("clinic_department.head_id", "clinic_physician|clinic_staff.staff_ptr_id", "head"), children=8
)
def heads_of_departments(request: Any) -> Any:
    return {one.code: one.head.name for one in Department.objects.order_by("code")}


@heads_of_departments.fixed
def _(request: Any) -> Any:
    return {one.code: one.head.name for one in Department.objects.select_related("head").order_by("code")}


@problem("forward", forward("shop_orderline.product_id", "shop_product.id", "product"), children=3)
def three_lines(request: Any) -> Any:
    """The fewest that count."""
    return [line.product.name for line in OrderLine.objects.filter(order_id=31008).order_by("id")]


@three_lines.fixed
def _(request: Any) -> Any:
    lines = OrderLine.objects.filter(order_id=31008).select_related("product").order_by("id")
    return [line.product.name for line in lines]


@problem("atomic", forward("shop_orderline.product_id", "shop_product.id", "product"), children=14, login=True)
def within_atomic(request: Any) -> Any:
    with transaction.atomic():
        lines = OrderLine.objects.filter(quantity=2).order_by("id")[:14]
        return [line.product.price for line in lines]


@within_atomic.fixed
def _(request: Any) -> Any:
    with transaction.atomic():
        lines = OrderLine.objects.filter(quantity=2).select_related("product").order_by("id")[:14]
        return [line.product.price for line in lines]


@problem("get_loop", forward("shop_orderline.product_id", "shop_product.id", "product"), children=12)
def get_with_values(request: Any) -> Any:
    """Not lazy loading but `get()` in a loop, with keys from `values_list()`."""
    keys = OrderLine.objects.filter(quantity=3).order_by("id").values_list("product_id", flat=True)[:12]
    return [Product.objects.get(pk=key).sku for key in keys]


@get_with_values.fixed
def _(request: Any) -> Any:
    lines = OrderLine.objects.filter(quantity=3).select_related("product").order_by("id")[:12]
    return [line.product.sku for line in lines]


@problem(
    "forward",
    forward(
        "clinic_physician.staff_ptr_id|clinic_staff.id", "clinic_badge.staff_id", "badge", also=("n_plus_one_reverse",)
    ),
    children=12,
)
def badges_of_physicians(request: Any) -> Any:
    """A one-to-one that is a primary key, followed backwards from an inheriting table."""
    return [physician.badge.serial for physician in Physician.objects.order_by("pk")[:12]]


@badges_of_physicians.fixed
def _(request: Any) -> Any:
    return [one.badge.serial for one in Physician.objects.select_related("badge").order_by("pk")[:12]]

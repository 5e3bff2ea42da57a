"""The rows of both databases: the same in every run, keys included.

Tables begin their ids far apart, so that a value of one is no value of another. The exceptions are meant:
`Region`, `Tag`, `Shelf` and `Setting` count from 1, and `Shelf` holds numbers that match their ids by chance.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Iterable
from typing import Any

from clinic import models as clinic
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connections, models
from shop import models as shop

SESSION = "theonlysessionoftheevaluation"
"""Session key of the superuser."""

_DAY = datetime.datetime(2026, 3, 2, 9, tzinfo=datetime.UTC)
_NAMESPACE = uuid.UUID("6f2d7a52-55a1-4b43-9d0f-0b8f0c1c6f11")

CUSTOMERS, ORDERS, PRODUCTS = 40, 60, 40
FAITHFUL_ORDERS = 14
"""The last orders all belong to the first customer."""


def _uuid(what: str, index: int) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, f"{what} {index}")


def _fill(model: type[models.Model], first: int, rows: Iterable[dict[str, Any]], alias: str = "default") -> list[Any]:
    """Rows with ids from `first` on, and the sequence behind them."""
    objects = [model(pk=first + index, **row) for index, row in enumerate(rows)]
    model._default_manager.using(alias).bulk_create(objects)
    _continue(model, first + len(objects), alias)
    return objects


def _continue(model: type[models.Model], following: int, alias: str) -> None:
    table, column = model._meta.db_table, model._meta.pk.column
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", [f'"{table}"', column])
        (sequence,) = cursor.fetchone()
        if sequence:
            cursor.execute("SELECT setval(%s, %s, false)", [sequence, following])


def fill() -> None:
    _people()
    _shop()
    _notes()
    _clinic()
    _archive()


def _people() -> None:
    user = get_user_model()(pk=17, username="warden", email="warden@example.org", is_staff=True, is_superuser=True)
    user.set_password("warden")
    user.save()
    session = {
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }
    far = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)
    Session.objects.create(session_key=SESSION, session_data=SessionStore().encode(session), expire_date=far)


def _shop() -> None:
    parents = [None] * 3 + [1 + index % 3 for index in range(9)] + [4 + index * 5 % 9 for index in range(18)]
    _fill(shop.Region, 1, ({"name": f"Region {n}", "parent_id": parent} for n, parent in enumerate(parents)))
    _fill(shop.Tag, 1, ({"name": f"tag {n}"} for n in range(20)))
    _fill(shop.Shelf, 1, ({"label": f"S{n}", "floor": 1 + n % 7, "capacity": 1 + n * 7 % 30} for n in range(30)))
    _fill(shop.Setting, 1, ({"name": f"setting {n}", "value": f"v{n}"} for n in range(30)))

    customers = _fill(
        shop.Customer,
        4001,
        (
            {
                "name": f"Customer {n}",
                "email": f"c{n}@example.org",
                "region_id": 13 + n * 7 % 18,
                "referred_by_id": None,
                "biography": f"The life of {n}. " * 5,
            }
            for n in range(CUSTOMERS)
        ),
    )
    for n, customer in enumerate(customers[4:], start=4):
        customer.referred_by = None if n % 5 == 0 else customers[(n * 37 + 11) // 3 % n]
    shop.Customer.objects.bulk_update(customers, ["referred_by"])
    _fill(
        shop.Profile,
        7101,
        (
            {"customer": customers[n * 11 % CUSTOMERS], "nickname": f"nick{n}", "points": n * 10}
            for n in range(CUSTOMERS)
        ),
    )

    suppliers = _fill(
        shop.Supplier,
        211,
        (
            {
                "code": f"SUP-{n * 37 % 100:03}" + ("", "'s", "\\", "ß")[n % 4],
                "name": f"Supplier {n}",
                "country": ("de", "fr", "it")[n % 3],
            }
            for n in range(15)
        ),
    )
    _fill(
        shop.Category,
        301,
        ({"name": f"Category {n}", "parent_id": None if n < 4 else 301 + (n * 37 + 11) // 3 % n} for n in range(16)),
    )
    houses = [shop.Warehouse(id=_uuid("warehouse", n), city=f"City {n}") for n in range(12)]
    shop.Warehouse.objects.bulk_create(houses)

    products = _fill(
        shop.Product,
        12001,
        (
            {
                "sku": f"SKU-{n:04}",
                "name": f"Product {n}",
                "price": decimal.Decimal(n * 13 % 90 + 5) / 2,
                "description": f"All about {n}. " * 10,
                "manual": f"How to use {n}. " * 10,
                "category_id": 301 + n * 7 % 16,
                "supplier_id": suppliers[n * 4 % 15].code,
            }
            for n in range(PRODUCTS)
        ),
    )
    for n in range(15):
        book = shop.Ebook(
            pk=12501 + n,
            sku=f"EBK-{n:04}",
            name=f"Ebook {n}",
            price=9,
            category_id=301 + n * 5 % 16,
            supplier_id=suppliers[n].code,
            pages=100 + n,
            language=("en", "de")[n % 2],
        )
        book.save(force_insert=True)
    _continue(shop.Product, 12601, "default")
    through = shop.Product.tags.through
    _fill(through, 15001, ({"product_id": products[n // 3].pk, "tag_id": 1 + n * 7 % 20} for n in range(PRODUCTS * 3)))
    _fill(
        shop.StockRecord,
        18001,
        (
            {"product": products[n // 2], "warehouse": houses[n * 5 % 12], "quantity": n % 9}
            for n in range(PRODUCTS * 2)
        ),
    )

    _fill(shop.Coupon, 601, ({"code": f"SAVE{n}", "percent": 5 + n} for n in range(20)))
    orders = _fill(
        shop.Order,
        31001,
        (
            {
                "number": f"O-{n:05}",
                "customer": customers[0 if n >= ORDERS - FAITHFUL_ORDERS else (n * 7 + 3) % CUSTOMERS],
                "coupon_id": None if n % 4 == 0 else 601 + n * 3 % 20,
                "status": "open" if n % 3 else "paid",
                "placed_at": _DAY + datetime.timedelta(hours=n),
            }
            for n in range(ORDERS)
        ),
    )
    _fill(
        shop.OrderLine,
        52001,
        (
            {
                "order": orders[n // 3],
                "product": products[n * 11 % PRODUCTS],
                "quantity": 1 + n % 4,
                "unit_price": decimal.Decimal(n % 50 + 1),
            }
            for n in range(ORDERS * 3)
        ),
    )
    _fill(shop.Invoice, 70501, ({"order": orders[n * 7 % ORDERS], "total": n * 3 + 10} for n in range(ORDERS)))
    shop.Shipment.objects.bulk_create(
        shop.Shipment(
            id=_uuid("shipment", n), order=orders[n * 11 % ORDERS], warehouse=houses[n * 7 % 12], parcel=f"P{n:04}"
        )
        for n in range(ORDERS)
    )
    _fill(
        shop.Review,
        90001,
        (
            {
                "product": products[n // 3],
                "customer": customers[n * 13 % CUSTOMERS],
                "stars": 1 + n * 7 % 5,
                "body": f"Review {n}",
            }
            for n in range(PRODUCTS * 3)
        ),
    )
    _fill(
        shop.OutboxMessage,
        130001,
        ({"topic": f"topic {n}", "payload": "x" * 20, "order_number": f"O-{n * 7 % 60:05}"} for n in range(30)),
    )
    _fill(shop.Subscription, 150001, ({"email": f"s{n}@example.org", "visits": n} for n in range(30)))


def _notes() -> None:
    # Content types get their ids when they are first asked for: ask in one order, far from other small ids.
    ContentType.objects.all().delete()
    ContentType.objects.clear_cache()
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('django_content_type', 'id'), 801, false)")
    kinds = [ContentType.objects.get_for_model(model) for model in (shop.Product, shop.Order, shop.Customer)]
    firsts = (12001, 31001, 4001)
    _fill(
        shop.Note,
        110001,
        ({"content_type": kinds[n % 2], "object_id": firsts[n % 2] + n // 4, "text": f"Note {n}"} for n in range(120)),
    )


def _clinic() -> None:
    departments = [
        clinic.Department(code=code, title=f"Department {code}")
        for code in ("CARD", "NEUR", "ORTH", "PEDI", "RADI", "SURG", "UROL", "ONCO")
    ]
    clinic.Department.objects.bulk_create(departments)
    physicians = []
    for n in range(16):
        physician = clinic.Physician(
            pk=2001 + n,
            name=f"Dr {n}",
            department=departments[n * 3 % 8],
            mentor=None,
            speciality=f"speciality {n % 5}",
        )
        physician.save(force_insert=True)
        physicians.append(physician)
    for n in range(16):
        clinic.Nurse(
            pk=2101 + n, name=f"Nurse {n}", department=departments[n * 5 % 8], mentor_id=2001 + n * 7 % 16, level=n % 4
        ).save(force_insert=True)
    _continue(clinic.Staff, 2201, "default")
    for n, department in enumerate(departments):
        department.head = physicians[n * 5 % 16]
    clinic.Department.objects.bulk_update(departments, ["head"])
    clinic.Badge.objects.bulk_create(
        clinic.Badge(staff_id=first + n, serial=f"B{first + n}") for first in (2001, 2101) for n in range(16)
    )
    _fill(
        clinic.Handover,
        46001,
        ({"giver_id": 2001 + n, "taker_id": 2101 + n, "witness_id": 2009 + n, "writer_id": 2109 + n} for n in range(7)),
    )
    insurers = _fill(
        clinic.Insurer, 251, ({"slug": f"insurer-{n * 29 % 50:02}", "title": f"Insurer {n}"} for n in range(9))
    )
    clinic.Ward.objects.bulk_create(
        clinic.Ward(number=9001 + n * 10, title=f"Ward {n}", floor=n % 4) for n in range(10)
    )
    patients = [
        clinic.Patient(
            id=_uuid("patient", n),
            name=f"Patient {n:02}",
            ward_id=None if n % 6 == 5 else 9001 + n * 3 % 10 * 10,
            physician=physicians[n * 5 % 16],
            insurer=insurers[n * 4 % 9],
            anamnesis=f"Long story {n}. " * 8,
        )
        for n in range(30)
    ]
    clinic.Patient.objects.bulk_create(patients)
    _fill(clinic.Allergy, 501, ({"substance": f"substance {n}"} for n in range(12)))
    _fill(
        clinic.Patient.allergies.through,
        16001,
        ({"patient_id": patients[n // 2].pk, "allergy_id": 501 + n * 5 % 12} for n in range(60)),
    )
    _fill(clinic.Contact, 7601, ({"patient": patients[n * 7 % 30], "phone": f"+49 {n:05}"} for n in range(30)))
    appointments = _fill(
        clinic.Appointment,
        41001,
        (
            {
                "patient": patients[n * 7 % 30],
                "staff_id": (2001 if n % 2 else 2101) + n * 3 % 16,
                "starts_at": _DAY + datetime.timedelta(minutes=20 * n),
                "room": 1 + n % 9,
            }
            for n in range(60)
        ),
    )
    clinic.Drug.objects.bulk_create(
        clinic.Drug(atc=f"N{n:02}AX{n * 7 % 10}", name=f"Drug {n}", leaflet="read it " * 10) for n in range(14)
    )
    drugs = list(clinic.Drug.objects.order_by("atc"))
    prescriptions = _fill(clinic.Prescription, 44001, ({"appointment": appointments[n * 7 % 60]} for n in range(40)))
    _fill(
        clinic.Dose,
        47001,
        (
            {"prescription": prescriptions[n // 2], "drug": drugs[n * 5 % 14], "milligrams": 10 * (1 + n % 9)}
            for n in range(80)
        ),
    )
    _fill(
        clinic.Measurement,
        61001,
        (
            {"patient": patients[n // 4], "kind": ("pulse", "weight")[n % 2], "value": float(40 + n % 80)}
            for n in range(120)
        ),
    )


def _archive() -> None:
    batches = _fill(clinic.LabBatch, 5_000_000_701, ({"title": f"Batch {n}"} for n in range(15)), "archive")
    _fill(
        clinic.LabResult,
        81001,
        (
            {"patient_ref": _uuid("patient", n % 30), "batch": batches[n * 4 % 15], "value": n * 17 % 100}
            for n in range(60)
        ),
        "archive",
    )

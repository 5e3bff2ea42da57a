"""Rows written one at a time, and statements that are sent again although the answer is known."""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction
from django.db.models import F
from shop.models import AuditEntry, Customer, Order, OutboxMessage, Product, Setting, Subscription, Tag

from .registry import Group, Where, chatty, duplicate, problem, query_loop, write_loop
from .serving import page

EMPTY = "DELETE FROM shop_auditentry"
SUBSCRIPTIONS = """
DELETE FROM shop_subscription;
INSERT INTO shop_subscription (id, email, topic, active, visits)
SELECT 150001 + n, 's' || n || '@example.org', 'news', true, n FROM generate_series(0, 29) n
"""
TAGGED = "DELETE FROM shop_product_tags WHERE tag_id > 20; DELETE FROM shop_tag WHERE id > 20"


def _topics() -> list[tuple[str, int]]:
    return list(Subscription.objects.order_by("id").values_list("topic", "visits"))


@problem("create", write_loop("shop_auditentry", "bulk_create"), children=12, restore=EMPTY)
def create_in_a_loop(request: Any) -> Any:
    for n in range(12):
        AuditEntry.objects.create(kind="visit", amount=n)
    return AuditEntry.objects.filter(kind="visit").count()


@create_in_a_loop.fixed
def _(request: Any) -> Any:
    AuditEntry.objects.bulk_create(AuditEntry(kind="visit", amount=n) for n in range(12))
    return AuditEntry.objects.filter(kind="visit").count()


@problem("create", write_loop("shop_auditentry", "bulk_create"), children=15, restore=EMPTY, login=True)
def create_for_each_row(request: Any) -> Any:
    """What is written comes from rows that were read."""
    with transaction.atomic():
        for order in Order.objects.order_by("id")[:15]:
            AuditEntry(kind="export", reference=order.number, amount=order.customer_id).save()
    return sorted(AuditEntry.objects.filter(kind="export").values_list("reference", flat=True))


@create_for_each_row.fixed
def _(request: Any) -> Any:
    with transaction.atomic():
        AuditEntry.objects.bulk_create(
            AuditEntry(kind="export", reference=order.number, amount=order.customer_id)
            for order in Order.objects.order_by("id")[:15]
        )
    return sorted(AuditEntry.objects.filter(kind="export").values_list("reference", flat=True))


@problem("create", write_loop("shop_auditentry", "bulk_create"), children=5, restore=EMPTY)
def create_five(request: Any) -> Any:
    for n in range(5):
        AuditEntry.objects.create(kind="few", reference=f"r{n}")
    return None


@create_five.fixed
def _(request: Any) -> Any:
    AuditEntry.objects.bulk_create([AuditEntry(kind="few", reference=f"r{n}") for n in range(5)])
    return None


@problem("update", write_loop("shop_subscription", "bulk_update", "update"), children=12, restore=SUBSCRIPTIONS)
def save_each(request: Any) -> Any:
    for one in Subscription.objects.order_by("id")[:12]:
        one.visits += 10
        one.save()
    return _topics()


@save_each.fixed
def _(request: Any) -> Any:
    some = list(Subscription.objects.order_by("id")[:12])
    for one in some:
        one.visits += 10
    Subscription.objects.bulk_update(some, ["visits"])
    return _topics()


@problem(
    "update", write_loop("shop_subscription", "bulk_update", "update"), children=14, restore=SUBSCRIPTIONS, login=True
)
def save_one_field_each(request: Any) -> Any:
    with transaction.atomic():
        for one in Subscription.objects.filter(visits__gte=5).order_by("email")[:14]:
            one.topic = f"topic {one.visits % 3}"
            one.save(update_fields=["topic"])
    return _topics()


@save_one_field_each.fixed
def _(request: Any) -> Any:
    with transaction.atomic():
        some = list(Subscription.objects.filter(visits__gte=5).order_by("email")[:14])
        for one in some:
            one.topic = f"topic {one.visits % 3}"
        Subscription.objects.bulk_update(some, ["topic"])
    return _topics()


@problem("update", write_loop("shop_subscription", "update"), children=12, restore=SUBSCRIPTIONS)
def update_by_key(request: Any) -> Any:
    for one in Subscription.objects.filter(visits__lt=12):
        Subscription.objects.filter(pk=one.pk).update(active=False)
    return Subscription.objects.filter(active=False).count()


@update_by_key.fixed
def _(request: Any) -> Any:
    Subscription.objects.filter(visits__lt=12).update(active=False)
    return Subscription.objects.filter(active=False).count()


@problem("update", write_loop("shop_subscription", "update"), children=10, restore=SUBSCRIPTIONS)
def count_up_by_constant(request: Any) -> Any:
    for n in range(10):
        Subscription.objects.filter(email=f"s{n}@example.org").update(visits=F("visits") + 1)
    return _topics()


@count_up_by_constant.fixed
def _(request: Any) -> Any:
    emails = [f"s{n}@example.org" for n in range(10)]
    Subscription.objects.filter(email__in=emails).update(visits=F("visits") + 1)
    return _topics()


@problem("delete", write_loop("shop_subscription", "delete"), children=12, restore=SUBSCRIPTIONS)
def delete_each(request: Any) -> Any:
    for one in Subscription.objects.order_by("-id")[:12]:
        one.delete()
    return Subscription.objects.count()


@delete_each.fixed
def _(request: Any) -> Any:
    Subscription.objects.filter(pk__in=Subscription.objects.order_by("-id").values("pk")[:12]).delete()
    return Subscription.objects.count()


@problem("delete", write_loop("shop_subscription", "delete"), children=8, restore=SUBSCRIPTIONS)
def delete_by_constant(request: Any) -> Any:
    for n in range(8):
        Subscription.objects.filter(email=f"s{n}@example.org").delete()
    return Subscription.objects.count()


@delete_by_constant.fixed
def _(request: Any) -> Any:
    Subscription.objects.filter(email__in=[f"s{n}@example.org" for n in range(8)]).delete()
    return Subscription.objects.count()


@problem("get_or_create", write_loop("shop_subscription", "bulk_create"), children=10, restore=SUBSCRIPTIONS)
def get_or_create_new(request: Any) -> Any:
    for n in range(10):
        Subscription.objects.get_or_create(email=f"new{n}@example.org", defaults={"topic": "new"})
    return Subscription.objects.filter(topic="new").count()


@get_or_create_new.fixed
def _(request: Any) -> Any:
    Subscription.objects.bulk_create(
        [Subscription(email=f"new{n}@example.org", topic="new") for n in range(10)], ignore_conflicts=True
    )
    return Subscription.objects.filter(topic="new").count()


@problem("get_or_create", write_loop("shop_subscription", "bulk_create"), children=10, restore=SUBSCRIPTIONS)
def update_or_create_each(request: Any) -> Any:
    for n in range(10):
        Subscription.objects.update_or_create(email=f"s{n}@example.org", defaults={"topic": f"again {n}"})
    return _topics()


@update_or_create_each.fixed
def _(request: Any) -> Any:
    Subscription.objects.bulk_create(
        [Subscription(email=f"s{n}@example.org", topic=f"again {n}") for n in range(10)],
        update_conflicts=True,
        update_fields=["topic"],
        unique_fields=["email"],
    )
    return _topics()


@problem("m2m_add", write_loop("shop_product_tags", "add"), children=10, restore=TAGGED)
def add_tags_one_by_one(request: Any) -> Any:
    product = Product.objects.get(sku="EBK-0003")
    tags = Tag.objects.bulk_create([Tag(name=f"added {n}") for n in range(10)])
    for tag in tags:
        product.tags.add(tag)
    return product.tags.count()


@add_tags_one_by_one.fixed
def _(request: Any) -> Any:
    product = Product.objects.get(sku="EBK-0003")
    product.tags.add(*Tag.objects.bulk_create([Tag(name=f"added {n}") for n in range(10)]))
    return product.tags.count()


@problem("m2m_add", write_loop("shop_product_tags", "bulk_create", "add"), children=12, restore=TAGGED)
def tag_many_products(request: Any) -> Any:
    tag = Tag.objects.create(name="sale")
    for product in Product.objects.order_by("id")[:12]:
        product.tags.add(tag)
    return tag.products.count()


@tag_many_products.fixed
def _(request: Any) -> Any:
    tag = Tag.objects.create(name="sale")
    tag.products.add(*Product.objects.order_by("id")[:12])
    return tag.products.count()


@problem("raw", write_loop("shop_auditentry"), children=12, restore=EMPTY, where=Where.COMMAND)
def raw_inserts(job: Any) -> Any:
    with connection.cursor() as cursor:
        for n in range(12):
            cursor.execute(
                "INSERT INTO shop_auditentry (kind, reference, amount) VALUES (%s, %s, %s)", ["import", f"line {n}", n]
            )
    return AuditEntry.objects.filter(kind="import").count()


@raw_inserts.fixed
def _(job: Any) -> Any:
    rows = [("import", f"line {n}", n) for n in range(12)]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shop_auditentry (kind, reference, amount) VALUES " + ", ".join(["(%s, %s, %s)"] * len(rows)),
            [value for row in rows for value in row],
        )
    return AuditEntry.objects.filter(kind="import").count()


@problem("create", write_loop("shop_auditentry", "bulk_create"), children=40, restore=EMPTY, where=Where.COMMAND)
def import_line_by_line(job: Any) -> Any:
    for n in range(40):
        with transaction.atomic():
            AuditEntry.objects.create(kind="line", reference=f"{n}", amount=n)
    return AuditEntry.objects.filter(kind="line").count()


@import_line_by_line.fixed
def _(job: Any) -> Any:
    with transaction.atomic():
        AuditEntry.objects.bulk_create([AuditEntry(kind="line", reference=f"{n}", amount=n) for n in range(40)])
    return AuditEntry.objects.filter(kind="line").count()


@problem("duplicate", duplicate("shop_setting"), children=5)
def same_setting_again(request: Any) -> Any:
    return [Setting.objects.get(name="setting 7").value for _ in range(5)]


@same_setting_again.fixed
def _(request: Any) -> Any:
    setting = Setting.objects.get(name="setting 7")
    return [setting.value for _ in range(5)]


@problem("duplicate", duplicate("shop_order"), children=4, login=True)
def same_list_evaluated_again(request: Any) -> Any:
    """A queryset that is cloned each time it is used."""
    source = (
        "{{ orders.all|length }} {{ orders.all.0 }} {% for o in orders.all %}{{ o }}{% endfor %}{{ orders.all|last }}"
    )
    return page(
        "{% autoescape off %}" + source + "{% endautoescape %}",
        orders=_Again(Order.objects.filter(status="paid").order_by("-id")),
    )


class _Again:
    """Templates ask it for `all` again and again."""

    def __init__(self, orders: Any) -> None:
        self._orders = orders

    @property
    def all(self) -> Any:
        return list(self._orders.all())


@same_list_evaluated_again.fixed
def _(request: Any) -> Any:
    source = "{{ orders|length }} {{ orders.0 }} {% for o in orders %}{{ o }}{% endfor %}{{ orders|last }}"
    return page(
        "{% autoescape off %}" + source + "{% endautoescape %}",
        orders=list(Order.objects.filter(status="paid").order_by("-id")),
    )


@problem("duplicate", duplicate("shop_order"), children=4)
def same_count_again(request: Any) -> Any:
    """Between other statements."""
    found = []
    for model in (Product, Customer, Tag, Setting):
        found.append([model.objects.count(), Order.objects.filter(status="open").count()])
    return found


@same_count_again.fixed
def _(request: Any) -> Any:
    still_open = Order.objects.filter(status="open").count()
    return [[model.objects.count(), still_open] for model in (Product, Customer, Tag, Setting)]


@problem("duplicate", duplicate("shop_customer"), children=6)
def same_get_in_helpers(request: Any) -> Any:
    """Each helper loads the customer for itself."""

    def customer() -> Customer:
        return Customer.objects.get(email="c9@example.org")

    with transaction.atomic():
        return [
            customer().name,
            customer().email,
            customer().pk,
            customer().region_id,
            customer().biography[:5],
            customer().referred_by_id,
        ]


@same_get_in_helpers.fixed
def _(request: Any) -> Any:
    with transaction.atomic():
        one = Customer.objects.get(email="c9@example.org")
    return [one.name, one.email, one.pk, one.region_id, one.biography[:5], one.referred_by_id]


@problem("duplicate", duplicate("shop_tag"), children=3)
def same_choices_three_times(request: Any) -> Any:
    """A form's choices, once for each of its rows."""
    return [[tag.name for tag in Tag.objects.filter(id__lte=20).order_by("name")] for _ in range(3)]


@same_choices_three_times.fixed
def _(request: Any) -> Any:
    names = [tag.name for tag in Tag.objects.filter(id__lte=20).order_by("name")]
    return [names for _ in range(3)]


@problem("constants", query_loop("shop_product"), children=12)
def get_by_constants(request: Any) -> Any:
    """The keys are in the code: only repetition is to be seen."""
    return [Product.objects.get(sku=f"SKU-{n:04}").name for n in range(12)]


@get_by_constants.fixed
def _(request: Any) -> Any:
    wanted = [f"SKU-{n:04}" for n in range(12)]
    return [product.name for product in Product.objects.filter(sku__in=wanted).order_by("sku")]


@problem("constants", query_loop("shop_subscription"), children=12, where=Where.COMMAND)
def get_or_create_that_is_there(job: Any) -> Any:
    return [Subscription.objects.get_or_create(email=f"s{n}@example.org")[1] for n in range(12)]


@get_or_create_that_is_there.fixed
def _(job: Any) -> Any:
    there = set(
        Subscription.objects.filter(email__in=[f"s{n}@example.org" for n in range(12)]).values_list("email", flat=True)
    )
    return [f"s{n}@example.org" not in there for n in range(12)]


@problem("constants", query_loop("shop_outboxmessage"), children=10, login=True)
def exists_by_constants(request: Any) -> Any:
    return [OutboxMessage.objects.filter(topic=f"topic {n}").exists() for n in range(10)]


@exists_by_constants.fixed
def _(request: Any) -> Any:
    there = set(OutboxMessage.objects.values_list("topic", flat=True))
    return [f"topic {n}" in there for n in range(10)]


@problem("chatty", chatty(), children=120, group=Group.SUSPECTED)
def a_hundred_questions(request: Any) -> Any:
    """Too many statements, hardly two of one shape."""
    columns = ["sku", "name", "price", "description", "manual", "category_id", "supplier_id"]
    found = []
    for bits in range(1, 128):
        chosen = [column for index, column in enumerate(columns) if bits >> index & 1]
        found.append(Product.objects.order_by("id").values_list(*chosen)[0])
    return len(found)


@a_hundred_questions.fixed
def _(request: Any) -> Any:
    return len([Product.objects.order_by("id")[0] for _ in range(1)] * 127)

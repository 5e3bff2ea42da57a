"""Workers, queues, retries, housekeeping: rightful repetition without requests; and what cannot be decided."""

from __future__ import annotations

from typing import Any

from clinic.models import LabResult, Patient
from django.apps.registry import Apps
from django.db import IntegrityError, connection, models, transaction
from django.db.models import F
from shop.models import (
    AuditEntry,
    Coupon,
    Customer,
    Order,
    OutboxMessage,
    Product,
    Profile,
    Region,
    Setting,
    Shelf,
    StockRecord,
    Subscription,
    Supplier,
    Tag,
)

from .look_alikes import again, hurried
from .registry import Where, hard, look_alike
from .writes import EMPTY, SUBSCRIPTIONS

MESSAGES = "UPDATE shop_outboxmessage SET state = 'new'"


def _take_one() -> OutboxMessage | None:
    with transaction.atomic():
        waiting = OutboxMessage.objects.select_for_update(skip_locked=True).filter(state="new").order_by("id")
        message = waiting.first()
        if message is not None:
            message.state = "sent"
            message.save(update_fields=["state"])
    return message


@look_alike("queue", where=Where.COMMAND, restore=MESSAGES)
def queue_with_pauses(job: Any) -> Any:
    done = 0
    for _ in range(6):
        done += _take_one() is not None
        job.pause()
    return done


@look_alike("queue", where=Where.COMMAND, restore=MESSAGES)
def queue_emptied_at_once(job: Any) -> Any:
    """One transaction a message, one straight after the other."""
    done = 0
    while _take_one() is not None:
        done += 1
    return done


@look_alike("queue", where=Where.COMMAND, restore=MESSAGES)
def queue_with_four_workers(job: Any) -> Any:
    return sorted(job.threads(range(12), lambda _: _take_one() is not None))


@look_alike("queue", where=Where.COMMAND)
def empty_queue(job: Any) -> Any:
    """Asked again and again; there is never anything."""
    found = 0
    for _ in range(6):
        found += OutboxMessage.objects.filter(state="urgent").order_by("id").first() is not None
        job.pause()
    return found


@look_alike("worker", where=Where.COMMAND)
def tasks_by_key(job: Any) -> Any:
    """Each task is given a key and loads its own row; the keys came from somewhere else."""
    found = []
    for n in range(6):
        with transaction.atomic():
            customer = Customer.objects.select_related("region").get(pk=4005 + n)
            found.append([customer.region.name, customer.orders.count()])
        job.pause()
    return found


@look_alike("worker", where=Where.COMMAND)
def tasks_from_a_list(job: Any) -> Any:
    """A scheduler lists what is due; the tasks follow one after the other, each with a pause before it."""
    due = list(Supplier.objects.order_by("id").values_list("id", flat=True)[:8])
    found = []
    for key in due:
        job.pause(0.07, 0.12)
        with transaction.atomic():
            found.append(Supplier.objects.only("name", "country").get(pk=key).name)
    return found


@look_alike("worker", where=Where.COMMAND, restore=EMPTY)
def heartbeat(job: Any) -> Any:
    for n in range(6):
        AuditEntry.objects.create(kind="beat", amount=n)
        job.pause()
    return 6


@look_alike("writes", drive=again(10), restore=SUBSCRIPTIONS)
def one_update_a_request(request: Any) -> Any:
    return Subscription.objects.filter(pk=150001 + int(request.GET["n"])).update(visits=F("visits") + 1)


@look_alike("writes", drive=again(10), restore=EMPTY, login=True)
def one_insert_a_request(request: Any) -> Any:
    AuditEntry.objects.create(kind="click", amount=int(request.GET["n"]))
    return "clicked"


@look_alike("retry")
def retry_after_an_error(request: Any) -> Any:
    """The same INSERT four times: three end in an error."""
    refused = 0
    for n in range(4):
        try:
            with transaction.atomic():
                Setting(pk=5 if n < 3 else 6, name="taken").save(force_insert=True)
        except IntegrityError:
            refused += 1
    return refused


@look_alike("retry", where=Where.COMMAND)
def retry_of_a_transaction(job: Any) -> Any:
    """The work of a transaction again, after each of three rollbacks."""
    tries = 0
    while tries < 4:
        tries += 1
        with transaction.atomic():
            stock = StockRecord.objects.select_for_update().get(pk=18003)
            StockRecord.objects.filter(pk=stock.pk).update(quantity=F("quantity"))
            if tries < 4:
                transaction.set_rollback(True)
    return tries


@look_alike("housekeeping", where=Where.COMMAND)
def sequence_values(job: Any) -> Any:
    """Equal to the byte, and each answer is another."""
    seen = set()
    with connection.cursor() as cursor:
        for _ in range(8):
            cursor.execute("SELECT nextval('shop_auditentry_id_seq')")
            seen.add(cursor.fetchone())
    return len(seen)


@look_alike("housekeeping", where=Where.COMMAND)
def is_the_connection_usable(job: Any) -> Any:
    found = [Tag.objects.filter(pk=1).exists()]
    return found + [connection.is_usable() for _ in range(8)]


@look_alike("housekeeping", where=Where.COMMAND)
def advisory_locks(job: Any) -> Any:
    with connection.cursor() as cursor:
        for _ in range(5):
            cursor.execute("SELECT pg_advisory_lock(77)")
            cursor.execute("SELECT pg_advisory_unlock(77)")
    return 5


@look_alike("migrations", where=Where.COMMAND)
def schema_changes(job: Any) -> Any:
    """Tables made, altered and dropped in one transaction."""

    def made(n: int) -> type[models.Model]:
        fields: dict[str, Any] = {
            "__module__": "scenarios.workers",
            "label": models.CharField(max_length=20),
            "Meta": type("Meta", (), {"app_label": "scenarios", "apps": Apps()}),
        }
        return type(f"Temporary{n}", (models.Model,), fields)

    tables = [made(n) for n in range(5)]
    with connection.schema_editor() as editor:
        for table in tables:
            editor.create_model(table)
            field = models.IntegerField(default=0, db_index=True)
            field.set_attributes_from_name("amount")
            editor.add_field(table, field)
        for table in tables:
            editor.delete_model(table)
    return len(tables)


@look_alike("migrations", where=Where.COMMAND)
def migrate_with_nothing_to_do(job: Any) -> Any:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    return "migrated"


@hard(
    "migrations",
    where=Where.COMMAND,
    before="DELETE FROM auth_permission; DELETE FROM django_content_type WHERE id > 803",
)
def migrate_that_makes_content_types(job: Any) -> Any:
    """Django's own loop over applications, one INSERT each: nobody's to fix, and like any other on the wire."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    return "migrated"


@hard("list_then_details", drive=lambda browser: hurried(browser, 8), marks_decide=True)
def suppliers_then_each_at_once(request: Any) -> Any:
    """A script asks for the list and for each entry, without a pause and without a user."""
    return [one.pk for one in Supplier.objects.only("id", "code").order_by("-name")[:8]]


@suppliers_then_each_at_once.step("detail")
def _(request: Any) -> Any:
    return Supplier.objects.only("code", "country").get(pk=request.GET["key"]).country


@hard("list_then_details", drive=lambda browser: hurried(browser, 8), marks_decide=True)
def coupons_then_their_orders_at_once(request: Any) -> Any:
    return [one.pk for one in Coupon.objects.only("id", "percent").order_by("-percent")[:8]]


@coupons_then_their_orders_at_once.step("detail")
def _(request: Any) -> Any:
    return list(Order.objects.filter(coupon_id=request.GET["key"]).values_list("status", flat=True))


@hard("two_databases")
def two_databases_without_a_trace(request: Any) -> Any:
    """A loop over two connections that nothing joins."""
    patients = Patient.objects.only("id", "name").order_by("-name")[:10]
    return [LabResult.objects.filter(patient_ref=one.pk).only("value").order_by("-value")[0].value for one in patients]


@hard("threads", where=Where.COMMAND)
def children_on_threads(job: Any) -> Any:
    """The parent on one connection, its children spread over four others."""
    keys = list(Profile.objects.order_by("nickname").values_list("customer_id", flat=True)[:16])
    return job.threads(keys, lambda key: Customer.objects.only("email").get(pk=key).email)


@hard("chain", where=Where.COMMAND)
def up_the_referrals(job: Any) -> Any:
    """Each row gives the next one's key: no parent of many rows."""
    names, customer = [], Customer.objects.only("name", "referred_by_id").get(pk=4040)
    while customer.referred_by_id is not None:
        customer = Customer.objects.only("name", "referred_by_id").get(pk=customer.referred_by_id)
        names.append(customer.name)
    return names


@hard("waiting", where=Where.COMMAND)
def wait_for_a_row(job: Any) -> Any:
    """The same question until the answer is another; the pauses are short."""
    shelf = Shelf.objects.get(pk=9)
    for _ in range(6):
        job.pause(0.008, 0.012)
        shelf.refresh_from_db(fields=["capacity"])
    return shelf.capacity


@look_alike("read_write_read", restore=EMPTY)
def asked_again_after_each_write(request: Any) -> Any:
    """Equal to the byte, and each time something was written to that table in between."""
    found = [AuditEntry.objects.count()]
    entry = AuditEntry.objects.create(kind="first")
    found.append(AuditEntry.objects.count())
    AuditEntry.objects.bulk_create([AuditEntry(kind="more") for _ in range(3)])
    found.append(AuditEntry.objects.count())
    entry.delete()
    found.append(AuditEntry.objects.count())
    return found


def _clicked(browser: Any) -> None:
    key = 0
    for _ in range(6):
        below = browser.get(key=key)
        key = below[-1] if below else 0


@look_alike("list_then_details", drive=_clicked)
def down_the_tree(request: Any) -> Any:
    """Each click opens a branch that the page before listed."""
    regions = Region.objects.filter(parent_id=int(request.GET["key"]) or None).only("id", "name").order_by("id")
    return [region.pk for region in regions]


@hard("featured")
def constants_that_were_listed(request: Any) -> Any:
    """Four look-ups by keys in the settings, whose rows the page has just read."""
    products = [product.sku for product in Product.objects.only("sku").order_by("id")[:20]]
    return products + [Product.objects.only("sku", "manual").get(pk=n).sku for n in (12011, 12002, 12017, 12007)]

"""ORM code of every kind that Django writes SQL for, run once with whatever driver the environment chose."""

import datetime
import os
import uuid
from decimal import Decimal

import django
from django.conf import settings

from django_slice import settings as slice_settings

settings.configure(
    DATABASES={"default": slice_settings.DATABASES["default"] | {"NAME": os.environ["SLICE_NAME"]}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.postgres", "django_slice"],
)
django.setup()

from django.contrib.postgres.aggregates import ArrayAgg, StringAgg  # noqa: E402
from django.contrib.postgres.fields import ArrayField  # noqa: E402
from django.contrib.postgres.search import SearchVector  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.db.models import Avg, Case, Count, Exists, F, Max, OuterRef, Q, Subquery, Sum, Value, When, Window  # noqa: E402
from django.db.models.functions import Coalesce, Lower, Rank, TruncMonth  # noqa: E402
from django.utils import timezone  # noqa: E402


class Customer(models.Model):
    """A parent with few columns."""

    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)

    class Meta:
        app_label = "django_slice"


class Tag(models.Model):
    """The far end of a many-to-many."""

    name = models.CharField(max_length=50)

    class Meta:
        app_label = "django_slice"


class Product(models.Model):
    """Columns of every type whose literals drivers write differently."""

    code = models.UUIDField(default=uuid.uuid4)
    name = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    weight = models.FloatField(default=1.5)
    attributes = models.JSONField(default=dict)
    sizes = ArrayField(models.IntegerField(), default=list)
    photo = models.BinaryField(default=b"")
    active = models.BooleanField(default=True)
    released = models.DateField(null=True)
    changed = models.DateTimeField(default=timezone.now)
    warranty = models.DurationField(default=datetime.timedelta(days=1))
    tags = models.ManyToManyField(Tag)

    class Meta:
        app_label = "django_slice"


class Order(models.Model):
    """The child of a customer."""

    customer = models.ForeignKey(Customer, models.CASCADE, null=True)
    product = models.ForeignKey(Product, models.CASCADE)
    quantity = models.IntegerField()
    placed = models.DateTimeField(default=timezone.now)

    class Meta:
        app_label = "django_slice"


def make_tables():
    with connection.schema_editor() as editor:
        for model in (Customer, Tag, Product, Order):
            editor.create_model(model)


def write():
    ann = Customer.objects.create(name="Ann O'Hara \\ %", email="ann@example.com")
    Customer.objects.bulk_create([Customer(name=f"c{n}", email=f"c{n}@example.com") for n in range(30)])
    Tag.objects.bulk_create([Tag(name=f"t{n}") for n in range(5)])
    products = Product.objects.bulk_create(
        [
            Product(name=f"p{n}", price=Decimal(n) / 4, attributes={"color": "red", "n": n}, sizes=[n, 70000])
            for n in range(12)
        ]
    )
    for product in products[:4]:
        product.tags.add(*Tag.objects.order_by("id")[:3])
    for n, product in enumerate(products):
        Order.objects.create(customer=ann if n % 2 else None, product=product, quantity=n - 3)
    for n, product in enumerate(products):
        product.price += n
        product.released = datetime.date(2024, 1, 1)
    Product.objects.bulk_update(products[:3], ["price", "released"])
    Product.objects.bulk_update(products, ["price", "released"])
    Product.objects.filter(price__gt=-5).update(price=F("price") * 2, changed=timezone.now())
    ann.name = "Ann"
    ann.save(update_fields=["name"])
    Customer.objects.get_or_create(email="new@example.com", defaults={"name": "New"})
    Customer.objects.update_or_create(email="new@example.com", defaults={"name": "Newer"})
    Customer.objects.bulk_create(
        [Customer(name="again", email="ann@example.com")],
        update_conflicts=True,
        unique_fields=["email"],
        update_fields=["name"],
    )
    Order.objects.filter(quantity__lt=-2).delete()


def read():
    for pk in (1, 7, 70000, 5_000_000_000):
        list(Customer.objects.filter(pk=pk))
    for ids in ([1], [1, 2], list(range(40))):
        list(Customer.objects.filter(pk__in=ids))
        list(Product.objects.filter(sizes__overlap=ids))
    list(Customer.objects.filter(name__icontains="50%_\\"))
    list(Customer.objects.filter(name__icontains="plain"))
    list(Customer.objects.filter(name__startswith="A").exclude(email=None))
    list(Product.objects.filter(attributes__color="red"))
    list(Product.objects.filter(attributes__has_key="color"))
    list(Product.objects.filter(attributes__contains={"n": 1}))
    list(Product.objects.filter(code=uuid.uuid4()))
    list(Product.objects.filter(price=Decimal("1.50"), weight__gte=-1.5, active=True))
    list(Product.objects.filter(changed__lt=timezone.now(), released=datetime.date(2024, 1, 1)))
    list(Product.objects.filter(changed__year=2024))
    list(Product.objects.filter(warranty__gt=datetime.timedelta(hours=1)))
    list(Order.objects.select_related("customer", "product").order_by("-placed")[:10])
    list(Order.objects.select_related("customer", "product").order_by("-placed")[5:25])
    list(Product.objects.prefetch_related("tags", "order_set__customer"))
    list(Product.objects.only("name").filter(pk=1))
    list(Product.objects.annotate(n=Count("order"), total=Coalesce(Sum("order__quantity"), 0)).filter(n__gt=0))
    list(Customer.objects.annotate(last=Max("order__placed")).values("name", "last"))
    list(Order.objects.annotate(month=TruncMonth("placed")).values("month").annotate(n=Count("id")))
    list(Product.objects.annotate(lower=Lower("name")).order_by("lower").distinct())
    list(Product.objects.filter(Exists(Order.objects.filter(product=OuterRef("pk"), quantity__gt=2))))
    list(
        Customer.objects.annotate(
            first=Subquery(Order.objects.filter(customer=OuterRef("pk")).values("quantity")[:1])
        )
    )
    list(Product.objects.annotate(rank=Window(Rank(), order_by=F("price").desc())))
    list(
        Product.objects.annotate(
            kind=Case(When(price__lt=2, then=Value("cheap")), When(price__lt=9, then=Value("fair")), default=Value("dear"))
        )
    )
    list(Customer.objects.filter(Q(name="a") | Q(name="b") & ~Q(email="c")))
    list(Customer.objects.filter(name="a").union(Customer.objects.filter(name="b")))
    list(Product.objects.values_list("name", flat=True).annotate(tags_=ArrayAgg("tags__name", default=Value([]))))
    Product.objects.aggregate(names=StringAgg("name", delimiter=", "), mean=Avg("price"))
    list(Product.objects.annotate(words=SearchVector("name")).filter(words="p1"))
    Customer.objects.filter(name="Ann").exists()
    Customer.objects.count()
    Customer.objects.order_by("?").first()
    Customer.objects.none().count()
    Order.objects.latest("placed")
    list(Order.objects.dates("placed", "month"))
    list(Customer.objects.raw("SELECT * FROM django_slice_customer WHERE id = %s", [3]))
    list(Customer.objects.iterator(chunk_size=7))
    list(Order.objects.filter(quantity__gt=1).iterator(chunk_size=3))
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM django_slice_customer WHERE id = %s AND name <> %s", [1, "it's"])
        cursor.execute("SELECT $$dollar$$, 1")
        cursor.executemany("UPDATE django_slice_customer SET name = %s WHERE id = %s", [("a", 1), ("b", 2), ("c", 3)])


def transact():
    with transaction.atomic():
        Customer.objects.select_for_update().filter(pk=1).first()
        Customer.objects.select_for_update(skip_locked=True).filter(pk__lt=5).first()
        for _ in range(3):
            with transaction.atomic():
                Customer.objects.filter(pk=1).update(name="inside")
        try:
            with transaction.atomic():
                Customer.objects.create(name="twice", email="c1@example.com")
        except django.db.IntegrityError:
            pass
        list(Customer.objects.iterator(chunk_size=5))


def main():
    make_tables()
    write()
    read()
    transact()
    driver = "psycopg2" if connection.Database.__name__ == "psycopg2" else "psycopg"
    connection.close()
    print(f"done with {driver}")


if __name__ == "__main__":
    main()

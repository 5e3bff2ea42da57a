"""Integer keys, plain relations of every kind, a through model, a generic relation, inheritance, a queue."""

from __future__ import annotations

import uuid

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Region(models.Model):
    """A tree of three levels; its ids begin at 1, as those of `Tag` and `Shelf` do."""

    name = models.CharField(max_length=60)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="subregions")

    def __str__(self) -> str:
        return self.name


class Customer(models.Model):
    name = models.CharField(max_length=80)
    email = models.EmailField()
    region = models.ForeignKey(Region, models.PROTECT, related_name="customers")
    referred_by = models.ForeignKey("self", models.SET_NULL, null=True, related_name="referrals")
    biography = models.TextField(default="")

    def __str__(self) -> str:
        return self.name


class LoyalCustomer(Customer):
    """A proxy: same table, another class."""

    class Meta:
        proxy = True


class Profile(models.Model):
    """At most one for each customer."""

    customer = models.OneToOneField(Customer, models.CASCADE, related_name="profile")
    nickname = models.CharField(max_length=40)
    points = models.IntegerField(default=0)


class Supplier(models.Model):
    """Referred to by its code, not by its id."""

    code = models.CharField(max_length=12, unique=True)
    name = models.CharField(max_length=80)
    country = models.CharField(max_length=2)

    def __str__(self) -> str:
        return self.name


class Category(models.Model):
    name = models.CharField(max_length=60)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")

    class Meta:
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    name = models.CharField(max_length=40)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Warehouse(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    city = models.CharField(max_length=60)


class Product(models.Model):
    sku = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=80)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    description = models.TextField(default="")
    manual = models.TextField(default="")
    category = models.ForeignKey(Category, models.PROTECT, related_name="products")
    supplier = models.ForeignKey(
        Supplier, models.PROTECT, to_field="code", db_column="supplier_code", related_name="products"
    )
    tags = models.ManyToManyField(Tag, related_name="products")
    warehouses = models.ManyToManyField(Warehouse, through="StockRecord", related_name="products")
    notes = GenericRelation("shop.Note")

    def __str__(self) -> str:
        return self.name


class Ebook(Product):
    """Multi-table inheritance: its primary key is `product_ptr_id`."""

    pages = models.IntegerField()
    language = models.CharField(max_length=2)


class StockRecord(models.Model):
    product = models.ForeignKey(Product, models.CASCADE, related_name="stock")
    warehouse = models.ForeignKey(Warehouse, models.CASCADE, related_name="stock")
    quantity = models.IntegerField()


class Coupon(models.Model):
    code = models.CharField(max_length=20)
    percent = models.IntegerField()


class Order(models.Model):
    number = models.CharField(max_length=20, unique=True)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="orders")
    coupon = models.ForeignKey(Coupon, models.SET_NULL, null=True, related_name="orders")
    status = models.CharField(max_length=10, default="open")
    placed_at = models.DateTimeField()
    notes = GenericRelation("shop.Note")

    def __str__(self) -> str:
        return self.number


class OrderLine(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT, related_name="order_lines")
    quantity = models.IntegerField()
    unit_price = models.DecimalField(max_digits=8, decimal_places=2)


class Invoice(models.Model):
    order = models.OneToOneField(Order, models.CASCADE, related_name="invoice")
    total = models.DecimalField(max_digits=9, decimal_places=2)


class Shipment(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.ForeignKey(Order, models.CASCADE, related_name="shipments")
    warehouse = models.ForeignKey(Warehouse, models.PROTECT, related_name="shipments")
    parcel = models.CharField(max_length=20)


class Review(models.Model):
    """Without a related name: its accessor is `review_set`."""

    product = models.ForeignKey(Product, models.CASCADE)
    customer = models.ForeignKey(Customer, models.CASCADE)
    stars = models.IntegerField()
    body = models.TextField(default="")


class Note(models.Model):
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveIntegerField()
    subject = GenericForeignKey("content_type", "object_id")
    text = models.CharField(max_length=200)


class Shelf(models.Model):
    """Ids from 1 on, and numbers that are no foreign keys but look like some."""

    label = models.CharField(max_length=20)
    floor = models.IntegerField()
    capacity = models.IntegerField()


class Setting(models.Model):
    """Ids from 1 on; looked up by small constants."""

    name = models.CharField(max_length=40)
    value = models.CharField(max_length=80)


class OutboxMessage(models.Model):
    """The queue that workers empty."""

    topic = models.CharField(max_length=40)
    payload = models.CharField(max_length=200, default="")
    state = models.CharField(max_length=10, default="new")
    order_number = models.CharField(max_length=20, default="")


class AuditEntry(models.Model):
    """What write scenarios write."""

    kind = models.CharField(max_length=40)
    reference = models.CharField(max_length=60, default="")
    amount = models.IntegerField(default=0)


class Subscription(models.Model):
    """What write scenarios update, delete and find by a key that is not the primary one."""

    email = models.CharField(max_length=80, unique=True)
    topic = models.CharField(max_length=40, default="news")
    active = models.BooleanField(default=True)
    visits = models.IntegerField(default=0)

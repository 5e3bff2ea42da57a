"""Orders and what belongs to them."""

import uuid

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models

from project.people.models import Stamped


class Country(models.Model):
    """A text key."""

    code = models.CharField(max_length=2, primary_key=True)
    name = models.CharField(max_length=100)


class Customer(models.Model):
    """Forward relations start and end here."""

    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)
    country = models.ForeignKey(Country, models.PROTECT, null=True, related_name="customers")


class Address(models.Model):
    """Two ways to one model: one named, one hidden."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="addresses")
    billed = models.ForeignKey(Customer, models.CASCADE, related_name="+")


class Order(Stamped):
    """A related name, and an inherited field from an abstract parent."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders", related_query_name="placed")


class PriorityOrder(Order):
    """A proxy."""

    class Meta:
        proxy = True


class Parcel(models.Model):
    """A foreign key to a proxy."""

    order = models.ForeignKey(PriorityOrder, models.CASCADE, related_name="parcels")


class Supplier(models.Model):
    """The target of a to_field."""

    code = models.CharField(max_length=10, unique=True)


class Tag(models.Model):
    """The far end of a many-to-many relation, with a manager of its own name."""

    name = models.CharField(max_length=50)

    every = models.Manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name"], name="tag_name_once")]


class Product(models.Model):
    """Many-to-many, to_field with db_column, and a generic relation."""

    name = models.CharField(max_length=100)
    description = models.TextField(db_column="descr")
    supplier = models.ForeignKey(
        Supplier, models.PROTECT, to_field="code", db_column="supplied_by", related_query_name="supplied"
    )
    tags = models.ManyToManyField(Tag, related_name="products")
    secret_tags = models.ManyToManyField(Tag, related_name="+", db_table="shop_hidden_tagging")
    notes = GenericRelation(
        "shop.Note", content_type_field="kind", object_id_field="target_id", related_query_name="product"
    )


class OrderItem(models.Model):
    """The default accessor, orderitem_set."""

    order = models.ForeignKey(Order, models.CASCADE)
    product = models.ForeignKey(Product, models.PROTECT, related_name="+")


class Warehouse(models.Model):
    """A table in a schema, and a through model with a foreign key too many."""

    products = models.ManyToManyField(
        Product, through="Stock", through_fields=("warehouse", "product"), related_name="warehouses"
    )

    class Meta:
        db_table = 'stock"."warehouse'


class Stock(models.Model):
    """The through model."""

    warehouse = models.ForeignKey(Warehouse, models.CASCADE, db_column="wh")
    product = models.ForeignKey(Product, models.CASCADE, db_column="prod")
    replaces = models.ForeignKey(Product, models.SET_NULL, null=True, related_name="replaced_stock")

    class Meta:
        db_table = '"stock"."stock"'
        unique_together = [("warehouse", "product")]


class Note(models.Model):
    """A generic foreign key with names of its own."""

    kind = models.ForeignKey(ContentType, models.CASCADE)
    target_id = models.PositiveBigIntegerField()
    target = GenericForeignKey("kind", "target_id")
    text = models.TextField()


class Place(models.Model):
    """The parent in multi-table inheritance."""

    name = models.CharField(max_length=100, unique=True)
    notes = GenericRelation(Note, content_type_field="kind", object_id_field="target_id")


class Restaurant(Place):
    """A child with a primary key that is its link."""

    serves_pizza = models.BooleanField(default=False)


class Bistro(Restaurant):
    """A grandchild with a link of its own name."""

    restaurant = models.OneToOneField(
        Restaurant, models.CASCADE, parent_link=True, primary_key=True, related_name="as_bistro"
    )


class Waiter(models.Model):
    """A foreign key to a child."""

    restaurant = models.ForeignKey(Restaurant, models.CASCADE)


class Review(models.Model):
    """What is counted, averaged and filtered."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="reviews", related_query_name="review")
    author = models.ForeignKey(Customer, models.SET_NULL, null=True)
    stars = models.IntegerField(db_column="n_stars")
    created_at = models.DateTimeField()

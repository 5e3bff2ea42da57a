"""A bookshop: small, but with every kind of relation that Django knows how to load badly."""

from django.conf import settings
from django.db import models


class Publisher(models.Model):
    name = models.CharField(max_length=100)
    city = models.CharField(max_length=100)


class Author(models.Model):
    name = models.CharField(max_length=100)
    biography = models.TextField()

    class Meta:
        ordering = ["name"]


class Tag(models.Model):
    name = models.CharField(max_length=50, unique=True)


class Book(models.Model):
    title = models.CharField(max_length=200)
    isbn = models.CharField(max_length=13, unique=True)
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    publisher = models.ForeignKey(Publisher, models.PROTECT, related_name="books")
    tags = models.ManyToManyField(Tag, related_name="books")
    price = models.DecimalField(max_digits=8, decimal_places=2)
    description = models.TextField()
    published_on = models.DateField()


class Stock(models.Model):
    book = models.OneToOneField(Book, models.CASCADE, primary_key=True, related_name="stock")
    quantity = models.PositiveIntegerField()


class Customer(models.Model):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="customer")
    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)


class Order(models.Model):
    class Status(models.TextChoices):
        OPEN = "open"
        PAID = "paid"
        SENT = "sent"

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders")
    status = models.CharField(max_length=4, choices=Status.choices, default=Status.OPEN)
    placed_at = models.DateTimeField()


class OrderItem(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="items")
    book = models.ForeignKey(Book, models.PROTECT, related_name="sold")
    quantity = models.PositiveIntegerField()
    price = models.DecimalField(max_digits=8, decimal_places=2)


class Review(models.Model):
    book = models.ForeignKey(Book, models.CASCADE, related_name="reviews")
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="reviews")
    stars = models.PositiveSmallIntegerField()
    text = models.TextField()


class Voucher(models.Model):
    """A code that can be redeemed once: the database's unique index is what says no."""

    code = models.CharField(max_length=20, unique=True)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="vouchers")

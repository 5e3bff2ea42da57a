"""`manage.py seed`: fills the shop with the same books, customers and orders every time."""

import random
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand
from django.db import connection, transaction

from shop import models

WORDS = (
    "a quiet novel about rivers and the people who leave them wonderful and slow like winter light on old stone "
    "clever dull brave short long funny sad honest strange gentle sharp story ending chapter hero translation page"
).split()

# Who may log in, all with this password.
USERS = 10
PASSWORD = "demo"


class Command(BaseCommand):
    help = "Fills an empty shop; does nothing to one that has books."

    def add_arguments(self, parser):
        parser.add_argument("--books", type=int, default=2000, help="how many books; everything else follows")

    @transaction.atomic
    def handle(self, *args, books, **options):
        if models.Book.objects.exists():
            self.stdout.write("The shop has books already.")
            return
        chance = random.Random(1)
        authors, publishers, tags = self.catalogue(chance, books)
        shelf = self.books(chance, books, authors, publishers, tags)
        customers = self.customers(max(books // 4, USERS))
        self.orders(chance, books * 3, customers, shelf)
        self.reviews(chance, books * 15, customers, shelf)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        self.stdout.write(f"{books} books, {len(customers)} customers, {books * 3} orders, {books * 15} reviews.")

    def words(self, chance, count):
        return " ".join(chance.choices(WORDS, k=count))

    def catalogue(self, chance, books):
        authors = models.Author.objects.bulk_create(
            models.Author(name=f"Author {n:04}", biography=self.words(chance, 60)) for n in range(max(books // 10, 1))
        )
        publishers = models.Publisher.objects.bulk_create(
            models.Publisher(name=f"Publisher {n:02}", city=f"City {n % 7}") for n in range(20)
        )
        tags = models.Tag.objects.bulk_create(models.Tag(name=f"tag-{n:02}") for n in range(40))
        return authors, publishers, tags

    def books(self, chance, count, authors, publishers, tags):
        shelf = models.Book.objects.bulk_create(
            (
                models.Book(
                    title=f"{self.words(chance, 3).title()} {n}",
                    isbn=f"978{n:010}",
                    author=chance.choice(authors),
                    publisher=chance.choice(publishers),
                    price=Decimal(chance.randrange(500, 6000)) / 100,
                    description=self.words(chance, 80),
                    published_on=date(2010, 1, 1) + timedelta(days=chance.randrange(5000)),
                )
                for n in range(count)
            ),
            batch_size=500,
        )
        models.Stock.objects.bulk_create(models.Stock(book=book, quantity=chance.randrange(100)) for book in shelf)
        through = models.Book.tags.through
        through.objects.bulk_create(
            (through(book=book, tag=tag) for book in shelf for tag in chance.sample(tags, 3)), batch_size=2000
        )
        return shelf

    def customers(self, count):
        password = make_password(PASSWORD)
        users = User.objects.bulk_create(User(username=f"user{n}", password=password) for n in range(USERS))
        return models.Customer.objects.bulk_create(
            models.Customer(
                user=users[n] if n < USERS else None, name=f"Customer {n}", email=f"customer{n}@shop.example"
            )
            for n in range(count)
        )

    def orders(self, chance, count, customers, shelf):
        start = datetime(2024, 1, 1, tzinfo=timezone.utc)
        orders = models.Order.objects.bulk_create(
            (
                models.Order(
                    customer=chance.choice(customers),
                    status=chance.choice(models.Order.Status.values),
                    placed_at=start + timedelta(minutes=chance.randrange(60 * 24 * 700)),
                )
                for _ in range(count)
            ),
            batch_size=2000,
        )
        models.OrderItem.objects.bulk_create(
            (
                models.OrderItem(order=order, book=book, quantity=chance.randrange(1, 4), price=book.price)
                for order in orders
                for book in chance.sample(shelf, 3)
            ),
            batch_size=2000,
        )

    def reviews(self, chance, count, customers, shelf):
        models.Review.objects.bulk_create(
            (
                models.Review(
                    book=chance.choice(shelf),
                    customer=chance.choice(customers),
                    stars=chance.randrange(1, 6),
                    text=self.words(chance, 30),
                )
                for _ in range(count)
            ),
            batch_size=2000,
        )

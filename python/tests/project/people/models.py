"""A user model in place of Django's, and relations of a model with itself."""

from django.contrib.auth.models import AbstractUser
from django.db import models


class Account(AbstractUser):
    """AUTH_USER_MODEL."""


class Stamped(models.Model):
    """An abstract parent whose related names are patterns."""

    created_by = models.ForeignKey(
        Account,
        models.SET_NULL,
        null=True,
        related_name="%(app_label)s_%(class)s_created",
        related_query_name="created_%(class)s",
    )

    class Meta:
        abstract = True


class Person(models.Model):
    """Related to itself in three ways."""

    name = models.CharField(max_length=100)
    manager = models.ForeignKey("self", models.SET_NULL, null=True, related_name="reports")
    friends = models.ManyToManyField("self")
    follows = models.ManyToManyField("self", symmetrical=False, related_name="followers")


class Badge(models.Model):
    """A one-to-one relation with its default accessor, and one that is the primary key."""

    person = models.OneToOneField(Person, models.CASCADE)
    number = models.CharField(max_length=10, unique=True)


class Desk(models.Model):
    """A primary key that is a relation."""

    person = models.OneToOneField(Person, models.CASCADE, primary_key=True, related_name="desk")

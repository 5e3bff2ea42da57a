"""Articles, comments, talks, and what jobs write."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Writer(models.Model):
    """A user who writes: the key is the user's."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="writer")
    pen_name = models.CharField(max_length=40)
    mentor = models.ForeignKey("self", models.SET_NULL, null=True, related_name="mentored")


class Topic(models.Model):
    """A tree; articles refer to it by slug."""

    slug = models.SlugField(max_length=20, unique=True)
    title = models.CharField(max_length=40)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="subtopics")
    position = models.IntegerField(default=0)

    def breadcrumb(self) -> str:
        """Climbs the tree, a query a level."""
        return (self.parent.breadcrumb() + " / " if self.parent else "") + self.title


class Published(models.Manager):
    def get_queryset(self) -> Any:
        return super().get_queryset().filter(state="out")


class Article(models.Model):
    slug = models.SlugField(max_length=40, unique=True)
    title = models.CharField(max_length=80)
    topic = models.ForeignKey(Topic, models.PROTECT, to_field="slug", related_name="articles")
    writer = models.ForeignKey(Writer, models.PROTECT, related_name="articles")
    related = models.ManyToManyField("self", blank=True)
    state = models.CharField(max_length=8, default="out")
    body = models.TextField(default="")
    meta = models.JSONField(default=dict)
    issue_number = models.IntegerField(default=1)
    labels = GenericRelation("press.Labelling")

    objects = models.Manager()
    published = Published()

    def label_names(self) -> list[str]:
        return [one.label.name for one in self.labels.select_related("label").order_by("id")]


class Label(models.Model):
    name = models.CharField(max_length=40)


class Labelling(models.Model):
    """A label on anything."""

    label = models.ForeignKey(Label, models.CASCADE, related_name="labellings")
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.IntegerField()
    subject = GenericForeignKey("content_type", "object_id")


class Comment(models.Model):
    article = models.ForeignKey(Article, models.CASCADE, related_name="comments")
    reply_to = models.ForeignKey("self", models.CASCADE, null=True, related_name="replies")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="press_comments")
    body = models.CharField(max_length=200)
    likes = models.IntegerField(default=0)


class Image(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    article = models.ForeignKey(Article, models.SET_NULL, null=True, related_name="images")
    caption = models.CharField(max_length=80)
    exif = models.TextField(default="")


class Rendition(models.Model):
    image = models.ForeignKey(Image, models.CASCADE, related_name="renditions")
    width = models.IntegerField()
    path = models.CharField(max_length=80)


class Speaker(models.Model):
    name = models.CharField(max_length=60)
    affiliation = models.CharField(max_length=60)


class Talk(models.Model):
    title = models.CharField(max_length=80)
    track = models.IntegerField()
    speakers = models.ManyToManyField(Speaker, through="Appearance", related_name="talks")


class Appearance(models.Model):
    talk = models.ForeignKey(Talk, models.CASCADE, related_name="appearances")
    speaker = models.ForeignKey(Speaker, models.CASCADE, related_name="appearances")
    position = models.IntegerField()


class SiteConfig(models.Model):
    """Read at the beginning of many a request."""

    key = models.CharField(max_length=30, unique=True)
    value = models.CharField(max_length=80)


class Presence(models.Model):
    """When a user was last here: written on each request of theirs."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="presence")
    pages = models.IntegerField(default=0)


class Mail(models.Model):
    """A queue that workers empty."""

    address = models.EmailField()
    subject = models.CharField(max_length=60, default="")
    state = models.CharField(max_length=8, default="new")
    attempts = models.IntegerField(default=0)


class Counter(models.Model):
    """What jobs count into."""

    name = models.CharField(max_length=40, unique=True)
    value = models.IntegerField(default=0)


class LogLine(models.Model):
    """What jobs and signals append."""

    subject = models.CharField(max_length=60)
    number = models.IntegerField(default=0)
    line = models.CharField(max_length=80, default="")

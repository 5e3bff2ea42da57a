"""Two admin sites over the same models: as people write them first, and as they should be."""

from __future__ import annotations

from typing import Any

from campus.models import Enrolment, Institute, Offering, Student
from django.contrib import admin
from django.db.models import Count
from press.models import Comment, Talk


class EnrolmentInline(admin.TabularInline):
    model = Enrolment
    fields = ("state", "grade", "who")
    readonly_fields = ("who",)
    extra = 0

    def who(self, enrolment: Enrolment) -> str:
        return enrolment.student.matriculation


class BetterEnrolmentInline(EnrolmentInline):
    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).select_related("student")


class Institutes(admin.ModelAdmin):
    """`__str__` of a related row in the list."""

    list_display = ("name", "head")
    ordering = ("id",)

    def head(self, institute: Institute) -> str:
        return str(institute.director)


class BetterInstitutes(Institutes):
    list_select_related = ("director",)


class Comments(admin.ModelAdmin):
    """Foreign keys named in `list_display` are joined by the admin itself: clean in both sites."""

    list_display = ("body", "article", "reader")
    ordering = ("id",)
    list_per_page = 20


class Talks(admin.ModelAdmin):
    list_display = ("title", "speaker_count")
    ordering = ("id",)

    def speaker_count(self, talk: Talk) -> int:
        return talk.speakers.count()


class BetterTalks(Talks):
    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).annotate(found=Count("speakers"))

    def speaker_count(self, talk: Any) -> int:
        return talk.found


class Students(admin.ModelAdmin):
    list_display = ("matriculation", "name", "year")
    search_fields = ("name", "matriculation")
    list_filter = ("year",)
    ordering = ("matriculation",)
    list_per_page = 15


class Offerings(admin.ModelAdmin):
    inlines = (EnrolmentInline,)
    fields = ("capacity",)
    list_display = ("capacity",)


class BetterOfferings(Offerings):
    inlines = (BetterEnrolmentInline,)


first_site = admin.AdminSite("first")
better_site = admin.AdminSite("better")
for _site, _classes in (
    (first_site, (Institutes, Comments, Talks, Students, Offerings)),
    (better_site, (BetterInstitutes, Comments, BetterTalks, Students, BetterOfferings)),
):
    for _model, _class in zip((Institute, Comment, Talk, Student, Offering), _classes, strict=True):
        _site.register(_model, _class)

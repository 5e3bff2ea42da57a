"""Rows of other tables collected, counted or completed for each row of a list."""

from __future__ import annotations

from typing import Any

from campus.models import Assignment, Course, Faculty, Offering, Student
from django.db.models import Avg, Count, Exists, F, OuterRef, Prefetch, Q, Window
from django.db.models.functions import RowNumber
from django.shortcuts import render
from press.models import Article, Comment, Image, Rendition, Talk, Topic
from rest_framework import serializers
from scenarios.registry import Where, aggregate, deferred, forward, many_to_many, problem, reverse

STUDENT = "campus_person.id|campus_student.person_ptr_id"


@problem("reverse", reverse("campus_offering.id", "campus_assignment.offering_id", "assignments"), children=10)
def sheets(request: Any) -> Any:
    found = Offering.objects.order_by("id")[:10]
    return [sorted(sheet.title for sheet in one.assignments.all()) for one in found]


@sheets.fixed
def _(request: Any) -> Any:
    found = Offering.objects.prefetch_related("assignments").order_by("id")[:10]
    return [sorted(sheet.title for sheet in one.assignments.all()) for one in found]


@problem("narrowed", reverse("press_article.id", "press_comment.article_id", "comments"), children=12)
def first_words(request: Any) -> Any:
    found = Article.published.order_by("id")[:12]
    return [[c.body for c in one.comments.filter(reply_to=None).order_by("id")] for one in found]


@first_words.fixed
def _(request: Any) -> Any:
    roots = Prefetch("comments", Comment.objects.filter(reply_to=None).order_by("id"), to_attr="roots")
    return [[c.body for c in one.roots] for one in Article.published.prefetch_related(roots).order_by("id")[:12]]


@problem(
    "many_to_many", many_to_many("press_talk.id", "press_speaker|press_appearance.talk_id", "speakers"), children=12
)
def programme(request: Any) -> Any:
    found = Talk.objects.order_by("track", "id")[:12]
    return [(one.title, sorted(s.name for s in one.speakers.all())) for one in found]


@programme.fixed
def _(request: Any) -> Any:
    found = Talk.objects.prefetch_related("speakers").order_by("track", "id")[:12]
    return [(one.title, sorted(s.name for s in one.speakers.all())) for one in found]


@problem("through", reverse("press_talk.id", "press_appearance.talk_id", "appearances"), children=10)
def running_order(request: Any) -> Any:
    """The through model's own rows, joined with what they lead to."""
    found = Talk.objects.order_by("title")[:10]
    return [[a.speaker.name for a in one.appearances.select_related("speaker").order_by("position")] for one in found]


@running_order.fixed
def _(request: Any) -> Any:
    from press.models import Appearance

    ordered = Prefetch("appearances", Appearance.objects.select_related("speaker").order_by("position"))
    found = Talk.objects.prefetch_related(ordered).order_by("title")[:10]
    return [[a.speaker.name for a in one.appearances.all()] for one in found]


@problem(
    "self",
    many_to_many("campus_course.code", "campus_course|campus_course_requires.from_course_id", "requires"),
    children=10,
)
def prerequisites(request: Any) -> Any:
    found = Course.objects.taught().order_by("code")[:10]
    return [(one.code, sorted(r.code for r in one.requires.all())) for one in found]


@prerequisites.fixed
def _(request: Any) -> Any:
    found = Course.objects.taught().prefetch_related("requires").order_by("code")[:10]
    return [(one.code, sorted(r.code for r in one.requires.all())) for one in found]


@problem(
    "self",
    many_to_many("press_article.id", "press_article|press_article_related.from_article_id", "related"),
    children=9,
)
def see_also(request: Any) -> Any:
    """Symmetrical."""
    found = Article.objects.filter(id__lt=10).order_by("id")
    return [sorted(other.slug for other in one.related.all()) for one in found]


@see_also.fixed
def _(request: Any) -> Any:
    found = Article.objects.filter(id__lt=10).prefetch_related("related").order_by("id")
    return [sorted(other.slug for other in one.related.all()) for one in found]


@problem("generic", reverse("press_article.id", "press_labelling.object_id", "labels"), children=11)
def labels_of_articles(request: Any) -> Any:
    """A method of the model that queries a generic relation."""
    return [one.label_names() for one in Article.objects.order_by("id")[:11]]


@labels_of_articles.fixed
def _(request: Any) -> Any:
    found = Article.objects.prefetch_related("labels__label").order_by("id")[:11]
    return [[lab.label.name for lab in sorted(one.labels.all(), key=lambda lab: lab.id)] for one in found]


@problem("property", aggregate("campus_course.code", "campus_offering.course_id", "offerings"), children=12)
def course_catalogue(request: Any) -> Any:
    return [(one.title, one.running_count) for one in Course.objects.order_by("title")[:12]]


@course_catalogue.fixed
def _(request: Any) -> Any:
    running = Count("offerings", filter=Q(offerings__cancelled=False))
    return [(one.title, one.running) for one in Course.objects.annotate(running=running).order_by("title")[:12]]


@problem("property", reverse("campus_course.code", "campus_offering.course_id", "offerings"), children=9)
def latest_offerings(request: Any) -> Any:
    """`first()` for each row."""
    found = Course.objects.order_by("code")[:9]
    return [one.latest_offering.capacity for one in found]


@latest_offerings.fixed
def _(request: Any) -> Any:
    ordered = Prefetch("offerings", Offering.objects.order_by("-term_id", "id"))
    return [one.offerings.all()[0].capacity for one in Course.objects.prefetch_related(ordered).order_by("code")[:9]]


@problem("template_tag", aggregate("press_article.id", "press_comment.article_id", "comments"), children=12)
def articles_page(request: Any) -> Any:
    return render(request, "campus/articles.html", {"articles": Article.objects.order_by("id")[:12]})


@articles_page.fixed
def _(request: Any) -> Any:
    found = Article.objects.annotate(said=Count("comments")).order_by("id")[:12]
    return render(request, "campus/articles_counted.html", {"articles": found})


@problem("template_tag", reverse("press_image.id", "press_rendition.image_id", "renditions"), children=9)
def gallery(request: Any) -> Any:
    """An inclusion tag."""
    return render(request, "campus/images.html", {"images": Image.objects.order_by("caption")[:9]})


@gallery.fixed
def _(request: Any) -> Any:
    ordered = Prefetch("renditions", Rendition.objects.order_by("width"), to_attr="sorted_renditions")
    found = Image.objects.prefetch_related(ordered).order_by("caption")[:9]
    return render(request, "campus/images_ready.html", {"images": found})


@problem("exists", aggregate(STUDENT, "campus_enrolment.student_id", "enrolments"), children=10)
def who_has_grades(request: Any) -> Any:
    found = Student.objects.filter(year=2).order_by("name")[:10]
    return [(one.name, one.enrolments.filter(grade__isnull=False).exists()) for one in found]


@who_has_grades.fixed
def _(request: Any) -> Any:
    from campus.models import Enrolment

    graded = Exists(Enrolment.objects.filter(student=OuterRef("pk"), grade__isnull=False))
    found = Student.objects.filter(year=2).annotate(graded=graded).order_by("name")[:10]
    return [(one.name, one.graded) for one in found]


@problem("average", aggregate("campus_assignment.id", "campus_submission.assignment_id", "submissions"), children=12)
def averages(request: Any) -> Any:
    found = Assignment.objects.order_by("id")[:12]
    return [(one.title, float(one.submissions.aggregate(mean=Avg("points"))["mean"])) for one in found]


@averages.fixed
def _(request: Any) -> Any:
    found = Assignment.objects.annotate(mean=Avg("submissions__points")).order_by("id")[:12]
    return [(one.title, float(one.mean)) for one in found]


@problem("prefetched", aggregate("press_article.id", "press_comment.article_id", "comments"), children=10)
def prefetch_in_vain(request: Any) -> Any:
    """A filter on a prefetched relation asks again."""
    found = Article.objects.prefetch_related("comments").order_by("title")[:10]
    return [one.comments.filter(likes=0, reply_to__isnull=True).count() for one in found]


@prefetch_in_vain.fixed
def _(request: Any) -> Any:
    found = Article.objects.prefetch_related("comments").order_by("title")[:10]
    return [sum(c.likes == 0 and c.reply_to_id is None for c in one.comments.all()) for one in found]


@problem("deferred", deferred("campus_course.code", "syllabus"), children=10)
def syllabi(request: Any) -> Any:
    return [one.syllabus[:10] for one in Course.objects.defer("syllabus").order_by("code")[:10]]


@syllabi.fixed
def _(request: Any) -> Any:
    return [one.syllabus[:10] for one in Course.objects.order_by("code")[:10]]


@problem("deferred", deferred("press_image.id", "exif"), children=8)
def only_too_little(request: Any) -> Any:
    return [len(one.exif) for one in Image.objects.only("id", "caption").order_by("caption")[:8]]


@only_too_little.fixed
def _(request: Any) -> Any:
    return [len(one.exif) for one in Image.objects.only("id", "caption", "exif").order_by("caption")[:8]]


@problem(
    "one_to_one", reverse(STUDENT, "campus_locker.student_id", "locker", also=("n_plus_one_forward",)), children=10
)
def lockers(request: Any) -> Any:
    """Not everybody has one."""
    found = Student.objects.filter(year__lte=2).order_by("matriculation")[:12]
    return [(one.name, one.locker.number if hasattr(one, "locker") else None) for one in found]


@lockers.fixed
def _(request: Any) -> Any:
    found = Student.objects.filter(year__lte=2).select_related("locker").order_by("matriculation")[:12]
    return [(one.name, one.locker.number if hasattr(one, "locker") else None) for one in found]


@problem(
    "chain",
    reverse("campus_offering.id", "campus_assignment.offering_id", "assignments"),
    reverse("campus_assignment.id", "campus_submission.assignment_id", "submissions"),
    children=5,
)
def gradebook(request: Any) -> Any:
    """A loop in a loop."""
    found = Offering.objects.filter(term_id=3).order_by("id")[:5]
    return [[[s.points for s in a.submissions.order_by("id")] for a in one.assignments.order_by("id")] for one in found]


@gradebook.fixed
def _(request: Any) -> Any:
    found = Offering.objects.filter(term_id=3).prefetch_related("assignments__submissions").order_by("id")[:5]
    return [
        [
            [s.points for s in sorted(a.submissions.all(), key=lambda s: s.id)]
            for a in sorted(one.assignments.all(), key=lambda a: a.id)
        ]
        for one in found
    ]


@problem("window", aggregate("campus_offering.id", "campus_slot.offering_id", "slots"), children=10)
def ranked(request: Any) -> Any:
    rank = Window(RowNumber(), order_by=F("capacity").desc())
    found = Offering.objects.annotate(rank=rank).order_by("rank", "id")[:10]
    return [(one.rank, one.slots.count()) for one in found]


@ranked.fixed
def _(request: Any) -> Any:
    rank = Window(RowNumber(), order_by=F("capacity").desc())
    found = list(Offering.objects.annotate(rank=rank).order_by("rank", "id")[:10])
    counted = Offering.objects.filter(pk__in=[one.pk for one in found]).annotate(hours=Count("slots")).in_bulk()
    return [(one.rank, counted[one.pk].hours) for one in found]


_TREE = """
WITH RECURSIVE below AS (
    SELECT id, slug, title, parent_id, position FROM press_topic WHERE slug = %s
    UNION ALL
    SELECT t.id, t.slug, t.title, t.parent_id, t.position FROM press_topic t JOIN below b ON t.parent_id = b.id
) SELECT * FROM below ORDER BY id
"""


@problem("common_table", reverse("", "press_article.topic_id", "articles"), children=4)
def below_a_topic(request: Any) -> Any:
    """Rows of a recursive query: no table says that they are its own."""
    return [sorted(a.slug for a in one.articles.all()) for one in Topic.objects.raw(_TREE, ["topic-1"])]


@below_a_topic.fixed
def _(request: Any) -> Any:
    from django.db.models import prefetch_related_objects

    found = list(Topic.objects.raw(_TREE, ["topic-1"]))
    prefetch_related_objects(found, "articles")
    return [sorted(a.slug for a in one.articles.all()) for one in found]


class CourseSerializer(serializers.ModelSerializer):
    class Meta:
        model = Course
        fields = ("code", "title")


class OfferingSerializer(serializers.ModelSerializer):
    course = CourseSerializer()
    taken = serializers.SerializerMethodField()

    class Meta:
        model = Offering
        fields = ("id", "course", "taken")

    def get_taken(self, offering: Any) -> int:
        found = getattr(offering, "found", None)
        return offering.enrolments.filter(state="active").count() if found is None else found


@problem(
    "serializer",
    forward("campus_offering.course_id", "campus_course.code", "course"),
    aggregate("campus_offering.id", "campus_enrolment.offering_id", "enrolments"),
    children=8,
    every=True,
)
def offerings_api(request: Any) -> Any:
    return OfferingSerializer(Offering.objects.order_by("capacity", "id")[:8], many=True).data


@offerings_api.fixed
def _(request: Any) -> Any:
    taken = Count("enrolments", filter=Q(enrolments__state="active"))
    found = Offering.objects.select_related("course").annotate(found=taken).order_by("capacity", "id")[:8]
    return OfferingSerializer(found, many=True).data


class FacultySerializer(serializers.ModelSerializer):
    institutes = serializers.StringRelatedField(many=True)

    class Meta:
        model = Faculty
        fields = ("slug", "institutes")


@problem("serializer", reverse("campus_faculty.slug", "UniInstitute.FacRef", "institutes"), children=4)
def faculties_api(request: Any) -> Any:
    """Four rows are few."""
    data = FacultySerializer(Faculty.objects.order_by("slug"), many=True).data
    return [(one["slug"], sorted(one["institutes"])) for one in data]


@faculties_api.fixed
def _(request: Any) -> Any:
    data = FacultySerializer(Faculty.objects.prefetch_related("institutes").order_by("slug"), many=True).data
    return [(one["slug"], sorted(one["institutes"])) for one in data]


class TalkSerializer(serializers.ModelSerializer):
    speakers = serializers.PrimaryKeyRelatedField(many=True, read_only=True)

    class Meta:
        model = Talk
        fields = ("title", "speakers")


@problem("serializer", many_to_many("press_talk.id", "press_speaker|press_appearance.talk_id", "speakers"), children=10)
def talks_api(request: Any) -> Any:
    data = TalkSerializer(Talk.objects.order_by("id")[:10], many=True).data
    return [(one["title"], sorted(one["speakers"])) for one in data]


@talks_api.fixed
def _(request: Any) -> Any:
    data = TalkSerializer(Talk.objects.prefetch_related("speakers").order_by("id")[:10], many=True).data
    return [(one["title"], sorted(one["speakers"])) for one in data]


@problem(
    "asynchronous", aggregate("press_article.id", "press_comment.article_id", "comments"), children=8, where=Where.ASGI
)
async def awaited_counts(request: Any) -> Any:
    return [await one.comments.acount() async for one in Article.objects.order_by("-id")[:8]]


@awaited_counts.fixed
async def _(request: Any) -> Any:
    return [one.said async for one in Article.objects.annotate(said=Count("comments")).order_by("-id")[:8]]


@problem("command", reverse(STUDENT, "campus_enrolment.student_id", "enrolments"), children=50, where=Where.COMMAND)
def export(job: Any) -> Any:
    """A command over a server-side cursor."""
    found = Student.objects.order_by("matriculation").iterator(chunk_size=20)
    return [(one.matriculation, sum(e.grade or 0 for e in one.enrolments.all())) for one in found]


@export.fixed
def _(job: Any) -> Any:
    found = Student.objects.prefetch_related("enrolments").order_by("matriculation").iterator(chunk_size=20)
    return [(one.matriculation, sum(e.grade or 0 for e in one.enrolments.all())) for one in found]


@problem(
    "worker",
    reverse(
        "campus_offering.id", "campus_offering.id", also=("n_plus_one_forward", "n_plus_one_deferred", "query_loop")
    ),
    children=12,
    where=Where.COMMAND,
)
def keys_then_rows(job: Any) -> Any:
    """Keys first, then a row for each."""
    keys = list(Offering.objects.filter(term_id=2).values_list("pk", flat=True).order_by("pk")) + list(
        Offering.objects.filter(term_id=4).values_list("pk", flat=True).order_by("pk")
    )
    return [Offering.objects.get(pk=key).capacity for key in keys]


@keys_then_rows.fixed
def _(job: Any) -> Any:
    keys = list(Offering.objects.filter(term_id=2).values_list("pk", flat=True).order_by("pk")) + list(
        Offering.objects.filter(term_id=4).values_list("pk", flat=True).order_by("pk")
    )
    found = Offering.objects.in_bulk(keys)
    return [found[key].capacity for key in keys]


@problem(
    "threads", reverse("press_talk.id", "press_appearance.talk_id", "appearances"), children=6, where=Where.COMMAND
)
def track_threads(job: Any) -> Any:
    """Each thread works on a list of its own."""

    def work(track: int) -> Any:
        return [
            sorted(a.position for a in one.appearances.all()) for one in Talk.objects.filter(track=track).order_by("id")
        ]

    return job.threads([1, 2, 3], work, 3)


@track_threads.fixed
def _(job: Any) -> Any:
    def work(track: int) -> Any:
        found = Talk.objects.filter(track=track).prefetch_related("appearances").order_by("id")
        return [sorted(a.position for a in one.appearances.all()) for one in found]

    return job.threads([1, 2, 3], work, 3)

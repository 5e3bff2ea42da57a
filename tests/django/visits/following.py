"""Rows that are looked up one by one where a join would have brought them."""

from __future__ import annotations

import time
from typing import Any

from campus.models import Course, Institute, Lecturer, Offering, Person, Slot, Student, Submission, Term
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Count, OuterRef, Prefetch, Subquery
from django.shortcuts import render
from django.views.generic import ListView
from press.models import Article, Comment, Labelling, Topic, Writer
from scenarios.registry import Where, forward, problem

LECTURER = "campus_lecturer|campus_person.person_ptr_id"


def logged_in(browser: Any) -> None:
    browser.get(site=1, seen=1)


@problem("include", forward("campus_offering.course_id", "campus_course.code", "course"), children=12)
def offerings_page(request: Any) -> Any:
    """An `{% include %}` in a loop, below a base template whose menu queries too."""
    offerings = Offering.objects.filter(cancelled=False).order_by("capacity", "id")[:12]
    return render(request, "campus/offerings.html", {"offerings": offerings})


@offerings_page.fixed
def _(request: Any) -> Any:
    offerings = Offering.objects.filter(cancelled=False).select_related("course").order_by("capacity", "id")[:12]
    return render(request, "campus/offerings.html", {"offerings": offerings})


@problem(
    "middleware",
    forward("press_comment.reader_id", "auth_user.id", "reader"),
    children=15,
    login=True,
    drive=logged_in,
    restore="UPDATE press_presence SET pages = 0",
)
def thread_page(request: Any) -> Any:
    """Middleware before and behind the view."""
    return render(request, "campus/thread.html", {"comments": Comment.objects.order_by("id")[:15]})


@thread_page.fixed
def _(request: Any) -> Any:
    return render(
        request, "campus/thread.html", {"comments": Comment.objects.select_related("reader").order_by("id")[:15]}
    )


@problem("inheritance", forward("campus_lecturer.institute_id", "UniInstitute.id", "institute"), children=10)
def staff_directory(request: Any) -> Any:
    return [f"{one.name}, {one.institute.name}, {one.office}" for one in Lecturer.objects.order_by("name")[:10]]


@staff_directory.fixed
def _(request: Any) -> Any:
    found = Lecturer.objects.select_related("institute").order_by("name")[:10]
    return [f"{one.name}, {one.institute.name}, {one.office}" for one in found]


def _advised(students: Any) -> Any:
    return [(one.matriculation, one.advisor.office if one.advisor else "-") for one in students]


@problem("inheritance", forward("campus_student.advisor_id", LECTURER, "advisor"), children=10)
def students_with_advisors(request: Any) -> Any:
    """Some have none."""
    return _advised(Student.objects.order_by("matriculation")[:15])


@students_with_advisors.fixed
def _(request: Any) -> Any:
    return _advised(Student.objects.select_related("advisor").order_by("matriculation")[:15])


@problem("legacy", forward("UniInstitute.FacRef", "campus_faculty.slug", "faculty"), children=8)
def institutes_by_faculty(request: Any) -> Any:
    return [(one.name, one.faculty.name) for one in Institute.objects.order_by("name")[:8]]


@institutes_by_faculty.fixed
def _(request: Any) -> Any:
    return [(one.name, one.faculty.name) for one in Institute.objects.select_related("faculty").order_by("name")[:8]]


@problem("slug", forward("press_article.topic_id", "press_topic.slug", "topic"), children=14)
def articles_with_topics(request: Any) -> Any:
    return [(one.title, one.topic.title) for one in Article.published.order_by("issue_number", "id")[:14]]


@articles_with_topics.fixed
def _(request: Any) -> Any:
    found = Article.published.select_related("topic").order_by("issue_number", "id")[:14]
    return [(one.title, one.topic.title) for one in found]


@problem(
    "chain",
    forward("press_article.writer_id", "press_writer.user_id", "writer"),
    forward("press_writer.user_id", "auth_user.id", "user"),
    children=10,
)
def bylines(request: Any) -> Any:
    """Two steps in one expression."""
    return [f"{one.title}: {one.writer.user.username}" for one in Article.objects.order_by("-id")[:10]]


@bylines.fixed
def _(request: Any) -> Any:
    found = Article.objects.select_related("writer__user").order_by("-id")[:10]
    return [f"{one.title}: {one.writer.user.username}" for one in found]


@problem("half_joined", forward("campus_course.institute_id", "UniInstitute.id", "institute"), children=12)
def offerings_with_institutes(request: Any) -> Any:
    """`select_related` was not led far enough."""
    found = Offering.objects.select_related("course").order_by("id")[:12]
    return [(one.course.title, one.course.institute.name) for one in found]


@offerings_with_institutes.fixed
def _(request: Any) -> Any:
    found = Offering.objects.select_related("course__institute").order_by("id")[:12]
    return [(one.course.title, one.course.institute.name) for one in found]


@problem(
    "legacy",
    forward("campus_slot.room_id", "tblRoom.RoomNo", "room"),
    forward("tblRoom.BldgCd", "tblBuilding.BldgCd", "building"),
    children=10,
)
def timetable(request: Any) -> Any:
    """Tables that are not ours, without constraints."""
    slots = Slot.objects.filter(weekday=2).order_by("hour", "id")[:10]
    return [(slot.hour, slot.room.seats, slot.room.building.street) for slot in slots]


@timetable.fixed
def _(request: Any) -> Any:
    slots = Slot.objects.filter(weekday=2).select_related("room__building").order_by("hour", "id")[:10]
    return [(slot.hour, slot.room.seats, slot.room.building.street) for slot in slots]


@problem("by_hand", forward("press_article.writer_id", "press_writer.user_id", "writer"), children=9)
def rows_as_dicts(request: Any) -> Any:
    rows = Article.objects.filter(state="out").order_by("title").values("title", "writer_id")[:9]
    return [(row["title"], Writer.objects.get(pk=row["writer_id"]).pen_name) for row in rows]


@rows_as_dicts.fixed
def _(request: Any) -> Any:
    rows = Article.objects.filter(state="out").order_by("title").values("title", "writer__pen_name")[:9]
    return [(row["title"], row["writer__pen_name"]) for row in rows]


@problem("by_hand", forward("campus_offering.term_no", "campus_term.term_no", "term"), children=12)
def terms_by_hand(request: Any) -> Any:
    """Few terms, many offerings: values come again."""
    found = Offering.objects.order_by("lecturer_id", "id")[:12]
    return [(str(one.id), Term.objects.get(id=one.term_id).name) for one in found]


@terms_by_hand.fixed
def _(request: Any) -> Any:
    found = Offering.objects.select_related("term").order_by("lecturer_id", "id")[:12]
    return [(str(one.id), one.term.name) for one in found]


@problem("annotated", forward("UniInstitute.director_id", LECTURER, "director"), children=12)
def institutes_with_directors(request: Any) -> Any:
    found = Institute.objects.annotate(offered=Count("courses")).order_by("id")
    return [(one.name, one.offered, one.director.name) for one in found]


@institutes_with_directors.fixed
def _(request: Any) -> Any:
    found = Institute.objects.annotate(offered=Count("courses")).select_related("director").order_by("id")
    return [(one.name, one.offered, one.director.name) for one in found]


@problem("union", forward("campus_offering.course_id", "campus_course.code", "course"), children=8)
def this_and_last_term(request: Any) -> Any:
    """The parent is a union."""
    found = Offering.objects.filter(term_id=1).union(Offering.objects.filter(term_id=2)).order_by("capacity", "id")
    return [(one.capacity, one.course.title) for one in found[:10]]


@this_and_last_term.fixed
def _(request: Any) -> Any:
    found = Offering.objects.filter(term_id=1).union(Offering.objects.filter(term_id=2)).order_by("capacity", "id")
    chosen = list(found[:10])
    courses = Course.objects.in_bulk({one.course_id for one in chosen})
    return [(one.capacity, courses[one.course_id].title) for one in chosen]


@problem("extra", forward("press_comment.article_id", "press_article.id", "article"), children=12)
def recent_comments(request: Any) -> Any:
    found = Comment.objects.extra(select={"loud": "length(body)"}, where=["likes >= 0"]).order_by("-id")[:12]
    return [(one.loud, one.article.title) for one in found]


@recent_comments.fixed
def _(request: Any) -> Any:
    found = Comment.objects.extra(select={"loud": "length(press_comment.body)"}, where=["press_comment.likes >= 0"])
    return [(one.loud, one.article.title) for one in found.select_related("article").order_by("-id")[:12]]


@problem("subquery", forward("", "press_comment.id"), children=9)
def latest_word(request: Any) -> Any:
    """What is looked up comes from a subquery's column."""
    last = Comment.objects.filter(article=OuterRef("pk")).order_by("-id").values("id")[:1]
    found = Article.objects.annotate(last=Subquery(last)).filter(last__isnull=False).order_by("id")[:9]
    return [(one.title, Comment.objects.get(pk=one.last).body) for one in found]


@latest_word.fixed
def _(request: Any) -> Any:
    last = Comment.objects.filter(article=OuterRef("pk")).order_by("-id").values("id")[:1]
    found = list(Article.objects.annotate(last=Subquery(last)).filter(last__isnull=False).order_by("id")[:9])
    words = Comment.objects.in_bulk([one.last for one in found])
    return [(one.title, words[one.last].body) for one in found]


@problem("tree", forward("press_topic.parent_id", "press_topic.id", "parent"), children=8)
def topic_parents(request: Any) -> Any:
    return [
        (one.title, one.parent.title) for one in Topic.objects.filter(parent__isnull=False).order_by("position")[:8]
    ]


@topic_parents.fixed
def _(request: Any) -> Any:
    found = Topic.objects.filter(parent__isnull=False).select_related("parent").order_by("position")[:8]
    return [(one.title, one.parent.title) for one in found]


@problem("tree", forward("press_topic.parent_id", "press_topic.id", "parent"), children=10)
def breadcrumbs(request: Any) -> Any:
    """Each row climbs to its root."""
    return [one.breadcrumb() for one in Topic.objects.filter(position__gte=12).order_by("slug")]


@breadcrumbs.fixed
def _(request: Any) -> Any:
    found = Topic.objects.filter(position__gte=12).select_related("parent__parent__parent").order_by("slug")
    return [one.breadcrumb() for one in found]


@problem("self", forward("press_writer.mentor_id", "press_writer.user_id", "mentor"), children=8)
def mentors(request: Any) -> Any:
    return [(one.pen_name, one.mentor.pen_name) for one in Writer.objects.exclude(mentor=None).order_by("pen_name")[:9]]


@mentors.fixed
def _(request: Any) -> Any:
    found = Writer.objects.exclude(mentor=None).select_related("mentor").order_by("pen_name")[:9]
    return [(one.pen_name, one.mentor.pen_name) for one in found]


@problem("raw", forward("campus_offering.lecturer_id", "campus_person.id"), children=10)
def raw_offerings(request: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(
            "select o.id, o.lecturer_id from campus_offering o where o.capacity > %s order by o.id limit 10", [9]
        )
        names = []
        for key, lecturer in cursor.fetchall():
            cursor.execute("select p.name from campus_person p where p.id = %s", [lecturer])
            names.append((str(key), cursor.fetchone()[0]))
    return names


@raw_offerings.fixed
def _(request: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(
            "select o.id, p.name from campus_offering o join campus_person p on p.id = o.lecturer_id "
            "where o.capacity > %s order by o.id limit 10",
            [9],
        )
        return [(str(key), name) for key, name in cursor.fetchall()]


@problem("generic", forward("press_labelling.object_id", "press_article|press_talk.id", "subject"), children=8)
def labelled(request: Any) -> Any:
    """A generic foreign key that leads to two tables in turn."""
    return [one.subject.title for one in Labelling.objects.order_by("label_id", "id")[:16]]


@labelled.fixed
def _(request: Any) -> Any:
    return [one.subject.title for one in Labelling.objects.prefetch_related("subject").order_by("label_id", "id")[:16]]


@problem("paging", forward("press_article.writer_id", "press_writer.user_id", "writer"), children=8)
def second_page(request: Any) -> Any:
    page = Paginator(Article.objects.order_by("slug"), 8).page(2)
    return [(one.slug, one.writer.pen_name) for one in page] + [page.paginator.count]


@second_page.fixed
def _(request: Any) -> Any:
    page = Paginator(Article.objects.select_related("writer").order_by("slug"), 8).page(2)
    return [(one.slug, one.writer.pen_name) for one in page] + [page.paginator.count]


class Slots(ListView):
    """A class-based view that pages."""

    template_name = "campus/slots.html"
    paginate_by = 12
    queryset = Slot.objects.order_by("weekday", "id")


class BetterSlots(Slots):
    queryset = Slot.objects.select_related("offering").order_by("weekday", "id")


@problem("class_based", forward("campus_slot.offering_id", "campus_offering.id", "offering"), children=12)
def slots_view(request: Any) -> Any:
    return Slots.as_view()(request).render()


@slots_view.fixed
def _(request: Any) -> Any:
    return BetterSlots.as_view()(request).render()


@problem(
    "inheritance",
    forward("campus_person.id", "campus_student|campus_person.person_ptr_id", "student", also=("n_plus_one_reverse",)),
    children=10,
)
def everybody(request: Any) -> Any:
    """From the base's rows to the child's."""
    found = Person.objects.filter(email__startswith="s").order_by("email")[:10]
    return [(one.name, one.student.matriculation) for one in found]


@everybody.fixed
def _(request: Any) -> Any:
    found = Person.objects.filter(email__startswith="s").select_related("student").order_by("email")[:10]
    return [(one.name, one.student.matriculation) for one in found]


@problem(
    "chain",
    forward("campus_submission.enrolment_id", "campus_enrolment.id", "enrolment"),
    forward("campus_enrolment.student_id", "campus_student|campus_person.person_ptr_id", "student"),
    forward("campus_submission.assignment_id", "campus_assignment.id", "assignment"),
    children=8,
)
def marking(request: Any) -> Any:
    """Several relations of one row, one of them two steps long."""
    found = Submission.objects.filter(points__gt=8).order_by("id")[:8]
    return [(one.points, one.enrolment.student.name, one.assignment.title) for one in found]


@marking.fixed
def _(request: Any) -> Any:
    found = (
        Submission.objects.filter(points__gt=8).select_related("enrolment__student", "assignment").order_by("id")[:8]
    )
    return [(one.points, one.enrolment.student.name, one.assignment.title) for one in found]


@problem("slow", forward("campus_offering.assistant_id", LECTURER, "assistant"), children=5, marks_decide=True)
def slow_rows(request: Any) -> Any:
    """Something else is asked for each row, 20 to 35 ms: without marks it looks as a script's visits do."""
    shown = []
    for n, one in enumerate(Offering.objects.exclude(assistant=None).order_by("course_id", "id")[:6]):
        shown.append(one.assistant.office)
        time.sleep(0.02 + 0.003 * n)
    return shown


@slow_rows.fixed
def _(request: Any) -> Any:
    shown = []
    found = Offering.objects.exclude(assistant=None).select_related("assistant").order_by("course_id", "id")[:6]
    for n, one in enumerate(found):
        shown.append(one.assistant.office)
        time.sleep(0.02 + 0.003 * n)
    return shown


@problem(
    "command",
    forward("press_comment.article_id", "press_article.id", "article"),
    children=8,
    where=Where.COMMAND,
    marks_decide=True,
)
def slow_command(job: Any) -> Any:
    """A command that calls another service for each row, 60 to 90 ms: only a connection of its own tells what it is."""
    shown = []
    for one in Comment.objects.filter(likes=0).order_by("reader_id", "id")[:8]:
        shown.append((one.body, one.article.slug))
        job.pause()
    return shown


@slow_command.fixed
def _(job: Any) -> Any:
    shown = []
    for one in Comment.objects.filter(likes=0).select_related("article").order_by("reader_id", "id")[:8]:
        shown.append((one.body, one.article.slug))
        job.pause()
    return shown


@problem("chance", forward("press_article.writer_id", "press_writer.user_id", "writer"), children=10)
def behind_other_lists(request: Any) -> Any:
    """Lists before it have the same small numbers in every column."""
    terms = [one.name for one in Term.objects.order_by("id")]
    institutes = [one.floor for one in Institute.objects.order_by("id")]
    topics = [one.title for one in Topic.objects.filter(parent_id__lt=4).order_by("id")]
    written = [one.writer.pen_name for one in Article.objects.order_by("id")[:10]]
    return [terms, institutes, topics, written]


@behind_other_lists.fixed
def _(request: Any) -> Any:
    terms = [one.name for one in Term.objects.order_by("id")]
    institutes = [one.floor for one in Institute.objects.order_by("id")]
    topics = [one.title for one in Topic.objects.filter(parent_id__lt=4).order_by("id")]
    written = [one.writer.pen_name for one in Article.objects.select_related("writer").order_by("id")[:10]]
    return [terms, institutes, topics, written]


@problem(
    "prefetched",
    forward("campus_enrolment.student_id", "campus_student|campus_person.person_ptr_id", "student"),
    children=8,
)
def prefetched_too_little(request: Any) -> Any:
    """The rows behind a prefetch follow a relation of their own."""
    offerings = Offering.objects.prefetch_related("enrolments").order_by("id")[:4]
    return [sorted(one.student.matriculation for one in offering.enrolments.all()) for offering in offerings]


@prefetched_too_little.fixed
def _(request: Any) -> Any:
    from campus.models import Enrolment

    students = Prefetch("enrolments", Enrolment.objects.select_related("student"))
    offerings = Offering.objects.prefetch_related(students).order_by("id")[:4]
    return [sorted(one.student.matriculation for one in offering.enrolments.all()) for offering in offerings]


@problem(
    "asynchronous", forward("campus_offering.term_no", "campus_term.term_no", "term"), children=7, where=Where.ASGI
)
async def awaited_terms(request: Any) -> Any:
    shown = []
    async for one in Offering.objects.filter(capacity__gt=12).order_by("id")[:7]:
        term = await Term.objects.aget(pk=one.term_id)
        shown.append(term.name)
    return shown


@awaited_terms.fixed
async def _(request: Any) -> Any:
    found = Offering.objects.filter(capacity__gt=12).select_related("term").order_by("id")[:7]
    return [one.term.name async for one in found]

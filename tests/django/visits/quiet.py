"""What repeats itself rightly, and pages that are as they should be."""

from __future__ import annotations

import time
from typing import Any

from asgiref.sync import sync_to_async
from campus.models import Assignment, Course, Enrolment, Institute, Locker, Offering, Person, Room, Slot, Student, Term
from django.core.paginator import Paginator
from django.db import IntegrityError, connection, transaction
from django.db.models import Avg, Count, F, OuterRef, Prefetch, Subquery, Sum, Window
from django.db.models.functions import Rank
from django.shortcuts import render
from press.models import (
    Article,
    Comment,
    Counter,
    Image,
    Label,
    LogLine,
    Mail,
    Presence,
    SiteConfig,
    Speaker,
    Talk,
    Topic,
)
from scenarios.registry import Where, clean, hard, look_alike

from .writing import COUNTERS, LOG, MAIL, SOME_MAIL

PRESENCE = "UPDATE press_presence SET pages = 0"


def thinking(low_s: float, high_s: float, count: int = 8, step: str = "page", **fixed: Any) -> Any:
    """The same page again and again, with such pauses."""

    def drive(browser: Any) -> None:
        for n in range(1, count + 1):
            browser.get(step, hurry=True, n=n, **fixed)
            browser.think(low_s, high_s)

    return drive


def list_then(low_s: float, high_s: float, count: int = 6, **fixed: Any) -> Any:
    """A list, then its entries."""

    def drive(browser: Any) -> None:
        keys = browser.get(**fixed)
        for key in keys[:count]:
            browser.think(low_s, high_s)
            browser.get("detail", hurry=True, key=key, **fixed)

    return drive


@look_alike("polling", drive=thinking(0.025, 0.06, 10))
def inbox(request: Any) -> Any:
    return LogLine.objects.filter(number__gt=3).count()


@look_alike("polling", drive=thinking(0.06, 0.12, 6))
def tail(request: Any) -> Any:
    """What came since the last time."""
    return list(LogLine.objects.filter(id__gt=int(request.GET["n"])).order_by("id")[:20].values_list("line", flat=True))


@look_alike("polling", where=Where.COMMAND)
def wait_for_the_job(job: Any) -> Any:
    """A command that watches a queue."""
    for _ in range(5):
        Mail.objects.filter(state="new").count()
        job.pause()


@look_alike("polling")
def retried(request: Any) -> Any:
    """Waits for what another process will write."""
    for _ in range(4):
        if LogLine.objects.filter(subject="done").exists():
            return "done"
        time.sleep(0.07)
    return "not yet"


def _many_visitors(browser: Any) -> None:
    browser.visitors(6, lambda index: [browser.get(thread=index + 1, n=n) for n in range(3)])


@look_alike("same_page", drive=_many_visitors, crowd=True)
def front_page(request: Any) -> Any:
    """By several people at once."""
    return render(
        request, "campus/offerings.html", {"offerings": Offering.objects.select_related("course").order_by("id")[:6]}
    )


@look_alike("list_then_details", drive=list_then(0.06, 0.3))
def article_list(request: Any) -> Any:
    return list(Article.published.order_by("id").values_list("id", flat=True)[:12])


@article_list.step("detail")
def _(request: Any) -> Any:
    article = Article.objects.get(pk=request.GET["key"])
    return [
        article.title,
        list(article.comments.order_by("id").values_list("body", flat=True)),
        article.related.count(),
    ]


@look_alike("list_then_details", drive=list_then(0.06, 0.15))
def topic_list(request: Any) -> Any:
    return list(Topic.objects.order_by("position").values_list("slug", flat=True)[:10])


@topic_list.step("detail")
def _(request: Any) -> Any:
    topic = Topic.objects.get(slug=request.GET["key"])
    return [topic.title, [one.title for one in topic.articles.order_by("id")]]


@look_alike("list_then_details", drive=list_then(0.07, 0.2, site=1, seen=1), login=True, restore=PRESENCE)
def image_list(request: Any) -> Any:
    """With middleware around each request of a user who is logged in."""
    return [str(key) for key in Image.objects.order_by("caption").values_list("id", flat=True)[:10]]


@image_list.step("detail")
def _(request: Any) -> Any:
    image = Image.objects.get(pk=request.GET["key"])
    return [image.caption, [one.path for one in image.renditions.order_by("width")]]


@hard("list_then_details", drive=list_then(0.025, 0.045), marks_decide=True)
def talk_list(request: Any) -> Any:
    """By a script that thinks hardly longer than a page takes."""
    return list(Talk.objects.order_by("id").values_list("id", flat=True)[:8])


@talk_list.step("detail")
def _(request: Any) -> Any:
    return Talk.objects.get(pk=request.GET["key"]).title


@hard("list_then_details", drive=list_then(0.025, 0.06, site=1), marks_decide=True)
def speaker_list(request: Any) -> Any:
    """The same, but every request begins with the site's configuration."""
    return list(Speaker.objects.order_by("id").values_list("id", flat=True)[:8])


@speaker_list.step("detail")
def _(request: Any) -> Any:
    speaker = Speaker.objects.get(pk=request.GET["key"])
    return [speaker.name, speaker.affiliation]


@look_alike("many_users", drive=thinking(0.055, 0.09, 8))
def other_peoples_pages(request: Any) -> Any:
    """Different people's pages over one connection; what each asks for is small numbers."""
    key = int(request.GET["n"])
    student = Student.objects.get(pk=20 + key)
    grades = list(Enrolment.objects.filter(student_id=20 + key).order_by("id").values_list("grade", flat=True))
    return [student.name, grades, Locker.objects.filter(student_id=20 + key).count()]


def _mixed(browser: Any) -> None:
    browser.get()
    for n in (1, 2, 3, 4, 5):
        browser.think(0.055, 0.2)
        browser.get("locker", hurry=True, n=n)


@look_alike("chance", drive=_mixed)
def terms_then_rooms(request: Any) -> Any:
    """The numbers of a list, then other requests for things that have such numbers."""
    return [one.name for one in Term.objects.order_by("id")]


@terms_then_rooms.step("locker")
def _(request: Any) -> Any:
    return Room.objects.get(pk=request.GET["n"]).seats


@look_alike("chance")
def featured_rooms(request: Any) -> Any:
    """Three numbers from the settings, behind a list that has them too."""
    terms = [one.name for one in Term.objects.order_by("-starts")]
    institutes = [(one.name, one.floor) for one in Institute.objects.order_by("id")]
    return [terms, institutes, [Room.objects.get(pk=number).seats for number in (3, 7, 5)]]


@look_alike("chance")
def three_things(request: Any) -> Any:
    """One shape each: numbers that lists before had."""
    labels = [one.name for one in Label.objects.order_by("id")]
    return [labels, Talk.objects.get(pk=1).title, Speaker.objects.get(pk=2).name, Room.objects.get(pk=3).seats]


@look_alike("minimum")
def before_and_after(request: Any) -> Any:
    """Two of anything."""
    keys = [int(one) for one in ("4", "9")]
    return [(Offering.objects.filter(term_id=key % 6 + 1).count(), Article.objects.get(pk=key).title) for key in keys]


@look_alike("minimum")
def two_rows(request: Any) -> Any:
    return [(one.title, one.topic.title) for one in Article.objects.order_by("id")[:2]]


@look_alike("one_row", drive=thinking(0.025, 0.06, 6))
def article_page(request: Any) -> Any:
    """One article with all that belongs to it."""
    article = Article.objects.select_related("topic", "writer__user").get(slug=f"article-{request.GET['n']}")
    comments = list(article.comments.select_related("reader").order_by("id"))
    images = list(article.images.order_by("caption"))
    return [article.title, [one.reader.username for one in comments], len(images), article.label_names()]


@look_alike("paging", drive=thinking(0.06, 0.2, 4))
def pages_by_number(request: Any) -> Any:
    page = Paginator(Comment.objects.select_related("reader").order_by("id"), 12).page(request.GET["n"])
    return [(one.body, one.reader.username) for one in page]


def _scroll(browser: Any) -> None:
    after = 0
    for _ in range(5):
        rows = browser.get(after=after)
        after = rows[-1]
        browser.think(0.03, 0.1)


@look_alike("paging", drive=_scroll)
def endless_scroll(request: Any) -> Any:
    found = Comment.objects.filter(id__gt=request.GET["after"]).order_by("id")[:15]
    return [one.id for one in found]


@look_alike("typing", drive=thinking(0.025, 0.06, 7))
def typeahead(request: Any) -> Any:
    words = "Student 2"[: int(request.GET["n"]) + 2]
    return list(Person.objects.filter(name__istartswith=words).order_by("name").values_list("name", flat=True)[:5])


@look_alike("chunks", where=Where.COMMAND)
def by_key(job: Any) -> Any:
    last, seen = 0, 0
    while True:
        rows = list(Enrolment.objects.filter(id__gt=last).order_by("id")[:30])
        if not rows:
            return seen
        seen += len(rows)
        last = rows[-1].id


@look_alike("chunks", where=Where.COMMAND)
def by_offset(job: Any) -> Any:
    found = Enrolment.objects.order_by("id")
    return [sum(one.grade or 0 for one in found[start : start + 40]) for start in range(0, 180, 40)]


@look_alike("chunks", where=Where.COMMAND)
def by_key_with_related(job: Any) -> Any:
    """Each chunk brings its related rows along in one more query."""
    last, seen = 0, []
    while rows := list(Comment.objects.filter(id__gt=last).prefetch_related("replies").order_by("id")[:25]):
        seen.append(sum(len(one.replies.all()) for one in rows))
        last = rows[-1].id
    return seen


@look_alike("cursor", where=Where.COMMAND)
def iterated_with_prefetch(job: Any) -> Any:
    found = Article.objects.prefetch_related("comments", "images__renditions").order_by("id").iterator(chunk_size=9)
    return [(one.title, len(one.comments.all())) for one in found]


@look_alike("cursor", where=Where.COMMAND)
def iterated(job: Any) -> Any:
    return sum(one.points for one in _submissions().iterator(chunk_size=50))


def _submissions() -> Any:
    from campus.models import Submission

    return Submission.objects.select_related("assignment").order_by("id")


@look_alike("batches", where=Where.COMMAND)
def in_bulk_by_ten(job: Any) -> Any:
    keys = list(Image.objects.order_by("caption").values_list("id", flat=True))
    return [len(Image.objects.in_bulk(keys[start : start + 10])) for start in range(0, 40, 10)]


@look_alike("batches", where=Where.COMMAND, restore=LOG)
def created_in_batches(job: Any) -> Any:
    LogLine.objects.bulk_create((LogLine(subject=f"s{n}", number=n) for n in range(60)), batch_size=12)


@look_alike("batches", where=Where.COMMAND, restore=COUNTERS)
def updated_in_batches(job: Any) -> Any:
    found = list(Counter.objects.order_by("id"))
    for one in found:
        one.value *= 2
    Counter.objects.bulk_update(found, ["value"], batch_size=6)


@look_alike("batches", where=Where.COMMAND, restore=COUNTERS)
def import_in_batches(job: Any) -> Any:
    """What is there is read, what is not is written, batch by batch."""
    for start in range(20, 60, 10):
        names = [f"counter-{n}" for n in range(start, start + 10)]
        there = set(Counter.objects.filter(name__in=names).values_list("name", flat=True))
        Counter.objects.bulk_create(Counter(name=name) for name in names if name not in there)


@look_alike("batches")
def level_by_level(request: Any) -> Any:
    """A tree, one query a level."""
    levels, keys = [], [1, 2, 3, 4]
    while keys:
        levels.append(len(keys))
        keys = list(Topic.objects.filter(parent_id__in=keys).order_by("id").values_list("id", flat=True))
    return levels


@look_alike(
    "delete",
    before="INSERT INTO press_comment (id, article_id, reader_id, body, likes)"
    " SELECT 900 + n, 36, 2, 'x', 77 FROM generate_series(1, 9) n",
    restore="DELETE FROM press_comment WHERE id > 900",
)
def deleted_with_replies(request: Any) -> Any:
    """A cascade that Django follows itself."""
    with transaction.atomic():
        Comment.objects.filter(likes=77).delete()


@look_alike(
    "delete",
    before="INSERT INTO press_talk (id, title, track) SELECT 900 + n, 'x', 9 FROM generate_series(1, 3) n",
    restore="DELETE FROM press_talk WHERE id > 900",
)
def deleted_talks(request: Any) -> Any:
    Talk.objects.filter(track=9).delete()


@look_alike("queue", before=SOME_MAIL, restore=MAIL, where=Where.COMMAND)
def mail_worker(job: Any) -> Any:
    """Takes one, sends it, notes it; six of them with what sending takes."""
    for _ in range(6):
        with transaction.atomic():
            mail = Mail.objects.select_for_update(skip_locked=True).filter(state="new").order_by("id").first()
            time.sleep(0.012)
            mail.state = "sent"
            mail.save(update_fields=["state"])


@look_alike("queue", before=SOME_MAIL, restore=MAIL, where=Where.COMMAND)
def busy_worker(job: Any) -> Any:
    """The same with one raw statement, and without a pause."""
    with connection.cursor() as cursor:
        for _ in range(8):
            cursor.execute(
                "update press_mail set state = 'taken' where id = (select id from press_mail where state = 'new' "
                "order by id limit 1 for update skip locked) returning id, address"
            )
            cursor.fetchone()


@look_alike("worker", where=Where.COMMAND)
def task_after_task(job: Any) -> Any:
    """A worker's process: one connection, tasks whose keys a scheduler reads, elsewhere."""
    (keys,) = job.threads([7], lambda n: list(Assignment.objects.order_by("id").values_list("id", flat=True)[:n]), 1)
    for key in keys:
        job.pause(0.06, 0.12)
        with transaction.atomic():
            assignment = Assignment.objects.select_related("offering").get(pk=key)
            assignment.submissions.aggregate(Sum("points"))


@look_alike("writes", drive=thinking(0.06, 0.2, 6), restore="UPDATE press_article SET body = 'Once' WHERE id = 5")
def autosave(request: Any) -> Any:
    """An editor that saves its draft every now and then."""
    Article.objects.filter(pk=5).update(body="x" * int(request.GET["n"]))


@look_alike("writes", drive=thinking(0.06, 0.15, 6), restore=LOG)
def uploads(request: Any) -> Any:
    """A request for each file."""
    LogLine.objects.create(subject="upload", number=int(request.GET["n"]), line="file")


@look_alike("writes", drive=thinking(0.025, 0.06, 7, seen=1), login=True, restore=PRESENCE)
def seen_again(request: Any) -> Any:
    """Middleware writes on each request of a user."""
    return Topic.objects.count()


@look_alike("writes", restore=LOG)
def audit_trail(request: Any) -> Any:
    """Two lines, as things happen."""
    LogLine.objects.create(subject="begin")
    found = Course.objects.count()
    LogLine.objects.create(subject="end")
    return found


@look_alike("retry", where=Where.COMMAND)
def conflicts(job: Any) -> Any:
    """A name is taken: another try, after a while."""
    for attempt in range(4):
        try:
            with transaction.atomic():
                Counter.objects.create(name=f"counter-{attempt}")
        except IntegrityError:
            job.pause()


def _seven_pages(browser: Any) -> None:
    for step in ("page", "courses", "articles", "talks", "rooms", "topics", "page"):
        browser.get(step, hurry=True, site=1, seen=1)
        browser.think(0.025, 0.07)


@look_alike("middleware", drive=_seven_pages, login=True, restore=PRESENCE)
def browsing(request: Any) -> Any:
    """Different pages, each with what middleware and templates ask."""
    return Institute.objects.count()


for _name, _model in (("courses", Course), ("articles", Article), ("talks", Talk), ("rooms", Room), ("topics", Topic)):
    browsing.step(_name)(lambda request, model=_model: model.objects.order_by("pk").last().pk)


@look_alike("housekeeping", where=Where.COMMAND)
def warm_the_cache(job: Any) -> Any:
    """A query for each kind of thing."""
    models = (Course, Article, Talk, Speaker, Topic, Institute, Offering)
    return [[model.objects.count(), len(model.objects.order_by("pk")[:5])] for model in models]


@look_alike("read_write_read", restore=PRESENCE)
def read_own_writes(request: Any) -> Any:
    """The same row before and after each change."""
    seen = []
    for _ in range(2):
        seen.append(Presence.objects.get(user_id=2).pages)
        Presence.objects.filter(user_id=2).update(pages=F("pages") + 1)
    return [*seen, Presence.objects.get(user_id=2).pages]


@clean("page")
def dashboard(request: Any) -> Any:
    """A dozen figures, each from a table of its own."""
    return [
        Course.objects.count(),
        Course.objects.filter(retired=True).count(),
        Offering.objects.aggregate(Avg("capacity")),
        Enrolment.objects.filter(grade=None).count(),
        Student.objects.values("year").annotate(n=Count("id")).count(),
        Slot.objects.filter(weekday=1).exists(),
        Article.published.count(),
        Article.objects.filter(state="draft").count(),
        Comment.objects.latest("id").body,
        Image.objects.filter(article=None).count(),
        Talk.objects.count(),
        Speaker.objects.count(),
    ]


@clean("page")
def statistics(request: Any) -> Any:
    """Window, subquery and grouping in one statement each."""
    last = Comment.objects.filter(article=OuterRef("pk")).order_by("-id").values("body")[:1]
    articles = Article.objects.annotate(said=Count("comments"), last=Subquery(last)).order_by("-said", "id")[:10]
    ranks = Offering.objects.annotate(rank=Window(Rank(), partition_by="term_id", order_by=F("capacity").desc()))
    return [[(a.title, a.said, a.last) for a in articles], [o.rank for o in ranks.order_by("rank", "id")[:20]]]


@clean("page")
def all_prefetched(request: Any) -> Any:
    """Four levels, five statements."""
    found = Offering.objects.select_related("course", "term", "lecturer__institute").prefetch_related(
        Prefetch("enrolments", Enrolment.objects.select_related("student").order_by("id")),
        Prefetch("assignments", Assignment.objects.annotate(n=Count("submissions")).order_by("id"), to_attr="sheets"),
        "slots__room__building",
    )
    return [
        [
            o.course.title,
            o.lecturer.institute.name,
            [e.student.name for e in o.enrolments.all()],
            [s.n for s in o.sheets],
        ]
        for o in found.order_by("id")[:12]
    ]


@clean("page")
def checks_of_a_form(request: Any) -> Any:
    """Uniqueness of several fields, and a row that is referred to."""
    return [
        Student.objects.filter(matriculation="M1").exists(),
        Student.objects.filter(email="a@example.edu").exists(),
        Student.objects.filter(name="A").exists(),
        Term.objects.filter(pk=1).exists(),
        SiteConfig.objects.filter(key="limit").exists(),
    ]


@clean("page", where=Where.ASGI)
async def widgets(request: Any) -> Any:
    """Awaited one after the other, and some in threads."""
    shown = [await Talk.objects.acount(), await Topic.objects.acount()]
    shown.append(await sync_to_async(lambda: [one.name for one in Label.objects.order_by("id")])())
    return [*shown, [one.title async for one in Talk.objects.order_by("id")[:4]]]


def _crowd(browser: Any) -> None:
    browser.gather(["page"] * 6)
    browser.gather(["page"] * 6)


@look_alike("same_page", where=Where.ASGI, drive=_crowd)
async def room_page(request: Any) -> Any:
    """The same page for many at once, asynchronously."""
    room = await Room.objects.select_related("building").aget(pk=4)
    return [room.seats, room.building.street]

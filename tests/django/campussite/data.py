"""The rows: the same in every run, keys included.

Every integer key counts from 1, as in a young database. So a value of one column is a value of many others by chance.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable
from typing import Any

from campus import models as campus
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management.color import no_style
from django.db import connection, models
from press import models as press

SESSION = "theonlysessionoftheuniversity"
"""Session key of the superuser."""

_NAMESPACE = uuid.UUID("0d6f4c1e-7f0b-4b59-9d6e-3b2f3b6c2a10")
LECTURERS, STUDENTS, COURSES, OFFERINGS, ARTICLES = 20, 60, 24, 48, 36


def _uuid(what: str, index: int) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, f"{what} {index}")


def _fill(model: type[models.Model], rows: Iterable[dict[str, Any]]) -> None:
    model._base_manager.bulk_create(model(**{"pk": index, **row}) for index, row in enumerate(rows, 1))


def fill() -> None:
    _legacy()
    _users()
    _campus()
    _press()
    with connection.cursor() as cursor:
        for app in (campus, press):
            found = [one for one in vars(app).values() if isinstance(one, type) and issubclass(one, models.Model)]
            mine = [one for one in found if one._meta.managed and not one._meta.abstract]
            for sql in connection.ops.sequence_reset_sql(no_style(), mine):
                cursor.execute(sql)


def _legacy() -> None:
    with connection.cursor() as cursor:
        cursor.execute('CREATE TABLE "tblBuilding" ("BldgCd" varchar(4) PRIMARY KEY, "StreetNm" varchar(60) NOT NULL)')
        cursor.execute(
            'CREATE TABLE "tblRoom" ('
            '"RoomNo" integer PRIMARY KEY, "BldgCd" varchar(4) NOT NULL, "SeatCnt" integer NOT NULL)'
        )
        cursor.execute("""INSERT INTO "tblBuilding" SELECT 'B' || n, 'Street ' || n FROM generate_series(1, 6) n""")
        cursor.execute(
            """INSERT INTO "tblRoom" SELECT n, 'B' || (1 + n * 5 % 6), 10 + n * 7 % 40 FROM generate_series(1, 24) n"""
        )


def _users() -> None:
    user_model = get_user_model()
    for n in range(1, 16):
        user = user_model(pk=n, username=f"user{n}", email=f"user{n}@example.org")
        user.is_staff = user.is_superuser = n == 1
        user.set_unusable_password()
        user.save()
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), [user_model]):
            cursor.execute(sql)
    first = user_model.objects.get(pk=1)
    session = {
        SESSION_KEY: "1",
        BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
        HASH_SESSION_KEY: first.get_session_auth_hash(),
    }
    far = datetime.datetime(2099, 1, 1, tzinfo=datetime.timezone.utc)
    Session.objects.create(session_key=SESSION, session_data=SessionStore().encode(session), expire_date=far)


def _campus() -> None:
    _fill(campus.Faculty, ({"pk": slug, "name": slug.title()} for slug in ("arts", "law", "medicine", "science")))
    slugs = ("arts", "law", "medicine", "science")
    _fill(
        campus.Institute,
        ({"name": f"Institute {n}", "faculty_id": slugs[n * 3 % 4], "floor": 1 + n % 9} for n in range(12)),
    )
    for n in range(LECTURERS):
        campus.Lecturer.objects.create(
            pk=n + 1,
            name=f"Lecturer {n}",
            email=f"l{n}@example.edu",
            office=f"R{n}",
            institute_id=1 + n * 5 % 12,
            home_town=f"Town {n % 7}",
        )
    for n in range(STUDENTS):
        campus.Student.objects.create(
            pk=LECTURERS + n + 1,
            name=f"Student {n}",
            email=f"s{n}@example.edu",
            matriculation=f"M{1000 + n}",
            advisor_id=None if n % 6 == 5 else 1 + n * 7 % LECTURERS,
            year=1 + n % 4,
            home_town=f"Town {n % 11}",
        )
    for institute in campus.Institute.objects.order_by("id"):
        campus.Institute.objects.filter(pk=institute.pk).update(director_id=1 + institute.pk * 3 % LECTURERS)
    _fill(campus.Term, ({"name": f"Term {n}", "starts": datetime.date(2020 + n, 4, 1)} for n in range(6)))
    codes = [f"C{n:02}" for n in range(COURSES)]
    _fill(
        campus.Course,
        (
            {
                "pk": code,
                "title": f"Course {n}",
                "institute_id": 1 + n * 7 % 12,
                "syllabus": f"Week {n}. " * 20,
                "details": {"level": n % 3},
                "retired": n % 8 == 7,
            }
            for n, code in enumerate(codes)
        ),
    )
    for n, code in enumerate(codes[4:], 4):
        campus.Course.objects.get(pk=code).requires.add(codes[n - 4], codes[n - 3])
    _fill(
        campus.Offering,
        (
            {
                "pk": _uuid("offering", n),
                "course_id": codes[n * 5 % COURSES],
                "term_id": 1 + n % 6,
                "lecturer_id": 1 + n * 3 % LECTURERS,
                "assistant_id": None if n % 4 == 3 else 1 + (n * 3 + 7) % LECTURERS,
                "capacity": 10 + n % 15,
            }
            for n in range(OFFERINGS)
        ),
    )
    _fill(
        campus.Enrolment,
        (
            {
                "student_id": LECTURERS + 1 + n * 11 % STUDENTS,
                "offering_id": _uuid("offering", n * 5 % OFFERINGS),
                "grade": None if n % 5 == 0 else 1 + n % 5,
            }
            for n in range(180)
        ),
    )
    _fill(
        campus.Assignment, ({"offering_id": _uuid("offering", n % OFFERINGS), "title": f"Sheet {n}"} for n in range(96))
    )
    _fill(
        campus.Submission,
        (
            {"assignment_id": 1 + n % 96, "enrolment_id": 1 + n * 7 % 180, "points": n % 11, "text": f"Answer {n}"}
            for n in range(288)
        ),
    )
    _fill(
        campus.Slot,
        (
            {
                "offering_id": _uuid("offering", n % OFFERINGS),
                "room_id": 1 + n * 5 % 24,
                "weekday": 1 + n % 5,
                "hour": 8 + n % 9,
            }
            for n in range(72)
        ),
    )
    campus.Locker.objects.bulk_create(
        campus.Locker(student_id=LECTURERS + 1 + n, number=1 + n) for n in range(STUDENTS) if n % 3
    )


def _press() -> None:
    press.Writer.objects.bulk_create(
        press.Writer(user_id=n, pen_name=f"Pen {n}", mentor_id=None if n < 4 else 1 + n % 3) for n in range(1, 13)
    )
    parents = [None] * 4 + [1 + n % 4 for n in range(8)] + [5 + n * 3 % 8 for n in range(12)]
    _fill(
        press.Topic,
        (
            {"slug": f"topic-{n}", "title": f"Topic {n}", "parent_id": parent, "position": n}
            for n, parent in enumerate(parents)
        ),
    )
    _fill(
        press.Article,
        (
            {
                "slug": f"article-{n}",
                "title": f"Article {n}",
                "topic_id": f"topic-{n * 7 % 24}",
                "writer_id": 1 + n * 5 % 12,
                "state": "draft" if n % 9 == 8 else "out",
                "body": f"Once {n}. " * 30,
                "meta": {"stars": n % 5},
                "issue_number": 1 + n % 12,
            }
            for n in range(ARTICLES)
        ),
    )
    for article in press.Article.objects.order_by("id")[:20]:
        article.related.add(article.pk + 3, article.pk + 8)
    _fill(press.Label, ({"name": f"label {n}"} for n in range(10)))
    kinds = [ContentType.objects.get_for_model(one) for one in (press.Article, press.Talk)]
    _fill(
        press.Labelling,
        (
            {
                "label_id": 1 + n * 3 % 10,
                "content_type": kinds[n % 2],
                "object_id": 1 + (n // 2) % (36 if n % 2 == 0 else 18),
            }
            for n in range(144)
        ),
    )
    _fill(
        press.Comment,
        (
            {
                "article_id": 1 + n * 5 % ARTICLES,
                "reply_to_id": None if n < 40 else 1 + n * 3 % 40,
                "reader_id": 1 + n * 7 % 15,
                "body": f"Well, {n}",
            }
            for n in range(120)
        ),
    )
    _fill(
        press.Image,
        (
            {
                "pk": _uuid("image", n),
                "article_id": None if n % 7 == 6 else 1 + n * 5 % ARTICLES,
                "caption": f"Image {n:02}",
                "exif": "x" * 300,
            }
            for n in range(40)
        ),
    )
    _fill(
        press.Rendition,
        ({"image_id": _uuid("image", n // 3), "width": 100 * (1 + n % 3), "path": f"/r/{n}"} for n in range(120)),
    )
    _fill(press.Speaker, ({"name": f"Speaker {n}", "affiliation": f"Lab {n % 5}"} for n in range(24)))
    _fill(press.Talk, ({"title": f"Talk {n}", "track": 1 + n % 3} for n in range(18)))
    _fill(
        press.Appearance,
        ({"talk_id": 1 + n % 18, "speaker_id": 1 + n * 5 % 24, "position": n // 18} for n in range(36)),
    )
    _fill(
        press.SiteConfig,
        ({"key": key, "value": key.upper()} for key in ("site", "claim", "theme", "footer", "limit", "imprint")),
    )
    press.Presence.objects.bulk_create(press.Presence(user_id=n) for n in range(1, 16))
    _fill(press.Counter, ({"name": f"counter-{n}", "value": n} for n in range(30)))

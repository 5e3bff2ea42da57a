"""Admin pages as the people in the office open them."""

from __future__ import annotations

from typing import Any

from scenarios.registry import aggregate, clean, forward, problem

OFFERING = "campus/offering/"


@problem(
    "admin",
    forward("UniInstitute.director_id", "campus_lecturer|campus_person.person_ptr_id", "director"),
    children=12,
    login=True,
    drive=lambda browser: browser.admin("campus/institute/"),
)
def admin_institutes(request: Any) -> Any:
    """A method of the admin that follows a relation."""


@problem(
    "admin",
    aggregate("press_talk.id", "press_speaker|press_appearance.talk_id", "speakers", "appearances"),
    children=18,
    login=True,
    drive=lambda browser: browser.admin("press/talk/"),
)
def admin_talks(request: Any) -> Any:
    """A count of a many-to-many relation."""


@problem(
    "admin",
    forward("campus_enrolment.student_id", "campus_student|campus_person.person_ptr_id", "student"),
    children=3,
    login=True,
    drive=lambda browser: browser.admin(f"{OFFERING}1abe384c-78e5-5e39-ae5b-be7226a66c5a/change/"),
)
def admin_enrolments(request: Any) -> Any:
    """An inline."""


for _scenario in (admin_institutes, admin_talks, admin_enrolments):
    _scenario.fixed(_scenario.steps["problem", "page"])


def _office(browser: Any) -> None:
    browser.admin("press/comment/")
    browser.admin("press/comment/", o="2")
    browser.admin("press/comment/", p="2")
    browser.admin("press/comment/", q="")


@clean("admin", login=True, drive=_office)
def admin_comments(request: Any) -> Any:
    """A list whose relations the admin joins by itself, sorted and paged."""


def _search(browser: Any) -> None:
    for words in ("Student 1", "Student 2", "M10", "Student 5", "M1033"):
        browser.admin("campus/student/", q=words)
    browser.admin("campus/student/", year="3")


@clean("admin", login=True, drive=_search)
def admin_students(request: Any) -> Any:
    """Searched and filtered."""


def _edit(browser: Any) -> None:
    for key in (3, 7, 2, 11):
        browser.admin(f"press/talk/{key}/change/")


@clean("admin", login=True, drive=_edit)
def admin_talk_after_talk(request: Any) -> Any:
    """One form after the other."""

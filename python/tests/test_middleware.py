"""The middleware on each Django: sync and async handlers, streamed bodies. Drivers are the end-to-end tests' subject."""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import threading
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django_pgprism import tagging
from django_pgprism.middleware import PgprismMiddleware
from project import pages

FRAMEWORK = f"framework='django%3A{django.VERSION[0]}.{django.VERSION[1]}'"
PAGES = {"/": 1, "/books/7/": 1, "/async/": 1, "/stream/": 2, "/async/stream/": 2}
ROUTES = {"/": "%2F", "/books/7/": "books%2F%3Cint%3Apk%3E%2F", "/async/": "async%2F"}


@pytest.fixture(autouse=True)
def sent() -> list[str]:
    pages.sent.clear()
    return pages.sent


def get(path: str, **headers: str) -> None:
    response = Client(raise_request_exception=True).get(path, **headers)
    assert response.status_code == 200
    if response.streaming and not response.is_async:
        list(response.streaming_content)
    elif response.streaming:
        asyncio.run(_read(response.streaming_content))


async def _read(parts: Any) -> list[bytes]:
    return [part async for part in parts]


def get_async(path: str) -> None:
    async def visit() -> None:
        response = await AsyncClient().get(path)
        assert response.status_code == 200
        if response.streaming and response.is_async:
            await _read(response.streaming_content)
        elif response.streaming:
            list(response.streaming_content)

    asyncio.run(visit())


@pytest.mark.parametrize("visit", [get, get_async])
@pytest.mark.parametrize("path", PAGES)
def test_each_query_has_the_tags_of_its_request(visit: Any, path: str, sent: list[str]) -> None:
    visit(path)
    assert len(sent) == PAGES[path]
    assert len(set(sent)) == 1
    assert sent[0].startswith("SELECT 1 /*controller='") and sent[0].endswith("'*/")
    assert f",{FRAMEWORK},request_id='" in sent[0]
    assert f",route='{ROUTES.get(path, path[1:].replace('/', '%2F'))}'*/" in sent[0]
    pages.query()
    assert sent[-1] == "SELECT 1"


def test_the_controller_is_the_name_of_the_view_or_of_its_url(sent: list[str]) -> None:
    get("/")
    get("/books/7/")
    assert "controller='project.pages.sync_page'" in sent[0]
    assert "controller='book'" in sent[1]


def test_each_request_has_its_own_id(sent: list[str]) -> None:
    get("/")
    get("/")
    assert sent[0] != sent[1]


def test_what_a_pattern_holds_does_not_end_the_comment(sent: list[str]) -> None:
    get("/it's/*/7")
    assert sent[0].count("*/") == 1
    assert "route='%5Eit%27s%2F%28%3FP%3Cof%3E%5B%2A%5D%2F%5Cd%2B%29%24'" in sent[0]


TRACEPARENT = "00-ead3c9c37ac4cb7dba77bd0dbb1f4d5e-78cb46d1c2d0aa4c-01"


@pytest.mark.parametrize(
    "invalid",
    ["", "00", TRACEPARENT.upper(), TRACEPARENT + "\n", "ff" + TRACEPARENT[2:], TRACEPARENT.replace("78cb46d1c2d0aa4c", "0" * 16)],
)
def test_only_a_valid_traceparent_is_passed_on(invalid: str, sent: list[str]) -> None:
    get("/", HTTP_TRACEPARENT=TRACEPARENT)
    get("/", HTTP_TRACEPARENT=invalid)
    assert sent[0].endswith(f",traceparent='{TRACEPARENT}'*/")
    assert "traceparent" not in sent[1]


def test_with_parameters_percent_signs_are_doubled(sent: list[str]) -> None:
    request = RequestFactory().get("/")
    with tagging.RequestTags(request).active():
        pages.query("SELECT %s", [1])
        pages.query("SELECT '%'")
    assert "django%%3A" in sent[0]
    assert "django%3A" in sent[1]


def test_before_the_view_is_known_there_is_no_route(sent: list[str]) -> None:
    with tagging.RequestTags(RequestFactory().get("/")).active():
        pages.query()
    assert sent[0].startswith(f"SELECT 1 /*{FRAMEWORK},request_id='")
    assert "route" not in sent[0]


def test_what_cannot_be_tagged_is_left(sent: list[str]) -> None:
    left = ["SELECT 1 /* mine */", "-- mine\nSELECT 1", "", "  ;"]
    with tagging.RequestTags(RequestFactory().get("/")).active():
        for sql in left:
            pages.query(sql)
        pages.query("SELECT 1 ; \n")
    assert sent[:-1] == left
    assert sent[-1].startswith("SELECT 1 /*") and sent[-1].endswith("*/;")


def test_a_thread_without_the_context_is_no_part_of_the_request(sent: list[str]) -> None:
    with tagging.RequestTags(RequestFactory().get("/")).active():
        thread = threading.Thread(target=pages.query)
        thread.start()
        thread.join()
    assert sent == ["SELECT 1"]


@override_settings(PGPRISM={"CALLSITE": True})
def test_callsite_is_the_line_of_the_page(sent: list[str]) -> None:
    lines, first = inspect.getsourcelines(pages.query)
    line = first + next(index for index, text in enumerate(lines) if "tag_query(" in text)
    get("/")
    assert sent[0].startswith(f"SELECT 1 /*callsite='project%2Fpages.py%3A{line}',controller='")


@override_settings(PGPRISM={"CALLSITE": True})
@pytest.mark.parametrize("folder", ["site-packages", "dist-packages"])
def test_callsite_is_behind_the_library_that_sent_the_query(sent: list[str], folder: str) -> None:
    code = compile("def fetch(send):\n    send()\n", f"/srv/venv/lib/{folder}/orm/fetching.py", "exec")
    library: dict[str, Any] = {"__name__": "orm.fetching"}
    exec(code, library)  # noqa: S102
    send = functools.partial(tagging.tag_query, pages.execute, "SELECT 1", None, False, pages.CONTEXT)  # noqa: FBT003
    with tagging.RequestTags(RequestFactory().get("/")).active():
        library["fetch"](send)
    (line,) = re.findall(r"callsite='test_middleware\.py%3A(\d+)'", sent[0])
    assert Path(__file__).read_text().splitlines()[int(line) - 1].strip() == 'library["fetch"](send)'


@override_settings(PGPRISM={"CALLSITE": True})
@pytest.mark.parametrize("visit", [get, get_async])
def test_whoever_reads_a_body_is_no_callsite(visit: Any, sent: list[str]) -> None:
    visit("/foreign/stream/")
    assert len(sent) == 2
    assert all("callsite" not in sql and "route='foreign%2Fstream%2F'" in sql for sql in sent)


def test_the_wrapper_survives_blocks_of_others() -> None:
    connection = connections["default"]
    connection.execute_wrappers.clear()
    with connection.execute_wrapper(lambda execute, *arguments: execute(*arguments)):
        tagging.install(connection)
        tagging.install(connection)
    assert connection.execute_wrappers == [tagging.tag_query]
    connection.execute_wrappers.clear()


def test_without_its_application_it_says_what_is_missing() -> None:
    with override_settings(INSTALLED_APPS=[]), pytest.raises(ImproperlyConfigured, match="add 'django_pgprism' to INST"):
        PgprismMiddleware(lambda request: None)


def test_a_setting_that_cannot_be_read_stops_the_start() -> None:
    with override_settings(PGPRISM=True), pytest.raises(ImproperlyConfigured, match="PGPRISM is no dictionary"):
        PgprismMiddleware(lambda request: None)

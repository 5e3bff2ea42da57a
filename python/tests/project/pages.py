"""Pages whose queries go through the wrapper of a connection that is never opened: `sent` has what it would execute."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.db import connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path, re_path
from django_pgprism.tagging import tag_query

sent: list[str] = []
CONTEXT = {"connection": connections["default"], "cursor": None}


def execute(sql: str, *_: object) -> None:
    sent.append(sql)


def query(sql: str = "SELECT 1", params: object = None) -> None:
    """What Django does with a wrapper, without the database."""
    tag_query(execute, sql, params, False, CONTEXT)  # noqa: FBT003


def sync_page(request: HttpRequest, **_: object) -> HttpResponse:
    query()
    return HttpResponse("done")


async def async_page(request: HttpRequest) -> HttpResponse:
    await sync_to_async(query)()
    return HttpResponse("done")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[str]:
        for part in "ab":
            query()
            yield part

    return StreamingHttpResponse(parts())


def foreign_stream(request: HttpRequest) -> StreamingHttpResponse:
    """A body that no line of the project makes."""
    send = functools.partial(tag_query, execute, "SELECT 1", None, False, CONTEXT)  # noqa: FBT003
    code = compile("(send() or part for part in 'ab')", "<a library>", "eval")
    return StreamingHttpResponse(eval(code, {"send": send}))  # noqa: S307


async def async_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[str]:
        for part in "ab":
            await sync_to_async(query)()
            yield part

    return StreamingHttpResponse(parts())


urlpatterns = [
    path("", sync_page),
    path("books/<int:pk>/", sync_page, name="book"),
    re_path(r"^it's/(?P<of>[*]/\d+)$", sync_page),
    path("async/", async_page),
    path("stream/", stream),
    path("async/stream/", async_stream),
    path("foreign/stream/", foreign_stream),
]

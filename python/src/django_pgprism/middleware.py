"""The middleware that tells the database, and pgprism on the way to it, which request each query belongs to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from django_pgprism.tagging import RequestTags


class PgprismMiddleware:
    """Adds sqlcommenter tags to every query of a request: `docs/django.md` of pgprism says which.

    Put it first in ``MIDDLEWARE``: what stands above it is not part of the request that it sees.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        if not apps.is_installed("django_pgprism"):
            raise ImproperlyConfigured(
                "PgprismMiddleware needs its application: add 'django_pgprism' to INSTALLED_APPS."
            )
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """The response; where the handler is async, what to await for it."""
        if self.is_async:
            return self._answer(request)
        tags = RequestTags(request)
        with tags.active():
            response = self.get_response(request)
        return _with_tagged_body(response, tags)

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        tags = RequestTags(request)
        with tags.active(), tags.of_this_task():
            response = await self.get_response(request)
        return _with_tagged_body(response, tags)


def _with_tagged_body(response: Any, tags: RequestTags) -> HttpResponseBase:
    """A streaming response sends its queries when its body is read, which is after all middlewares."""
    # A file is left to the server, which may have a quicker way to send it than through Python.
    if response.streaming and getattr(response, "file_to_stream", None) is None:
        parts = response.streaming_content
        response.streaming_content = _async_parts(parts, tags) if response.is_async else _parts(parts, tags)
    return cast(HttpResponseBase, response)


# Only while a part is made, not while it is sent: whoever reads a body may do other things between its parts.


def _parts(parts: Iterator[bytes], tags: RequestTags) -> Iterator[bytes]:
    while True:
        with tags.active():
            part = next(parts, None)
        if part is None:
            return
        yield part


async def _async_parts(parts: AsyncIterator[bytes], tags: RequestTags) -> AsyncIterator[bytes]:
    while True:
        with tags.active():
            part = await anext(parts, None)
        if part is None:
            return
        yield part

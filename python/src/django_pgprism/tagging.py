"""Tags on the queries of a request.

The request in progress is a context variable, so that threads, tasks and generators each know their own, and so that
`sync_to_async` takes it along. One wrapper on each connection reads it; it is put there when the connection is made,
because a connection belongs to a thread and nobody knows beforehand which thread will run a query.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import django
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest

from django_pgprism import callsite, conf, sqlcommenter

_FRAMEWORK = f"django:{django.VERSION[0]}.{django.VERSION[1]}"
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_current: ContextVar[RequestTags | None] = ContextVar("django_pgprism_request", default=None)


def _no_task() -> None:
    """Of a sync request, and of one whose view has ended."""


class RequestTags:
    """What the queries of one request are tagged with. Nothing of it is a value that the request brought."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._request_id = secrets.token_hex(8)
        self._match: Any = None
        self._texts: dict[bool, str] = {}
        self._task: Callable[[], asyncio.Task[Any] | None] = _no_task

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Queries in here belong to this request."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @contextlib.contextmanager
    def of_this_task(self) -> Iterator[None]:
        """The task that runs now is the request's while in here: its coroutines know the lines that wait for a query."""
        task = asyncio.current_task()
        if task is not None:
            self._task = weakref.ref(task)
        try:
            yield
        finally:
            self._task = _no_task

    def comment(self, *, prepared: bool) -> str:
        """The inner text of a query's comment; for a prepared statement without what differs in each request."""
        text = self._request_text(prepared=prepared)
        if conf.callsite_wanted() and (line := self._callsite()):
            # It is the first in the alphabet.
            return f"{sqlcommenter.pair('callsite', line)},{text}"
        return text

    def _request_text(self, *, prepared: bool) -> str:
        match = self._request.resolver_match
        if match is not self._match:
            # Django knows the view only after the middlewares' first half, which may have sent queries too.
            self._match = match
            self._texts.clear()
        text = self._texts.get(prepared)
        if text is None:
            text = self._texts[prepared] = sqlcommenter.pairs(self._tags(prepared=prepared))
        return text

    def _tags(self, *, prepared: bool) -> dict[str, str]:
        tags = {"framework": _FRAMEWORK}
        if self._match is not None:
            # The pattern of the first page is empty, and an empty tag would say nothing.
            tags |= {"controller": self._match.view_name, "route": self._match.route or "/"}
        if not prepared:
            tags["request_id"] = self._request_id
            traceparent = self._request.META.get("HTTP_TRACEPARENT", "")
            if _TRACEPARENT.fullmatch(traceparent):
                tags["traceparent"] = traceparent
        return tags

    def _callsite(self) -> str | None:
        line = callsite.of_stack()
        if line is None and (task := self._task()) is not None:
            line = callsite.of_coroutine(task.get_coro())
        return line


def tag_query(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:  # noqa: FBT001
    """The wrapper of each connection, called as `connection.execute_wrapper` describes it."""
    tags = _current.get()
    if tags is not None:
        sql = _tagged(sql, params, context["connection"], tags)
    return execute(sql, params, many, context)


def install(connection: BaseDatabaseWrapper) -> None:
    """Has the queries of a connection to PostgreSQL tagged; a second time does nothing."""
    if connection.vendor == "postgresql" and tag_query not in connection.execute_wrappers:
        # At the front: leaving an `execute_wrapper` block takes the last wrapper away, whichever it is.
        connection.execute_wrappers.insert(0, tag_query)


def _tagged(sql: Any, params: Any, connection: BaseDatabaseWrapper, tags: RequestTags) -> Any:
    # psycopg.sql.Composable, of either psycopg.
    if hasattr(sql, "as_string"):
        sql = sql.as_string(connection.connection)
    if not isinstance(sql, str):
        return sql
    comment = tags.comment(prepared=_prepares(connection))
    # Where there are parameters, a driver reads % as the beginning of one.
    return sqlcommenter.with_comment(sql, comment if params is None else comment.replace("%", "%%"))


def _prepares(connection: BaseDatabaseWrapper) -> bool:
    """Whether psycopg 3 prepares statements that it sees again. It goes by their text, and does so for server-side
    binding only: with values in the text there is nothing to prepare."""
    return (
        connection.settings_dict["OPTIONS"].get("server_side_binding") is True
        and getattr(connection.connection, "prepare_threshold", None) is not None
    )

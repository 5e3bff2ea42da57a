"""Tags on the queries of a request, and of a test.

The request in progress is a context variable, so that threads, tasks and generators each know their own, and so that
`sync_to_async` takes it along. The test in progress is the process's: `testrun` says why. One wrapper on each
connection reads both; it is put there when the connection is made, because a connection belongs to a thread and nobody
knows beforehand which thread will run a query.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import secrets
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import django
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.http import HttpRequest

from django_pgprism import callsite, conf, sqlcommenter, testrun
from django_pgprism.testrun import TestTags

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
        self._texts: dict[tuple[bool, str | None], str] = {}
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
        """The task that runs now is the request's while in here: its coroutines know which lines wait for a query."""
        task = asyncio.current_task()
        if task is not None:
            self._task = weakref.ref(task)
        try:
            yield
        finally:
            self._task = _no_task

    def comment(self, test: TestTags | None, *, prepared: bool) -> str:
        """The inner text of a query's comment; for a prepared statement without what differs in each request."""
        text = self._request_text(test, prepared=prepared)
        if conf.callsite_wanted(in_test=test is not None) and (line := self._callsite()):
            # It is the first in the alphabet.
            return f"{_callsite_pair(line)},{text}"
        return text

    def _request_text(self, test: TestTags | None, *, prepared: bool) -> str:
        match = self._request.resolver_match
        if match is not self._match:
            # Django knows the view only after the middlewares' first half, which may have sent queries too.
            self._match = match
            self._texts.clear()
        key = (prepared, test.test_id if test else None)
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = sqlcommenter.pairs(self._tags(prepared=prepared) | (test.tags if test else {}))
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


@functools.lru_cache(maxsize=4096)
def _callsite_pair(line: str) -> str:
    """The same lines send queries again and again."""
    return sqlcommenter.pair("callsite", line)


def tag_query(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:  # noqa: FBT001
    """The wrapper of each connection, called as `connection.execute_wrapper` describes it."""
    request, test = _current.get(), testrun.running()
    if request is None and test is None:
        return execute(sql, params, many, context)
    connection = context["connection"]
    text = _text_of(sql, connection)
    tagged = text if text is None else _tagged(text, params, connection, request, test)
    answer = execute(sql if tagged is None else tagged, params, many, context)
    if test is not None:
        _count(test, text, tagged, context, many=many)
    return answer


def install(connection: BaseDatabaseWrapper) -> None:
    """Has the queries of a connection to PostgreSQL tagged; a second time does nothing."""
    if connection.vendor == "postgresql" and tag_query not in connection.execute_wrappers:
        # At the front: leaving an `execute_wrapper` block takes the last wrapper away, whichever it is.
        connection.execute_wrappers.insert(0, tag_query)


def install_on_all() -> None:
    """Has the queries of all connections tagged, those of this thread and those that will be made; a second time does
    nothing. `django_pgprism` need not be among the installed applications."""
    connection_created.connect(_install_on, dispatch_uid="django_pgprism")
    if settings.configured:
        for connection in connections.all(initialized_only=True):
            install(connection)


def install_for_tests() -> None:
    """The same, and Django's own log of queries shows the queries of tests without their tags: a test may look at it."""
    install_on_all()
    connection_created.connect(_hide_tags_on, dispatch_uid="django_pgprism.tests")
    if settings.configured:
        for connection in connections.all(initialized_only=True):
            hide_tags(connection)


def hide_tags(connection: BaseDatabaseWrapper) -> None:
    """What `connection.queries` and the log `django.db.backends` have of a test's query ends where the query does."""
    operations = connection.ops
    if connection.vendor != "postgresql" or "last_executed_query" in vars(operations):
        return
    last_executed_query = operations.last_executed_query

    def without_tags(cursor: Any, sql: Any, params: Any) -> Any:
        text = last_executed_query(cursor, sql, params)
        return _TEST_COMMENT.sub("", text) if isinstance(text, str) and testrun.running() else text

    operations.last_executed_query = without_tags


# Values are URL-encoded: there is no asterisk in them.
_TEST_COMMENT = re.compile(r" /\*[^*]*\btest_id='[0-9a-f]{16}'[^*]*\*/(?=;?$)")


def _hide_tags_on(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    hide_tags(connection)


def _install_on(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    install(connection)


def _text_of(sql: Any, connection: BaseDatabaseWrapper) -> str | None:
    # psycopg.sql.Composable, of either psycopg.
    if hasattr(sql, "as_string"):
        sql = sql.as_string(connection.connection)
    return sql if isinstance(sql, str) else None


def _tagged(
    sql: str, params: Any, connection: BaseDatabaseWrapper, request: RequestTags | None, test: TestTags | None
) -> str:
    if request is not None:
        comment = request.comment(test, prepared=_prepares(connection))
    else:
        assert test is not None
        comment = _test_comment(test)
    # Where there are parameters, a driver reads % as the beginning of one.
    return sqlcommenter.with_comment(sql, comment if params is None else comment.replace("%", "%%"))


def _test_comment(test: TestTags) -> str:
    """Of a query that no request sends: it is the test's own, or a thread's."""
    if test.comment is None:
        test.comment = sqlcommenter.pairs({"framework": _FRAMEWORK} | test.tags)
    if conf.callsite_wanted(in_test=True) and (line := callsite.of_stack()):
        return f"{_callsite_pair(line)},{test.comment}"
    return test.comment


# What pgprism counts as a query for certain: no savepoint, no setting, no check of the connection.
_COUNTED = re.compile(r"\s*(?:SELECT\b.*?\bFROM|INSERT|UPDATE|DELETE)\b", re.IGNORECASE | re.DOTALL)


def _count(test: TestTags, text: str | None, tagged: str | None, context: dict[str, Any], *, many: bool) -> None:
    if text is None or text == tagged:
        test.left += bool(text is None or text.strip())
        return
    # A server-side cursor is a query once its first rows are fetched, if they ever are. `executemany` may have had no
    # row. Types are a driver's business.
    if many or getattr(context["cursor"], "name", None) or not _COUNTED.match(text) or "pg_type" in text:
        return
    connection = context["connection"]
    test.sent[connection.alias] += 1
    if connection.alias not in test.servers:
        place = connection.settings_dict
        test.servers[connection.alias] = ":".join(filter(None, (place.get("HOST"), str(place.get("PORT") or ""))))


def _prepares(connection: BaseDatabaseWrapper) -> bool:
    """Whether psycopg 3 prepares statements that it sees again. It goes by their text, and does so for server-side
    binding only: with values in the text there is nothing to prepare."""
    return (
        connection.settings_dict["OPTIONS"].get("server_side_binding") is True
        and getattr(connection.connection, "prepare_threshold", None) is not None
    )

"""Measuring tests, once somebody wants it: the hooks around a test, and the blocks inside of one."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import inspect
import unittest
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from django_pgprism import testrun
from django_pgprism.budget import Budget
from django_pgprism.client import Proxy, Refused, Unreachable
from django_pgprism.marks import MISTAKE, budget_of
from django_pgprism.seen import Finding, Seen, Shape
from django_pgprism.testrun import TestTags

# What came of a test, as its report keeps it.
MEASURED, OVER, NOT_MEASURED = "measured", "over budget", "not measured"


class OverBudget(AssertionError):
    """A block sent more than it may."""


class NotMeasured(Exception):
    """There are figures, but not all of them, or nobody who has any."""


class Measuring:
    """Tags tests, and measures those that want it."""

    def __init__(self, proxy: Proxy, missing: str, *, tags_all: bool) -> None:
        self.proxy = proxy
        self._missing = missing
        self._tags_all = tags_all
        self._answers = False
        self._absent: str | None = None
        # The tags of each measurement in progress, inner ones among those of outer ones.
        self._open: list[list[TestTags]] = []
        self._suspended: list[TestTags | None] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if not self._tags_all and budget_of(item) is None:
            return (yield)
        with self.tagging(item):
            return (yield)

    @contextlib.contextmanager
    def tagging(self, item: pytest.Item) -> Iterator[None]:
        """Queries in here are this test's."""
        _install()
        with testrun.during(TestTags(item.nodeid)):
            yield

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if mistake := item.stash.get(MISTAKE, None):
            pytest.fail(mistake, pytrace=False)
        if self._missing == "skip" and budget_of(item) is not None and (reason := self.absence()):
            _note(item, NOT_MEASURED, reason)
            pytest.skip(reason)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[Any]:
        """What is made for more than one test belongs to none: neither its making nor its end."""
        if fixturedef.scope == "function":
            return (yield)
        # Finalizers run last to first: this one after those of the fixture itself.
        fixturedef.addfinalizer(self._resume)
        self._suspend()
        try:
            return (yield)
        finally:
            self._resume()
            fixturedef.addfinalizer(self._suspend)

    def _suspend(self) -> None:
        self._suspended.append(testrun.exchange(None))

    def _resume(self) -> None:
        if self._suspended:
            testrun.exchange(self._suspended.pop())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        budget = budget_of(item)
        if budget is None:
            return (yield)
        if absent := self.present_or_fail(item):
            _note(item, NOT_MEASURED, absent)
            return (yield)
        measurement = Measurement(self, item)
        if isinstance(item, pytest.Function) and _is_unittest(item):
            with _instead_of_method(item, _within(item.obj, measurement.open)):
                result = yield
        else:
            with measurement.open():
                result = yield
        if not getattr(item, "_excinfo", None):
            # Of a unittest test that failed pytest keeps the failure there, and raises nothing.
            with _as_failure(item):
                measurement.close(budget)
        return result

    def absence(self) -> str | None:
        """Why nothing can be measured: no pgprism answers. One that has answered once is expected to go on."""
        if self._answers or self._absent:
            return self._absent
        try:
            self.proxy.dropped()
        except Unreachable as error:
            self._absent = str(error)
        except Refused:
            # It is there, and its answer fails those who ask.
            self._answers = True
        else:
            self._answers = True
        return self._absent

    def present_or_fail(self, item: pytest.Item) -> str | None:
        """Why nothing can be measured, where that is to be borne."""
        absent = self.absence()
        if absent and self._missing == "fail":
            _note(item, NOT_MEASURED, absent)
            pytest.fail(f"pgprism: {absent}. Run the tests as `pgprism run -- pytest`", pytrace=False)
        return absent

    @contextlib.contextmanager
    def part(self, name: str, parts: list[TestTags]) -> Iterator[None]:
        """Queries in here carry a `test_id` of their own, so that they are told from the rest of the test."""
        part = TestTags(name)
        for open_parts in (*self._open, parts):
            open_parts.append(part)
        self._open.append(parts)
        try:
            with testrun.during(part):
                yield
        finally:
            self._open.pop()


class Measurement:
    """The queries of a `with` block, once it has ended."""

    def __init__(self, measuring: Measuring, item: pytest.Item) -> None:
        self._measuring = measuring
        self._item = item
        self._parts: list[TestTags] = []
        self._dropped_before = 0
        self._seen: Seen | None = None
        self._absent: str | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Queries in here are measured."""
        with _as_failure(self._item):
            self._dropped_before = self._measuring.proxy.dropped()
        with self._measuring.part(self._item.nodeid, self._parts):
            yield

    def close(self, budget: Budget | None = None) -> None:
        """Looks at what pgprism saw. More than a budget is more, whatever else was missed; less is told only if it is
        sure."""
        __tracebackhide__ = True
        if not self._parts:
            return  # It was skipped before it began.
        try:
            seen = Seen.look(self._measuring.proxy, self._parts, self._dropped_before)
            exceeded = list(budget.exceeded(seen)) if budget else []
            if exceeded:
                _note(self._item, OVER)
                raise OverBudget(seen.report("; ".join(exceeded)))
        except (Refused, Unreachable) as error:
            _note(self._item, NOT_MEASURED, str(error))
            raise NotMeasured(str(error)) from None
        if doubt := seen.doubt():
            _note(self._item, NOT_MEASURED, doubt)
            raise NotMeasured(doubt)
        _note(self._item, MEASURED)
        self._seen = seen

    def give_up(self, absent: str) -> None:
        """There is no pgprism, and the test runs all the same."""
        self._absent = absent
        _note(self._item, NOT_MEASURED, absent)

    @property
    def measured(self) -> bool:
        """Whether there are figures; where no pgprism answers, asking for one skips the test."""
        return self._seen is not None

    @property
    def queries(self) -> int:
        """Queries, without BEGIN, COMMIT, savepoints and settings."""
        return self._figures("queries").queries

    @property
    def rows(self) -> int:
        """Rows returned or changed."""
        return self._figures("rows").rows

    @property
    def time_ms(self) -> float:
        """From each query's last byte on the wire until its whole answer was there."""
        return self._figures("time_ms").time_ms

    @property
    def duplicates(self) -> int:
        """Queries that repeat an earlier one with the same values."""
        return self._figures("duplicates").duplicates

    @property
    def findings(self) -> list[Finding]:
        """What pgprism found in them."""
        return self._figures("findings").findings

    @property
    def n_plus_one(self) -> list[Finding]:
        """Those of the findings that are loops over the rows of a query."""
        return self._figures("n_plus_one").n_plus_one

    @property
    def shapes(self) -> list[Shape]:
        """The queries by their text without values, the most frequent first."""
        return self._figures("shapes").shapes

    def _figures(self, name: str) -> Seen:
        if self._absent:
            pytest.skip(f"{self._absent}: {name} is not known")
        if self._seen is None:
            raise RuntimeError(f"{name} is known once the block has ended")
        return self._seen


class Pgprism:
    """What the fixture `pgprism` is."""

    def __init__(self, measuring: Measuring, item: pytest.Item) -> None:
        self._measuring = measuring
        self._item = item

    @property
    def url(self) -> str:
        """pgprism's page, and where its API is asked."""
        return self._measuring.proxy.url

    def measure(self) -> Block:
        """Measures the queries of a block; figures are there when it has ended."""
        return Block(self._measuring, self._item, None)

    def budget(self, **limits: Any) -> Block:
        """Fails if the queries of a block exceed what the marker of the same arguments allows a test."""
        __tracebackhide__ = True
        return Block(self._measuring, self._item, Budget.of(limits))


class Block:
    """A `with` block of a test. A class of its own, so that a failure shows the line of the block and nothing else."""

    def __init__(self, measuring: Measuring, item: pytest.Item, budget: Budget | None) -> None:
        self._measuring = measuring
        self._budget = budget
        self._item = item
        self._measurement = Measurement(measuring, item)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Measurement:
        __tracebackhide__ = True
        if absent := self._measuring.present_or_fail(self._item):
            self._measurement.give_up(absent)
        else:
            self._stack.enter_context(self._measurement.open())
        return self._measurement

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        __tracebackhide__ = True
        self._stack.close()
        if kind is None:
            self._measurement.close(self._budget)


@functools.cache
def _install() -> None:
    """Has Django's connections tagged, where there is Django."""
    if importlib.util.find_spec("django"):
        from django_pgprism.tagging import install_for_tests

        install_for_tests()


def _is_unittest(item: pytest.Function) -> bool:
    return isinstance(item.instance, unittest.TestCase)


@contextlib.contextmanager
def _instead_of_method(item: pytest.Function, function: Callable[..., Any]) -> Iterator[None]:
    """unittest runs setUp and tearDown around the method, and only the method is the test."""
    method, case = item.obj, item.instance
    # pytest hands the one on to the test case, unless it is async: then the case's own is called.
    item.obj = function
    setattr(case, item.name, function)
    try:
        yield
    finally:
        item.obj = method
        vars(case).pop(item.name, None)


def _within(
    function: Callable[..., Any], block: Callable[[], contextlib.AbstractContextManager[None]]
) -> Callable[..., Any]:
    """The function, run inside of a block."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_async(*arguments: Any, **named: Any) -> Any:
            with block():
                return await function(*arguments, **named)

        return run_async

    @functools.wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        with block():
            return function(*arguments, **named)

    return run


@contextlib.contextmanager
def _as_failure(item: pytest.Item) -> Iterator[None]:
    """A marked test fails with the message alone: the line that is to blame is not one of pytest's or ours."""
    try:
        yield
    except OverBudget as error:
        message = str(error)
    except (NotMeasured, Refused, Unreachable) as error:
        _note(item, NOT_MEASURED, str(error))
        message = f"pgprism: not measured: {error}"
    else:
        return
    # Not with what it was made of before it: that is the same message.
    raise pytest.fail.Exception(message, pytrace=False) from None


def _note(item: pytest.Item, verdict: str, reason: str = "") -> None:
    """Keeps what came of it with the test's report, for the summary and JUnit's XML. Of several blocks the worst."""
    found = dict(item.user_properties)
    worst = [MEASURED, OVER, NOT_MEASURED]
    found["pgprism"] = max(str(found.get("pgprism", MEASURED)), verdict, key=worst.index)
    if reason:
        found["pgprism_reason"] = reason
    item.user_properties[:] = found.items()

"""The test that runs now, and the tags of its queries. Knows neither Django nor a test framework.

A process runs one test at a time, so it is the process that knows which. A context variable would not reach the threads
of a live server, and would reach too far where an event loop or a pool took its context along from an earlier test.
"""

from __future__ import annotations

import contextlib
import secrets
from collections import Counter
from collections.abc import Iterator

# What pgprism keeps of a tag's value.
VALUE_BYTES_MAX = 256
_CUT = "…"


class TestTags:
    """A test, or a part that is measured by itself: what its queries are tagged with, and how many there were."""

    # pytest would take it for a test where it is imported.
    __test__ = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.test_id = secrets.token_hex(8)
        self.tags = {"test": _fitting(name), "test_id": self.test_id}
        # Queries that pgprism has to have seen, by alias. Threads may lose one between them, which is no harm: it is
        # a lower bound.
        self.sent: Counter[str] = Counter()
        # Where each alias leads, for messages.
        self.servers: dict[str, str] = {}
        # Queries that hold a comment of their own, or are no text: they carry no tags.
        self.left = 0
        # What each query says when no request sends it; made by `tagging`.
        self.comment: str | None = None


def _fitting(name: str) -> str:
    """The name as pgprism keeps it whole: cut between characters, and seen to be cut."""
    # A test's name may hold what no text may: parts of surrogate pairs.
    encoded = name.encode(errors="replace")
    if len(encoded) <= VALUE_BYTES_MAX:
        return encoded.decode()
    return encoded[: VALUE_BYTES_MAX - len(_CUT.encode())].decode(errors="ignore") + _CUT


_running: TestTags | None = None


def running() -> TestTags | None:
    """The test whose queries are sent now."""
    return _running


def exchange(tags: TestTags | None) -> TestTags | None:
    """Queries belong to this test from now on; answers to which they belonged before."""
    global _running
    before, _running = _running, tags
    return before


@contextlib.contextmanager
def during(tags: TestTags | None) -> Iterator[None]:
    """Queries in here belong to this test, or to none."""
    before = exchange(tags)
    try:
        yield
    finally:
        exchange(before)

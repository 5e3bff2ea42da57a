"""The marker `pgprism`: what a test may take, from all of its markers."""

from __future__ import annotations

from typing import Any

import pytest

from django_pgprism.budget import BadBudget, Budget

MARKER = "pgprism"
MARKER_HELP = (
    "pgprism(max_queries=None, n_plus_one=None, max_time_ms=None, max_rows=None, duplicates=None): fail the test if "
    "its queries, as pgprism sees them, exceed this; without arguments, if there is an N+1 among them"
)
# What is wrong with a test's markers, where the run goes on without it.
MISTAKE = pytest.StashKey[str]()


def budget_of(item: pytest.Item) -> Budget | None:
    """Of all markers around a test; what stands nearer to it counts."""
    if MISTAKE in item.stash:
        return None
    given: dict[str, Any] = {}
    marks = list(item.iter_markers(MARKER))
    for mark in reversed(marks):
        if mark.args:
            raise pytest.UsageError(
                f"{item.nodeid}: @pytest.mark.pgprism takes keyword arguments only: "
                f"write pgprism(max_queries={mark.args[0]!r})"
            )
        given |= mark.kwargs
    try:
        return Budget.of(given) if marks else None
    except BadBudget as error:
        raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.pgprism: {error}") from None

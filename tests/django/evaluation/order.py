"""The order of the runs: shuffled, and such that what is seen late cannot be taken for its neighbour's."""

from __future__ import annotations

import random
from typing import Any

APART = 3
"""Runs between two problems on one table, where the draw allows it."""


def shuffled(scenarios: list[dict[str, Any]], seed: int) -> list[tuple[str, str]]:
    """(name, variant) of every run; a fixed twin comes somewhere behind its problem."""
    rng = random.Random(seed)
    runs = [(one, variant) for one in scenarios for variant in one["variants"]]
    rng.shuffle(runs)
    _problems_first(runs)
    ordered: list[tuple[dict[str, Any], str]] = []
    waiting = runs
    while waiting:
        recent = [_tables(run) for run in ordered[-APART:]]
        index = next(
            (
                n
                for n, run in enumerate(waiting)
                if not any(_tables(run) & tables for tables in recent) and not _too_soon(run, waiting[:n])
            ),
            0,
        )
        ordered.append(waiting.pop(index))
    return [(one["name"], variant) for one, variant in ordered]


def _problems_first(runs: list[tuple[dict[str, Any], str]]) -> None:
    places: dict[str, int] = {}
    for index, (one, variant) in enumerate(runs):
        first = places.setdefault(one["name"], index)
        if first != index and variant == "problem":
            runs[first], runs[index] = runs[index], runs[first]


def _too_soon(run: tuple[dict[str, Any], str], before: list[tuple[dict[str, Any], str]]) -> bool:
    return run[1] == "fixed" and any(other["name"] == run[0]["name"] for other, _ in before)


def _tables(run: tuple[dict[str, Any], str]) -> set[str]:
    scenario, variant = run
    if variant == "fixed":
        return set()
    return {table for one in scenario["expected"] for table in one["child_tables"]}

"""From single rounds to what is told of them: medians, and ratios between turns of the same round with their spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .contenders import CONTENDERS
from .results import CellResult


@dataclass(frozen=True)
class Unit:
    """How work of that kind is counted, and what its figures are multiplied by to be read."""

    name: str
    rate: str
    rate_factor: float
    cpu: str
    cpu_factor: float


UNITS = {
    "query": Unit("query", "queries/s", 1.0, "us", 1.0),
    "connection": Unit("connection", "connections/s", 1.0, "us", 1.0),
    "GB": Unit("GB", "MB/s", 1000.0, "ms", 1e-3),
}


@dataclass(frozen=True)
class Spread:
    """Of the values of all rounds: the median, the least and the greatest."""

    median: float
    least: float
    greatest: float
    count: int

    def text(self, digits: int = 2) -> str:
        middle = f"{self.median:,.{digits}f}"
        return middle if self.count < 2 else f"{middle} ({self.least:,.{digits}f}..{self.greatest:,.{digits}f})"


def spread(values: Sequence[float]) -> Spread | None:
    return Spread(statistics.median(values), min(values), max(values), len(values)) if values else None


def contenders(cell: CellResult) -> list[str]:
    """Those who took part, in the order of the tables, not in that of their turns."""
    took_part = {one.contender for one in cell.runs}
    return [name for name in CONTENDERS if name in took_part]


def median(cell: CellResult, contender: str, figure: str, at: int | None = None) -> float | None:
    values = cell.of(contender, figure, at).values()
    return statistics.median(values) if values else None


def ratio(cell: CellResult, contender: str, of: str, figure: str, at: int | None = None) -> Spread | None:
    """Of two contenders in the same round."""
    mine, other = cell.of(contender, figure, at), cell.of(of, figure, at)
    return spread([value / other[one] for one, value in mine.items() if other.get(one)])


def added(cell: CellResult, contender: str, of: str, figure: str) -> Spread | None:
    """What is more than with another in the same round."""
    mine, other = cell.of(contender, figure), cell.of(of, figure)
    return spread([value - other[one] for one, value in mine.items() if one in other])

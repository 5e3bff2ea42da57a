"""What a test may take: the arguments of marker and fixture, checked, and what a measurement says to them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from django_pgprism.seen import Seen


class BadBudget(TypeError):
    """An argument that is none, or a value that no budget can have."""


@dataclass(frozen=True)
class Budget:
    """At most so much; what is None may be as much as it likes."""

    max_queries: int | None = None
    n_plus_one: int | None = None
    max_time_ms: float | None = None
    max_rows: int | None = None
    duplicates: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Budget:
        """From arguments as somebody wrote them; without any it is "no N+1"."""
        __tracebackhide__ = True
        known = [field.name for field in fields(cls)]
        for name, value in given.items():
            if name not in known:
                raise BadBudget(f"no argument is called {name!r}; there are {', '.join(known)}")
            if value is not None:
                _check(name, value)
        return cls(**given) if given else cls(n_plus_one=0)

    def exceeded(self, seen: Seen) -> Iterator[str]:
        """What a measurement has too much of, in words."""
        if self.max_queries is not None and seen.queries > self.max_queries:
            yield f"{_counted(seen.queries, 'query', 'queries')}, {_allowed(self.max_queries)}"
        if self.n_plus_one is not None and len(seen.n_plus_one) > self.n_plus_one:
            yield f"{len(seen.n_plus_one)} N+1, {_allowed(self.n_plus_one)}"
        if self.duplicates is not None and seen.duplicates > self.duplicates:
            yield f"{_counted(seen.duplicates, 'duplicate', 'duplicates')}, {_allowed(self.duplicates)}"
        if self.max_rows is not None and seen.rows > self.max_rows:
            yield f"{_counted(seen.rows, 'row', 'rows')}, {_allowed(self.max_rows)}"
        if self.max_time_ms is not None and seen.time_ms > self.max_time_ms:
            yield f"{seen.time_ms:.3g} ms in queries, at most {self.max_time_ms:g} ms allowed"


def _check(name: str, value: object) -> None:
    __tracebackhide__ = True
    timed = name == "max_time_ms"
    # True is an integer, and no number of queries.
    number = isinstance(value, int | float) and not isinstance(value, bool) and (timed or isinstance(value, int))
    if number and math.isfinite(value) and value >= 0:  # type: ignore[arg-type,operator]
        return
    wanted = "a number of milliseconds" if timed else "a whole number"
    raise BadBudget(f"{name} is {value!r}, where {wanted} from 0 on is wanted, or None")


def _allowed(most: int) -> str:
    return f"at most {most} allowed" if most else "none allowed"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"

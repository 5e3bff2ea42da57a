"""A scenario: its label, what is to be found in it, its two variants, and how it is driven."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class Label(enum.Enum):
    """What a finding in the scenario means."""

    PROBLEM = "problem"
    """It must be found. Its fixed twin is clean."""
    CLEAN = "clean"
    """Written as it should be: a finding is false."""
    LOOK_ALIKE = "look_alike"
    """Repeats itself, rightly: a finding is false."""
    HARD = "hard"
    """Cannot be decided on the wire: only a `proved` finding is false."""


class Group(enum.Enum):
    """What is scored together."""

    READS = "reads"
    WRITES = "writes"
    """Write loops and duplicates."""
    SUSPECTED = "suspected"
    """Loops over constants, and units of too many queries."""


class Where(enum.Enum):
    """How the scenario's code is run."""

    VIEW = "view"
    """Requests to the WSGI handler, on server threads that live as long as the run."""
    ASGI = "asgi"
    """Requests to the ASGI handler."""
    COMMAND = "command"
    """A thread of its own with connections of its own, closed at its end."""


@dataclass(frozen=True)
class Expected:
    """One thing to be found: any of `kinds`, on any of `child_tables`."""

    kinds: tuple[str, ...]
    child_tables: tuple[str, ...]
    child_column: str = ""
    parents: tuple[tuple[str, str], ...] = ()
    """Table and column; several where one value stands in several columns, as with inherited models."""
    relations: tuple[str, ...] = ()
    """The advice must have one of these words; none for loops whose fix names no relation."""


def _end(dotted: str) -> tuple[str, str]:
    table, _, column = dotted.rpartition(".")
    return table, column


def _one(kind: str, parent: str, child: str, *relations: str, also: tuple[str, ...] = ()) -> Expected:
    """Both are `table.column`; several parents are written `a.b|c.d`, several child tables `one|other.column`; no parent is
    one that is no table's column."""
    child_tables, child_column = _end(child)
    parents = tuple(_end(one) for one in parent.split("|") if one)
    return Expected((kind, *also), tuple(child_tables.split("|")), child_column, parents, relations)


def forward(parent: str, child: str, *relations: str, also: tuple[str, ...] = ()) -> Expected:
    return _one("n_plus_one_forward", parent, child, *relations, also=also)


def reverse(parent: str, child: str, *relations: str, also: tuple[str, ...] = ()) -> Expected:
    return _one("n_plus_one_reverse", parent, child, *relations, also=also)


def many_to_many(parent: str, child: str, *relations: str) -> Expected:
    return _one("n_plus_one_many_to_many", parent, child, *relations)


def deferred(parent: str, *fields: str) -> Expected:
    """A column left out, then read row by row: parent and child are the same column of the same table."""
    return _one("n_plus_one_deferred", parent, parent, *fields)


def aggregate(parent: str, child: str, *relations: str, also: tuple[str, ...] = ()) -> Expected:
    return _one("n_plus_one_aggregate", parent, child, *relations, also=also)


def query_loop(table: str) -> Expected:
    return Expected(("query_loop",), tuple(table.split("|")))


def write_loop(table: str, *words: str) -> Expected:
    return Expected(("write_loop",), tuple(table.split("|")), relations=words)


def duplicate(table: str) -> Expected:
    return Expected(("duplicate",), tuple(table.split("|")))


def chatty() -> Expected:
    return Expected(("chatty_unit",), ())


Step = Callable[[Any], Any]
"""Takes a request (in a view) or a `Job` (elsewhere); returns what JSON can say, text, or a response."""
Drive = Callable[[Any], Any]
"""Takes a `Browser` and plays a visit."""


@dataclass
class Scenario:
    name: str
    family: str
    label: Label
    group: Group
    expected: tuple[Expected, ...]
    where: Where
    children: int
    """Statements of the repeated shape that one run sends, at least; 0: not asserted."""
    login: bool
    drive: Drive | None
    crowd: bool
    """Its drive needs several server threads."""
    before: str
    """SQL that makes the tables ready for a run, sent past the proxy."""
    restore: str
    """SQL that puts the tables back after a run, sent past the proxy."""
    every: bool
    """All of `expected` must be found: causes side by side. Otherwise any: links of a chain."""
    marks_decide: bool
    """Hard only where nothing marks a request's beginning; elsewhere a look-alike, or the problem that it is. What marks
    a command is a connection for each unit (`close`)."""
    steps: dict[tuple[str, str], Step] = field(default_factory=dict)
    """By variant (`problem`, `fixed`) and name of the step."""

    @property
    def variants(self) -> tuple[str, ...]:
        return ("problem", "fixed") if self.label is Label.PROBLEM else ("problem",)

    def fixed(self, step: Step) -> Step:
        self.steps["fixed", "page"] = step
        return step

    def step(self, name: str) -> Callable[[Step], Step]:
        """A further step of a visit, the same in both variants."""

        def add(step: Step) -> Step:
            self.steps["problem", name] = self.steps["fixed", name] = step
            return step

        return add


SCENARIOS: dict[str, Scenario] = {}


def _register(
    label: Label, family: str, expected: tuple[Expected, ...], options: dict[str, Any]
) -> Callable[[Step], Scenario]:
    def add(step: Step) -> Scenario:
        name = step.__name__
        if name in SCENARIOS:
            raise ValueError(f"two scenarios are called {name}")
        scenario = Scenario(
            name=name,
            family=family,
            label=label,
            group=options.pop("group", Group.READS),
            expected=expected,
            where=options.pop("where", Where.VIEW),
            children=options.pop("children", 0),
            login=options.pop("login", False),
            drive=options.pop("drive", None),
            crowd=options.pop("crowd", False),
            before=options.pop("before", ""),
            restore=options.pop("restore", ""),
            every=options.pop("every", False),
            marks_decide=options.pop("marks_decide", False),
        )
        if options:
            raise TypeError(f"{name}: what is {', '.join(options)}?")
        scenario.steps["problem", "page"] = step
        SCENARIOS[name] = scenario
        return scenario

    return add


def problem(family: str, *expected: Expected, children: int, **options: Any) -> Callable[[Step], Scenario]:
    """With several `expected`, one of them must be found and all may be, unless `every`."""
    kinds = {kind for one in expected for kind in one.kinds}
    if kinds & {"write_loop", "duplicate"}:
        options.setdefault("group", Group.WRITES)
    elif kinds & {"query_loop", "chatty_unit"}:
        options.setdefault("group", Group.SUSPECTED)
    return _register(Label.PROBLEM, family, expected, {"children": children} | options)


def clean(family: str, **options: Any) -> Callable[[Step], Scenario]:
    return _register(Label.CLEAN, family, (), options)


def look_alike(family: str, **options: Any) -> Callable[[Step], Scenario]:
    return _register(Label.LOOK_ALIKE, family, (), options)


def hard(family: str, **options: Any) -> Callable[[Step], Scenario]:
    return _register(Label.HARD, family, (), options)


def load_all() -> dict[str, Scenario]:
    """Imports every module of scenarios; needs a Django that is set up."""
    import importlib
    import pkgutil

    from django.conf import settings

    package = importlib.import_module(settings.EVALUATION_SCENARIOS)
    for module in sorted(one.name for one in pkgutil.iter_modules(package.__path__) if not one.ispkg):
        importlib.import_module(f"{package.__name__}.{module}")
    return SCENARIOS

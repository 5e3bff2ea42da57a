"""What pgprism saw of a test or of a part of one: its figures, and the words for them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django_pgprism.client import Proxy, Refused
from django_pgprism.testrun import TestTags

SHAPES_SHOWN = 10
QUERY_COLUMNS = 110
VALUES_SHOWN = 3


@dataclass(frozen=True)
class Shape:
    """A query without its values, and what its calls took together."""

    fingerprint: str
    query: str
    calls: int
    rows: int
    time_ms: float


@dataclass(frozen=True)
class Finding:
    """Something worth changing, in the words of `pgprism report`."""

    id: str
    kind: str
    confidence: str
    title: str
    fix: str
    """What to write, a line of Django or several; what pgprism does not know stands in angle brackets."""
    why: str
    fingerprint: str
    relation: str
    """`shop_book.publisher_id -> shop_publisher.id`; empty where none is known."""
    proof: str
    routes: tuple[str, ...] = ()
    callsites: tuple[str, ...] = ()


@dataclass
class Seen:
    """The figures of all queries with the tags of these parts."""

    proxy: Proxy = field(repr=False)
    parts: Sequence[TestTags] = field(repr=False)
    units: list[dict[str, Any]] = field(repr=False)
    """As `/api/v1/units` has them, oldest first."""
    dropped: int = 0
    """Events that pgprism lost while it looked, of these or of other queries."""

    @classmethod
    def look(cls, proxy: Proxy, parts: Sequence[TestTags], dropped_before: int) -> Seen:
        """Waits until pgprism knows all of it, and asks."""
        dropped, units = 0, []
        for part in parts:
            dropped = proxy.settle(part.test_id)
            units += proxy.units(part.test_id)
        return cls(proxy, parts, units, max(0, dropped - dropped_before))

    @property
    def queries(self) -> int:
        """Queries, without BEGIN, COMMIT, savepoints and settings."""
        return self._sum("queries")

    @property
    def duplicates(self) -> int:
        """Queries that repeat an earlier one with the same values."""
        return self._sum("duplicates")

    @property
    def rows(self) -> int:
        """Rows returned or changed."""
        return self._sum("rows")

    @property
    def time_ms(self) -> float:
        """From each query's last byte on the wire until its whole answer was there."""
        return sum(_duration_ms(unit["phases"]) for unit in self.units)

    @cached_property
    def findings(self) -> list[Finding]:
        """What pgprism found in it; what is muted or ignored is not there."""
        ids = dict.fromkeys(one for unit in self.units for one in unit["findings"])
        found = [self.proxy.finding(one) for one in ids]
        return [_finding(one) for one in found if one["status"] != "muted"]

    @property
    def n_plus_one(self) -> list[Finding]:
        """Those of the findings that are loops over the rows of a query; suspicions are none."""
        return [one for one in self.findings if one.kind.startswith("n_plus_one_") and one.confidence != "suspected"]

    @cached_property
    def shapes(self) -> list[Shape]:
        """The queries by their text without values, the most frequent first."""
        calls: Counter[str] = Counter()
        rows: Counter[str] = Counter()
        texts: dict[str, str] = {}
        time_ms: dict[str, float] = {}
        for entry in self._timeline:
            fingerprint = entry["fingerprint"]
            calls[fingerprint] += 1
            rows[fingerprint] += entry["rows"]
            time_ms[fingerprint] = time_ms.get(fingerprint, 0.0) + _duration_ms(entry["phases"])
            texts.setdefault(fingerprint, entry["query"])
        return [
            Shape(fingerprint, texts[fingerprint], count, rows[fingerprint], time_ms[fingerprint])
            for fingerprint, count in calls.most_common()
        ]

    @property
    def sent(self) -> int:
        """Queries that Django sent for certain, as it counts itself."""
        return sum(part.sent.total() for part in self.parts)

    def doubt(self) -> str | None:
        """Why these figures may lack something, and nothing may be concluded from their being small."""
        if self.sent > self.queries:
            return self._astray()
        if any(unit["incomplete"] for unit in self.units):
            return (
                f"pgprism at {self.proxy.url} could not keep all statements of this test (events were dropped, or it "
                "has more than units.statements_max): nothing is concluded from it"
            )
        if self.dropped:
            return (
                f"pgprism at {self.proxy.url} dropped {self.dropped} events meanwhile: nothing is concluded from this "
                "test; `pgprism report` says why"
            )
        return None

    def _astray(self) -> str:
        servers = {alias: server for part in self.parts for alias, server in part.servers.items()}
        aliases = ", ".join(f"{alias!r} leads to {server or 'the default'}" for alias, server in servers.items())
        if not self.queries:
            return (
                f"pgprism at {self.proxy.url} saw none of the {self.sent} queries of this test: DATABASES does not "
                f"lead to pgprism ({aliases}). Give it pgprism's HOST and PORT, or run it as `pgprism run -- pytest`"
            )
        return (
            f"pgprism at {self.proxy.url} saw {self.queries} of at least {self.sent} queries of this test: not all "
            f"of DATABASES leads to pgprism ({aliases}), or pgprism could not follow all of it "
            f"({self.dropped} events dropped)"
        )

    def report(self, heading: str) -> str:
        """A failure's message: what was exceeded, which queries ran how often, what was found and what removes it."""
        lines = [f"pgprism: {heading}"]
        lines += self._shape_lines()
        for one in self.findings:
            lines += self._finding_lines(one)
        if left := sum(part.left for part in self.parts):
            lines.append(f"  not measured: {left} statements that hold a comment of their own, or are bytes")
        lines.append(f"  see {self.page}")
        return "\n".join(lines)

    @property
    def page(self) -> str:
        """Where the most busy part of it is shown."""
        busiest = max(self.units, key=lambda unit: unit["queries"], default=None)
        return f"{self.proxy.url}/requests/{busiest['id']}" if busiest else f"{self.proxy.url}/"

    def _shape_lines(self) -> Iterator[str]:
        shapes = self.shapes
        width = max((len(str(shape.calls)) for shape in shapes), default=1)
        for shape in shapes[:SHAPES_SHOWN]:
            yield f"  {shape.calls:>{width}} x {_short(visible(shape.query) or shape.fingerprint, QUERY_COLUMNS)}"
        if rest := shapes[SHAPES_SHOWN:]:
            yield f"  and {len(rest)} more shapes, {sum(shape.calls for shape in rest)} queries"

    def _finding_lines(self, one: Finding) -> Iterator[str]:
        calls = next((shape.calls for shape in self.shapes if shape.fingerprint == one.fingerprint), 0)
        yield f"  {one.confidence}: {visible(one.title)}"
        parts = [f"{calls} queries here"] if calls else []
        parts += [f"route {_listed(one.routes)}"] if one.routes else []
        parts += [f"line {_listed(one.callsites)}"] if one.callsites else []
        if parts:
            yield f"    where  {visible(', '.join(parts))}"
        if one.proof:
            yield f"    proof  {visible(one.proof)}"
        word = "try" if one.confidence == "suspected" else "fix"
        for line in one.fix.splitlines():
            if line.strip():
                yield f"    {word:<5}  {visible(line, code=True)}"
                word = ""

    @cached_property
    def _timeline(self) -> list[dict[str, Any]]:
        return [entry for unit in self.units for entry in self.proxy.unit(unit["id"])["timeline"]]

    def _sum(self, name: str) -> int:
        try:
            return sum(unit[name] for unit in self.units)
        except KeyError:
            raise Refused(
                f"pgprism at {self.proxy.url} does not tell the {name} of a test: it is older than this django_pgprism."
            ) from None


def _duration_ms(phases: dict[str, float]) -> float:
    return phases["database_ms"] + phases["transfer_ms"] + phases["client_ms"]


def _finding(raw: dict[str, Any]) -> Finding:
    advice, tags = raw["advice"], raw["tags"]
    relation = _relation(raw)
    return Finding(
        id=raw["id"],
        kind=raw["kind"],
        confidence=raw["confidence"],
        title=advice["title"],
        fix=advice["django"],
        why=advice["why"],
        fingerprint=raw["fingerprint"],
        relation=relation,
        proof=_proof(raw["proof"], relation),
        routes=tuple(tags.get("route", ())),
        callsites=tuple(tags.get("callsite", ())),
    )


def _relation(raw: dict[str, Any]) -> str:
    """The loops around it, outermost first, and its own."""

    def side(level: dict[str, Any], name: str) -> str:
        return ".".join(part for part in (level[f"{name}_table"], level[f"{name}_column"]) if part)

    def link(level: dict[str, Any]) -> str:
        return " -> ".join(part for part in (side(level, "parent"), side(level, "child")) if part)

    return ", ".join(part for part in map(link, [*raw["chain"], raw]) if part)


def _proof(proof: dict[str, Any] | None, relation: str) -> str:
    if proof is None:
        return ""
    if proof["pattern"] and isinstance(proof["pattern"], str):
        return str(proof["pattern"])
    if not relation:
        return ""
    rows = max(proof["rows"] - proof["nulls"], proof["matched"])
    order = "in order" if proof["in_order"] == proof["matched"] else "not all in order"
    return f"{relation}, {proof['matched']} of {rows} {order}"


def _listed(values: Sequence[str]) -> str:
    more = len(values) - VALUES_SHOWN
    return ", ".join(values[:VALUES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _short(text: str, columns: int) -> str:
    return text if len(text) <= columns else text[: columns - 1] + "…"


def visible(text: str, *, code: bool = False) -> str:
    """One line without control characters: names come from clients, and a terminal obeys escape sequences."""
    line = text if code else " ".join(text.split())
    return "".join("?" if unicodedata.category(c) in ("Cc", "Cf") else c for c in line)

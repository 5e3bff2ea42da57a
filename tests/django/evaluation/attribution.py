"""Which run of a scenario a finding was seen in.

Findings add up, and nothing on the wire names a scenario. But runs do not overlap, and a finding says when it was last
seen: whenever its occurrences have grown, the run that was going on at that time is the one.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

CLOCK_S = 0.004
"""The proxy's wall clock and ours may differ by so much."""


@dataclass(frozen=True)
class Run:
    """One run of one variant."""

    name: str
    variant: str
    started: float
    ended: float
    statements: int


@dataclass
class Sighting:
    """A finding in a run: how much it grew there, and what it said of itself afterwards."""

    run: Run
    finding: dict[str, Any]
    occurrences: int = 0
    queries: int = 0


def seconds(time: str) -> float:
    """RFC 3339 to seconds since 1970."""
    return datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


@dataclass
class Ledger:
    """Runs in the order they were played, and what was seen in each."""

    runs: list[Run] = field(default_factory=list)
    sightings: dict[tuple[int, str], Sighting] = field(default_factory=dict)
    _known: dict[str, dict[str, Any]] = field(default_factory=dict)

    def played(self, run: Run) -> None:
        self.runs.append(run)

    def poll(self, findings: list[dict[str, Any]]) -> None:
        """Takes the findings as they are now."""
        for finding in findings:
            before = self._known.get(finding["id"], {"occurrences": 0, "queries": 0})
            self._known[finding["id"]] = finding
            occurrences = finding["occurrences"] - before["occurrences"]
            queries = finding["queries"] - before["queries"]
            if occurrences <= 0 and queries <= 0:
                continue
            index = self._index(seconds(finding["last_seen"]))
            if index is None:
                continue
            sighting = self.sightings.setdefault((index, finding["id"]), Sighting(self.runs[index], finding))
            sighting.finding = finding
            sighting.occurrences += occurrences
            sighting.queries += queries

    def _index(self, at: float) -> int | None:
        for index in range(len(self.runs) - 1, -1, -1):
            if self.runs[index].started - CLOCK_S <= at:
                return index
        return None

    def of(self, name: str, variant: str) -> list[Sighting]:
        return [one for one in self.sightings.values() if (one.run.name, one.run.variant) == (name, variant)]


def spanning(runs: list[Run], units: list[dict[str, Any]]) -> int:
    """Units of work that reach over several runs: requests that the proxy took for one."""
    found = 0
    for unit in units:
        started = seconds(unit["started_at"])
        ended = started + unit["duration_ms"] / 1000
        overlapped = [run for run in runs if run.started - CLOCK_S < ended and started < run.ended + CLOCK_S]
        found += len(overlapped) > 1
    return found

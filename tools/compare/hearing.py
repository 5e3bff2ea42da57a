"""What each tool says of a page by itself, read where a person would read it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from support.tools import PROJECT
from support.waiting import wait_until

from . import contenders
from .contenders import Contender
from .stage import DATABASE, Running, Stage

REPEATED_MIN = 3
"""From how many similar queries on the toolbar's mark counts: pgprism's own minimum."""


@dataclass(frozen=True)
class Said:
    """What was said of one visit; `alarm` is whether that names a repetition."""

    alarm: bool
    words: str


def hear(stage: Stage, contender: Contender, paths: Sequence[str]) -> dict[str, Said]:
    """Visits each page once and reads what the tool makes of it."""
    running = stage.running[contender.name]
    if contender.through_proxy:
        return _pgprism(stage, running, paths)
    listen = _LISTENERS[contender.name]
    return {path: listen(stage, running, path) for path in paths}


def _log(_stage: Stage, running: Running, path: str) -> Said:
    """zeal and nplusone write a warning."""
    before = running.log.stat().st_size if running.log.exists() else 0
    running.get(path)
    lines = running.log.read_bytes()[before:].decode().splitlines() if running.log.exists() else []
    # nplusone also tells of eager loads that nobody used: another subject.
    lines = [line for line in lines if "n+1" in line.lower()]
    return Said(bool(lines), lines[0].replace(f"{PROJECT}/", "") if lines else "nothing")


_TOOLBAR_REQUEST = re.compile(r'data-request-id="([0-9a-f-]+)"')


def _toolbar(_stage: Stage, running: Running, path: str) -> Said:
    """The SQL panel of the request, as the browser fetches it when it is opened."""
    request = _TOOLBAR_REQUEST.search(running.get(path).body)
    assert request, "the page has no toolbar"
    panel = running.get(f"/__debug__/render_panel/?request_id={request[1]}&panel_id=SQLPanel").body
    panel = re.sub(r"<[^>]+>", "", panel.encode().decode("unicode_escape", errors="replace"))
    count = re.search(r"(\d+) quer(?:y|ies)", panel)
    similar, same = (re.search(rf"(\d+) {word}", panel) for word in ("similar", "duplicates"))
    words = f"{count[1] if count else 0} queries"
    if similar:
        words += f", including {similar[1]} similar" + (f" and {same[1]} duplicates" if same else "")
    return Said(similar is not None and int(similar[1]) >= REPEATED_MIN, words)


def _silk(stage: Stage, running: Running, path: str) -> Said:
    """The number that its list of requests shows."""
    running.get(path)
    shown = "SELECT num_sql_queries FROM silk_request ORDER BY start_time DESC LIMIT 1"
    return Said(False, f"{stage.plain.sql(shown, DATABASE)} queries")


def _pgprism(stage: Stage, running: Running, paths: Sequence[str]) -> dict[str, Said]:
    """Its findings: each belongs to the visit in which it was last seen when its occurrences grew."""
    proxy = stage.proxies[running.contender.name]

    def judged(units: int) -> bool:
        """Whether so many units of work are known and none is open: each ends some seconds behind its last statement."""
        summary = proxy.api("summary")
        return summary["units"] >= units and summary["units_open"] == 0

    wait_until(lambda: judged(0), "what was asked before is judged", deadline_s=20, every_s=0.1)
    units = proxy.api("summary")["units"]
    seen = {one["id"]: one["occurrences"] for one in proxy.items("findings")}
    visits: list[tuple[datetime, str]] = []
    found: dict[str, list[dict[str, Any]]] = {path: [] for path in paths}

    def read() -> None:
        for one in proxy.items("findings"):
            if one["occurrences"] > seen.get(one["id"], 0):
                seen[one["id"]] = one["occurrences"]
                at = datetime.fromisoformat(one["last_seen"])
                found[[path for begun, path in visits if begun <= at][-1]].append(one)

    for path in paths:
        visits.append((datetime.now(timezone.utc), path))
        running.get(path)
        read()
    wait_until(lambda: judged(units + len(paths)), "the last request is judged", deadline_s=20, every_s=0.1)
    read()
    return {path: _finding(found[path]) for path in paths}


def _finding(found: list[dict[str, Any]]) -> Said:
    if not found:
        return Said(False, "nothing")
    worst = max(found, key=lambda one: one["cost_ms"])
    lines = ", ".join(worst["tags"].get("callsite", []))
    where = f", at {lines}" if lines else ""
    return Said(True, f"{worst['confidence']}: {worst['advice']['title']}: `{worst['advice']['django']}`{where}")


def _statements(stage: Stage, running: Running, path: str) -> Said:
    counted = "SELECT count(*), sum(calls) FROM pg_stat_statements WHERE query ~ '^SELECT .*shop_'"
    stage.counting.sql("SELECT pg_stat_statements_reset()")
    running.get(path)
    entries, calls = stage.counting.sql(counted).split("|")
    return Said(False, f"{entries} entries, {calls} calls, of no request")


# OpenTelemetry's batches leave every five seconds.
_BATCH_S = 7.0


def _spans(name: str) -> Callable[[Stage, Running, str], Said]:
    def settled(stage: Stage) -> int:
        """The spans once none have come for longer than agents wait."""
        last, since = stage.spans()[name], time.monotonic()

        def unchanged() -> bool:
            nonlocal last, since
            now = stage.spans()[name]
            if now != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since > _BATCH_S

        wait_until(unchanged, "the agents have sent all", deadline_s=60, every_s=0.2)
        return last

    def hear_spans(stage: Stage, running: Running, path: str) -> Said:
        before = settled(stage)
        running.get(path)
        return Said(False, f"a trace with {settled(stage) - before} spans of statements")

    return hear_spans


def _nothing(_stage: Stage, running: Running, path: str) -> Said:
    running.get(path)
    return Said(False, "nothing")


_LISTENERS: dict[str, Callable[[Stage, Running, str], Said]] = {
    contenders.BARE.name: _nothing,
    contenders.DEBUG.name: _nothing,
    contenders.TOOLBAR.name: _toolbar,
    contenders.SILK.name: _silk,
    contenders.ZEAL.name: _log,
    contenders.NPLUSONE.name: _log,
    contenders.STATEMENTS.name: _statements,
    contenders.OPENTELEMETRY.name: _spans("opentelemetry"),
    contenders.SENTRY.name: _spans("sentry"),
}

"""How cost grows: with connections that are idle, with those that ask, and with fingerprints."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from support.greeter import Greeter
from support.postgres import Address
from support.wire import RawClient, query

from .contenders import DIRECT, PGPRISMS, Contender, NoMeasurement, started
from .idle import Crowd
from .loads import Pgbench
from .paired import WARM_UP_S, measure
from .results import CellResult, Run
from .stage import Stage

CONNECTIONS = (1, 10, 100, 1000, 5000)
FINGERPRINTS = (10, 100, 1000, 10_000)
# Of a few connections, those that ask.
ASKING = (1, 2, 4, 8)
# Queries a second of all that ask together: a rate that leaves the machine time.
RATE = 2000
ROUNDS_MAX = 9
_SCRAPES = 5
# Questions on their way at a time while shapes are made known.
_WINDOW = 100


def _scrape(one: Contender) -> dict[str, float]:
    """How long `/metrics` takes and how long it is; nothing for those that have none."""
    if one.proxy is None:
        return {}
    took, size = [], 0
    for _ in range(_SCRAPES):
        began = time.monotonic()
        size = len(one.proxy.get("/metrics"))
        took.append(time.monotonic() - began)
    return {"scrape_ms": statistics.median(took) * 1000, "scrape_bytes": size}


def connections(stage: Stage, result: CellResult) -> None:
    """One that asks, at one rate, and more and more others that are idle."""
    result.remarks.append(f"one of the connections asks {RATE:,} queries a second, the others are idle")
    _at_one_rate(stage, result, [(at, at, 1) for at in CONNECTIONS])


def asking(stage: Stage, result: CellResult) -> None:
    """As many connections and queries a second, asked by more and more of them."""
    of = max(ASKING)
    result.remarks.append(f"of {of} connections 1, 2, ... {of} ask, {RATE:,} queries a second together")
    _at_one_rate(stage, result, [(at, of, at) for at in ASKING])


def _at_one_rate(stage: Stage, result: CellResult, points: Sequence[tuple[int, int, int]]) -> None:
    """One point after the other: what it is told by, how many connections there are, and how many of them ask."""
    result.rounds = min(result.rounds, ROUNDS_MAX)
    result.remarks.append("upstream is a fake server that completes logins and answers with one row")
    names = [one for one in stage.contenders if one != DIRECT]
    with Greeter() as greeter:
        address = Address(*greeter.endpoint, user="raw")
        for number in range(1, result.rounds + 1):
            for name in stage.shuffled(names):
                with started([name], greeter.endpoint, address) as (one,), Crowd(one.address) as crowd:
                    for at, of, clients in points:
                        stage.progress.now(f"{result.name}: round {number} of {result.rounds}, {name}, {at}")
                        known = len(crowd)
                        crowd.resize(of - clients)
                        one.check_counted(max(0, len(crowd) - known))
                        load = Pgbench(("-M", "simple"), clients=clients, script="SELECT 1;\n", rate=RATE)
                        figures = measure(one, load, result.seconds) | _scrape(one)
                        result.runs.append(Run(name, number, figures, at))


def fingerprints(stage: Stage, result: CellResult) -> None:
    """A load of ever more shapes, each known before it is measured."""
    result.rounds = min(result.rounds, ROUNDS_MAX)
    names = [one for one in stage.contenders if one in PGPRISMS]
    address = stage.address()
    for number in range(1, result.rounds + 1):
        for name in stage.shuffled(names):
            with started([name], stage.server.address.endpoint, address) as (one,):
                known = 0
                for at in FINGERPRINTS:
                    stage.progress.now(f"{result.name}: round {number} of {result.rounds}, {name}, {at}")
                    _make_known(one, known, at)
                    known = at
                    script = f"\\set n random(1, {at})\nSELECT 1 AS c:n;\n"
                    load = Pgbench(("-M", "simple"), script=script)
                    one.check_counted(load(one.address, WARM_UP_S).queries)
                    figures = measure(one, load, result.seconds) | _scrape(one)
                    result.runs.append(Run(name, number, figures, at))


def _make_known(one: Contender, known: int, wanted: int) -> None:
    with RawClient(one.address.endpoint, database=one.address.database) as client:
        for first in range(known + 1, wanted + 1, _WINDOW):
            numbers = range(first, min(first + _WINDOW, wanted + 1))
            client.send(b"".join(query(f"SELECT 1 AS c{number}") for number in numbers))
            for _ in numbers:
                client.ready()
    one.check_counted(wanted - known)
    if one.proxy is not None and one.observes:
        found = one.proxy.metrics().total("pgprism_fingerprints")
        if found < wanted:
            raise NoMeasurement(f"{one.name} knows {found:.0f} of {wanted} fingerprints")

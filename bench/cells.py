"""Every cell by name: what is played, what a unit of its work is, and how it is found on the command line."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from . import drops, growth, idle, paired, streams
from .loads import CHURN, PIPELINED, TPCB, Load, django, select
from .results import CellResult
from .stage import Stage

Play = Callable[[Stage, CellResult], None]


@dataclass(frozen=True)
class Cell:
    """One kind of work, on which all contenders are compared."""

    name: str
    group: str
    what: str
    unit: str
    play: Play


# Groups, in the order of the tables, and their headings.
GROUPS = {
    "queries": "Queries",
    "bulk": "Rows and COPY",
    "connections": "New connections",
    "unix": "Upstream by Unix socket",
    "memory": "Idle connections",
    "drops": "Dropped events",
    "growth": "Growth",
}
MODES = ("simple", "extended", "prepared")
CLIENTS = (1, 8, 32, 128)


def _traffic(name: str, group: str, what: str, load: Load, unit: str = "query", user: str = "raw") -> Cell:
    return Cell(name, group, what, unit, partial(paired.play, load=load, user=user))


def _unix(name: str, what: str, load: Load) -> Cell:
    what = f"{what}; upstream is PostgreSQL's Unix socket"
    return Cell(f"unix-{name}", "unix", what, "query", partial(paired.unix, load=load))


def _idle(name: str, what: str, count: int, *, real: bool, distinct: bool = False) -> Cell:
    return Cell(name, "memory", what, "connection", partial(idle.play, count=count, real=real, distinct=distinct))


def _all() -> list[Cell]:
    cells = [
        _traffic(f"{mode}-{clients}", "queries", f"pgbench -S -M {mode} -c {clients}", select(mode, clients))
        for mode in MODES
        for clients in CLIENTS
    ]
    a_django = "psycopg 3, 4 threads: transactions of 50 small selects, each with literals of its own"
    a_churn = "pgbench -S -C -c 8: each query on a new connection, SCRAM"
    return [
        *cells,
        _traffic("tpcb", "queries", "pgbench -b tpcb-like -c 8: transactions of 7 statements", TPCB),
        _traffic("pipeline", "queries", "pgbench -c 8, 20 selects in a pipeline", PIPELINED),
        _traffic("django", "queries", a_django, django),
        _traffic("rows-small", "bulk", "2 million rows of 100 bytes a result", streams.rows_small, "GB"),
        _traffic("rows-large", "bulk", "200 rows of 1 MB a result", streams.rows_large, "GB"),
        _traffic("copy-out", "bulk", "COPY TO STDOUT, 2 million lines of 100 bytes", streams.copy_out, "GB"),
        _traffic("copy-in", "bulk", "COPY FROM STDIN, 200 MB of lines of 100 bytes", streams.copy_in, "GB"),
        _traffic("churn", "connections", a_churn, CHURN, "connection", "app"),
        *(_unix(mode, f"pgbench -S -M {mode} -c 8", select(mode)) for mode in MODES),
        _unix("django", a_django, django),
        _idle("idle-1000", "1,000 idle connections, each with a real backend", 1000, real=True),
        _idle("idle-5000", "5,000 idle connections", 5000, real=False),
        Cell("idle-tls", "memory", "1,000 idle connections in TLS", "connection", partial(idle.in_tls, count=1000)),
        _idle("footprint", "1,000 connections and 1,000 fingerprints", 1000, real=False, distinct=True),
        Cell("drops", "drops", "whether the detectors see every query", "query", drops.play),
        Cell("growth-connections", "growth", "1 to 5,000 connections, of which one asks", "query", growth.connections),
        Cell("growth-asking", "growth", "8 connections, of which 1 to 8 ask", "query", growth.asking),
        Cell("growth-fingerprints", "growth", "10 to 10,000 fingerprints, 8 clients", "query", growth.fingerprints),
    ]


CELLS = {cell.name: cell for cell in _all()}
QUICK = ("simple-8", "extended-8", "prepared-8", "django")


class Unknown(ValueError):
    """A name that nothing has; the message lists those that there are."""


def choose(names: Sequence[str]) -> list[Cell]:
    """Cells by their names, by their groups, or by patterns like `simple-*`; each once, in the order of the list."""
    wanted: set[str] = set()
    for name in names:
        found = [one.name for one in CELLS.values() if one.group == name or fnmatch.fnmatchcase(one.name, name)]
        if not found:
            raise Unknown(
                f"no cell is named {name!r}; there are {', '.join(CELLS)}; and the groups {', '.join(GROUPS)}"
            )
        wanted.update(found)
    return [one for one in CELLS.values() if one.name in wanted]

"""What is asked of a contender: a load takes an address and a time, and tells what was asked and how long it took."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from support import tools
from support.postgres import Address
from support.processes import run, scratch_folder

from . import PROJECT

# Of a process that plays a load: to start, to log in, to finish its last transaction on a machine that is busy.
PATIENCE_S = 60
QUANTILES = (50, 95, 99)
# Threads of one interpreter: more only wait for each other.
DJANGO_THREADS = 4
PIPELINE = 20
_PLAINTEXT = {"PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}


@dataclass(frozen=True)
class Done:
    """What was asked, in the cell's unit and in queries, and microseconds by quantile: of a query, or a transaction."""

    units: float
    queries: int
    seconds: float
    quantiles: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.units / self.seconds


Load = Callable[[Address, float], Done]


@dataclass(frozen=True)
class Pgbench:
    """One way of calling pgbench; a transaction of it is so many units and queries."""

    arguments: tuple[str, ...]
    clients: int = 8
    units: int = 1
    queries: int = 1
    script: str | None = None
    # Transactions a second; without, as many as go.
    rate: int | None = None

    def __call__(self, address: Address, seconds: float) -> Done:
        folder = scratch_folder("pgbench")
        argv: list[str | Path] = [tools.program("pgbench"), "-n", *self.arguments, "-c", str(self.clients), "-j", "1"]
        argv += ["-T", str(max(1, round(seconds))), "--log", f"--log-prefix={folder / 'log'}"]
        if self.rate is not None:
            argv += ["-R", str(self.rate)]
        if self.script is not None:
            (folder / "script.sql").write_text(self.script)
            argv += ["-f", folder / "script.sql"]
        done = run(argv, env=address.environment() | _PLAINTEXT, deadline_s=seconds + PATIENCE_S)
        transactions = int(_told(done.stdout, "actually processed").split(":")[1].split("/")[0])
        # Nothing is told where not one was: on a machine that was taken away for as long.
        a_second = float(_told(done.stdout, "tps = ").split()[2])
        return Done(
            transactions * self.units,
            transactions * self.queries,
            transactions / a_second,
            _quantiles(folder),
        )


def _told(said: str, what: str) -> str:
    """The line of pgbench's summary that has this in it."""
    for line in said.splitlines():
        if what in line:
            return line
    raise RuntimeError(f"pgbench says nothing of {what!r}:\n{said}")


def _quantiles(folder: Path) -> dict[str, float]:
    """Of the times that pgbench logged for each transaction; its own summary knows averages alone."""
    took: list[int] = []
    for log in folder.glob("log.*"):
        took += [int(line.split(" ", 3)[2]) for line in log.read_text().splitlines()]
        log.unlink()
    took.sort()
    if not took:
        return {}
    return {f"p{part}_us": float(took[min(len(took) - 1, len(took) * part // 100)]) for part in QUANTILES}


def select(mode: str, clients: int = 8, rate: int | None = None) -> Pgbench:
    """One row by its key."""
    return Pgbench(("-S", "-M", mode), clients, rate=rate)


TPCB = Pgbench(("-b", "tpcb-like", "-M", "simple"), units=7, queries=7)
PIPELINED = Pgbench(
    ("-M", "extended"),
    units=PIPELINE,
    queries=PIPELINE,
    script="\\set aid random(1, 100000)\n\\startpipeline\n"
    + "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n" * PIPELINE
    + "\\endpipeline\n",
)
CHURN = Pgbench(("-S", "-C", "-M", "simple"))


def django(address: Address, seconds: float) -> Done:
    """Statements as Django writes them: `django_load.py`."""
    script = PROJECT / "bench" / "django_load.py"
    argv: list[str | Path] = [
        sys.executable,
        script,
        address.conninfo(sslmode="disable", gssencmode="disable"),
        str(seconds),
        str(DJANGO_THREADS),
    ]
    told = json.loads(run(argv, deadline_s=seconds + PATIENCE_S).stdout)
    statements, took = told.pop("statements"), told.pop("seconds")
    return Done(statements, statements, took, told)

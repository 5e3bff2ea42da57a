"""What the proxy costs, paired with HAProxy, PgBouncer and a bare relay in one run.

Each cell plays one load through every contender, in another order each round, so that what else the machine does falls
on all alike. Printed are medians over the rounds and ratios within a round, with the least and the greatest of them. A
pgprism that did not count what it was asked is no measurement.

    make bench                                              four cells with 8 clients, under 5 minutes
    make bench-full                                         every cell, into docs/performance/ and docs/performance.md
    scripts/bench --full --cells bulk,churn --rounds 5      a part of it
    scripts/bench --full --write --resume FILE              goes on where that file ends
    make bench-plots                                        tables and plots again from docs/performance/*.json
"""

from __future__ import annotations

import argparse
import datetime
import os
import random
import shlex
import sys
import time
from pathlib import Path

from support.greeter import raise_descriptor_limit
from support.postgres import Postgres

from . import PROJECT, page, report
from .cells import CELLS, QUICK, Cell, Unknown, choose
from .contenders import CONTENDERS
from .deadline import deadline
from .machine import commit, machine, versions
from .results import CellResult, Results, read
from .stage import Progress, Stage, server

QUICK_ROUNDS, QUICK_S = 3, 2.0
FULL_ROUNDS, FULL_S = 5, 5.0
# Beyond what a cell is expected to take, by far: it hangs.
CELL_DEADLINE_S = 600.0
CELL_DEADLINE_FACTOR = 4.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="every cell; 5 rounds of 5 seconds")
    parser.add_argument("--cells", help=f"cells, groups or patterns, by commas (quick: {','.join(QUICK)})")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), help="by commas; all without it")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of one turn of one contender")
    parser.add_argument("--scale", type=int, default=10, help="of pgbench's tables")
    parser.add_argument("--seed", type=int, default=1, help="of the order of turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every single round, written after each cell")
    parser.add_argument("--write", action="store_true", help="JSON into docs/performance/, tables and plots into docs")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="go on with that JSON, without the cells it has")
    parser.add_argument("--list", action="store_true", help="the cells and contenders that there are")
    parser.add_argument("--render", action="store_true", help="measure nothing: tables and plots again")
    given = parser.parse_args()
    given.contenders = [one for one in given.contenders.split(",") if one]
    if unknown := [one for one in given.contenders if one not in CONTENDERS]:
        parser.error(f"no contender is named {', '.join(map(repr, unknown))}; there are {', '.join(CONTENDERS)}")
    try:
        wanted = [one for one in (given.cells or "").split(",") if one]
        given.cells = choose(wanted or (list(CELLS) if given.full else list(QUICK)))
    except Unknown as unknown:
        parser.error(str(unknown))
    given.is_short = given.seconds is not None
    given.rounds = given.rounds or (FULL_ROUNDS if given.full else QUICK_ROUNDS)
    given.seconds = given.seconds or (FULL_S if given.full else QUICK_S)
    if given.rounds < 1 or given.seconds < 1:
        parser.error("at least one round of one second")
    if given.resume and not given.resume.is_file():
        parser.error(f"{given.resume} does not exist")
    return given


def _list() -> None:
    for cell in CELLS.values():
        print(f"{cell.name:20} {cell.group:12} {cell.what}")
    print()
    for name, what in CONTENDERS.items():
        print(f"{name:20} {what}")


def _begin(given: argparse.Namespace, running: Postgres) -> tuple[Results, Path | None]:
    """Empty results, or those to go on with, and where they are written."""
    now = datetime.datetime.now(datetime.timezone.utc)
    fresh = Results(
        begun=now.isoformat(timespec="seconds"),
        command=f"scripts/bench {shlex.join(sys.argv[1:])}".strip(),
        commit=commit(),
        machine=machine(),
        versions=versions(given.contenders, running),
        seed=given.seed,
        contenders=given.contenders,
    )
    if given.resume:
        old = read(given.resume)
        if (old.commit, old.versions, old.machine) != (fresh.commit, fresh.versions, fresh.machine):
            raise SystemExit(
                f"{given.resume} was measured with {old.commit}, {old.versions} on {old.machine}; this is "
                f"{fresh.commit}, {fresh.versions} on {fresh.machine}: begin anew"
            )
        return old, given.resume
    if given.write:
        return fresh, given.json or page.FOLDER / f"{now:%Y-%m-%d-%H%M%S}-{fresh.commit.rstrip('+')}.json"
    return fresh, given.json


def _play(cell: Cell, stage: Stage) -> CellResult:
    """One cell to its end, or to its deadline."""
    result = CellResult(cell.name, cell.unit, stage.rounds, stage.seconds)
    began = time.monotonic()
    expected = stage.rounds * len(stage.contenders) * (stage.seconds + 3)
    with deadline(CELL_DEADLINE_S + CELL_DEADLINE_FACTOR * expected, cell.name):
        cell.play(stage, result)
    result.took_s = round(time.monotonic() - began, 1)
    return result


def main() -> int:
    given = _arguments()
    if given.list:
        _list()
        return 0
    if given.render:
        page.write()
        return 0
    # A debug build would measure nothing of interest.
    os.environ.setdefault("PGPRISM_BIN", str(PROJECT / "target" / "release" / "pgprism"))
    raise_descriptor_limit()
    progress = Progress()
    failures: list[str] = []
    with server(given.scale) as running:
        results, path = _begin(given, running)
        print(report.heading(results), flush=True)
        stage = Stage(
            running, given.contenders, given.rounds, given.seconds, random.Random(given.seed), progress, given.is_short
        )
        for number, cell in enumerate(given.cells, start=1):
            if cell.name in results.cells:
                progress.say(f"{cell.name}: there already")
                continue
            try:
                result = _play(cell, stage)
            except Exception as error:  # the other cells are worth having; what this one started has ended with it
                failure = f"{cell.name}: {type(error).__name__}: {error}"
                failures.append(failure)
                progress.say(f"FAILED: {failure}")
                continue
            results.cells[cell.name] = result
            results.configs |= stage.configs
            failures += [f"{cell.name}: {one}" for one in result.failures]
            progress.say(f"{cell.name}: done in {result.took_s:.0f} s ({number} of {len(given.cells)})")
            print(report.terminal(result), flush=True)
            if path:
                results.write(path)
    if path:
        print(f"every round is in {os.path.relpath(path)}")
    if given.write and results.cells:
        page.write()
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())

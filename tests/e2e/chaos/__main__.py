"""Plays the scenarios with each contender in turn, on the terminal and into docs/reliability.md.

python -m chaos [--only WORDS] [--contenders pgprism,pgbouncer,haproxy] [--write]
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from support import tools
from support.greeter import raise_descriptor_limit
from support.postgres import Postgres
from support.processes import run

from .report import Result, table, write_page
from .scenarios import SCENARIOS, Scenario
from .stage import SERVER_SETTINGS, Stage


def play(scenario: Scenario, server: Postgres, contender: str) -> Result:
    """One contender's turn; what goes wrong is a result too."""
    result = Result(scenario.name, contender)
    stage = Stage(server, contender)
    begun = time.monotonic()
    try:
        try:
            scenario.play(stage)
        finally:
            stage.close()
    except Exception as error:  # a contender that fails must not keep the others from their turn
        result.failure = f"{type(error).__name__}: {error}"[:300]
    result.seconds = time.monotonic() - begun
    result.balance = stage.balances[-1] if stage.balances else None
    result.remarks = stage.remarks
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="scenarios whose name has these words")
    parser.add_argument("--contenders", default="pgprism,pgbouncer,haproxy")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    given = parser.parse_args()
    os.environ.setdefault("PGPRISM_BIN", str(tools.PROJECT / "target" / "release" / "pgprism"))
    raise_descriptor_limit()
    contenders = given.contenders.split(",")
    results: list[Result] = []
    versions: dict[str, str] = {}
    begun = time.monotonic()
    with Postgres(18, **SERVER_SETTINGS) as server:
        for scenario in SCENARIOS:
            if given.only not in scenario.name or (scenario.needs_root and os.geteuid() != 0):
                continue
            for contender in contenders:
                if contender not in scenario.contenders:
                    continue
                result = play(scenario, server, contender)
                results.append(result)
                print(
                    f"{result.seconds:6.1f} s  {'ok ' if result.is_clean else 'BAD'} "
                    + " | ".join(result.cells()),
                    flush=True,
                )
    seconds = time.monotonic() - begun
    print(table(results))
    print(f"{seconds:.0f} s")
    if given.write:
        versions = _versions(contenders)
        write_page(results, versions, "make chaos", seconds)
    bad = [one for one in results if one.contender == "pgprism" and not one.is_clean]
    sys.exit(f"{len(bad)} scenarios are not clean: {', '.join(one.scenario for one in bad)}" if bad else 0)


def _versions(contenders: list[str]) -> dict[str, str]:
    found = {"PostgreSQL": run([tools.postgres(18) / "postgres", "--version"]).stdout.split()[2]}
    if "pgprism" in contenders:
        found["pgprism"] = run([tools.pgprism(), "--version"]).stdout.split()[1]
    if "pgbouncer" in contenders:
        found["PgBouncer (session mode)"] = run([tools.program("pgbouncer"), "--version"]).stdout.split()[1]
    if "haproxy" in contenders:
        found["HAProxy (TCP mode)"] = run([tools.program("haproxy"), "-v"]).stdout.split()[2].partition("-")[0]
    return found


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""User-space instructions of the proxy's workers, counted by callgrind: the figure that does not depend on the weather.

Each workload is played twice with one client, few times and more; the difference is what one of it takes, all that
happens once left out. Only the threads that relay count: a scrape, the analysis and the log are other threads'. What
callgrind counts is good to 1 or 2 per cent on any machine, however busy.

    make bench-check                          # fails where a figure is more than 3 % above bench/instructions.json
    .venv/bin/python bench/instructions.py --write    # takes today's figures for the bound

Workloads: `simple`, `extended` and `prepared` are pgbench -S (a text of 53 bytes); `pipeline` is twenty of them in one
flush, told for each; `text` is one of 700 bytes as Django writes it, told as instructions for each byte more than the 53;
`rows` is a result of rows of 115 bytes, told for each KB (1,000 bytes).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests" / "e2e"))

from support import tools  # noqa: E402
from support.postgres import Address, Postgres  # noqa: E402
from support.processes import run, scratch_folder  # noqa: E402
from support.proxy import Pgprism  # noqa: E402

BOUNDS = PROJECT / "bench" / "instructions.json"
TOLERANCE = 1.03
FEW, MORE = 300, 1300
PGBENCH_TEXT_BYTES = 53
PIPELINE = 20
ROWS = 10_000
# What a row of 100 bytes and its number is on the wire: header, two lengths, the text and some digits.
ROW_BYTES = 115


def django_text() -> str:
    """A SELECT of 700 bytes as the ORM writes it, with the result of pgbench's own; `:aid` is pgbench's variable."""
    head = 'SELECT "pgbench_accounts"."abalance" FROM "pgbench_accounts" INNER JOIN "pgbench_branches" ON ('
    head += '"pgbench_accounts"."bid" = "pgbench_branches"."bid") WHERE ('
    tail = '"pgbench_accounts"."aid" = :aid) ORDER BY "pgbench_accounts"."aid" ASC LIMIT 1'
    condition = 'NOT ("pgbench_accounts"."abalance" IS NULL) AND '
    text = head
    while len(text) + len(condition) + len(tail) <= 700:
        text += condition
    return text + tail


def pgbench(address: Address, times: int, *arguments: str) -> None:
    run(
        [tools.program("pgbench"), "-n", "-c", "1", "-t", str(times), *arguments],
        env=address.environment(), cwd=scratch_folder("pgbench"), deadline_s=600,
    )


def scripted(text: str) -> Callable[[Address, int], None]:
    script = scratch_folder("script") / "script.sql"
    script.write_text(f"\\set aid random(1, 100000)\n{text};\n")
    return lambda address, times: pgbench(address, times, "-f", str(script))


def pipeline() -> Callable[[Address, int], None]:
    """PIPELINE selects of pgbench's in one flush, as the cell `pipeline` of the benchmark sends them."""
    script = scratch_folder("script") / "pipeline.sql"
    select = "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n"
    script.write_text("\\set aid random(1, 100000)\n\\startpipeline\n" + select * PIPELINE + "\\endpipeline\n")
    return lambda address, times: pgbench(address, times, "-M", "extended", "-f", str(script))


def relayed(folder: Path) -> int:
    """Instructions of all threads that relay."""
    total = 0
    for one in folder.glob("callgrind-*"):
        text = one.read_text()
        if "proxy::relay::" in text and (found := re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)):
            total += int(found[1])
    if not total:
        raise RuntimeError(f"{folder}: no thread has relayed anything")
    return total


class Counter:
    """Runs the proxy under callgrind."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.program = scratch_folder("callgrind") / "pgprism"
        self.binary = tools.pgprism()

    def once(self, play: Callable[[Address, int], None], times: int) -> int:
        folder = scratch_folder("callgrind")
        self.program.write_text(
            "#!/bin/sh\nexec valgrind --tool=callgrind --separate-threads=yes "
            f'--callgrind-out-file={folder}/callgrind {self.binary} "$@"\n'
        )
        self.program.chmod(0o755)
        os.environ["PGPRISM_BIN"] = str(self.program)
        proxy = Pgprism(self.server.address.endpoint)
        # It is many times as slow: its end, too.
        proxy.expect.ends_within_s = 60
        play(self.server.address.as_user("raw").at(proxy.endpoint), times)
        proxy.stop()
        return relayed(folder)

    def each(self, play: Callable[[Address, int], None], few: int = FEW, more: int = MORE) -> float:
        return (self.once(play, more) - self.once(play, few)) / (more - few)


def measure(names: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}

    def tell(name: str, value: float, unit: str) -> None:
        found[name] = round(value, 1)
        print(f"{name:<10} {value:>10,.1f} {unit}", flush=True)

    with Postgres(18) as server:
        run([tools.program("pgbench"), "-i", "-q", "-s", "1"], env=server.address.environment())
        counter = Counter(server)
        for mode in ("simple", "extended", "prepared"):
            if mode in names or (mode == "simple" and "text" in names):
                tell(mode, counter.each(lambda to, times, mode=mode: pgbench(to, times, "-S", "-M", mode)), "a query")
        if "pipeline" in names:
            tell("pipeline", counter.each(pipeline(), 50, 150) / PIPELINE, "a query")
        if "text" in names:
            text = django_text()
            value = counter.each(scripted(text)) - found["simple"]
            tell("text", value / (len(text) - PGBENCH_TEXT_BYTES), f"a byte, of {len(text)}")
        if "rows" in names:
            rows = scripted(f"SELECT n, repeat('x', 100) FROM generate_series(1, {ROWS}) n")
            tell("rows", counter.each(rows, 2, 12) / (ROWS * ROW_BYTES / 1000), "a KB")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    everything = ["simple", "extended", "prepared", "pipeline", "text", "rows"]
    parser.add_argument("workloads", nargs="*", default=everything, help=", ".join(everything))
    parser.add_argument("--write", action="store_true", help="take these figures for the bound")
    arguments = parser.parse_args()
    if unknown := set(arguments.workloads) - set(everything):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(everything)}")
    found = measure(arguments.workloads)
    if arguments.write:
        known = json.loads(BOUNDS.read_text()) if BOUNDS.exists() else {}
        BOUNDS.write_text(json.dumps(known | found, indent=2) + "\n")
        return 0
    bounds = json.loads(BOUNDS.read_text())
    worse = {name: value for name, value in found.items() if value > bounds[name] * TOLERANCE}
    for name, value in worse.items():
        print(f"{name}: {value:,.1f}, more than {bounds[name]:,.1f} and 3 %", file=sys.stderr)
    better = [name for name, value in found.items() if value < bounds[name] / TOLERANCE]
    if better and not worse:
        print(f"fewer than the bound says: {', '.join(better)}; --write takes them for the new one")
    return int(bool(worse))


if __name__ == "__main__":
    raise SystemExit(main())

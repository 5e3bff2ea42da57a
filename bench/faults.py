#!/usr/bin/env python3
"""What a fault of observation costs the traffic: p99 at one client, with each `--fault` and without, in pairs.

pgbench -S over one connection goes through two proxies in turn, one with the fault and one without, again and again,
so that what else the machine does falls on both alike. Printed are the medians over the pairs: p99 of both, their
ratio, and the transactions that failed. Exit status 1 where one failed or a ratio is above the limit.

    .venv/bin/python bench/faults.py
    .venv/bin/python bench/faults.py --pairs 5 --seconds 2 --limit 1.25 analysis-slow=1000x
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests" / "e2e"))

from support import tools  # noqa: E402
from support.postgres import Address, Postgres  # noqa: E402
from support.processes import run, scratch_folder  # noqa: E402
from support.proxy import Pgprism  # noqa: E402

# The hang lasts as long as the measurement.
FAULTS = ("observer-panic", "analysis-hang=1h", "analysis-slow=1000x", "analysis-dead", "log-disk-full")
SLOW_LOG = {"threshold": "0ms", "queries_per_second_max": 0}


@dataclass(frozen=True)
class Run:
    """One run of pgbench."""

    transactions: int
    failed: int
    p99_us: float


def pgbench(address: Address, seconds: float) -> Run:
    """One client for so long; whatever pgbench calls a failure ends this script."""
    folder = scratch_folder("pgbench")
    done = run(
        [tools.program("pgbench"), "-n", "-S", "-M", "simple", "-c", "1", "-T", str(seconds), "-l"],
        env=address.environment(),
        cwd=folder,
        deadline_s=seconds + 30,
        check=False,
    )
    (log,) = folder.glob("pgbench_log.*")
    times = sorted(float(line.split()[2]) for line in log.read_text().splitlines())
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
    return Run(len(times), int(done.returncode != 0), times[int(len(times) * 0.99)] if times else float("inf"))


def measure(server: Postgres, fault: str, pairs: int, seconds: float) -> tuple[list[Run], list[Run]]:
    """The runs with the fault and those without it."""
    plain = Pgprism(server.address.endpoint, slow_log=SLOW_LOG)
    faulty = Pgprism(server.address.endpoint, slow_log=SLOW_LOG, faults=[fault])
    runs: tuple[list[Run], list[Run]] = ([], [])
    try:
        for pair in range(pairs + 1):
            order = [(faulty, 0), (plain, 1)]
            for proxy, which in order if pair % 2 else reversed(order):
                one = pgbench(server.address.as_user("raw").at(proxy.endpoint), 1 if pair == 0 else seconds)
                assert not one.failed or proxy is faulty, "it fails without the fault"
                # The first pair warms up.
                if pair > 0:
                    runs[which].append(one)
        assert f"fault injected: {fault}" in faulty.log_text()
    finally:
        plain.abandon()
        faulty.abandon()
    return runs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", default=FAULTS)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--limit", type=float, default=1.25)
    arguments = parser.parse_args()
    bad = 0
    print(f"{'fault':<22} {'without p99':>12} {'with p99':>12} {'ratio':>7} {'transactions':>13} {'failed':>7}")
    with Postgres(18) as server:
        run([tools.program("pgbench"), "-i", "-q", "-s", "1"], env=server.address.environment())
        for fault in arguments.faults:
            faulty, plain = measure(server, fault, arguments.pairs, arguments.seconds)
            ratio = statistics.median(one.p99_us / other.p99_us for one, other in zip(faulty, plain, strict=True))
            failed = sum(one.failed for one in faulty)
            bad += failed > 0 or ratio > arguments.limit
            print(
                f"{fault:<22} {statistics.median(one.p99_us for one in plain):>9.0f} us"
                f" {statistics.median(one.p99_us for one in faulty):>9.0f} us {ratio:>7.2f}"
                f" {sum(one.transactions for one in faulty):>13} {failed:>7}",
                flush=True,
            )
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())

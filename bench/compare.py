#!/usr/bin/env python3
"""What the proxy costs, paired with HAProxy and PgBouncer in the same run, and what each part of its work adds.

pgbench -S, and a load as Django makes it, go to PostgreSQL direct and through each contender in turn, again and again
in another order, so that what else the machine does falls on all alike. Printed are medians over the rounds: queries a
second, the contender's own user and system time for each query (all its threads, from /proc), its resident memory, and
the ratios to HAProxy; then what value flow and observation add to a query's CPU. Upstream is TCP for all.

    make bench
    scripts/bench --rounds 5 --seconds 5 --modes simple,extended,prepared,django --clients 8 --json result.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests" / "e2e"))

from support import tools  # noqa: E402
from support.postgres import Address, Postgres  # noqa: E402
from support.processes import Child, free_port, run, scratch_folder, unprivileged_account  # noqa: E402
from support.proxy import Options, Pgprism  # noqa: E402
from support.waiting import wait_until  # noqa: E402
from support.wire import RawClient  # noqa: E402

# What pgbench calls its protocols, and `django_load.py`.
MODES = ("simple", "extended", "prepared", "django")
# Threads of one interpreter: more only wait for each other.
DJANGO_THREADS = 4


@dataclass(frozen=True)
class Contender:
    """Something between pgbench and PostgreSQL, or nothing."""

    name: str
    address: Address
    process: Child | None
    proxy: Pgprism | None = None


@dataclass(frozen=True)
class Measurement:
    """One run of pgbench through one contender."""

    contender: str
    mode: str
    queries: int
    queries_per_second: float
    cpu_us_per_query: float | None
    rss_bytes: int | None


def haproxy(upstream: Address, stack: contextlib.ExitStack) -> Contender:
    """TCP mode, two threads, no splicing: it relays and looks at nothing."""
    folder, port = scratch_folder("haproxy"), free_port()
    config = folder / "haproxy.cfg"
    config.write_text(
        f"""
global
    nbthread 2
    maxconn 1000
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen postgres
    bind 127.0.0.1:{port}
    server one {upstream.host}:{upstream.port}
"""
    )
    child = Child([tools.program("haproxy"), "-db", "-f", config], folder / "haproxy.log")
    stack.callback(child.kill)
    return Contender("haproxy", upstream.at(("127.0.0.1", port)), child)


def pgbouncer(upstream: Address, stack: contextlib.ExitStack) -> Contender:
    """Session pooling: one server connection for each client connection, as the others have."""
    account = unprivileged_account()
    folder, port = scratch_folder("pgbouncer", account), free_port()
    config = folder / "pgbouncer.ini"
    (folder / "users.txt").write_text(f'"{upstream.user}" ""\n')
    config.write_text(
        f"""
[databases]
* = host={upstream.host} port={upstream.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = session
default_pool_size = 100
max_client_conn = 200
log_connections = 0
log_disconnections = 0
"""
    )
    child = Child([tools.program("pgbouncer"), config], folder / "pgbouncer.log", account=account)
    stack.callback(child.kill)
    return Contender("pgbouncer", upstream.at(("127.0.0.1", port)), child)


def pgprism(upstream: Address, stack: contextlib.ExitStack) -> Contender:
    """Everything on: decoding, fingerprints, histograms, value flow, detectors, slow-query log at its default."""
    return _pgprism("pgprism", upstream, stack)


def without_flow(upstream: Address, stack: contextlib.ExitStack) -> Contender:
    """No values are followed from results to later statements."""
    return _pgprism("without_flow", upstream, stack, units={"value_flow": False})


def unobserved(upstream: Address, stack: contextlib.ExitStack) -> Contender:
    """Relays and looks at nothing."""
    return _pgprism("unobserved", upstream, stack, listener={"observe": False})


def _pgprism(name: str, upstream: Address, stack: contextlib.ExitStack, **options: Options) -> Contender:
    proxy = Pgprism(upstream.endpoint, slow_log={"threshold": "100ms"}, **options)
    stack.callback(proxy.abandon)
    return Contender(name, upstream.at(proxy.endpoint), proxy.process, proxy)


def _pgbench(contender: Contender, mode: str, clients: int, seconds: int) -> tuple[int, float]:
    """Queries in all, and in a second."""
    done = run(
        [tools.program("pgbench"), "-n", "-S", "-M", mode, "-c", str(clients), "-j", "1", "-T", str(seconds)],
        env=contender.address.environment() | {"PGSSLMODE": "disable"},
        deadline_s=seconds + 60,
    )
    words = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in done.stdout.splitlines())}
    queries = int(
        next(line for line in done.stdout.splitlines() if "actually processed" in line).split(":")[1].split("/")[0]
    )
    return queries, float(words["tps"].split()[0])


def _django(contender: Contender, seconds: int) -> tuple[int, float]:
    done = run(
        [sys.executable, PROJECT / "bench" / "django_load.py", contender.address.conninfo(sslmode="disable"),
         str(seconds), str(DJANGO_THREADS)],
        deadline_s=seconds + 60,
    )
    queries = int(done.stdout)
    return queries, queries / seconds


def measure(contender: Contender, mode: str, clients: int, seconds: int) -> Measurement:
    counted_before = contender.proxy.quiet().total("pgprism_queries_total") if contender.proxy else 0
    cpu_before = contender.process.cpu_seconds() if contender.process else 0.0
    queries, rate = _django(contender, seconds) if mode == "django" else _pgbench(contender, mode, clients, seconds)
    cpu = (contender.process.cpu_seconds() - cpu_before) if contender.process else None
    if contender.proxy:
        # A proxy that decodes nothing looks wonderfully fast.
        counted = contender.proxy.quiet().total("pgprism_queries_total") - counted_before
        wanted = 0 if contender.name == unobserved.__name__ else queries
        if counted < wanted or (wanted == 0 and counted > 0):
            raise SystemExit(
                f"{contender.name} counted {counted:.0f} of {queries} queries ({mode}): this is no measurement"
            )
    return Measurement(
        contender.name,
        mode,
        queries,
        rate,
        None if cpu is None else cpu / queries * 1e6,
        contender.process.rss_bytes() if contender.process else None,
    )


@contextlib.contextmanager
def contenders(only: list[str], scale: int) -> Iterator[list[Contender]]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Postgres(18))
        upstream = server.create_database("bench").as_user("raw")
        run([tools.program("pgbench"), "-i", "-q", "-s", str(scale)], env=upstream.environment(), deadline_s=300)
        found = [Contender("direct", upstream, None)]
        for make in (haproxy, pgbouncer, pgprism, without_flow, unobserved):
            if make.__name__ in only:
                found.append(make(upstream, stack))
        for one in found:
            wait_until(
                lambda one=one: RawClient(one.address.endpoint, database="bench").close() is None,
                f"{one.name} answers",
                refused=(OSError, EOFError),
            )
        yield found


def median(values: list[float]) -> float:
    return statistics.median(values) if values else float("nan")


def report(measurements: list[Measurement], names: list[str], modes: list[str]) -> str:
    lines = [
        f"{'mode':9} {'':12} {'queries/s':>10} {'of haproxy':>10} {'us CPU/query':>13} {'of haproxy':>10} {'RSS MiB':>8}"
    ]
    for mode in modes:
        by_name = {
            name: [one for one in measurements if (one.contender, one.mode) == (name, mode)] for name in names
        }

        def ratio(name: str, of: str, figure: str, by_name=by_name) -> str:
            pairs = zip(by_name[name], by_name.get(of, []), strict=False)
            ratios = [getattr(a, figure) / getattr(b, figure) for a, b in pairs if getattr(a, figure)]
            return f"{median(ratios):10.2f}" if ratios else f"{'':>10}"

        for name in names:
            mine = by_name[name]
            cpu = [one.cpu_us_per_query for one in mine if one.cpu_us_per_query is not None]
            rss = [one.rss_bytes for one in mine if one.rss_bytes is not None]
            lines.append(
                f"{mode:9} {name:12} {median([one.queries_per_second for one in mine]):10.0f} "
                f"{ratio(name, 'haproxy', 'queries_per_second')} "
                f"{f'{median(cpu):13.2f}' if cpu else ' ' * 13} {ratio(name, 'haproxy', 'cpu_us_per_query')} "
                f"{f'{median(rss) / 2**20:8.1f}' if rss else ''}"
            )
    return "\n".join(lines)


def additions(measurements: list[Measurement], modes: list[str]) -> str:
    """What the parts of pgprism's work add to its CPU time for a query: medians of ratios within a round."""
    lines = [f"{'CPU per query, ratio':20} {'all to no value flow':>21} {'all to unobserved':>18}"]
    for mode in modes:

        def ratio(of: str, mode=mode) -> float:
            mine = [one for one in measurements if (one.contender, one.mode) == (pgprism.__name__, mode)]
            other = [one for one in measurements if (one.contender, one.mode) == (of, mode)]
            pairs = zip(mine, other, strict=False)
            return median([a.cpu_us_per_query / b.cpu_us_per_query for a, b in pairs if b.cpu_us_per_query])

        lines.append(f"{mode:20} {ratio(without_flow.__name__):21.3f} {ratio(unobserved.__name__):18.3f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--scale", type=int, default=10)
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--only", default="haproxy,pgbouncer,pgprism,without_flow,unobserved")
    parser.add_argument("--json", type=Path, help="write every single measurement there")
    given = parser.parse_args()
    modes = given.modes.split(",")
    # A debug build would measure nothing of interest.
    os.environ.setdefault("PGPRISM_BIN", str(PROJECT / "target" / "release" / "pgprism"))

    measurements: list[Measurement] = []
    with contenders(given.only.split(","), given.scale) as found:
        order = random.Random(1)
        for one in found:
            measure(one, "simple", given.clients, 1)  # warm, not counted
        for number in range(given.rounds):
            for mode in modes:
                for one in order.sample(found, len(found)):
                    measurements.append(measure(one, mode, given.clients, given.seconds))
            print(f"round {number + 1} of {given.rounds} done", file=sys.stderr)
        names = [one.name for one in found]
    print(
        f"pgbench -S -c {given.clients} -j 1 -T {given.seconds}, scale {given.scale}, medians of {given.rounds} "
        f"rounds, {os.cpu_count()} cores, PostgreSQL 18 with fsync off, all on one machine"
    )
    print(report(measurements, names, modes))
    print(additions(measurements, modes))
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in measurements], indent=1))


if __name__ == "__main__":
    main()

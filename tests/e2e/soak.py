"""Hours in minutes: churn, abandoned clients, findings, new shapes without end, scrapes; what memory does meanwhile.

python -m soak [--minutes N]      (make soak; SOAK_MINUTES)

Half of the time, at least a minute, is warm-up: the tables that have a limit reach it, and the allocator, which cannot
use every freed piece for everything, has found as much as it needs. Behind it a line is fitted through the proxy's
private memory. The soak fails when the line rises faster than 1 MB an hour by more than twice the uncertainty of its
slope, when descriptors are not back at the start, or when a session or a panic is left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from support import tools
from support.greeter import raise_descriptor_limit
from support.postgres import Postgres
from support.proxy import Pgprism
from support.waiting import wait_until
from support.wire import SYNC, RawClient, bind, execute, parse, query

SLOPE_MAX_MB = 1.0
BLOCK_S = 15.0
"""Samples of one block are averaged: neighbours are not independent."""
TCP_REPAIR = 19
# Small enough to be reached while it warms up, large enough to be used.
LIMITS = {
    "fingerprints_max": 800,
    "texts_bytes_max": "256KiB",
    "units_max": 200,
    "findings_max": 100,
    "statements_per_session_max": 64,
    "names_max": 10,
}


@dataclass(frozen=True)
class Line:
    """A line fitted through private memory, and how sure its slope is."""

    mb_an_hour: float
    error_mb: float
    mean_mb: float

    def __str__(self) -> str:
        return f"{self.mb_an_hour:+.2f} ± {self.error_mb:.2f} MB an hour around {self.mean_mb:.1f} MB"


def fit(samples: list[tuple[float, float]]) -> Line:
    """Least squares over means of blocks; the uncertainty is one standard error of the slope."""
    blocks: dict[int, list[tuple[float, float]]] = {}
    for at, value in samples:
        blocks.setdefault(int(at / BLOCK_S), []).append((at, value))
    points = [tuple(statistics.fmean(axis) for axis in zip(*block, strict=True)) for block in blocks.values()]
    if len(points) < 3:
        raise ValueError(f"{len(points)} blocks of {BLOCK_S:.0f} s are too few for a line")
    mean_x, mean_y = (statistics.fmean(axis) for axis in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    error = (rest / (len(points) - 2) / spread) ** 0.5
    return Line(slope * 3600 / 1e6, error * 3600 / 1e6, mean_y / 1e6)


class Load:
    """Everything that is done to the proxy, each kind on a thread of its own until the end."""

    def __init__(self, proxy: Pgprism) -> None:
        self.proxy = proxy
        self.rounds: dict[str, int] = {}
        self.failures: list[str] = []
        self._ended = threading.Event()
        kinds = (
            self.pages,
            self.new_shapes,
            self.prepared,
            self.abandoned,
            self.deaf,
            self.cut_short,
            self.scrapes,
        )
        self._threads = [threading.Thread(target=self._repeat, args=(kind,), daemon=True) for kind in kinds]

    def _repeat(self, kind: Callable[[], Iterator[float]]) -> None:
        """A kind of load is a generator of the pauses between its rounds."""
        try:
            for pause in kind():
                self.rounds[kind.__name__] = self.rounds.get(kind.__name__, 0) + 1
                if self._ended.wait(pause):
                    return
        except Exception as error:  # told at the end
            self.failures.append(f"{kind.__name__}: {error!r}")

    def client(self, **options: object) -> RawClient:
        return RawClient(self.proxy.endpoint, **options)  # type: ignore[arg-type]

    def pages(self) -> Iterator[float]:
        """Requests with an N+1, each on a connection of its own; some clients reset in the end."""
        for number in itertools.count():
            client = self.client()
            orders = client.rows("SELECT id, customer_id FROM soak_order ORDER BY id LIMIT 12")
            for _, customer in orders:
                client.ask(f"SELECT id, name FROM soak_customer WHERE id = {int(customer or 0)}")
            client.reset() if number % 5 == 0 else client.close()
            yield 0.02

    def new_shapes(self) -> Iterator[float]:
        """A shape that nobody has sent before, over and over: far beyond what fits."""
        client = self.client()
        for number in itertools.count():
            client.ask(f"SELECT 1 AS shape_{number}, '{number}' AS label")
            if number % 500 == 499:
                client.close()
                client = self.client(application_name=f"soak-{number}")
            yield 0.005

    def prepared(self) -> Iterator[float]:
        """Named statements beyond the limit, and an error now and then."""
        for _ in itertools.count():
            client = self.client()
            for one in range(100):
                client.send(
                    parse(f"s{one}", f"SELECT $1::int + {one}") + bind("", f"s{one}", b"1") + execute("") + SYNC
                )
                client.ready()
            client.send(query("SELECT nothing_at_all"))
            client.until_ready()
            client.close()
            yield 0.5

    def abandoned(self) -> Iterator[float]:
        """Connected, asked, and gone without a FIN: the proxy has to find out."""
        for _ in itertools.count():
            client = self.client()
            client.ask("SELECT id FROM soak_order LIMIT 3")
            vanish(client.socket)
            yield 0.5

    def deaf(self) -> Iterator[float]:
        """Asks for much, never reads, and is gone at last."""
        waiting: list[RawClient] = []
        for _ in itertools.count():
            client = self.client(receive_buffer_bytes=4096)
            client.send(query("SELECT repeat('x', 100000) FROM generate_series(1, 1000)"))
            waiting.append(client)
            if len(waiting) > 8:
                waiting.pop(0).reset()
            yield 1.0

    def cut_short(self) -> Iterator[float]:
        """Half a message, half a startup packet, and gone."""
        for number in itertools.count():
            if number % 2:
                one = socket.create_connection(self.proxy.endpoint, timeout=10)
                one.sendall(b"\0\0\0\x20\0\3")
            else:
                client = self.client()
                client.send(b"Q\0\0\1\0SELECT 'half")
                one = client.socket
            vanish(one) if number % 4 < 2 else one.close()
            yield 0.3

    def scrapes(self) -> Iterator[float]:
        for _ in itertools.count():
            self.proxy.get("/metrics")
            for path in ("queries", "findings", "units", "connections", "summary"):
                self.proxy.api(path)
            yield 1.0

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(30)


def vanish(one: socket.socket) -> None:
    """Closes without a packet, as a machine that lost its power; root only, others just close."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    one.close()


def soak(seconds: float, server: Postgres, record: Path | None = None) -> tuple[Line, dict[str, int]]:
    """Plays the load for so long and returns the line behind the warm-up; raises when a promise is broken."""
    server.sql(
        "CREATE TABLE soak_customer (id int PRIMARY KEY, name text);"
        "CREATE TABLE soak_order (id int PRIMARY KEY, customer_id int REFERENCES soak_customer);"
        "INSERT INTO soak_customer SELECT n, 'customer ' || n FROM generate_series(1, 500) n;"
        "INSERT INTO soak_order SELECT n, n FROM generate_series(1, 500) n"
    )
    warm_up_s = max(60.0, seconds / 2)
    samples: list[tuple[float, float]] = []
    recorded = record.open("w", buffering=1) if record else None
    # A login that stays half is given up sooner than by default, so that as many end as begin.
    with Pgprism(
        server.address.endpoint, limits=LIMITS, units={"statements_max": 100}, timeouts={"login": "10s"}
    ) as proxy:
        proxy.expect.decode_errors = True  # half a message is no message
        proxy.expect.dropped_events = True
        with RawClient(proxy.endpoint) as first:
            first.ask("SELECT 1")
        proxy.wait_no_sessions()
        descriptors = proxy.process.descriptor_count()
        with Load(proxy) as load:
            begun = time.monotonic()
            pause = threading.Event()
            while (at := time.monotonic() - begun) < seconds and not load.failures:
                private = proxy.process.anonymous_bytes()
                if at >= warm_up_s:
                    samples.append((at, float(private)))
                if recorded:
                    recorded.write(f"{at:.1f} {private} {proxy.process.descriptor_count()}\n")
                pause.wait(0.5)
            scrape = proxy.metrics()
        assert not load.failures, load.failures
        assert scrape.total("pgprism_findings") > 0, "no finding was made"
        line = fit(samples)
        proxy.wait_no_sessions(deadline_s=60)
        wait_until(
            lambda: proxy.process.descriptor_count() <= descriptors,
            f"descriptors are back at {descriptors}",
            deadline_s=30,
        )
    return line, load.rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("SOAK_MINUTES") or 10))
    parser.add_argument("--record", type=Path, help="write every sample there: seconds, private bytes, descriptors")
    given = parser.parse_args()
    os.environ.setdefault("PGPRISM_BIN", str(tools.PROJECT / "target" / "release" / "pgprism"))
    raise_descriptor_limit()
    random.seed(1)
    with Postgres(18) as server:
        line, rounds = soak(given.minutes * 60, server, given.record)
    print(", ".join(f"{count} {kind}" for kind, count in sorted(rounds.items())))
    print(f"private memory after the warm-up: {line}; limit {SLOPE_MAX_MB} MB an hour")
    if line.mb_an_hour - 2 * line.error_mb > SLOPE_MAX_MB:
        sys.exit("memory grows")
    if line.mb_an_hour + 2 * line.error_mb > SLOPE_MAX_MB:
        print("(too short to be sure: the uncertainty reaches beyond the limit)")


if __name__ == "__main__":
    main()

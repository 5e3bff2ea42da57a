"""Who is compared: each stands between the load and the same upstream, started anew for each cell."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import tools
from support.postgres import PASSWORD, Address
from support.processes import Child, free_port, run, scratch_folder
from support.proxy import Pgprism
from support.rivals import Rival, UnixSocket, Upstream, haproxy, pgbouncer

from . import PROJECT

SCRAPE_EVERY_S = 5.0
FLOOR = PROJECT / "bench" / "floor" / "target" / "release" / "pgprism-floor"
# What is more than was asked of a pgprism: pgbench's questions about its tables, for each of its clients at most.
COUNT_SLACK = 0.001
COUNT_SLACK_QUERIES = 200


class NoMeasurement(Exception):
    """A proxy that did not do its work: its figures would be wonderful and worthless."""


@dataclass
class Contender:
    """Something between a load and PostgreSQL, or nothing."""

    name: str
    address: Address
    process: Child | None = None
    proxy: Pgprism | None = None
    config: str = ""
    # Until the next scrape, in time that is measured.
    _scrape_in_s: float = 1.0
    _counted: float = field(default=0.0)

    @property
    def observes(self) -> bool:
        return self.proxy is not None and self.name != UNOBSERVED

    @contextlib.contextmanager
    def scraped(self) -> Iterator[None]:
        """Asks a pgprism for its metrics every five seconds of the time that is measured, as Prometheus would."""
        if self.proxy is None:
            yield
            return
        over = threading.Event()
        failures: list[Exception] = []

        def scrape(proxy: Pgprism) -> None:
            while True:
                began = time.monotonic()
                if over.wait(self._scrape_in_s):
                    self._scrape_in_s -= min(self._scrape_in_s, time.monotonic() - began)
                    return
                self._scrape_in_s = SCRAPE_EVERY_S
                try:
                    proxy.get("/metrics")
                except OSError as failure:
                    failures.append(failure)

        thread = threading.Thread(target=scrape, args=(self.proxy,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if failures:
            raise NoMeasurement(f"{self.name} did not answer a scrape: {failures[0]}")

    def check_counted(self, queries: int) -> None:
        """Whether a pgprism counted what it was asked since the last call; others are not asked."""
        if self.proxy is None:
            return
        total = self.proxy.quiet(deadline_s=60).total("pgprism_queries_total")
        counted, self._counted = total - self._counted, total
        least = queries if self.observes else 0
        most = least * (1 + COUNT_SLACK) + COUNT_SLACK_QUERIES if self.observes else 0
        if not least <= counted <= most:
            raise NoMeasurement(f"{self.name} counted {counted:.0f} of {queries} queries: this is no measurement")

    def dropped(self) -> dict[str, int]:
        """Events that a pgprism's detectors never saw, by reason."""
        if self.proxy is None:
            return {}
        found = self.proxy.metrics().series("pgprism_events_dropped_total")
        return {one.label("reason"): int(one.value) for one in found if one.value}


def _with_rival(name: str, upstream: Upstream, address: Address, stack: contextlib.ExitStack) -> Contender:
    if name == "haproxy":
        rival = haproxy(upstream)
    elif name == "pgbouncer":
        needs_password = address.user == "app"
        rival = pgbouncer(upstream, passwords={"app": PASSWORD} if needs_password else None)
    else:
        rival = _floor(upstream)
    stack.callback(rival.stop)
    rival.start()
    return Contender(name, address.at(rival.endpoint), rival.process, config=_config(rival.folder))


def _floor(upstream: Upstream) -> Rival:
    """tokio's `copy_bidirectional`, and nothing else."""
    assert not isinstance(upstream, UnixSocket), "the floor knows TCP alone"
    program = Path(os.environ.get("PGPRISM_TOOL_FLOOR", FLOOR))
    if not program.is_file():
        raise tools.Missing(f"{program} does not exist: scripts/bench builds it")
    port = free_port()
    argv: list[str | Path] = [program, f"127.0.0.1:{port}", f"{upstream[0]}:{upstream[1]}"]
    return Rival("floor", "0.1.0", ("127.0.0.1", port), argv, scratch_folder("floor"), signal.SIGTERM)


def _with_pgprism(name: str, upstream: Upstream, address: Address, stack: contextlib.ExitStack) -> Contender:
    more: dict[str, Any] = {}
    if name == WITHOUT_FLOW:
        more["units"] = {"value_flow": False}
    elif name == UNOBSERVED:
        more["listener"] = {"observe": False}
    where = (
        f"postgres:///?host={upstream.folder}&port={upstream.port}" if isinstance(upstream, UnixSocket) else upstream
    )
    proxy = Pgprism(where, slow_log={"threshold": "100ms"}, **more)
    stack.callback(proxy.abandon)
    return Contender(name, address.at(proxy.endpoint), proxy.process, proxy, _config(proxy.folder))


@functools.cache
def pgprism_version() -> str:
    """What it says of itself, and which build it is."""
    said = run([tools.pgprism(), "--version"]).stdout.split()[1]
    return f"{said} ({hashlib.sha256(tools.pgprism().read_bytes()).hexdigest()[:12]})"


def _config(folder: Path) -> str:
    """Its configuration as it was, without the place where it lay."""
    files = [one for one in sorted(folder.iterdir()) if one.suffix in (".cfg", ".ini", ".toml")]
    return "".join(one.read_text() for one in files).replace(str(folder), "FOLDER").strip()


DIRECT, PGPRISM, WITHOUT_FLOW, UNOBSERVED = "direct", "pgprism", "pgprism-no-flow", "pgprism-unobserved"
_Make = Callable[[str, Upstream, Address, contextlib.ExitStack], Contender]
_MAKERS: dict[str, _Make] = {
    "haproxy": _with_rival,
    "pgbouncer": _with_rival,
    "floor": _with_rival,
    PGPRISM: _with_pgprism,
    WITHOUT_FLOW: _with_pgprism,
    UNOBSERVED: _with_pgprism,
}
# Name and what it stands for, in the order of the tables.
CONTENDERS = {
    DIRECT: "the load speaks to PostgreSQL itself",
    "haproxy": "HAProxy, mode tcp, nbthread 2, no splicing",
    "pgbouncer": "PgBouncer, pool_mode=session, one process",
    "floor": "tokio's copy_bidirectional: multi-thread runtime, buffers of 8 KiB, and nothing else",
    PGPRISM: "everything on: decoding, fingerprints, histograms, value flow, detectors, slow log armed at 100 ms, "
    "/metrics scraped every 5 s",
    WITHOUT_FLOW: "the same with units.value_flow = false",
    UNOBSERVED: "the same with observe = false: relays and looks at nothing",
}
PROXIES = tuple(_MAKERS)
PGPRISMS = (PGPRISM, WITHOUT_FLOW, UNOBSERVED)


@contextlib.contextmanager
def started(names: Sequence[str], upstream: Upstream, address: Address) -> Iterator[list[Contender]]:
    """These contenders in front of `upstream`; clients log in as `address` says."""
    with contextlib.ExitStack() as stack:
        found = []
        for name in names:
            one = Contender(name, address) if name == DIRECT else _MAKERS[name](name, upstream, address, stack)
            found.append(one)
        yield found

"""What connections cost that do nothing: memory of the proxy before and after they came."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

from support.certificates import Certificates
from support.greeter import Greeter
from support.postgres import Address, Postgres
from support.proxy import Pgprism
from support.waiting import wait_until
from support.wire import RawClient

from .contenders import DIRECT, PGPRISM, Contender, started
from .measure import memory
from .results import CellResult, Run
from .stage import Stage

# What is allocated once for all is there after so many; they are not in the figures of each.
WARM = 50
# A backend of PostgreSQL has so much of its own, and more is no use here.
BACKEND_BYTES = 5 << 20
# A figure of memory does not vary as one of time does.
ROUNDS_MAX = 3


class Crowd:
    """Connections that have asked something once and are open."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None = None) -> None:
        self._address = address
        self._tls = tls
        self._clients: list[RawClient] = []

    def __len__(self) -> int:
        return len(self._clients)

    def grow(self, count: int, distinct: bool = False) -> None:
        """To `count`; with `distinct` each asks a question of a shape of its own."""
        while len(self._clients) < count:
            one = RawClient(
                self._address.endpoint, user=self._address.user, database=self._address.database, tls=self._tls
            )
            self._clients.append(one)
            one.ask(f"SELECT 1 AS c{len(self._clients)}" if distinct else "SELECT 1")

    def resize(self, count: int) -> None:
        """To `count`; those that are too many leave."""
        while len(self._clients) > count:
            self._clients.pop().close()
        self.grow(count)

    def close(self) -> None:
        for one in self._clients:
            with contextlib.suppress(OSError):
                one.close()
        self._clients.clear()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def available_bytes() -> int:
    """Memory that could be had without swapping."""
    text = Path("/proc/meminfo").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("MemAvailable")).split()[1]) * 1024


@contextlib.contextmanager
def _upstream(result: CellResult, count: int, real: bool) -> Iterator[tuple[Address, Postgres | None]]:
    """A server for so many connections: a real one, where that is wished and its backends fit into memory."""
    if real and available_bytes() > 2 * count * BACKEND_BYTES:
        with Postgres(18, max_connections=str(count + 3 * WARM), shared_buffers="64MB") as server:
            yield server.address.as_user("raw"), server
        return
    said = "a fake server that completes logins and answers with one row"
    result.remarks.append(f"upstream is {said}" + (": real backends do not fit into memory here" if real else ""))
    with Greeter() as greeter:
        yield Address(*greeter.endpoint, user="raw"), None


def play(stage: Stage, result: CellResult, count: int, *, real: bool, distinct: bool = False) -> None:
    """Each contender in turn with so many connections."""
    result.rounds = min(result.rounds, ROUNDS_MAX)
    names = [one for one in stage.contenders if one != DIRECT]
    with _upstream(result, count, real) as (address, server):
        for number in range(1, result.rounds + 1):
            for name in stage.shuffled(names):
                stage.progress.now(f"{result.name}: round {number} of {result.rounds}, {name}")
                result.runs.append(Run(name, number, _turn(name, address, count, distinct)))
                if server is not None:
                    wait_until(lambda: server.backend_count() < WARM, "the backends end", deadline_s=60)


def in_tls(stage: Stage, result: CellResult, count: int) -> None:
    """A pgprism alone, with so many connections whose clients speak TLS; to the upstream they go in plaintext."""
    result.rounds = min(result.rounds, ROUNDS_MAX)
    certificates = Certificates()
    tls = ssl.create_default_context(cafile=str(certificates.authority.certificate))
    with _upstream(result, count, real=False) as (address, _):
        for number in range(1, result.rounds + 1):
            stage.progress.now(f"{result.name}: round {number} of {result.rounds}")
            with contextlib.ExitStack() as stack:
                proxy = Pgprism(
                    address.endpoint, slow_log={"threshold": "100ms"}, listener=certificates.proxy.listener()
                )
                stack.callback(proxy.abandon)
                one = Contender(PGPRISM, address.at(proxy.endpoint), proxy.process, proxy)
                result.runs.append(Run(PGPRISM, number, _grown(one, count, distinct=False, tls=tls)))


def _turn(name: str, address: Address, count: int, distinct: bool) -> dict[str, float]:
    with started([name], address.endpoint, address) as (one,):
        return _grown(one, count, distinct)


def _grown(one: Contender, count: int, distinct: bool, tls: ssl.SSLContext | None = None) -> dict[str, float]:
    assert one.process is not None
    with Crowd(one.address, tls) as crowd:
        crowd.grow(WARM, distinct)
        before = memory(one.process.pid)
        crowd.grow(count, distinct)
        one.check_counted(len(crowd))
        after = memory(one.process.pid)
    more = count - WARM
    return {
        "rss_each": (after.rss - before.rss) / more,
        "pss_each": (after.pss - before.pss) / more,
        "anonymous_each": (after.anonymous - before.anonymous) / more,
        "rss": after.rss,
        "pss": after.pss,
    }

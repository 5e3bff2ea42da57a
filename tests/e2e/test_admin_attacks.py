"""The admin address under attack while clients run queries: traffic is unharmed, and nothing hostile comes out raw."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import psycopg
import pytest

from support.processes import run, scratch_folder
from support.tools import program
from support.waiting import wait_until

CROWD = 500
GROWTH_MAX = 32_000_000

# Everything that ends a line, a string, a tag or a terminal's peace somewhere.
HOSTILE = "a\"b'c\\d\ne\rf\tg<script>alert(1)</script>&amp;{}%s\x1b[31m\u2028\u202e$1é</style>"


class Load:
    """Clients that add up numbers until told to stop; every wrong or failed answer is kept."""

    def __init__(self, conninfo: str, clients: int = 4) -> None:
        self._conninfo = conninfo
        self._stop = threading.Event()
        self.failures: list[object] = []
        self.times: list[float] = []
        self._threads = [threading.Thread(target=self._run, args=(one,)) for one in range(clients)]

    def _run(self, client: int) -> None:
        try:
            with psycopg.connect(self._conninfo, autocommit=True) as connection:
                number = 0
                while not self._stop.is_set():
                    number += 1
                    began = time.monotonic()
                    row = connection.execute("SELECT %s::int8 * 1000 + %s::int8", (client, number)).fetchone()
                    self.times.append(time.monotonic() - began)
                    if row != (client * 1000 + number,):
                        self.failures.append(row)
        except Exception as failure:
            self.failures.append(failure)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def more(self, count: int) -> list[float]:
        """The times of that many further queries."""
        before = len(self.times)
        wait_until(
            lambda: self.failures or len(self.times) >= before + count, f"{count} more queries", deadline_s=60
        )
        return self.times[before:]


def _connect(address: tuple[str, int], receive_bytes: int | None = None) -> socket.socket:
    one = socket.socket()
    if receive_bytes:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    one.settimeout(10)
    one.connect(address)
    return one


@contextlib.contextmanager
def _crowd(address: tuple[str, int]) -> Iterator[list[socket.socket]]:
    """Connections that never finish: silent, dribbling headers, dribbling bodies, never reading."""
    asks = [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST /api/v1/reset HTTP/1.1\r\nHost: localhost\r\nX-Pgprism: 1\r\nContent-Length: 60000\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50,
        b"GET /api/v1/queries?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50,
    ]
    with contextlib.ExitStack() as stack:
        crowd = []
        for number in range(CROWD):
            one = stack.enter_context(_connect(address, receive_bytes=4096))
            with contextlib.suppress(OSError):
                one.sendall(asks[number % len(asks)])
            crowd.append(one)
        yield crowd


def _dribble(crowd: list[socket.socket]) -> None:
    for one in crowd:
        with contextlib.suppress(OSError):
            one.send(b"x", socket.MSG_DONTWAIT)


@pytest.mark.smoke
def test_a_crowd_on_the_admin_address_harms_no_session(pgprism, database):
    conninfo = database.at(pgprism.endpoint).conninfo()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        # Pages that do not fit into a socket's buffers.
        for number in range(400):
            connection.execute(f"SELECT 1 AS column_{number}_{'x' * 200}".encode())
    pgprism.quiet()
    assert len(pgprism.get("/metrics")) > 500_000
    resident = pgprism.process.anonymous_bytes()
    with Load(conninfo) as load:
        quiet = sorted(load.more(2000))
        with _crowd(pgprism.admin) as crowd:
            waits = []
            for _ in range(20):
                _dribble(crowd)
                began = time.monotonic()
                assert pgprism.status_of("/healthz") == 200
                waits.append(time.monotonic() - began)
            attacked = sorted(load.more(2000))
            growth = pgprism.process.anonymous_bytes() - resident
        assert pgprism.status_of("/readyz") == 200
        load.more(200)
    assert not load.failures, load.failures[:3]
    assert max(waits) < 5, f"/healthz took {max(waits):.3f} s"
    assert growth < GROWTH_MAX, f"{growth} bytes more"
    wait_until(lambda: pgprism.status_of("/metrics") == 200, "a scraper gets its page again", deadline_s=60)
    assert pgprism.metrics().total("pgprism_admin_refused_total", reason="connections") > 0
    print(
        f"p99 {quiet[len(quiet) * 99 // 100] * 1e6:.0f} us alone, "
        f"{attacked[len(attacked) * 99 // 100] * 1e6:.0f} us under attack; "
        f"/healthz at worst {max(waits) * 1e3:.0f} ms; memory +{growth / 1e6:.1f} MB"
    )


def test_hostile_names_come_out_escaped_wherever_they_are_shown(pgprism, postgres):
    role, own = _name("r"), _name("d")
    postgres.sql(f"CREATE ROLE {_quoted(role)} LOGIN PASSWORD 'secret'")
    postgres.sql(f"CREATE DATABASE {_quoted(own)}")
    host, port = pgprism.endpoint
    try:
        with psycopg.connect(
            host=host,
            port=port,
            user=role,
            password="secret",
            dbname=own,
            application_name=HOSTILE,
            autocommit=True,
        ) as connection:
            tags = "route='%3Cimg%20src%3Dx%20onerror%3D1%3E%0A%22',controller='%22%5C%0D%0A'"
            connection.execute(f"SELECT 1 AS {_quoted(HOSTILE[:20])} /*{tags}*/".encode())
            with pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute(f"SELECT broken FROM {_quoted(_name('t'))}".encode())
            # A unit that goes on is shown when it is a second old.
            wait_until(lambda: pgprism.items("units"), "the unit of work is shown")
            shown = [pgprism.get(f"/api/v1/{path}").decode() for path in ("queries", "connections", "units")]
            page = pgprism.metrics().text
        queries, connections, units = (json.loads(text)["items"] for text in shown)
        assert [item["user"] for item in connections] == [role]
        assert [item["database"] for item in connections] == [own]
        assert any(own in item["databases"] for item in queries)
        assert units
        for text in shown:
            assert not [letter for letter in text if ord(letter) < 0x20], "a control character came out raw"
        assert "<script>" in page, "the name of the database is a label"
        for line in page.rstrip("\n").split("\n"):
            assert line.startswith(("pgprism_", "# HELP pgprism_", "# TYPE pgprism_")), line
        check = run([program("promtool"), "check", "metrics"], input=page, check=False)
        assert check.returncode == 0, check.stdout + check.stderr
    finally:
        postgres.sql(f"DROP DATABASE IF EXISTS {_quoted(own)} WITH (FORCE)")
        postgres.sql(f"DROP ROLE IF EXISTS {_quoted(role)}")


def test_a_new_token_counts_from_the_reload_on_and_an_unusable_one_never(start_pgprism, postgres):
    first, second = "first-token-of-this-test", "second-token-of-this-test"
    file = scratch_folder("token") / "token"
    file.write_text(first + "\n")
    file.chmod(0o644)
    proxy = start_pgprism(
        postgres.address.endpoint, admin={"listen": "127.0.0.1:0", "token_file": str(file)}
    )
    assert "every user of this machine can read" in proxy.log_text()
    assert _status(proxy.admin, first) == 200
    assert _status(proxy.admin, second) == 401
    file.chmod(0o600)
    file.write_text(second + "\n")
    proxy.reload()
    wait_until(lambda: _status(proxy.admin, second) == 200, "the new token counts")
    assert _status(proxy.admin, first) == 401
    for number, unusable in enumerate(("", "\n", "two words"), start=1):
        file.write_text(unusable)
        proxy.reload()
        proxy.wait_logged("is empty or not one line", count=number)
        assert _status(proxy.admin, second) == 200
        assert _status(proxy.admin, "") == 401
    log = proxy.log_text()
    assert first not in log and second not in log
    # The checks at the end read metrics without a token.
    proxy.terminate()
    assert proxy.process.wait(10) == 0


def _status(address: tuple[str, int], token: str) -> int:
    url = f"http://{address[0]}:{address[1]}/api/v1/summary"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def _name(first: str) -> str:
    """A hostile name as long as PostgreSQL takes."""
    return (first + HOSTILE).encode()[:60].decode(errors="ignore")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

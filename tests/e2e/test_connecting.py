"""How connections come in and go out: listeners, upstreams, Unix sockets, the admin address."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import urllib.parse

import psycopg
import pytest

from support import workloads
from support.processes import scratch_folder
from support.proxy import Listener, Pgprism
from support.waiting import wait_until
from support.wire import FakeServer, RawClient, startup


@pytest.mark.smoke
def test_an_upstream_on_a_unix_socket(start_pgprism, postgres, database):
    folder = urllib.parse.quote(str(postgres.socket_folder), safe="")
    proxy = start_pgprism(f"postgres:///?host={folder}&port={postgres.port}")
    workloads.psycopg3_server_binding(database.at(proxy.endpoint))
    workloads.cancel(database.at(proxy.endpoint))
    (listener,) = proxy.api("summary")["listeners"]
    assert listener["name"] == "default"


@pytest.mark.smoke
def test_two_listeners_for_two_databases_aliases(start_pgprism, servers):
    new, old = servers(18), servers(14)
    proxy = start_pgprism([Listener(new.address.endpoint, "default"), Listener(old.address.endpoint, "replica")])
    for listener, major in (("default", 18), ("replica", 14)):
        address = new.address.at(proxy.endpoint_of(listener))
        with psycopg.connect(address.conninfo(), autocommit=True) as connection:
            assert connection.info.server_version // 10000 == major
            (session,) = wait_until(
                lambda: [c for c in proxy.connections() if c["state"] != "starting"], "the login is noted"
            )
            assert session["listener"] == listener
            assert session["database"] == "postgres" and session["user"] == "app"
            assert session["backend_pid"] == connection.info.backend_pid
            assert session["observed"] is True
    scrape = proxy.quiet()
    for listener in ("default", "replica"):
        assert scrape.total("pgprism_connections_total", listener=listener) == 1
        assert scrape.total("pgprism_upstream_up", listener=listener) == 1


def test_a_name_with_several_addresses_is_tried_through(start_pgprism, postgres, database):
    """`localhost` may be ::1 first, where this server does not listen."""
    proxy = start_pgprism(f"postgres://localhost:{postgres.port}")
    with psycopg.connect(database.at(proxy.endpoint).conninfo()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_accepts_and_says_nothing_runs_into_the_login_time_limit(start_pgprism):
    quiet = threading.Event()

    def script(one: socket.socket, _: bytes) -> None:
        quiet.wait(30)

    with FakeServer(script) as server:
        proxy = start_pgprism(server.endpoint, timeouts={"login": "500ms"})
        with RawClient(proxy.endpoint, log_in=False) as client:
            client.send(startup("raw", "postgres"))
            client.rest()  # it ends, with or without words, long before the server does
        quiet.set()


def test_a_client_that_connects_and_says_nothing_is_let_go(start_pgprism, postgres):
    proxy = start_pgprism(postgres.address.endpoint, timeouts={"login": "500ms"})
    with socket.create_connection(proxy.endpoint, timeout=10) as one:
        assert one.recv(1) == b""
    proxy.wait_no_sessions()
    assert proxy.metrics().total("pgprism_connection_errors_total") == 1


@pytest.mark.smoke
def test_an_upstream_that_moves_is_found_by_the_next_connection(start_pgprism, servers):
    """By SIGHUP: sessions stay where they are, new ones go to the new place."""
    old, new = servers(14), servers(18)
    proxy = start_pgprism(old.address.endpoint)
    address = old.address.at(proxy.endpoint)
    with psycopg.connect(address.conninfo(), autocommit=True) as before:
        proxy.listeners[0].upstream = new.address.endpoint
        proxy.write_config()
        proxy.reload()

        def moved() -> bool:
            with psycopg.connect(address.conninfo()) as connection:
                return connection.info.server_version // 10000 == 18

        wait_until(moved, "new connections go to the new server")
        assert before.execute("SHOW server_version_num").fetchone()[0].startswith("14")


def _ask(proxy: Pgprism, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*proxy.admin, timeout=10)
    try:
        connection.request(method, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.smoke
def test_the_admin_address_answers_to_its_own_name_only(start_pgprism, postgres):
    proxy = start_pgprism(postgres.address.endpoint, admin={"listen": "127.0.0.1:0", "hosts": ["pgprism:9433"]})
    assert _ask(proxy, "/healthz")[0] == 200
    wait_until(lambda: _ask(proxy, "/readyz")[0] == 200, "the upstream was tried", deadline_s=10)
    assert _ask(proxy, "/metrics", Host=f"localhost:{proxy.admin[1]}")[0] == 200
    assert _ask(proxy, "/metrics", Host="pgprism:9433")[0] == 200
    for host in ("evil.example", "evil.example:9433", f"127.0.0.1.evil.example:{proxy.admin[1]}"):
        status, _ = _ask(proxy, "/api/v1/summary", Host=host)
        assert status in (403, 421), (host, status)
    assert _ask(proxy, "/api/v1/reset", "POST")[0] in (400, 403)
    assert _ask(proxy, "/api/v1/reset", "GET")[0] in (404, 405)
    assert _ask(proxy, "/api/v1/reset", "POST", X_Pgprism="1")[0] in (200, 204)
    assert _ask(proxy, "/no/such/page")[0] == 404


def test_an_open_admin_address_asks_for_the_token(start_pgprism, postgres):
    token = scratch_folder("token") / "token"
    token.write_text("open-sesame\n")
    token.chmod(0o600)
    served = start_pgprism(
        postgres.address.endpoint, admin={"listen": "127.0.0.1:0", "token_file": str(token)}
    )
    assert served.status_of("/healthz") == 200
    assert _ask(served, "/metrics")[0] == 401
    assert _ask(served, "/metrics", Authorization="Bearer wrong")[0] == 401
    assert _ask(served, "/metrics", Authorization="Bearer open-sesame")[0] == 200
    # The checks at the end read metrics without a token.
    served.terminate()
    assert served.process.wait(10) == 0


@pytest.mark.smoke
def test_slow_scrapers_do_not_pile_up(pgprism, database):
    """Half a request each, never finished: traffic and a proper scrape go on."""
    half = []
    for _ in range(60):
        one = socket.create_connection(pgprism.admin, timeout=10)
        one.sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
        half.append(one)
    with psycopg.connect(database.at(pgprism.endpoint).conninfo()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert pgprism.status_of("/healthz") == 200
    for one in half:
        one.close()


@pytest.mark.smoke
def test_the_stream_tells_of_queries_as_they_end(pgprism, database):
    with socket.create_connection(pgprism.admin, timeout=10) as one:
        host = f"{pgprism.admin[0]}:{pgprism.admin[1]}"
        one.sendall(f"GET /api/v1/stream?events=query,summary HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        text = one.recv(65536).decode()
        assert "200" in text.splitlines()[0] and "text/event-stream" in text.lower()
        with psycopg.connect(database.at(pgprism.endpoint).conninfo(), autocommit=True) as connection:
            connection.execute("SELECT 1 AS streamed")
            events = ""
            while "streamed" not in events:
                events += one.recv(65536).decode()
    data = next(line for line in events.splitlines() if line.startswith("data:") and "streamed" in line)
    assert json.loads(data.removeprefix("data:"))["fingerprint"]

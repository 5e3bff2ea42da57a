"""`pgprism run`: the commands that Django teams type, each as it is without the proxy, but for what is seen."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import tools
from support.postgres import PASSWORD, Address, Postgres
from support.processes import free_port, run, scratch_folder
from support.proxy import Pgprism
from support.relay import assert_same_bytes
from support.runs import DEMO, MANAGE, RunServer, environment, run_under, url
from support.waiting import wait_until

PYTHON = sys.executable
# Asks once, by libpq's own variables or by DATABASE_URL as Django's readers take it apart.
ASK = """
import os, psycopg
with psycopg.connect(os.environ.get("DATABASE_URL", "")) as connection:
    print(connection.execute("SELECT current_database(), current_user").fetchone())
    print(connection.info.host, file=__import__("sys").stderr)
"""


@pytest.fixture(scope="module")
def shop(postgres: Postgres) -> Iterator[Address]:
    """The demo's database, with a few books in it."""
    address = postgres.create_database("run_shop")
    for arguments in (["migrate", "--verbosity", "0"], ["seed", "--books", "60"]):
        run([*MANAGE, *arguments], env=environment(address), cwd=DEMO, deadline_s=120)
    yield address
    postgres.sql('DROP DATABASE "run_shop" WITH (FORCE)')


def _without_times(text: str) -> str:
    return re.sub(r"in [\d.]+s", "in TIME", text)


def _kinds(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["kind"], one["confidence"]) for one in report["findings"]}


@pytest.mark.smoke
def test_the_demos_tests_are_the_same_and_their_loops_are_found(postgres: Postgres, shop: Address) -> None:
    env = environment(shop)
    command = [*MANAGE, "test", "--noinput"]
    bare = run(command, env=env, cwd=DEMO)
    began = time.monotonic()
    ran = run_under(command, env, cwd=DEMO)
    took = time.monotonic() - began
    assert ran.status == 0
    assert ran.stdout == bare.stdout
    assert _without_times(bare.stderr).split("Ran ")[1].splitlines()[0] in _without_times(ran.stderr)
    assert ("n_plus_one_forward", "proved") in _kinds(ran.report), _kinds(ran.report)
    assert ran.queries > 50
    assert ran.report["summary"]["connections"] == 0
    assert took < 30
    # With the tables gone they fail, and that is passed on too.
    broken = run_under([*MANAGE, "test", "no.such.tests"], env, cwd=DEMO, check=False)
    assert broken.status == run([*MANAGE, "test", "no.such.tests"], env=env, cwd=DEMO, check=False).returncode != 0
    assert "PASSWORD" not in ran.stderr and PASSWORD not in ran.stderr


def _fetch(address: str) -> int:
    with urllib.request.urlopen(address, timeout=10) as answer:
        answer.read()
        return answer.status


def _serve(command: list[str | Path], env: dict[str, str], port: int, *options: str) -> RunServer:
    server = RunServer(command, env, *options, cwd=DEMO)
    try:
        wait_until(
            lambda: _fetch(f"http://127.0.0.1:{port}/") == 200, "the shop answers", deadline_s=30,
            refused=(OSError,),
        )
    except BaseException:
        print(server.text())
        server.process.kill()
        raise
    return server


def _proved(admin: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{admin}api/v1/findings", timeout=10) as answer:
        return [one for one in json.load(answer)["items"] if one["confidence"] == "proved"]


@pytest.mark.parametrize("kind", ["runserver", "gunicorn"])
def test_a_development_server(shop: Address, kind: str) -> None:
    port = free_port()
    command = {
        # With its autoreloader: the process that serves is a child of the command.
        "runserver": [*MANAGE, "runserver", f"127.0.0.1:{port}"],
        "gunicorn": [PYTHON, "-m", "gunicorn", "shop.wsgi", "--bind", f"127.0.0.1:{port}", "--workers", "2"],
    }[kind]
    server = _serve(command, environment(shop, DEBUG="1", PYTHONUNBUFFERED="1"), port)
    try:
        for _ in range(3):
            assert _fetch(f"http://127.0.0.1:{port}/bad/books/") == 200
        wait_until(lambda: _proved(server.admin), "the loop is proved", deadline_s=15)
        assert _fetch(server.admin + "api/v1/summary") == 200
    finally:
        # As Ctrl-C would reach it: the whole group would get that; here pgprism passes it on.
        server.process.send(signal.SIGINT)
        status = server.process.wait(30)
    assert status == 0, server.text()
    report = json.loads(server.report.read_text())
    assert report["findings"] and report["summary"]["dropped"] == 0
    assert "WHERE THE TIME WENT" in server.text()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=2)


@pytest.mark.smoke
def test_what_leads_to_postgres_is_led_through(postgres: Postgres) -> None:
    """Each way in which an environment can say where the server is, a password file and a service included."""
    address = postgres.address
    home = scratch_folder("libpq")
    passfile, services = home / "passes", home / "services.conf"
    passfile.write_text(f"127.0.0.1:{address.port}:*:app:{PASSWORD}\n")
    passfile.chmod(0o600)
    services.write_text(
        f"[shop]\nhost=127.0.0.1\nport={address.port}\nuser=app\npassword={PASSWORD}\ndbname=postgres\n"
    )
    folder = quote_folder(postgres.socket_folder)
    with_pass = {"PGPASSFILE": str(passfile)}
    ways: dict[str, dict[str, str]] = {
        "url": {"DATABASE_URL": url(address)},
        "url with TLS refused": {"DATABASE_URL": url(address, sslmode="disable", channel_binding="prefer")},
        "url and pgpass": {"DATABASE_URL": f"postgresql://app@127.0.0.1:{address.port}/postgres"} | with_pass,
        "variables": {"PGHOST": "127.0.0.1", "PGPORT": str(address.port), "PGUSER": "app", "PGPASSWORD": PASSWORD,
                      "PGDATABASE": "postgres"},
        "variables and pgpass": {"PGHOSTADDR": "127.0.0.1", "PGPORT": str(address.port), "PGUSER": "app",
                                 "PGDATABASE": "postgres"} | with_pass,
        "service": {"PGSERVICE": "shop", "PGSERVICEFILE": str(services)},
        "service in the url": {"DATABASE_URL": "postgres:///?service=shop", "PGSERVICEFILE": str(services)},
        "socket in the url": {"DATABASE_URL": f"postgres://app@{folder}:{address.port}/postgres"},
        "socket as a parameter": {
            "DATABASE_URL": f"postgres://app@/postgres?host={postgres.socket_folder}&port={address.port}"
        },
        "socket in the variables": {"PGHOST": str(postgres.socket_folder), "PGPORT": str(address.port),
                                    "PGUSER": "app", "PGDATABASE": "postgres"},
    }
    for name, variables in ways.items():
        ran = run_under([PYTHON, "-c", ASK], environment(**variables), check=False)
        assert (ran.status, ran.stdout) == (0, "('postgres', 'app')\n"), f"{name}: {ran.stderr}"
        assert ran.queries >= 1, f"{name}: {ran.stderr}"
        assert "\n127.0.0.1\n" in ran.stderr, f"{name}: {ran.stderr}"
        assert PASSWORD not in ran.stderr.replace("%20", " "), name


def quote_folder(folder: Path) -> str:
    return str(folder).replace("/", "%2F")


def test_tls_towards_the_server_is_pgprisms(tls_servers, certificates) -> None:
    server = tls_servers(18)
    address = server.address
    root = str(certificates.authority.certificate)
    variables = {"DATABASE_URL": url(address, sslmode="verify-ca", sslrootcert=root, channel_binding="require")}
    ask = ASK.replace("current_user", "(SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())")
    ran = run_under([PYTHON, "-c", ask], environment(**variables))
    assert ran.stdout == "('postgres', True)\n", ran.stderr
    assert "sslmode=verify-ca from there on" in ran.stderr


def test_two_databases_have_a_listener_each(servers, postgres: Postgres) -> None:
    other = servers(17)
    ask = ASK + ASK.replace('"DATABASE_URL"', '"DATABASE_REPLICA_URL"').replace("current_user", "version()")
    env = environment(postgres.address, DATABASE_REPLICA_URL=url(other.address))
    ran = run_under([PYTHON, "-c", ask], env, "--env", "DATABASE_*_URL")
    assert "PostgreSQL 17" in ran.stdout
    listeners = {one["name"]: one for one in ran.report["summary"]["listeners"]}
    assert set(listeners) == {"default", "replica"}
    assert listeners["replica"]["upstream"].endswith(f":{other.port}")
    # Without --env it says that there is another one.
    ran = run_under([PYTHON, "-c", ask], env)
    assert "--env DATABASE_REPLICA_URL profiles it" in ran.stderr
    assert [one["name"] for one in ran.report["summary"]["listeners"]] == ["default"]


def _read_until(terminal: int, words: bytes, deadline_s: float = 20.0) -> bytes:
    """What came over the terminal up to `words`."""
    seen = b""
    end = time.monotonic() + deadline_s
    while words not in seen:
        left = end - time.monotonic()
        assert left > 0, f"{words!r} did not come: {seen.decode(errors='replace')}"
        if select.select([terminal], [], [], left)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                break
    assert words in seen, seen.decode(errors="replace")
    return seen


@pytest.mark.smoke
def test_a_terminals_ctrl_c_reaches_the_command_once() -> None:
    count = (
        "import signal, sys, time\n"
        "def hear(*_):\n"
        "    print('heard', flush=True)\n"
        "signal.signal(signal.SIGINT, hear)\n"
        "signal.signal(signal.SIGQUIT, lambda *_: sys.exit(9))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.05)\n"
    )
    argv = [str(tools.pgprism()), "run", "--", PYTHON, "-c", count]
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.execve(argv[0], argv, environment())
        finally:
            os._exit(99)
    try:
        _read_until(terminal, b"ready")
        seen = b""
        for _ in range(2):
            os.write(terminal, b"\x03")
            seen += _read_until(terminal, b"heard")
        # A second one of the same Ctrl-C would have come before its own end.
        os.write(terminal, b"\x1c")
        seen += _read_until(terminal, b"No query came through")
        assert seen.count(b"heard") == 2, seen
        _, status = os.waitpid(pid, 0)
        pid = 0
        assert os.waitstatus_to_exitcode(status) == 9
    finally:
        os.close(terminal)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


# Round trips one after the other; then a pipeline, a COPY and a cancelled query. Prints the times.
ROUND_TRIPS = """
import json, os, sys, threading, time, psycopg
connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
cursor = connection.cursor()
def timed(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
for _ in range(20):
    cursor.execute("SELECT 1")
single = [timed(lambda: cursor.execute("SELECT 1")) for _ in range(200)]
def pipeline():
    with connection.pipeline():
        for number in range(100):
            cursor.execute("SELECT %s::int", [number])
def big():
    with cursor.copy("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO STDOUT") as copy:
        total = sum(len(block) for block in copy)
    assert total == 100_100_000 - 100_000 + 100_000, total
def cancel():
    threading.Timer(0.2, connection.cancel).start()
    try:
        cursor.execute("SELECT pg_sleep(20)")
    except psycopg.errors.QueryCanceled:
        return
    raise AssertionError("it was not cancelled")
print(json.dumps({
    "single": single, "pipeline": timed(pipeline), "big": min(timed(big) for _ in range(3)), "cancel": timed(cancel),
    "connect": min(timed(lambda: psycopg.connect(os.environ["DATABASE_URL"]).close()) for _ in range(5)),
}))
"""


def _times(address_url: str, latency: str) -> dict[str, Any]:
    ran = run_under(
        [PYTHON, "-c", ROUND_TRIPS], environment(DATABASE_URL=address_url), "--add-latency", latency, deadline_s=120
    )
    assert ran.report["summary"]["added_latency_ms"] == float(latency.removesuffix("ms"))
    return json.loads(ran.stdout)


@pytest.mark.parametrize("road", ["tcp", "unix", "tls"])
def test_added_latency_is_what_was_asked_for(postgres: Postgres, tls_servers, road: str) -> None:
    address = postgres.address
    where = {
        "tcp": lambda: url(address),
        "unix": lambda: f"postgres://app@{quote_folder(postgres.socket_folder)}:{address.port}/postgres",
        "tls": lambda: url(tls_servers(18).address, sslmode="require"),
    }[road]()
    near, far = _times(where, "0ms"), _times(where, "5ms")
    # Of 200 each: a single one that had to wait for a core says nothing of the road.
    middle = {name: statistics.median(times["single"]) * 1000 for name, times in (("near", near), ("far", far))}
    mean = {name: statistics.mean(times["single"]) * 1000 for name, times in (("near", near), ("far", far))}
    added = middle["far"] - middle["near"]
    print(
        f"{road}: SELECT 1 takes {middle['near']:.3f} ms, with 5 ms added {middle['far']:.3f} ms: {added:+.3f} ms; "
        f"in the mean {mean['far'] - mean['near']:+.3f} ms"
    )
    print(f"{road}: 100 MB {near['big']:.3f} s and {far['big']:.3f} s; 100 in a pipeline {far['pipeline']:.4f} s")
    assert abs(added - 5) <= 0.5, f"{added:.3f} ms were added, not 5"
    # Latency is added once for what travels together, and bandwidth is not taken away.
    assert far["pipeline"] < near["pipeline"] + 0.05
    # With one window of 64 KiB under way at a time it would be 8 s.
    assert far["big"] < near["big"] * 2 + 0.5
    assert far["cancel"] < 5
    assert far["connect"] > near["connect"] + 0.010


def test_bytes_are_the_same_with_latency_added(postgres: Postgres, start_relay) -> None:
    """Recorded on both sides of the proxy and of what delays: equal, in order, both ways."""
    inside = start_relay(postgres.address.endpoint)
    with contextlib.ExitStack() as stack:
        proxy = Pgprism(inside.address, add_latency="3ms")
        stack.callback(proxy.abandon)
        outside = start_relay(proxy.endpoint)
        env = environment(DATABASE_URL=url(postgres.address.at(outside.address), sslmode="disable"))
        run([PYTHON, "-c", ROUND_TRIPS], env=env, deadline_s=120)
        assert assert_same_bytes(outside, inside) >= 3
        # A reload changes it for new sessions.
        assert proxy.api("summary")["added_latency_ms"] == 3
        proxy.write_config(add_latency="0s")
        proxy.process.send(signal.SIGHUP)
        wait_until(lambda: proxy.api("summary")["added_latency_ms"] == 0, "the reload is done")
        proxy.stop()


def test_prices_follow_the_latency(shop: Address) -> None:
    """The same page, near and far: what its loop costs grows by the round trips that it takes."""
    fetch = (
        "import django; django.setup()\n"
        "from django.test import Client\n"
        "client = Client(headers={'host': 'localhost'})\n"
        "for _ in range(5): assert client.get('/bad/stock/').status_code == 200\n"
    )
    costs = {}
    for latency in ("0ms", "5ms"):
        env = environment(shop, DJANGO_SETTINGS_MODULE="shop.settings")
        ran = run_under([PYTHON, "-c", fetch], env, "--add-latency", latency, cwd=DEMO)
        (found,) = [one for one in ran.report["findings"] if one["confidence"] == "proved"]
        assert found["queries"] % 5 == 0
        costs[latency] = (found["cost_ms"] / found["queries"], ran.stderr)
    grown = costs["5ms"][0] - costs["0ms"][0]
    assert 4 <= grown <= 7, costs
    assert re.search(r"\b5(\.0)? ms were added to each round trip", costs["5ms"][1]), costs["5ms"][1]

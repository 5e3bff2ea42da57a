"""The proxy is replaced, restarted or killed under load."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import statistics
import time
import urllib.request
from pathlib import Path

import pytest

from support import tools
from support.processes import Child, free_port, scratch_folder
from support.proxy import Pgprism, command
from support.restarts import Activated, Lineage, Load
from support.waiting import wait_until
from support.wire import RawClient, query

ROUNDS = [pytest.param(2, marks=pytest.mark.smoke), 20]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_sigusr2_replaces_it_under_load(start_pgprism, postgres, database, rounds):
    proxy: Pgprism = start_pgprism(postgres.address.endpoint)
    with Lineage(proxy) as lineage:
        load = Load(postgres.sql, database.at(proxy.endpoint), seconds=5 + 4 * rounds)
        for _ in range(rounds):
            lineage.replace()
        assert load.runs, "the load ended before the last round"
        made = load.finish(10 + 5 * rounds)
        print(f"{rounds} replacements, {made} connections and transactions")
        # Everybody served: the counts of the last one are its own, the address is the first one's.
        assert proxy.metrics().total("pgprism_connections_total") > 0
        assert proxy.metrics().total("pgprism_connection_errors_total") == 0


@pytest.mark.parametrize("rounds", ROUNDS)
def test_socket_activation_restarts_under_load(postgres, database, rounds):
    service = Activated(postgres.address.endpoint, scratch_folder("activated"))
    with contextlib.closing(service):
        load = Load(postgres.sql, database.at(service.endpoint), seconds=5 + 4 * rounds)
        for _ in range(rounds):
            before = load.rows()
            service.restart()
            wait_until(lambda: load.rows() > before + 20, "the new process serves")  # noqa: B023
        assert load.runs, "the load ended before the last round"
        made = load.finish(10 + 5 * rounds)
        print(f"{rounds} restarts, {made} connections and transactions")
    assert "error" not in service.log.read_text().lower(), service.log.read_text()


@pytest.mark.smoke
def test_a_replaced_process_ends_its_sessions_gently(start_pgprism, postgres, database):
    proxy = start_pgprism(postgres.address.endpoint, timeouts={"drain_idle_grace": "300ms"})
    with (
        Lineage(proxy) as lineage,
        RawClient(proxy.endpoint, database=database.database) as idle,
        RawClient(proxy.endpoint, database=database.database) as busy,
    ):
        ports = proxy._ports_file.read_text()
        busy.send(query("SELECT pg_sleep(2), 'finished' AS result"))
        os.kill(lineage.pid, signal.SIGUSR2)
        proxy.wait_logged("has taken over")
        # The successor serves while the predecessor still has a query to finish.
        with RawClient(proxy.endpoint, database=database.database) as new:
            assert new.rows("SELECT 'new' AS session") == [[b"new"]]
            assert len(proxy.connections()) == 1, "the admin address is not the successor's"
        assert idle.rest()[-1].sqlstate == "57P01"
        assert any(b"finished" in one.body for one in busy.until_ready() if one.tag == b"D")
        assert busy.rest()[-1].sqlstate == "57P01"
        assert proxy.process.wait(10) == 0
        assert proxy._ports_file.read_text() == ports
        assert proxy.status_of("/readyz") == 200
        lineage.pids.append(int(proxy.log_text().split("process ")[-1].split()[0]))


@pytest.mark.smoke
def test_a_successor_that_cannot_start_changes_nothing(start_pgprism, postgres, database):
    proxy = start_pgprism(postgres.address.endpoint)
    good = proxy.config.read_text()
    with RawClient(proxy.endpoint, database=database.database) as session:
        proxy.config.write_text("this is not toml [")
        proxy.process.send(signal.SIGUSR2)
        proxy.wait_logged("not replaced, this process goes on: process")
        assert "exit status: 64" in proxy.log_text()
        # Once more, with a configuration that is right and a port that is not free.
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            proxy.config.write_text(good.replace('listen = "127.0.0.1:0"', f'listen = "{address}"', 1))
            proxy.process.send(signal.SIGUSR2)
            proxy.wait_logged("not replaced, this process goes on", count=2)
        assert "exit status: 69" in proxy.log_text() and address in proxy.log_text()
        proxy.config.write_text(good)
        assert session.rows("SELECT 'unharmed' AS session") == [[b"unharmed"]]
        with RawClient(proxy.endpoint, database=database.database) as another:
            assert another.rows("SELECT 1") == [[b"1"]]


@pytest.mark.smoke
def test_the_end_comes_while_a_successor_starts(start_pgprism, postgres):
    """SIGTERM right behind SIGUSR2: nobody is left over."""
    proxy = start_pgprism(postgres.address.endpoint)
    proxy.process.send(signal.SIGUSR2)
    proxy.process.send(signal.SIGTERM)
    assert proxy.process.wait(10) == 0
    endpoint = proxy.endpoint

    def refused() -> bool:
        try:
            socket.create_connection(endpoint, timeout=1).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_until(refused, "nobody listens any more")


@pytest.mark.smoke
def test_sockets_that_are_no_sockets_are_one_clear_line(postgres):
    for environment in ({"PGPRISM_HANDOVER": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": ""}):
        refused = command(
            "serve", "--listen", "127.0.0.1:0", "--admin", "off", "--upstream", f"postgres://127.0.0.1:{postgres.port}",
            check=False, **environment,
        )
        assert refused.returncode == 69, refused.stderr
        assert "cannot take over listening sockets: " in refused.stderr


@pytest.mark.smoke
def test_systemds_own_activation(postgres, database):
    """The first connection starts it; it takes the sockets by name, and says when it is ready and when it ends."""
    activate = tools.program("systemd-socket-activate")
    folder = scratch_folder("activate")
    listen, admin = free_port(), free_port()
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(str(folder / "notify"))
    notified.settimeout(10)
    child = Child(
        [
            activate, "-l", f"127.0.0.1:{listen}", "-l", f"127.0.0.1:{admin}", "--fdname=default:admin",
            "-E", f"NOTIFY_SOCKET={folder / 'notify'}", "-E", "NO_COLOR=1",
            tools.pgprism(), "serve", "--upstream", f"postgres://127.0.0.1:{postgres.port}", "--slow-log", "off",
            # Other addresses than the sockets have: the names decide.
            "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
        ],
        folder / "log",
    )
    try:
        wait_until(lambda: "Listening on" in child.log.read_text(), "it listens")
        with RawClient(("127.0.0.1", listen), database=database.database) as client:
            assert client.rows("SELECT 1") == [[b"1"]]
        assert b"READY=1" in notified.recv(1000)
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/api/v1/summary", timeout=10) as answer:
            assert json.load(answer)["version"]
        assert child.stop(20) == 0
        assert b"STOPPING=1" in notified.recv(1000)
    finally:
        child.kill()
        notified.close()
    assert "was handed over, but" not in child.log.read_text()


def test_killed_and_started_again(postgres, database):
    """From kill -9 to a healthy session, where a supervisor starts it again at once."""
    port = free_port()
    folder = scratch_folder("supervised")
    loop = 'trap \'kill "$child"; exit 0\' TERM; while :; do "$@" & child=$!; echo "$child" > pid; wait "$child"; done'
    supervisor = Child(
        [
            "bash", "-c", loop, "bash", tools.pgprism(), "serve", "--listen", f"127.0.0.1:{port}", "--admin", "off",
            "--upstream", f"postgres://127.0.0.1:{postgres.port}", "--slow-log", "off",
        ],
        folder / "log",
        cwd=folder,
    )

    def healthy() -> bool:
        with RawClient(("127.0.0.1", port), database=database.database) as client:
            return client.rows("SELECT 1") == [[b"1"]]

    def kill(pid_file: Path) -> float:
        wait_until(healthy, "a healthy session", refused=(OSError, EOFError))
        killed = time.monotonic()
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
        wait_until(healthy, "a healthy session", every_s=0.001, refused=(OSError, EOFError))
        return time.monotonic() - killed

    try:
        took = [kill(folder / "pid") for _ in range(7)]
    finally:
        supervisor.stop()
    print("from kill to a healthy session:", ", ".join(f"{seconds * 1000:.0f} ms" for seconds in took))
    assert statistics.median(took) <= 0.1

"""`pgprism top` as one sees it: a real terminal (tmux), a real PostgreSQL, the demo's shop as traffic."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator

import psycopg
import pytest

from support import shop, tools
from support.postgres import Address
from support.processes import free_port, scratch_folder
from support.proxy import Pgprism, command
from support.scenes import client, idle_in_transaction, tag
from support.terminal import Screen
from support.waiting import wait_until

OpenTop = Callable[..., Screen]


@pytest.fixture
def open_top() -> Iterator[OpenTop]:
    """Starts `pgprism top` in a terminal of its own: `open_top(proxy, 80, 24, "--view", "shapes")`."""
    screens: list[Screen] = []

    def open_top(proxy: Pgprism | str, columns: int, lines: int, *arguments: str, **environment: str) -> Screen:
        admin = proxy if isinstance(proxy, str) else f"http://{proxy.admin[0]}:{proxy.admin[1]}"
        screens.append(Screen(columns, lines, **environment))
        screens[-1].run(tools.pgprism(), "top", "--admin", admin, *arguments)
        return screens[-1]

    yield open_top
    for screen in screens:
        screen.close()


@contextlib.contextmanager
def _running(address: Address) -> Iterator[None]:
    """One query after the other, until the end."""
    ended = threading.Event()

    def work() -> None:
        with client(address, "busy") as connection:
            while not ended.wait(0.01):
                connection.execute("SELECT count(*) AS busy FROM pg_class")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _loop(address: Address, trace: int, route: str = "orders/") -> None:
    """A page with an N+1 in it."""
    comment = tag(route, trace)
    with client(address) as connection:
        rows = connection.execute(f"SELECT id, customer_id FROM top_order ORDER BY id{comment}").fetchall()
        for _, customer in rows:
            connection.execute(f"SELECT id, name FROM top_customer WHERE id = {customer}{comment}").fetchall()


@pytest.fixture
def orders(postgres, database: Address) -> Address:
    with psycopg.connect(database.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TABLE top_customer (id int PRIMARY KEY, name text)")
        connection.execute("CREATE TABLE top_order (id int PRIMARY KEY, customer_id int REFERENCES top_customer)")
        connection.execute("INSERT INTO top_customer SELECT n, 'name ' || n FROM generate_series(1, 20) n")
        connection.execute("INSERT INTO top_order SELECT n, 21 - n FROM generate_series(1, 20) n")
    return database


def _columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def _rows(text: str) -> list[str]:
    """The rows of the table: what stands between the headings and the last two lines."""
    lines = text.splitlines()
    (heading,) = (index for index, line in enumerate(lines) if re.search("[▼▲]", line))
    return [line for line in lines[heading + 1 : -2] if line.strip()]


def _queries_per_second(text: str) -> float:
    found = re.search(r"^([\d.,]+) queries/s", text, re.MULTILINE)
    return float(found[1].replace(",", "")) if found else 0.0


@pytest.mark.smoke
def test_figures_move_and_the_terminal_is_given_back(pgprism, orders, open_top):
    screen = open_top(pgprism, 80, 24, "--view", "shapes", "--interval", "200ms")
    screen.wait("Waiting for the first query.")
    assert screen.flag("alternate_on") == "1" and screen.flag("cursor_flag") == "0"
    with _running(orders.at(pgprism.endpoint)):
        text = screen.wait(lambda text: _queries_per_second(text) > 10)
        assert all(_columns(line) <= 80 for line in text.splitlines())
        text = screen.wait(lambda text: "pg_class" in text and "100 %" in text)
        screen.resize(200, 50)
        text = screen.wait(lambda text: "fingerprint" in text)
        assert max(map(_columns, text.splitlines())) > 150
        screen.resize(30, 8)
        screen.wait("too small: 40x10 is needed")
        screen.resize(80, 24)
        screen.wait(lambda text: "too small" not in text and _queries_per_second(text) > 10)
    screen.wait(lambda text: text.startswith("pgprism ") and "0 queries/s" in text)
    screen.press("q")
    screen.wait(lambda text: "queries/s" not in text and text.rstrip().endswith("$"))
    assert screen.flag("alternate_on") == "0" and screen.flag("cursor_flag") == "1"


@pytest.mark.smoke
def test_a_finding_is_opened_muted_and_unmuted(pgprism, orders, open_top):
    for trace in range(1, 6):
        _loop(orders.at(pgprism.endpoint), trace)
    wait_until(lambda: pgprism.items("findings"), "the finding is there")
    screen = open_top(pgprism, 80, 24, "--interval", "200ms")
    text = screen.wait("top_customer")
    assert len(_rows(text)) == 1 and _rows(text)[0].startswith("> ")
    screen.press("m")
    screen.wait(lambda text: "m again undoes it" in text and " muted " in _rows(text)[0])
    wait_until(lambda: pgprism.items("findings", status="muted"), "it is muted at the proxy")
    screen.press("m")
    wait_until(lambda: pgprism.items("findings", status="open"), "it is not muted any more")
    screen.press("Enter")
    text = screen.wait("select_related(")
    for words in ("fix ", "proof ", "top_order.customer_id -> top_customer.id", "20 of 20 rows in order", "orders/"):
        assert words in text, text
    screen.press("u")
    text = screen.wait("SELECT top_customer")
    assert "×20" in text.replace("× ", "×") and "orders/" in text
    screen.press("f")
    screen.wait("select_related(")
    screen.press("q", "q", "q")
    screen.wait(lambda text: "what to do" in text)
    screen.press("q")
    screen.wait(lambda text: text.rstrip().endswith("$"))


def _sorted_by(screen: Screen) -> str:
    found = re.search(r"by (\S+)\s*$", screen.text(), re.MULTILINE)
    return found[1] if found else ""


def test_sorting_filtering_and_pausing(pgprism, orders, open_top):
    through = orders.at(pgprism.endpoint)
    for trace in range(1, 4):
        _loop(through, trace, route=f"page{trace}/")
    screen = open_top(pgprism, 120, 30, "--view", "units", "--interval", "200ms")
    text = screen.wait(lambda text: all(f"page{n}/" in text for n in (1, 2, 3)))
    assert _sorted_by(screen) == "ago"
    screen.press(">")
    screen.wait(lambda _: _sorted_by(screen) == "time")
    screen.press(">")
    screen.wait(lambda _: _sorted_by(screen) == "queries")
    screen.press("/")
    screen.type("route:page2")
    screen.wait("/route:page2")
    screen.press("Enter")
    text = screen.wait(lambda text: "filter: route:page2" in text and "page2/" in text and "page1/" not in text)
    assert len(_rows(text)) == 1
    screen.press("/", "C-u")
    screen.type("table:")
    screen.press("Enter")
    screen.wait("`table` is written a word after the colon")
    screen.press("/", "C-u")
    screen.type("route:nowhere")
    screen.press("Enter")
    screen.wait("Nothing matches `route:nowhere`.")
    screen.press("Escape")
    screen.wait(lambda text: all(f"page{n}/" in text for n in (1, 2, 3)))
    screen.press("p")
    screen.wait("PAUSED")
    _loop(through, 9, route="later/")
    wait_until(lambda: any(unit["route"] == "later/" for unit in pgprism.items("units")), "it is there")
    screen.press("j", "k")
    assert "later/" not in screen.text()
    screen.press("Space")
    screen.wait("later/")


def test_connections_tell_who_forgets_a_transaction(pgprism, orders, open_top):
    through = orders.at(pgprism.endpoint)
    screen = open_top(pgprism, 160, 24, "--view", "connections", "--interval", "200ms")
    screen.wait("Nobody is connected.")
    with psycopg.connect(through.conninfo(application_name="a\x1b[2J böse 漢字")) as connection:
        connection.execute("SELECT 1 AS held")
        text = screen.wait(lambda text: "idle in tx" in text)
        # Whatever a client calls itself, no column moves and nothing is obeyed.
        assert all(_columns(line) <= 160 for line in text.splitlines())
        screen.press("Enter")
        screen.wait(lambda text: "It holds its locks" in text and "backend pid" in text)
    screen.wait("It has ended")


@pytest.mark.parametrize("end", ["q", "C-c", "SIGTERM", "SIGINT", "SIGHUP", "panic", "poller"])
def test_however_it_ends_the_terminal_is_as_it_was(pgprism, open_top, end):
    screen = open_top(pgprism, 80, 24)
    screen.wait("Waiting for the first query.")
    screen.press("q")
    screen.wait(lambda text: text.rstrip().endswith("$"))
    before = screen.modes()
    fault = {"panic": ["--fault", "key-panic"], "poller": ["--fault", "poller-panic"]}.get(end, [])
    admin = f"http://{pgprism.admin[0]}:{pgprism.admin[1]}"
    screen.run(tools.pgprism(), "top", "--admin", admin, *fault)
    if end != "poller":
        screen.wait(lambda text: "Waiting for the first query." in text and screen.flag("alternate_on") == "1")
    if end == "panic":
        screen.type("!")
    elif end.startswith("SIG"):
        os.kill(screen.child("pgprism"), signal.Signals[end])
    elif end != "poller":
        screen.press(end)
    screen.wait(lambda text: screen.flag("alternate_on") == "0" and text.rstrip().endswith("$"))
    assert screen.flag("cursor_flag") == "1"
    screen.type("echo status-$?")
    screen.press("Enter")
    status = {"q": 0, "C-c": 0, "SIGTERM": 143, "SIGINT": 130, "SIGHUP": 129, "panic": 70, "poller": 70}[end]
    screen.wait(f"status-{status}")
    assert screen.modes() == before


def test_the_shell_stops_it_and_brings_it_back(pgprism, open_top):
    screen = open_top(pgprism, 80, 24)
    screen.wait("Waiting for the first query.")
    screen.press("C-z")
    screen.wait(lambda text: "Stopped" in text and screen.flag("alternate_on") == "0")
    screen.type("fg")
    screen.press("Enter")
    screen.wait(lambda text: "Waiting for the first query." in text and screen.flag("alternate_on") == "1")
    screen.press("2", "q")
    screen.wait(lambda text: text.rstrip().endswith("$"))


def test_a_proxy_that_goes_and_comes_back(start_pgprism, postgres, orders, open_top):
    port = free_port()
    admin = {"admin": {"listen": f"127.0.0.1:{port}"}}
    first = start_pgprism(postgres.address.endpoint, **admin)
    _loop(orders.at(first.endpoint), 1)
    screen = open_top(first, 80, 24, "--view", "shapes", "--interval", "200ms")
    screen.wait("top_order")
    first.wait_no_sessions()
    first.stop()
    text = screen.wait(f"no answer from http://127.0.0.1:{port} since ")
    assert "trying again" in text and "top_order" in text
    screen.press("j")
    screen.wait(lambda text: _rows(text)[1].startswith("> "))
    second = start_pgprism(postgres.address.endpoint, **admin)
    text = screen.wait(lambda text: "no answer" not in text and "Waiting for the first query." in text)
    with _running(orders.at(second.endpoint)):
        text = screen.wait(lambda text: _queries_per_second(text) > 1)
    assert not re.search(r"-\d", "\n".join(_rows(text))), text


class _SlowProxy:
    """Passes connections on to a proxy, and its answers only when it is told to."""

    def __init__(self, proxy: Pgprism) -> None:
        self._target = proxy.admin
        self.open = threading.Event()
        self.open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                threading.Thread(target=self._pass, args=(near, far, None), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, self.open), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, gate: threading.Event | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if gate is not None:
                    gate.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.open.set()
        self._listener.close()


def test_keys_live_while_the_proxy_does_not_answer(start_pgprism, postgres, orders, open_top):
    proxy = start_pgprism(postgres.address.endpoint)
    _loop(orders.at(proxy.endpoint), 1)
    slow = _SlowProxy(proxy)
    try:
        screen = open_top(slow.address, 80, 24, "--view", "shapes", "--interval", "200ms")
        screen.wait("top_order")
        slow.open.clear()
        screen.wait(lambda text: "no answer from" in text)
        for key, seen in (("?", "any key back"), ("x", "q quit"), ("/", "Enter: filter"), ("Escape", "q quit")):
            screen.press(key)
            screen.wait(seen, deadline_s=2)
        screen.press("4")
        screen.wait(lambda text: "Asking the proxy." in text, deadline_s=2)
        slow.open.set()
        screen.wait(lambda text: "no answer from" not in text and "Asking" not in text)
        screen.press("q")
        screen.wait(lambda text: text.rstrip().endswith("$"))
    finally:
        slow.close()


def test_without_colours_there_are_none(pgprism, orders, open_top):
    through = orders.at(pgprism.endpoint)
    for trace in range(1, 4):
        _loop(through, trace)
    with contextlib.suppress(psycopg.Error), client(through) as connection:
        connection.execute("SELECT 1 / 0 AS failed")
    screen = open_top(pgprism, 80, 24)
    screen.wait("top_customer")
    assert screen.colours()
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = open_top(pgprism, 80, 24, **environment)
        for key in ("1", "2", "3", "4"):
            plain.press(key)
            plain.wait(lambda text: re.search("[▼▲]", text))
            assert plain.colours() == set(), plain.painted()
        plain.press("2")
        plain.wait(lambda text: "> " in text)
        plain.press("q")


def test_names_from_the_network_command_no_terminal(pgprism, orders, open_top):
    through = orders.at(pgprism.endpoint)
    evil = "evil\x1b[2J\x1b]0;title\x07\x9b31m漢字漢字漢字"
    comment = tag(evil, 1)
    with client(through) as connection:
        connection.execute(f'SELECT 1 AS "{evil}"{comment}')
    screen = open_top(pgprism, 80, 24, "--view", "units", "--interval", "200ms")
    for key in "3", "2":
        screen.press(key)
        text = screen.wait("evil [2J" if key == "3" else "SELECT")
        assert all(_columns(line) <= 80 for line in text.splitlines())
        assert text.startswith("pgprism ") and "\x1b[2J" not in screen.painted()
        screen.press("Enter")
        screen.wait(lambda text: "Esc back" in text and "Asking" not in text)
        assert screen.text().startswith("pgprism ")
        screen.press("Escape")
    assert screen.flag("pane_title") != "title"


def test_one_screen_as_text(pgprism, orders):
    _loop(orders.at(pgprism.endpoint), 1)
    admin = ("--admin", f"http://{pgprism.admin[0]}:{pgprism.admin[1]}")
    with _running(orders.at(pgprism.endpoint)):
        done = command("top", "--once", "--view", "shapes", *admin, LANG="C.UTF-8")
    lines = done.stdout.splitlines()
    assert done.stderr == "" and "\x1b" not in done.stdout
    assert lines[0].startswith("pgprism ") and _queries_per_second(done.stdout) > 10
    assert any("top_customer" in line for line in lines)
    assert max(map(_columns, lines)) <= 80 and not any(line.startswith(">") for line in lines)
    ascii_only = command("top", "--batch", "--view", "shapes", *admin, LANG="C", LC_ALL="C")
    header = ascii_only.stdout.splitlines()[:5]
    assert all(line.isascii() for line in header), header


def test_it_refuses_where_it_cannot_run(start_pgprism, postgres, tmp_path):
    done = command("top", check=False)
    assert done.returncode == 64 and "pgprism report" in done.stderr
    proxy = start_pgprism(postgres.address.endpoint, environment={"PGPRISM_TOKEN": "t" * 32})
    proxy.token = "t" * 32
    admin = f"http://{proxy.admin[0]}:{proxy.admin[1]}"
    done = command("top", "--once", "--admin", admin, check=False)
    assert done.returncode == 64 and "wants a token" in done.stderr
    (tmp_path / "token").write_text("t" * 32)
    done = command("top", "--once", "--admin", admin, "--token-file", str(tmp_path / "token"))
    assert "Waiting for the first query." in done.stdout


@contextlib.contextmanager
def _visitors(address: Address) -> Iterator[None]:
    """The demo's visitors until the end."""
    child = subprocess.Popen(
        [sys.executable, "-m", "shop_site.tour", "--threads", "2", "--rounds", "10000"],
        env=shop.environment(address, DJANGO_SETTINGS_MODULE="shop_site.tagged"), cwd=scratch_folder("load"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 50)])
def test_every_view_under_load(postgres, start_pgprism, open_top, columns, lines):
    address = shop.fill(postgres, f"top_{columns}")
    proxy = start_pgprism(address.endpoint)
    # Visitors are killed in the middle of their requests, at the end.
    proxy.expect.dropped_events = True
    through = address.at(proxy.endpoint)
    screen = open_top(proxy, columns, lines)
    with _visitors(through), idle_in_transaction(through):
        wait_until(lambda: len(proxy.items("findings")) > 5, "findings", deadline_s=120)
        for key, heading in (("1", "what to do"), ("2", "calls/s"), ("3", "route"), ("4", "queries/s")):
            screen.press(key)
            text = screen.wait(lambda text, heading=heading: heading in text and len(_rows(text)) > 1)
            first = _queries_per_second(text)
            assert all(_columns(line) <= columns for line in text.splitlines()), text
            screen.wait(lambda text, first=first: _queries_per_second(text) not in (0, first))
            screen.press("Enter")
            text = screen.wait(lambda text: "Esc back" in text and "Asking" not in text)
            assert all(_columns(line) <= columns for line in text.splitlines()), text
            screen.press("Escape")
        print(screen.text())
    screen.press("q")
    screen.wait(lambda text: text.rstrip().endswith("$"))
    proxy.wait_no_sessions()
    postgres.sql(f'DROP DATABASE "top_{columns}" WITH (FORCE)')

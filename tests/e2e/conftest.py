"""Servers for the whole run, a proxy for each test."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.browser import Browser, Tab
from support.certificates import Certificates
from support.postgres import Address, Postgres
from support.proxy import Listener, Options, Pgprism
from support.relay import RecordingRelay
from support.tls_clients import Clients
from support.tls_server import TlsPostgres

# A project's tests, which only `pgprism check` runs.
collect_ignore = ["checked_shop"]

StartPgprism = Callable[..., Pgprism]
OpenTab = Callable[..., Tab]


class Servers:
    """One server of each major version, started when first asked for."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._running: dict[int, Postgres] = {}

    def __call__(self, major: int) -> Postgres:
        if major not in self._running:
            self._running[major] = self._stack.enter_context(Postgres(major))
        return self._running[major]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="session")
def postgres(servers: Servers) -> Postgres:
    """The newest server: for tests whose subject is the proxy alone."""
    return servers(18)


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    return Certificates()


@pytest.fixture(scope="session")
def tls_servers(certificates: Certificates) -> Iterator[Callable[[int], TlsPostgres]]:
    """One server with TLS of each major version, started when first asked for."""
    with contextlib.ExitStack() as stack:
        yield functools.cache(lambda major: stack.enter_context(TlsPostgres(major, certificates)))


@pytest.fixture(scope="session")
def clients() -> Iterator[Clients]:
    """Every client that knows TLS, by name."""
    with contextlib.closing(Clients()) as found:
        yield found


@pytest.fixture
def database(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Address]:
    """A database of the test's own on that server."""
    name = f"t_{abs(hash(request.node.nodeid)):x}"
    yield postgres.create_database(name)
    postgres.sql(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def start_pgprism(request: pytest.FixtureRequest) -> Iterator[StartPgprism]:
    """Starts proxies that are checked and stopped at the end; a failed test only stops them."""
    running: list[Pgprism] = []

    def start(upstream: str | tuple[str, int] | list[Listener], **sections: Options) -> Pgprism:
        running.append(Pgprism(upstream, **sections))
        return running[-1]

    yield start
    failed = request.node.stash.get(_failed, False)
    problems: list[BaseException] = []
    for proxy in reversed(running):
        if failed:
            print(proxy.process.tail())
            proxy.abandon()
            continue
        try:
            proxy.stop()
        except BaseException as problem:
            problems.append(problem)
    if problems:
        raise problems[0]


@pytest.fixture
def pgprism(start_pgprism: StartPgprism, postgres: Postgres) -> Pgprism:
    """A proxy in front of the newest server, everything at its default."""
    return start_pgprism(postgres.address.endpoint)


@pytest.fixture
def start_relay() -> Iterator[Callable[[tuple[str, int]], RecordingRelay]]:
    with contextlib.ExitStack() as stack:
        yield lambda target: stack.enter_context(RecordingRelay(target))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one file: its driver has an event loop that other files' own would collide with."""
    with contextlib.closing(Browser()) as running:
        yield running


@pytest.fixture
def open_tab(
    browser: Browser, start_pgprism: StartPgprism, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[OpenTab]:
    """Opens tabs on a proxy's page (`open_tab(proxy, "/findings", theme="dark")`) and checks each at the end.

    They are closed before their proxy is. A failed test leaves a picture of each tab in its folder.
    """
    del start_pgprism  # named for the order alone
    tabs: list[Tab] = []

    def open_tab(proxy: Pgprism | str, path: str = "/", **options: Any) -> Tab:
        origin = proxy if isinstance(proxy, str) else f"http://{proxy.admin[0]}:{proxy.admin[1]}"
        tabs.append(browser.open(origin, path, **options))
        return tabs[-1]

    yield open_tab
    problems: list[str] = []
    for number, tab in enumerate(tabs):
        problems += [f"{tab.page.url}: {one}" for one in tab.problems()]
        if request.node.stash.get(_failed, False) and not tab.page.is_closed():
            tab.screenshot(tmp_path / f"tab-{number}.png")
            print(f"{tab.page.url}: a picture in {tmp_path}/tab-{number}.png")
        tab.close()
    assert not problems, "\n".join(problems)


_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report

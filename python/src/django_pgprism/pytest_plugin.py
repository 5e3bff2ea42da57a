"""The pytest plugin: tags the queries of each test, and fails a marked test that sends more than it may.

pytest loads this module wherever the package is installed: it imports neither Django nor anything that does, and until
a test is marked, asks for the fixture or runs under `pgprism run`, it registers options and does nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from django_pgprism import testrun
from django_pgprism.client import DEFAULT_URL, BadAddress, Proxy, read_token
from django_pgprism.marks import MARKER_HELP, MISTAKE, budget_of
from django_pgprism.measuring import MEASURED, NOT_MEASURED, OVER, Measuring, Pgprism

MISSING = ("fail", "skip", "ignore")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pgprism", "queries of tests, as pgprism sees them")
    group.addoption(
        "--pgprism-admin",
        metavar="URL",
        help=f"admin address of the running pgprism; else PGPRISM_ADMIN_URL, which `pgprism run` and `check` set, the "
        f"ini option pgprism_admin, PGPRISM_ADMIN, {DEFAULT_URL}",
    )
    group.addoption(
        "--pgprism-token-file",
        metavar="FILE",
        help="file with the admin token, where pgprism wants one; else PGPRISM_TOKEN_FILE",
    )
    parser.addini("pgprism_admin", "admin address of the running pgprism", default="")
    parser.addini(
        "pgprism_missing",
        "what a marked test does where no pgprism answers: fail, skip, or ignore (run, and say so at the end); by "
        "default fail where --pgprism-admin or PGPRISM_ADMIN_URL says that there is one, and ignore elsewhere",
        default="",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER_HELP)
    # A worker of xdist reports to its controller, which tells all of it.
    if not hasattr(config, "workerinput"):
        if _asked_for(config) or config.getini("pgprism_missing"):
            _proxy(config), _missing(config)
        config.pluginmanager.register(_Summary(config), "pgprism-summary")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = _asked_for(config)
    for item in items:
        try:
            wanted |= budget_of(item) is not None
        except pytest.UsageError as error:
            # A worker of xdist could not say why it ends: its test does.
            if not hasattr(config, "workerinput"):
                raise
            item.stash[MISTAKE] = str(error)
            wanted = True
    if wanted:
        _measuring(config)


_MEASURING = pytest.StashKey[Measuring]()


def _address(config: pytest.Config) -> str:
    return (
        config.getoption("--pgprism-admin")
        or os.environ.get("PGPRISM_ADMIN_URL")
        or config.getini("pgprism_admin")
        or os.environ.get("PGPRISM_ADMIN")
        or DEFAULT_URL
    )


def _asked_for(config: pytest.Config) -> bool:
    """Whether somebody says that there is a pgprism, for all tests: not only where it may be found."""
    return bool(config.getoption("--pgprism-admin") or os.environ.get("PGPRISM_ADMIN_URL"))


def _proxy(config: pytest.Config) -> Proxy:
    file = config.getoption("--pgprism-token-file") or os.environ.get("PGPRISM_TOKEN_FILE")
    try:
        return Proxy(_address(config), read_token(file))
    except BadAddress as error:
        raise pytest.UsageError(f"pgprism: {error}") from None


def _missing(config: pytest.Config) -> str:
    """What a marked test does where no pgprism answers."""
    chosen = str(config.getini("pgprism_missing")) or ("fail" if _asked_for(config) else "ignore")
    if chosen not in MISSING:
        raise pytest.UsageError(f"pgprism_missing is {chosen!r}; it is one of {', '.join(MISSING)}")
    return chosen


def _measuring(config: pytest.Config) -> Measuring:
    """What measures in this process, from its first use on."""
    if _MEASURING not in config.stash:
        config.stash[_MEASURING] = measuring = Measuring(
            _proxy(config), _missing(config), tags_all=_asked_for(config)
        )
        config.pluginmanager.register(measuring, "pgprism-measuring")
    return config.stash[_MEASURING]


@pytest.fixture
def pgprism(request: pytest.FixtureRequest) -> Iterator[Pgprism]:
    """Measures blocks of a test: `with pgprism.budget(max_queries=3): ...`, `with pgprism.measure() as seen: ...`."""
    measuring = _measuring(request.config)
    with contextlib.ExitStack() as stack:
        if testrun.running() is None:
            stack.enter_context(measuring.tagging(request.node))
        yield Pgprism(measuring, request.node)


class _Summary:
    """Tells at the end what was measured, of all processes of the run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._verdicts: dict[str, tuple[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.user_properties or report.when == "teardown":
            return
        noted = dict(report.user_properties)
        if verdict := noted.get("pgprism"):
            if verdict == OVER and report.outcome != "failed":
                # It was expected: an xfail, or the test of a budget.
                verdict = MEASURED
            self._verdicts[report.nodeid] = (str(verdict), str(noted.get("pgprism_reason", "")))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        verdicts = [verdict for verdict, _ in self._verdicts.values()]
        over, missed = verdicts.count(OVER), verdicts.count(NOT_MEASURED)
        measured = len(verdicts) - missed
        if measured:
            line = f"pgprism: {_tests(measured)} measured, {over} over budget, see {self._page()}"
            terminalreporter.write_line(line, **{"red" if over else "green": True})
        if missed:
            # Which of them, the failures say; where nobody answers it is the same for all.
            reason = next(reason for verdict, reason in self._verdicts.values() if verdict == NOT_MEASURED)
            terminalreporter.write_line(f"pgprism: {_tests(missed)} NOT measured: {reason}", yellow=True)

    def _page(self) -> str:
        try:
            return Proxy(_address(self._config)).url + "/"
        except BadAddress:
            return _address(self._config)


def _tests(count: int) -> str:
    return f"{count} {'test' if count == 1 else 'tests'}"

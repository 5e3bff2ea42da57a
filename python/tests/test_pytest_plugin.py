"""The pytest plugin, in runs of pytest inside of this one: which queries carry which tags, what is measured, and what a
test is told when it cannot be. No database is asked: `pages.query` does what Django does with a wrapper."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from django_pgprism import tagging, testrun
from project import pages
from project.fake_pgprism import FINDING, FakePgprism

PLUGIN = ("-p", "django_pgprism.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:django")
HEAD = """
import pytest
from project.pages import query
"""
MARKED = """
@pytest.mark.pgprism(max_queries=1)
def test_it():
    query("SELECT a FROM b")
"""


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    for name in ("PGPRISM_ADMIN_URL", "PGPRISM_ADMIN", "PGPRISM_TOKEN", "PGPRISM_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    folders = (Path(testrun.__file__).parents[1], Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, folders)))
    monkeypatch.setenv("COLUMNS", "400")
    pages.sent.clear()
    return pages.sent


@pytest.fixture
def pgprism() -> Iterator[FakePgprism]:
    """Hides the plugin's own, if that is installed."""
    with FakePgprism() as fake:
        yield fake


def run(pytester: pytest.Pytester, source: str, *arguments: str, fake: FakePgprism | None = None) -> pytest.RunResult:
    pytester.makepyfile(test_inner=HEAD + source)
    where = ("--pgprism-admin", fake.url) if fake else ()
    return pytester.runpytest_inprocess(*PLUGIN, *where, *arguments)


def said(result: pytest.RunResult) -> str:
    return result.stdout.str()


def tags(sql: str) -> dict[str, str]:
    found = re.search(r"/\*(.*)\*/$", sql)
    pairs = dict(re.findall(r"([a-z_]+)='([^']*)'", found[1])) if found else {}
    return {key: unquote(value) for key, value in pairs.items()}


# Tags.


def test_pytest_loads_it_without_django() -> None:
    code = "import sys, django_pgprism.pytest_plugin; print([n for n in sys.modules if n.startswith('django.')])"
    folder = Path(testrun.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=True)
    assert done.stdout.strip() == "[]"


def test_it_does_nothing_unless_somebody_wants_it(pytester: pytest.Pytester, sent: list[str]) -> None:
    result = run(pytester, """
def test_it(pytestconfig):
    query()
    assert pytestconfig.pluginmanager.get_plugin("pgprism-measuring") is None
""")
    result.assert_outcomes(passed=1)
    assert sent == ["SELECT 1"]
    assert "pgprism:" not in said(result)


WHOLE = """
import threading

@pytest.fixture(scope="module", autouse=True)
def of_the_module():
    query("SELECT 'module'")
    yield
    query("SELECT 'module'")

@pytest.fixture(autouse=True)
def of_the_test():
    query("SELECT 'fixture'")
    yield
    query("SELECT 'fixture'")

@pytest.mark.parametrize("n", ["x'*/", pytest.param(0, id="n" * 300)])
def test_it(n):
    thread = threading.Thread(target=query, args=["SELECT 'thread'"])
    thread.start()
    thread.join()
    query("SELECT 'body' || %s", ["x"])

class TestMethods:
    def setup_class(cls):
        query("SELECT 'class'")

    def setup_method(self):
        query("SELECT 'method'")

    def test_method(self):
        query("SELECT 'body'")
"""


@pytest.mark.parametrize("named", ["option", "environment"])
def test_with_a_proxy_named_every_query_of_a_test_is_tagged(
    pytester: pytest.Pytester, pgprism: FakePgprism, sent: list[str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named == "environment":
        monkeypatch.setenv("PGPRISM_ADMIN_URL", pgprism.url)
        result = run(pytester, WHOLE)
    else:
        result = run(pytester, WHOLE, fake=pgprism)
    result.assert_outcomes(passed=3)
    assert [sql for sql in sent if not tags(sql)] == ["SELECT 'module'", "SELECT 'class'", "SELECT 'module'"]
    tagged = [sql.replace("%%", "%") for sql in sent if tags(sql)]
    assert [sql.split("'")[1] for sql in tagged] == [
        *["fixture", "thread", "body", "fixture"] * 2, "fixture", "method", "body", "fixture"
    ]
    names = [tags(sql)["test"] for sql in tagged]
    assert names[0] == names[3] == "test_inner.py::test_it[x'*/]"
    assert names[8:] == ["test_inner.py::TestMethods::test_method"] * 4
    assert len(names[4].encode()) == 256 and names[4].endswith("nnn…")
    ids = [tags(sql)["test_id"] for sql in tagged]
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in ids)
    assert len(set(ids[:4])) == len(set(ids[4:8])) == len(set(ids[8:])) == 1 and len(set(ids)) == 3
    # Nobody is asked where nobody is measured.
    assert pgprism.asked == []
    assert testrun.running() is None


def test_a_long_name_is_cut_between_characters() -> None:
    assert testrun.TestTags("é" * 128).tags["test"] == "é" * 128
    assert testrun.TestTags("é" * 129).tags["test"] == "é" * 126 + "…"
    assert testrun.TestTags("a\ud800").tags["test"] == "a?"


def test_only_what_is_marked_is_tagged_where_no_proxy_is_named(pytester: pytest.Pytester, sent: list[str]) -> None:
    run(pytester, MARKED + """
def test_other():
    query()
""").assert_outcomes(passed=2)
    assert tags(sent[0])["test"] == "test_inner.py::test_it"
    assert sent[1] == "SELECT 1"


def test_a_request_of_a_test_keeps_its_own_tags(
    pytester: pytest.Pytester, pgprism: FakePgprism, sent: list[str]
) -> None:
    result = run(pytester, """
from django.test import Client

def test_page():
    query()
    assert Client().get("/books/7/").status_code == 200
""", fake=pgprism)
    result.assert_outcomes(passed=1)
    own, request = map(tags, sent)
    assert own.pop("callsite").startswith("project/pages.py:")
    assert set(own) == {"framework", "test", "test_id"}
    assert request["callsite"].startswith("project/pages.py:")
    assert set(request) == {*own, "callsite", "controller", "request_id", "route"}
    assert request["test_id"] == own["test_id"]
    assert re.findall(r"([a-z_]+)='", sent[1]) == sorted(re.findall(r"([a-z_]+)='", sent[1]))


def test_djangos_log_of_queries_has_no_tags_of_tests() -> None:
    class Operations:
        def last_executed_query(self, cursor: object, sql: str, params: object) -> str:
            return sql

    connection: Any = SimpleNamespace(ops=Operations(), vendor="postgresql")
    tagging.hide_tags(connection)
    tagging.hide_tags(connection)
    test = testrun.TestTags("test_it[*/]")
    comment = f"/*framework='django%3A5.2',test='test_it',test_id='{test.test_id}',traceparent='00-1-2-3'*/"
    logged = connection.ops.last_executed_query
    with testrun.during(test):
        assert logged(None, f"SELECT 1 {comment}", None) == "SELECT 1"
        assert logged(None, f"SELECT 1 {comment};", None) == "SELECT 1;"
        assert logged(None, "SELECT 1 /* mine */", None) == "SELECT 1 /* mine */"
    assert logged(None, f"SELECT 1 {comment}", None) == f"SELECT 1 {comment}"


# Measuring.


def test_within_its_budget_a_test_passes(pytester: pytest.Pytester, pgprism: FakePgprism) -> None:
    result = run(pytester, MARKED, fake=pgprism)
    result.assert_outcomes(passed=1)
    assert f"pgprism: 1 test measured, 0 over budget, see {pgprism.url}/" in said(result)


def test_over_its_budget_it_fails_and_says_what_it_sent(pytester: pytest.Pytester, pgprism: FakePgprism) -> None:
    pgprism.findings = [FINDING]
    result = run(pytester, """
@pytest.fixture
def rows():
    query("INSERT INTO book VALUES (1)")
    yield
    query("DELETE FROM book")

@pytest.mark.pgprism(max_queries=2, n_plus_one=0, duplicates=1, max_rows=10, max_time_ms=1)
def test_it(rows):
    query("SELECT a FROM book")
    for _ in range(3):
        query("SELECT b FROM publisher WHERE id = 1")
""", fake=pgprism)
    # A failure of the test, no error in its teardown.
    result.assert_outcomes(failed=1)
    text = said(result)
    assert (
        "pgprism: 4 queries, at most 2 allowed; 1 N+1, none allowed; 2 duplicates, at most 1 allowed; "
        "12 rows, at most 10 allowed; 2.5 ms in queries, at most 1 ms allowed\n"
        "  3 x SELECT b FROM publisher WHERE id = 1\n"
        "  1 x SELECT a FROM book\n"
        "  proved: Join shop_publisher in the query that reads shop_book\n"
        "    where  3 queries here, route books/, line shop/views.py:7, shop/views.py:8, a.py:1 and 1 more\n"
        "    proof  shop_book.publisher_id -> shop_publisher.id, 25 of 25 rows in order\n"
        '    fix    Book.objects.select_related("publisher")\n'
        f"  see {pgprism.url}/requests/"
    ) in text
    assert "1 test measured, 1 over budget" in text
    assert "measuring.py" not in text and "During handling" not in text
    assert text.count("3 x SELECT b FROM publisher") == 1


def test_a_test_that_fails_by_itself_is_not_measured(pytester: pytest.Pytester, pgprism: FakePgprism) -> None:
    result = run(pytester, """
import unittest

@pytest.mark.pgprism(max_queries=0)
def test_function():
    query()
    assert 1 == 2

@pytest.mark.pgprism(max_queries=0)
class Case(unittest.TestCase):
    def test_method(self):
        query()
        self.assertEqual(1, 2)

    def test_skipped(self):
        query()
        self.skipTest("for its own reasons")

@pytest.mark.xfail(strict=True)
@pytest.mark.pgprism(max_queries=0)
def test_expected():
    query()
""", fake=pgprism)
    result.assert_outcomes(failed=2, skipped=1, xfailed=1)
    assert said(result).count("assert 1 == 2") >= 1 and "at most 0" not in said(result)
    assert "1 test measured, 0 over budget" in said(result)


def test_of_a_unittest_only_the_method_is_measured(
    pytester: pytest.Pytester, pgprism: FakePgprism, sent: list[str]
) -> None:
    result = run(pytester, """
import unittest

@pytest.mark.pgprism(max_queries=1)
class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        query("SELECT 'class'")

    def setUp(self):
        query("SELECT 'setUp'")

    def tearDown(self):
        query("SELECT 'tearDown'")

    def test_one(self):
        query("SELECT 'body'")

    @pytest.mark.pgprism(max_queries=None)
    def test_two(self):
        query("SELECT 'body'")
        query("SELECT 'body'")

    def test_three(self):
        query("SELECT 'body'")
        query("SELECT 'body'")

@pytest.mark.pgprism(max_queries=1)
class AsyncCase(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        query("SELECT 'setUp'")

    async def test_one(self):
        query("SELECT 'body'")

    async def test_two(self):
        query("SELECT 'body'")
        query("SELECT 'body'")
""", fake=pgprism)
    result.assert_outcomes(passed=3, failed=2)
    assert "FAILED test_inner.py::Case::test_three - Failed: pgprism: 2 queries, at most 1" in said(result)
    assert "FAILED test_inner.py::AsyncCase::test_two - Failed: pgprism: 2 queries, at most 1" in said(result)
    own = {sql.split("'")[1]: tags(sql) for sql in sent}
    assert "test" not in own["class"]
    assert own["setUp"]["test"] and own["setUp"]["test_id"] != own["body"]["test_id"]


def test_the_marker_of_a_test_counts_before_that_of_its_class(pytester: pytest.Pytester, pgprism: FakePgprism) -> None:
    result = run(pytester, """
pytestmark = pytest.mark.pgprism(max_queries=0, duplicates=0)

@pytest.mark.pgprism(max_queries=2)
class TestBooks:
    def test_two(self):
        query("SELECT a FROM b")
        query("SELECT b FROM b")

    @pytest.mark.pgprism(max_queries=3)
    def test_three(self):
        for _ in range(3):
            query("SELECT a FROM b")
""", fake=pgprism)
    result.assert_outcomes(passed=1, failed=1)
    assert "pgprism: 2 duplicates, none allowed\n" in said(result)


FIXTURE = """
import pytest

def test_budget(pgprism):
    query("SELECT 1 FROM outside")
    with pgprism.budget(max_queries=1):
        query("SELECT a FROM b")
    with pgprism.budget(max_queries=1):
        query("SELECT b FROM b")
        query("SELECT c FROM b")

def test_measure(pgprism):
    with pgprism.measure() as seen:
        query("SELECT a FROM b")
        query("SELECT a FROM b")
        with pgprism.measure() as inner:
            query("SELECT c FROM b")
        with pytest.raises(RuntimeError, match="queries is known once the block has ended"):
            seen.queries
    assert (seen.queries, seen.duplicates, seen.rows, inner.queries) == (3, 1, 9, 1)
    assert [(shape.query, shape.calls) for shape in seen.shapes] == [("SELECT a FROM b", 2), ("SELECT c FROM b", 1)]
    assert seen.measured and seen.n_plus_one == [] and seen.time_ms > 0
    assert pgprism.url.startswith("http://127.0.0.1:")

@pytest.mark.pgprism(max_queries=2)
def test_both(pgprism):
    query("SELECT a FROM b")
    with pgprism.budget(max_queries=2):
        query("SELECT b FROM b")
        query("SELECT c FROM b")

def test_raises(pgprism):
    with pytest.raises(ValueError), pgprism.budget(max_queries=0):
        query("SELECT a FROM b")
        raise ValueError

def test_typo(pgprism):
    with pgprism.budget(max_query=1):
        pass
"""


@pytest.mark.parametrize("named", ["named", "found"])
def test_the_fixture_measures_blocks(
    pytester: pytest.Pytester, pgprism: FakePgprism, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named == "found":
        monkeypatch.setenv("PGPRISM_ADMIN", pgprism.url.removeprefix("http://"))
    result = run(pytester, FIXTURE, fake=pgprism if named == "named" else None)
    result.assert_outcomes(passed=2, failed=3)
    text = said(result)
    # The block is to blame, and shown.
    line = r">\s+with pgprism\.budget\(max_queries=1\):\n"
    assert re.search(line + r"(.*\n)*E\s+.*OverBudget: pgprism: 2 queries, at most 1", text)
    assert "measuring.py" not in text and "contextlib.py" not in text
    assert "Failed: pgprism: 3 queries, at most 2 allowed" in text
    assert "BadBudget: no argument is called 'max_query'; there are max_queries, n_plus_one" in text


# What cannot be measured.


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("pgprism(10)", "takes keyword arguments only: write pgprism(max_queries=10)"),
        ("pgprism(queries=1)", "no argument is called 'queries'; there are max_queries, n_plus_one, max_time_ms"),
        ("pgprism(max_queries=-1)", "max_queries is -1, where a whole number from 0 on is wanted"),
        ("pgprism(max_queries=True)", "max_queries is True, where a whole number"),
        ("pgprism(max_rows=1.5)", "max_rows is 1.5, where a whole number"),
        ("pgprism(max_time_ms='1s')", "max_time_ms is '1s', where a number of milliseconds"),
        ("pgprism(max_time_ms=float('nan'))", "max_time_ms is nan, where a number of milliseconds"),
    ],
)
def test_wrong_arguments_stop_the_run(pytester: pytest.Pytester, marker: str, message: str) -> None:
    result = run(pytester, MARKED.replace("pgprism(max_queries=1)", marker))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = said(result) + result.stderr.str()
    assert "test_inner.py::test_it: @pytest.mark.pgprism" in text and message in text
    assert "passed" not in text


def test_wrong_arguments_fail_in_a_worker(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_inner=HEAD + MARKED.replace("max_queries=1", "1"))
    result = pytester.runpytest_subprocess(*PLUGIN, "-n", "1")
    result.assert_outcomes(errors=1)
    assert "test_inner.py::test_it: @pytest.mark.pgprism takes keyword arguments only" in said(result)


def missing(pytester: pytest.Pytester, policy: str, *arguments: str) -> pytest.RunResult:
    pytester.makeini(f"[pytest]\npgprism_missing = {policy}\npgprism_admin = 127.0.0.1:1\n")
    return run(pytester, MARKED + """
def test_fixture(pgprism):
    with pgprism.measure() as seen:
        query("SELECT a FROM b")
    assert not seen.measured
    assert seen.queries == 1

def test_block(pgprism):
    with pgprism.budget(max_queries=0):
        query("SELECT a FROM b")
""", *arguments)


def test_without_a_proxy_tests_run_and_the_end_says_so(pytester: pytest.Pytester) -> None:
    result = missing(pytester, "")
    result.assert_outcomes(passed=2, skipped=1)
    assert "pgprism: 3 tests NOT measured: no pgprism answers at http://127.0.0.1:1 (" in said(result)
    assert "0 over budget" not in said(result)


def test_without_a_proxy_they_are_skipped_where_that_is_wanted(pytester: pytest.Pytester, sent: list[str]) -> None:
    result = missing(pytester, "skip", "-rs")
    result.assert_outcomes(passed=1, skipped=2)
    assert len(sent) == 2
    assert "3 tests NOT measured" in said(result) and "no pgprism answers at http://127.0.0.1:1" in said(result)


@pytest.mark.parametrize("policy", ["fail", ""])
def test_without_a_proxy_they_fail_where_there_should_be_one(pytester: pytest.Pytester, policy: str) -> None:
    result = missing(pytester, policy, *(["--pgprism-admin=http://127.0.0.1:1"] if not policy else []))
    result.assert_outcomes(failed=3)
    assert "Failed: pgprism: no pgprism answers at http://127.0.0.1:1 (" in said(result)
    assert "Run the tests as `pgprism run -- pytest`" in said(result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "pgprism_missing=never"], "pgprism_missing is 'never'; it is one of fail, skip, ignore"),
        (["--pgprism-admin", "postgres://db"], "'postgres://db' is no admin address of pgprism: write http://HOST:PORT"),
        (["--pgprism-admin=h:1", "--pgprism-token-file=/no/such/file"], "cannot read the token in /no/such/file"),
    ],
)
@pytest.mark.parametrize("workers", [False, True])
def test_what_cannot_be_read_stops_the_run(
    pytester: pytest.Pytester, arguments: list[str], message: str, workers: bool  # noqa: FBT001
) -> None:
    pytester.makepyfile(test_inner=HEAD + MARKED)
    result = pytester.runpytest_subprocess(*PLUGIN, *arguments, *(["-n", "1"] if workers else []))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in said(result) + result.stderr.str()


def fails(pytester: pytest.Pytester, fake: FakePgprism, source: str = MARKED) -> str:
    result = run(pytester, source, fake=fake)
    result.assert_outcomes(failed=1)
    assert "1 test NOT measured" in said(result)
    return said(result)


def test_queries_that_went_another_way_are_no_success(pytester: pytest.Pytester, pgprism: FakePgprism) -> None:
    pgprism.blind = True
    text = fails(pytester, pgprism)
    assert f"Failed: pgprism: not measured: pgprism at {pgprism.url} saw none of the 1 queries of this test" in text
    assert "does not lead to pgprism ('default' leads to" in text


def test_a_test_without_queries_is_measured(pytester: pytest.Pytester, pgprism: FakePgprism) -> None:
    # None of these is one that pgprism counts.
    pgprism.blind = True
    run(pytester, """
@pytest.mark.pgprism(max_queries=0)
def test_it():
    for sql in ("SAVEPOINT a", "SELECT 1", "SELECT set_config('a', 'b', false)", "SET a = 1"):
        query(sql)
""", fake=pgprism).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"drops_at_settling": 7}, "dropped 7 events meanwhile: nothing is concluded"),
        ({"incomplete": True}, "could not keep all statements of this test"),
        ({"settled": False}, "could not analyse all queries of the test within 5 s"),
        ({"status": 404}, "that this version of django_pgprism understands (it answers 404: nothing is here)"),
        ({"status": 403}, "refuses (it answers 403: nothing is here)"),
        ({"token": "secret"}, "wants a token: name its file with --pgprism-token-file or PGPRISM_TOKEN_FILE"),
    ],
)
def test_without_all_figures_there_is_no_verdict(
    pytester: pytest.Pytester, pgprism: FakePgprism, fault: dict[str, Any], message: str
) -> None:
    for name, value in fault.items():
        setattr(pgprism, name, value)
    assert message in fails(pytester, pgprism)


def test_more_than_allowed_is_more_although_events_were_lost(pytester: pytest.Pytester, pgprism: FakePgprism) -> None:
    pgprism.incomplete = True
    result = run(pytester, MARKED.replace("=1", "=0"), fake=pgprism)
    assert "Failed: pgprism: 1 query, none allowed" in said(result)


def test_a_token_is_sent(pytester: pytest.Pytester, pgprism: FakePgprism, tmp_path: Path) -> None:
    pgprism.token = "secret"
    (tmp_path / "token").write_text("secret\n")
    run(pytester, MARKED, "--pgprism-token-file", str(tmp_path / "token"), fake=pgprism).assert_outcomes(passed=1)


def test_statements_that_carry_no_tags_are_told(pytester: pytest.Pytester, pgprism: FakePgprism) -> None:
    result = run(pytester, MARKED.replace("=1", "=0") + '    query("SELECT a FROM b -- mine")\n', fake=pgprism)
    assert "not measured: 1 statements that hold a comment of their own" in said(result)


def test_workers_report_to_their_controller(pytester: pytest.Pytester, pgprism: FakePgprism) -> None:
    pytester.makepyfile(test_inner=HEAD + """
@pytest.mark.parametrize("n", range(6))
@pytest.mark.pgprism(max_queries=3)
def test_it(n):
    pass
""")
    result = pytester.runpytest_subprocess(*PLUGIN, "--pgprism-admin", pgprism.url, "-n", "2")
    result.assert_outcomes(passed=6)
    assert f"pgprism: 6 tests measured, 0 over budget, see {pgprism.url}/" in said(result)


def test_junit_has_the_verdict(pytester: pytest.Pytester, pgprism: FakePgprism) -> None:
    run(pytester, MARKED, "--junitxml=junit.xml", fake=pgprism)
    assert '<property name="pgprism" value="measured" />' in (pytester.path / "junit.xml").read_text()

"""The test runners: which names queries carry. Processes of `--parallel` are the end-to-end tests' subject."""

from __future__ import annotations

import io
import re
import unittest
from typing import Any
from urllib.parse import unquote

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase
from django.test.runner import (
    DebugSQLTextTestResult,
    DiscoverRunner,
    ParallelTestSuite,
    PDBDebugResult,
    RemoteTestRunner,
)
from django_pgprism import runner, testrun
from project import pages


class Books(SimpleTestCase):
    """Not for pytest."""

    __test__ = False

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        pages.query("SELECT 'class'")

    def setUp(self) -> None:
        pages.query("SELECT 'setUp'")
        self.addCleanup(pages.query, "SELECT 'cleanup'")

    def test_sync(self) -> None:
        pages.query("SELECT 'body'")
        with self.subTest(n=1):
            pages.query("SELECT 'body'")

    async def test_async(self) -> None:
        pages.query("SELECT 'body'")

    def test_that_fails(self) -> None:
        self.fail("as it should")


def run(name: str, **options: Any) -> unittest.TestResult:
    pages.sent.clear()
    chosen = runner.PgprismDiscoverRunner(verbosity=0, **options)
    chosen.test_runner = type("Runner", (unittest.TextTestRunner,), {"__init__": _to_nowhere})
    return chosen.run_suite(unittest.TestSuite([Books(name)]))


def _to_nowhere(self: unittest.TextTestRunner, **options: Any) -> None:
    unittest.TextTestRunner.__init__(self, io.StringIO(), **options)


@pytest.mark.parametrize("name", ["test_sync", "test_async"])
def test_queries_of_a_test_carry_its_dotted_name(name: str) -> None:
    assert run(name).wasSuccessful()
    first, *others = pages.sent
    assert first == "SELECT 'class'"
    assert [sql.split("'")[1] for sql in others] == ["setUp", *["body"] * (2 if name == "test_sync" else 1), "cleanup"]
    tags = {re.sub(r".*(test='[^']*',test_id='[0-9a-f]{16}').*", r"\1", unquote(sql)) for sql in others}
    assert len(tags) == 1
    assert tags.pop().startswith(f"test='{__name__}.Books.{name}',test_id='")
    assert testrun.running() is None


def test_each_run_of_a_test_has_its_own_id() -> None:
    first = run("test_async") and pages.sent[1]
    assert first != (run("test_async") and pages.sent[1])


def test_after_a_failure_queries_are_nobodys() -> None:
    assert not run("test_that_fails").wasSuccessful()
    assert testrun.running() is None


def test_other_results_of_django_keep_their_ways() -> None:
    assert issubclass(runner.PgprismDiscoverRunner(debug_sql=True).get_resultclass(), DebugSQLTextTestResult)
    assert issubclass(runner.PgprismDiscoverRunner(pdb=True).get_resultclass(), PDBDebugResult)


def test_the_mix_in_has_to_come_first() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"write class Wrong\(PgprismRunnerMixin, ...\)"):
        type("Wrong", (DiscoverRunner, runner.PgprismRunnerMixin), {})


def test_processes_of_ones_own_have_to_take_part() -> None:
    class OwnRemote(RemoteTestRunner):
        pass

    class OwnSuite(ParallelTestSuite):
        runner_class = OwnRemote

    class Own(runner.PgprismRunnerMixin, DiscoverRunner):
        parallel_test_suite = OwnSuite

    with pytest.raises(ImproperlyConfigured, match="derive its runner_class from"):
        Own()
    OwnSuite.runner_class = runner.PgprismRemoteTestRunner
    assert Own().parallel_test_suite is OwnSuite
    assert runner.PgprismDiscoverRunner().parallel_test_suite.runner_class is runner.PgprismRemoteTestRunner

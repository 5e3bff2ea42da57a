"""Test runners of Django that tag the queries of each test with its dotted name, those of `--parallel` too.

``TEST_RUNNER = "django_pgprism.runner.PgprismDiscoverRunner"``; a runner of one's own takes the mix-in:
``class Runner(PgprismRunnerMixin, TheRunner)``.
"""

from __future__ import annotations

import unittest
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.test.runner import DiscoverRunner, RemoteTestResult, RemoteTestRunner

from django_pgprism import testrun
from django_pgprism.tagging import install_for_tests
from django_pgprism.testrun import TestTags

# What the mix-ins are put before.
_Result: Any = unittest.TestResult if TYPE_CHECKING else object
_Runner: Any = DiscoverRunner if TYPE_CHECKING else object


class TaggingResultMixin(_Result):
    """Of a result of unittest, which is told when a test begins, before its setUp, and when it has ended, after its
    cleanups."""

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        testrun.exchange(TestTags(test.id()))
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        testrun.exchange(None)


class PgprismRemoteTestResult(TaggingResultMixin, RemoteTestResult):
    """Of a process of ``--parallel``."""


class PgprismRemoteTestRunner(RemoteTestRunner):
    """Runs the tests that a process of ``--parallel`` is given."""

    resultclass = PgprismRemoteTestResult

    def run(self, test: Any) -> Any:
        # A process that was spawned has connections of its own.
        install_for_tests()
        return super().run(test)


class PgprismRunnerMixin(_Runner):
    """Of a test runner: put it before the runner that it changes."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        order = cls.__mro__
        if DiscoverRunner in order and order.index(DiscoverRunner) < order.index(PgprismRunnerMixin):
            raise ImproperlyConfigured(
                f"{cls.__name__} has no tags: write class {cls.__name__}(PgprismRunnerMixin, ...), the mix-in first."
            )

    parallel_test_suite: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        suite = self.parallel_test_suite
        if suite.runner_class is RemoteTestRunner:
            self.parallel_test_suite = type(suite.__name__, (suite,), {"runner_class": PgprismRemoteTestRunner})
        elif not issubclass(suite.runner_class.resultclass, TaggingResultMixin):
            raise ImproperlyConfigured(
                f"The tests of {suite.__name__} would have no tags: derive its runner_class from "
                "django_pgprism.runner.PgprismRemoteTestRunner, or its resultclass from TaggingResultMixin."
            )

    def get_resultclass(self) -> type[unittest.TestResult]:
        chosen = super().get_resultclass() or self.test_runner.resultclass
        return type(f"Pgprism{chosen.__name__}", (TaggingResultMixin, chosen), {})

    def run_suite(self, suite: Any, **arguments: Any) -> Any:
        install_for_tests()
        return super().run_suite(suite, **arguments)


class PgprismDiscoverRunner(PgprismRunnerMixin, DiscoverRunner):
    """Django's own runner, with tags."""

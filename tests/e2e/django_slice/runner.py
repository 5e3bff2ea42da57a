"""Django's test runner, noting the outcome of each test in a JSON file."""

import json
import os
import time
import unittest

from django.test.runner import DiscoverRunner


class RecordingResult(unittest.TextTestResult):
    """Keeps one word for each test; a test with failing subtests failed."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.outcomes = {}
        # When each test ran, seconds since the epoch.
        self.times = {}

    def _note(self, test, outcome):
        name = test.id() if hasattr(test, "id") else str(test)
        if self.outcomes.get(name) not in ("failed", "error"):
            self.outcomes[name] = outcome

    def startTest(self, test):
        super().startTest(test)
        self.times[test.id()] = [time.time(), None]

    def stopTest(self, test):
        super().stopTest(test)
        self.times[test.id()][1] = time.time()

    def addSuccess(self, test):
        super().addSuccess(test)
        self._note(test, "passed")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._note(test, "skipped")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._note(test, "failed")

    def addError(self, test, error):
        super().addError(test, error)
        self._note(test, "error")

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._note(test, "failed")

    def addExpectedFailure(self, test, error):
        super().addExpectedFailure(test, error)
        self._note(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._note(test, "unexpected success")


class RecordingRunner(DiscoverRunner):
    """Writes `{test id: outcome}` to the file that SLICE_OUTCOMES names, and when each ran to SLICE_TIMES."""

    def get_resultclass(self):
        return RecordingResult

    def run_suite(self, suite, **keywords):
        result = super().run_suite(suite, **keywords)
        with open(os.environ["SLICE_OUTCOMES"], "w") as out:
            json.dump(result.outcomes, out)
        if times := os.environ.get("SLICE_TIMES"):
            with open(times, "w") as out:
                json.dump(result.times, out)
        return result

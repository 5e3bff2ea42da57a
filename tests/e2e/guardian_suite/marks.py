"""`-p guardian_suite.marks`: a plugin that has every test measured, with room for whatever it sends."""

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.pgprism(max_queries=100_000))

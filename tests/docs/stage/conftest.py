"""The commands of the documentation, in a machine of their own: `scripts/docs` makes it and runs this in there.

Network, mounts and processes are private, so that the ports, paths and names of the pages are real and nobody else's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from world import World


def pytest_configure() -> None:
    if os.environ.get("PGPRISM_DOCS_STAGE") != "1":
        raise pytest.UsageError("these tests take over ports and paths: run them with scripts/docs")


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    with World() as running:
        yield running

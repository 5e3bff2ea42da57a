"""The tables of docs/comparison.md are those of the program that is here, whoever wrote them last."""

from __future__ import annotations

import re
import sys

import pytest

from pages import PROJECT

sys.path.append(str(PROJECT / "tools"))

from compare.contenders import BARE, CONTENDERS, DEBUG, PGPRISM, TAGGED, Contender  # noqa: E402
from compare.page import BEGIN, END, PAGE  # noqa: E402
from compare.verdicts import OTHERS, RELATIONS, WITHOUT_MISTAKE  # noqa: E402

WRITTEN = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def _rows(name: str) -> list[list[str]]:
    rows = [line.strip("| ").split(" | ") for line in WRITTEN.splitlines() if line.startswith(f"| {name} |")]
    return [[cell.strip() for cell in row] for row in rows]


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda one: one.name)
def test_each_has_its_rows(contender: Contender) -> None:
    """Times and verdicts, and words of all but the bare shop."""
    assert len(_rows(contender.name)) == (2 if contender in (BARE, DEBUG) else 3)


@pytest.mark.parametrize("contender", [one for one in CONTENDERS if one.package], ids=lambda one: one.name)
def test_it_was_measured_in_the_version_that_is_installed(contender: Contender) -> None:
    pinned = (PROJECT / "tools/compare/requirements.txt").read_text()
    version = re.search(rf"^{contender.package}(?:\[\w+\])?==(\S+)$", pinned, re.MULTILINE)
    assert version and f"{contender.package} {version[1]}" in WRITTEN


@pytest.mark.parametrize("contender", [PGPRISM, TAGGED], ids=lambda one: one.name)
def test_what_is_promised_of_pgprism_is_what_was_measured(contender: Contender) -> None:
    (_, relations, others, false, _) = _rows(contender.name)[1]
    assert (relations, others, false) == (str(len(RELATIONS)), str(len(OTHERS)), "0")
    assert f"pages without a mistake, of {WITHOUT_MISTAKE}" in WRITTEN


def test_no_place_of_the_machine_is_told() -> None:
    assert not re.search(r"/(?:tmp|home|root|work|var)/", WRITTEN)

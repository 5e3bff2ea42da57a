"""The scenarios themselves, as their own process lists them; no database is asked."""

from __future__ import annotations

import collections
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from support.postgres import Address

from evaluation.configurations import SMOKE
from evaluation.player import Player, environment
from evaluation.projects import CAMPUS, SHOP, Project

FAMILIES = {
    "problem": "forward repeated self one_to_one inheritance proxy reverse narrowed many_to_many generic deferred "
    "refresh count exists aggregate nested side_by_side iterator raw join archive slow_start mixed_in create update "
    "delete get_or_create m2m_add duplicate constants chatty admin serializer asgi command threads worker "
    "one_at_a_time two_databases atomic get_loop half_fixed two_columns locking by_hand long conditional own_cache "
    "fewest order parents big_keys savepoints read_and_write streamed two_parents",
    "look_alike": "polling same_page list_then_details typing paging chance chunks cursor batches delete "
    "savepoints dashboard warming minimum one_row queue worker writes retry housekeeping migrations read_write_read",
    "clean": "page admin raw write",
    "hard": "list_then_details two_databases threads chain waiting migrations featured",
}


@pytest.fixture(scope="module")
def scenarios() -> Iterator[list[dict[str, Any]]]:
    yield from _scenarios(SHOP)


@pytest.fixture(scope="module")
def visits() -> Iterator[list[dict[str, Any]]]:
    yield from _scenarios(CAMPUS)


def _scenarios(project: Project) -> Iterator[list[dict[str, Any]]]:
    nowhere = Address("127.0.0.1", 1)
    player = Player(SMOKE, environment(nowhere, 1, ("none", "none"), {}, project), seed=1)
    try:
        yield player.scenarios()
        player.end()
    except subprocess.TimeoutExpired:
        player.kill()
        raise


def test_every_shape_has_scenarios(scenarios: list[dict[str, Any]]) -> None:
    assert len(scenarios) >= 200
    found = collections.defaultdict(set)
    for scenario in scenarios:
        found[scenario["label"]].add(scenario["family"])
    assert {label: sorted(names.split()) for label, names in FAMILIES.items()} == {
        label: sorted(names) for label, names in found.items()
    }


def test_the_second_project_has_as_much_to_be_silent_about(visits: list[dict[str, Any]]) -> None:
    labels = collections.Counter(scenario["label"] for scenario in visits)
    assert labels["problem"] >= 70 and labels["look_alike"] + labels["clean"] >= 45, labels


def test_problems_say_what_is_to_be_found(scenarios: list[dict[str, Any]], visits: list[dict[str, Any]]) -> None:
    for scenario in scenarios + visits:
        if scenario["label"] == "problem":
            assert scenario["expected"] and scenario["children"] >= 3, scenario["name"]
            assert scenario["variants"] == ["problem", "fixed"], scenario["name"]
        else:
            assert not scenario["expected"], scenario["name"]


def test_scenarios_run_in_all_places(scenarios: list[dict[str, Any]]) -> None:
    places = collections.Counter(scenario["where"] for scenario in scenarios)
    assert places["view"] >= 100 and places["asgi"] >= 5 and places["command"] >= 30, places
    assert sum(scenario["login"] for scenario in scenarios) >= 20

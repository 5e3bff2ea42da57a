"""The order of the runs, and the checks that a scenario is what it says."""

from __future__ import annotations

from typing import Any

from evaluation.configurations import all_configurations, selected
from evaluation.order import shuffled
from evaluation.wire import problems_of


def some(count: int) -> list[dict[str, Any]]:
    return [
        {"name": f"s{n}", "variants": ["problem", "fixed"], "expected": [{"child_tables": [f"t{n % 9}"]}]}
        for n in range(count)
    ]


def test_every_run_once_and_twins_behind() -> None:
    for seed in range(20):
        runs = shuffled(some(30), seed)
        assert sorted(runs) == sorted((f"s{n}", variant) for n in range(30) for variant in ("problem", "fixed"))
        assert all(runs.index((f"s{n}", "problem")) < runs.index((f"s{n}", "fixed")) for n in range(30))


def test_one_seed_one_order() -> None:
    assert shuffled(some(30), 5) == shuffled(some(30), 5) != shuffled(some(30), 6)


def test_problems_on_one_table_are_kept_apart() -> None:
    for seed in range(20):
        tables = [f"t{int(name[1:]) % 9}" if variant == "problem" else "" for name, variant in shuffled(some(30), seed)]
        close = [n for n in range(len(tables) - 2) if tables[n] and tables[n] in tables[n + 1 : n + 3]]
        assert len(close) <= 3, tables


def run(shapes: list[tuple[str, int]], digest: str = "x") -> dict[str, Any]:
    return {"shapes": [list(one) for one in shapes], "statements": sum(n for _, n in shapes), "digest": digest}


LOOP = ('SELECT a FROM "shop_customer" WHERE id = %s', 12)
SCENARIO = {"name": "s", "label": "problem", "children": 12, "expected": [{"child_tables": ["shop_customer"]}]}


def test_a_scenario_that_is_what_it_says() -> None:
    assert problems_of(SCENARIO, {"problem": run([LOOP]), "fixed": run([("SELECT 1", 1)])}) == []


def test_a_loop_that_is_too_short_a_twin_that_differs_or_repeats() -> None:
    fixed = run([("SELECT 1", 1)])
    assert "4 times" in problems_of(SCENARIO, {"problem": run([(LOOP[0], 4)]), "fixed": fixed})[0]
    assert "something else" in problems_of(SCENARIO, {"problem": run([LOOP], "y"), "fixed": fixed})[0]
    assert "repeats" in problems_of(SCENARIO, {"problem": run([LOOP, ("a", 9)]), "fixed": run([LOOP])})[0]


def test_configurations_are_chosen_by_name_beginning_or_part() -> None:
    names = {one.name for one in all_configurations()}
    assert len(names) >= 20
    assert [one.name for one in selected(["5.2-psycopg-pool"])] == ["5.2-psycopg-pool"]
    assert {one.name for one in selected(["4.2"])} == {name for name in names if name.startswith("4.2-")}
    assert {one.name for one in selected(["binding"])} == {name for name in names if "-binding-" in name}

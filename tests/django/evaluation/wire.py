"""Whether the scenarios are what they say: how often they repeat a shape, and that twins answer alike."""

from __future__ import annotations

import re
from typing import Any

REPEATED = 3


def _tables(sql: str) -> set[str]:
    return set(re.findall(r'(?i)(?:from|join|into|update)\s+"?(\w+)"?', sql))


def problems_of(scenario: dict[str, Any], runs: dict[str, dict[str, Any]]) -> list[str]:
    """What is wrong with a scenario, from its runs by variant."""
    said = []
    first = runs["problem"]
    if scenario["label"] != "problem":
        return said
    tables = {table for one in scenario["expected"] for table in one["child_tables"]}
    if tables:
        most = max((count for sql, count in first["shapes"] if _tables(sql) & tables), default=0)
    else:
        most = first["statements"]
    if most < scenario["children"]:
        said.append(f"repeats a statement on {' or '.join(sorted(tables))} {most} times, not {scenario['children']}")
    fixed = runs.get("fixed")
    if fixed is None:
        return said
    if fixed["digest"] != first["digest"]:
        said.append("its twin answers something else")
    # A prefetch in chunks repeats itself too, with many values each time; a job of four tasks has four lists.
    repeated = [
        f"{count}x {sql[:100]}"
        for sql, count in fixed["shapes"]
        if count >= max(REPEATED, scenario["children"] / 2) and _tables(sql) & tables and " IN (" not in sql
    ]
    if repeated:
        said.append(f"its twin repeats {repeated}")
    if fixed["statements"] >= first["statements"]:
        said.append(f"its twin sends {fixed['statements']} statements instead of {first['statements']}")
    return said


def shared_with_hard(scenarios: list[dict[str, Any]], runs: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """Hard scenarios that repeat the very shape of a problem: what is proved in one would be held against the other."""

    def repeated(scenario: dict[str, Any]) -> set[str]:
        return {sql for sql, count in runs[scenario["name"]]["problem"]["shapes"] if count >= REPEATED}

    problems = {sql: one["name"] for one in scenarios if one["label"] == "problem" for sql in repeated(one)}
    return [
        f"{one['name']} repeats a shape of {problems[sql]}"
        for one in scenarios
        if one["label"] == "hard"
        for sql in repeated(one) & problems.keys()
    ]

"""What is found in Django's own tests, for people to judge: see docs/evaluation-django-slice.md."""

from __future__ import annotations

import json
import os
import urllib.error
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from support.django import SLICE, Driver, run_slice
from support.processes import scratch_folder
from support.proxy import Pgprism

Times = dict[str, list[float]]


def _seconds(written: str) -> float:
    return datetime.fromisoformat(written.replace("Z", "+00:00")).timestamp()


def _tests_at(times: Times, begin: float, end: float) -> Iterator[str]:
    """The tests that ran in that time."""
    return (test for test, (started, stopped) in times.items() if started <= end and begin <= stopped)


def _spread(proxy: Pgprism, finding: dict[str, Any], times: Times) -> dict[str, int]:
    """How many of the example unit's children ran in which test; what no test ran is from `setUpTestData`."""
    try:
        unit = proxy.api(f"units/{finding['example_unit']}")
    except urllib.error.HTTPError:
        return {}
    began = _seconds(unit["started_at"])
    found: Counter[str] = Counter()
    for statement in unit["timeline"]:
        if statement["fingerprint"] == finding["fingerprint"]:
            at = began + statement["at_ms"] / 1000
            found[next(_tests_at(times, at, at), "outside of tests")] += 1
    return dict(found)


def test_the_slice_is_judged(servers, start_pgprism: Callable[..., Pgprism]) -> None:
    """No finding is surer than what Django's tests do; PGPRISM_FINDINGS=FOLDER keeps all of them as JSON lines."""
    server = servers(16)
    # Each test class is a unit: all of them are kept, to be looked at.
    proxy = start_pgprism(server.address.endpoint, limits={"units_max": 20_000})
    times_file = scratch_folder("times") / "times.json"
    outcomes = run_slice(server.address.at(proxy.endpoint), Driver.PSYCOPG3, SLICE, times=times_file)
    assert Counter(outcomes.values())["passed"] > 10 * len(SLICE)
    proxy.wait_judged()
    times: Times = json.loads(times_file.read_text())
    findings = [one | {"tests": _spread(proxy, one, times)} for one in proxy.items("findings")]
    print(f"{len(times)} tests, {proxy.metrics().total('pgprism_queries_total'):.0f} queries, {len(findings)} findings: "
          f"{dict(Counter((one['kind'], one['confidence']) for one in findings))}")
    if folder := os.environ.get("PGPRISM_FINDINGS"):
        with (Path(folder) / "django-slice.jsonl").open("w") as out:
            out.writelines(json.dumps(one) + "\n" for one in findings)

"""What a finding says that its fix saves, against what the fixed page really saves, near and far from the server."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from shop_site.labels import PAIRS, ROWS, Pair
from support.delay import DelayRelay
from support.postgres import Address
from support.proxy import Pgprism
from support.shop import fill, play
from support.waiting import wait_until

RUNS = 20
# What may lie between said and measured: a quarter, or the noise of a page.
TOLERANCE = 0.25
TOLERANCE_MS = 3.0


@dataclass(frozen=True)
class Price:
    """One pair under one delay, milliseconds a request."""

    pair: Pair
    problem_ms: float
    fixed_ms: float
    saves_ms: float
    said_ms: float
    cost_ms: float

    @property
    def is_right(self) -> bool:
        return abs(self.said_ms - self.saves_ms) <= max(TOLERANCE * self.saves_ms, TOLERANCE_MS)

    def __str__(self) -> str:
        return (
            f"{self.pair.name:13} {self.problem_ms:9.1f} {self.fixed_ms:9.1f} {self.saves_ms:9.1f} "
            f"{self.cost_ms:9.1f} {self.said_ms:9.1f} {self.said_ms / self.saves_ms - 1:+8.0%}"
            f"{'' if self.is_right else '  <- wrong'}"
        )


HEADING = f"{'':13} {'problem':>9} {'fixed':>9} {'measured':>9} {'cost_ms':>9} {'saves_ms':>9} {'':>8}"


@pytest.fixture(scope="module")
def shop(postgres) -> Iterator[Address]:
    address = fill(postgres, "price")
    yield address
    postgres.sql('DROP DATABASE "price" WITH (FORCE)')


def _finding(proxy: Pgprism, pair: Pair) -> dict[str, Any]:
    """The pair's finding, once every run of the problem is in it."""

    def complete() -> dict[str, Any] | None:
        found = [one for one in proxy.items("findings") if pair.is_told_by(one)]
        assert len(found) <= 1, f"{pair.name} is told twice: {found}"
        return found[0] if found and found[0]["occurrences"] >= RUNS else None

    try:
        return wait_until(complete, f"{RUNS} occurrences of {pair.name}", every_s=0.1)
    except AssertionError as problem:
        seen = [
            f"{one['kind']} {one['parent_table']}.{one['parent_column']} -> {one['child_table']}.{one['child_column']}"
            f" x{one['occurrences']}" for one in proxy.items("findings")
        ]
        raise AssertionError(f"{problem}; found: {seen}") from None


@pytest.mark.parametrize("round_trip_ms", [0, 1, 5])
def test_what_a_fix_saves(
    shop: Address, start_pgprism: Callable[..., Pgprism], round_trip_ms: int
) -> None:
    """Ten kinds of loop and their fixes, called in turn; the delay lies between the proxy and the server."""
    with DelayRelay(shop.endpoint, round_trip_ms / 1000) as far:
        proxy = start_pgprism(far.address)
        (host, port) = proxy.endpoint
        seconds = play(
            "price", shop, "--runs", str(RUNS), deadline_s=300,
            PROXY_HOST=host, PROXY_PORT=str(port), CONN_MAX_AGE="600", CONN_HEALTH_CHECKS="1",
        )
        prices = []
        for pair in PAIRS:
            finding = _finding(proxy, pair)
            problem, fixed = seconds[pair.name]["problem"], seconds[pair.name]["fixed"]
            saved = statistics.median(a - b for a, b in zip(problem, fixed, strict=True))
            assert finding["queries"] >= finding["occurrences"] * 50, f"{pair.name} has fewer than 50 children"
            prices.append(
                Price(
                    pair,
                    statistics.median(problem) * 1000,
                    statistics.median(fixed) * 1000,
                    saved * 1000,
                    finding["advice"]["saves_ms"] / finding["occurrences"],
                    finding["cost_ms"] / finding["occurrences"],
                )
            )
        proxy.quiet()
        proxy.stop()
    table = "\n".join([HEADING, *map(str, prices)])
    print(f"\n{round_trip_ms} ms added, {ROWS} rows, medians of {RUNS} runs, ms a request\n{table}")
    if folder := os.environ.get("PGPRISM_PRICES"):
        with open(os.path.join(folder, f"prices-{round_trip_ms}ms.txt"), "w") as out:
            out.write(table + "\n")
    wrong = [str(price) for price in prices if not price.is_right]
    assert not wrong, f"{round_trip_ms} ms added\n{HEADING}\n" + "\n".join(wrong)

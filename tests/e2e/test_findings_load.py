"""Findings under load: sixteen visitors at once, and a part of what the detectors should have seen lost on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shop_site.labels import PAIRS
from support.postgres import Address
from support.proxy import Pgprism
from support.shop import fill, play

THREADS = 16
REQUESTS = 30
# One in a hundred.
DROPPED_PER_10000 = 100


@pytest.fixture(scope="module")
def shop(postgres) -> Iterator[Address]:
    address = fill(postgres, "load")
    yield address
    postgres.sql('DROP DATABASE "load" WITH (FORCE)')


def _in_words(finding: dict[str, Any]) -> str:
    return (
        f"{finding['kind']} {finding['confidence']} {finding['evidence']} x{finding['occurrences']} "
        f"{finding['parent_table']}.{finding['parent_column']} -> {finding['child_table']}.{finding['child_column']}: "
        f"{finding['query'][:160]}"
    )


def _false(findings: list[dict[str, Any]]) -> list[str]:
    """Findings that no problem page explains."""
    return [_in_words(one) for one in findings if not any(pair.explains(one) for pair in PAIRS)]


def _missed(findings: list[dict[str, Any]]) -> list[str]:
    return [pair.name for pair in PAIRS if not any(pair.is_told_by(one) for one in findings)]


def _play(proxy: Pgprism, shop: Address, age_s: int) -> list[dict[str, Any]]:
    asked = play(
        "load", shop.at(proxy.endpoint), "--threads", str(THREADS), "--requests", str(REQUESTS), deadline_s=240,
        CONN_MAX_AGE=str(age_s),
    )
    assert sum(asked.values()) >= THREADS * REQUESTS
    proxy.wait_judged()
    findings = proxy.items("findings")
    print(f"\nCONN_MAX_AGE={age_s}: {sum(asked.values())} requests, {len(proxy.items('units'))} units kept, "
          f"{len(findings)} findings")
    for one in findings:
        print(" ", _in_words(one))
    return findings


@pytest.mark.parametrize("age_s", [0, 60])
def test_mixed_traffic_of_many_threads(shop: Address, start_pgprism: Callable[..., Pgprism], age_s: int) -> None:
    proxy = start_pgprism(shop.endpoint)
    findings = _play(proxy, shop, age_s)
    assert not _false(findings), "\n".join(_false(findings))
    assert not _missed(findings), _missed(findings)


@pytest.mark.parametrize("age_s", [0, 60])
def test_with_lost_events(shop: Address, start_pgprism: Callable[..., Pgprism], age_s: int) -> None:
    """What was lost costs findings, never makes one; and everybody can see that something was lost."""
    proxy = start_pgprism(shop.endpoint, debug={"drop_events_per_10000": DROPPED_PER_10000})
    proxy.expect.dropped_events = True
    findings = _play(proxy, shop, age_s)
    assert not _false(findings), "\n".join(_false(findings))
    scrape = proxy.quiet()
    dropped = scrape.total("pgprism_events_dropped_total")
    seen = scrape.total("pgprism_queries_total")
    assert 0.3 * seen / 100 < dropped < 3 * seen / 100, f"{dropped} of {seen} events dropped"
    assert any(unit["incomplete"] for unit in proxy.items("units")), "no unit says that it is incomplete"

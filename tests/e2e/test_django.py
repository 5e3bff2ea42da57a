"""Django: its own test suite through the proxy, and one identity for an ORM query whatever the driver."""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest

from support.django import SLICE, SMOKE_SLICE, Driver, run_orm_queries, run_slice, statements
from support.proxy import fingerprint_lines
from support.relay import assert_same_bytes


def _compare(servers, start_pgprism, start_relay, driver: Driver, labels: list[str]) -> None:
    """The same outcomes direct and through the proxy; the bytes equal on the way."""
    server = servers(16)
    direct = run_slice(server.address, driver, labels)
    inside = start_relay(server.address.endpoint)
    proxy = start_pgprism(inside.address)
    outside = start_relay(proxy.endpoint)
    through = run_slice(server.address.at(outside.address), driver, labels)
    different = {
        test: (direct.get(test), through.get(test))
        for test in direct.keys() | through.keys()
        if direct.get(test) != through.get(test)
    }
    print(f"{driver.value}: {len(labels)} labels, direct {dict(Counter(direct.values()))}, "
          f"through the proxy {dict(Counter(through.values()))}")
    assert not different, different
    assert Counter(direct.values())["passed"] > 10 * len(labels)
    assert_same_bytes(outside, inside)
    scrape = proxy.quiet()
    assert scrape.total("pgprism_queries_total") > 100
    _keep_corpus(driver, outside)


def _keep_corpus(driver: Driver, relay) -> None:
    """With PGPRISM_CORPUS=FOLDER every distinct statement goes to FOLDER/django-DRIVER.jsonl, one JSON string a line."""
    folder = os.environ.get("PGPRISM_CORPUS")
    if folder:
        distinct = dict.fromkeys(statements(relay))
        with open(os.path.join(folder, f"django-{driver.name.lower()}.jsonl"), "w") as out:
            out.writelines(json.dumps(sql) + "\n" for sql in distinct)


@pytest.mark.smoke
def test_a_few_labels(servers, start_pgprism, start_relay):
    _compare(servers, start_pgprism, start_relay, Driver.PSYCOPG3, SMOKE_SLICE)


@pytest.mark.parametrize("driver", [Driver.PSYCOPG3, Driver.PSYCOPG2, Driver.SERVER_SIDE_BINDING])
def test_the_slice(servers, start_pgprism, start_relay, driver):
    _compare(servers, start_pgprism, start_relay, driver, SLICE)


@pytest.mark.smoke
def test_one_query_has_one_identity(servers, start_pgprism, start_relay):
    """The same ORM code with psycopg2, psycopg 3 and server-side binding: the same shapes, called as often."""
    server = servers(16)
    seen: dict[Driver, dict[str, dict]] = {}
    for driver in Driver:
        name = f"orm_{driver.name.lower()}"
        address = server.create_database(name)
        relay = start_relay(server.address.endpoint)
        proxy = start_pgprism(relay.address)
        run_orm_queries(address.at(proxy.endpoint), driver)
        proxy.quiet()
        seen[driver] = proxy.queries()
        server.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
        assert_normalising_is_idempotent(list(dict.fromkeys(statements(relay))))
    reference = seen[Driver.PSYCOPG3]
    assert len(reference) > 60
    problems = []
    for driver, shapes in seen.items():
        for fingerprint in shapes.keys() ^ reference.keys():
            item = shapes.get(fingerprint) or reference[fingerprint]
            where = driver if fingerprint in shapes else Driver.PSYCOPG3
            problems.append(f"only {where.value} (against {driver.value}): {item['calls']} x {item['query']}")
        for fingerprint in shapes.keys() & reference.keys():
            counts = [(s[fingerprint]["calls"], s[fingerprint]["rows"]) for s in (shapes, reference)]
            if counts[0] != counts[1]:
                problems.append(f"{driver.value} {counts}: {reference[fingerprint]['query']}")
    assert not problems, "\n".join(sorted(problems))


def assert_normalising_is_idempotent(texts: list[str]) -> None:
    """Normalising what is normal changes neither text nor identity."""
    once = fingerprint_lines([json.dumps(sql) for sql in texts])
    assert len(once) == len(texts)
    normal = list({answer["normalized"]: answer["fingerprint"] for answer in once}.items())
    twice = fingerprint_lines([json.dumps(text) for text, _ in normal])
    changed = [
        (text, answer)
        for (text, fingerprint), answer in zip(normal, twice, strict=True)
        if (answer["normalized"], answer["fingerprint"]) != (text, fingerprint)
    ]
    assert not changed, changed[:3]

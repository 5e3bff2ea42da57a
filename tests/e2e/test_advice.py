"""Where the names in a finding's advice come from: conventions, the model map, the database's own constraints."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import StartPgprism
from support.postgres import Address, Postgres
from support.processes import scratch_folder
from support.proxy import Pgprism
from support.waiting import wait_until

TABLES = """
CREATE TABLE people_person (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE people_badge (id int PRIMARY KEY, person_id int NOT NULL REFERENCES people_person UNIQUE);
CREATE TABLE people_visit (id int PRIMARY KEY, person_id int NOT NULL REFERENCES people_person);
INSERT INTO people_person SELECT n * 1000 + 7, 'p' || n FROM generate_series(1, 12) n;
INSERT INTO people_badge SELECT n, n * 1000 + 7 FROM generate_series(1, 12) n;
INSERT INTO people_visit SELECT n, n * 1000 + 7 FROM generate_series(1, 12) n;
"""


@pytest.fixture
def people(database: Address) -> Address:
    with psycopg.connect(database.conninfo(), autocommit=True) as connection:
        connection.execute(TABLES)
    return database


def look_up(address: Address, table: str) -> None:
    """What `person.badge` sends for each person: Django's `get()`, on a connection of its own."""
    with psycopg.connect(address.conninfo(), cursor_factory=psycopg.ClientCursor, autocommit=True) as connection:
        people = connection.execute('SELECT "people_person"."id", "people_person"."name" FROM "people_person"')
        for person in people.fetchall():
            connection.execute(
                f'SELECT "{table}"."id", "{table}"."person_id" FROM "{table}" '
                f'WHERE "{table}"."person_id" = %s LIMIT 21',
                [person[0]],
            ).fetchall()


def advice(proxy: Pgprism, table: str) -> str | None:
    lines = [found["advice"]["django"] for found in proxy.items("findings") if found["child_table"] == table]
    return lines[0] if lines else None


def wait_for_advice(proxy: Pgprism, table: str, beginning: str) -> str:
    def right() -> str | None:
        line = advice(proxy, table)
        return line if line and line.startswith(beginning) else None

    return wait_until(right, f"advice about {table} that begins with {beginning!r}", deadline_s=20)


def url(address: Address, password: str | None = None) -> str:
    return f"postgres://{address.user}:{password or address.password}@{address.host}:{address.port}/{address.database}"


def model(label: str, table: str, **relation: Any) -> dict[str, Any]:
    def field(name: str, column: str, found: dict[str, Any] | None, unique: bool) -> dict[str, Any]:
        return {
            "name": name, "attname": column, "column": column, "primary_key": name == "id", "unique": unique,
            "null": False, "relation": found,
        }  # fmt: skip

    fields = [field("id", "id", None, True)]
    if relation:
        to = {
            "to": "people.Person", "to_schema": None, "to_table": "people_person", "from_columns": ["person_id"],
            "to_columns": ["id"], "query_name": relation["accessor"], "through": None, "content_type_column": None,
        }  # fmt: skip
        fields.append(field("person", "person_id", to | relation, relation["kind"] == "one_to_one"))
    return {
        "label": label, "db_schema": None, "db_table": table, "pk_columns": ["id"], "proxy_for": None, "parents": [],
        "managed": True, "auto_created_by": None, "swapped_by": None, "manager": "objects", "fields": fields,
    }  # fmt: skip


def write_map(path: Path, accessor: str) -> None:
    models = [
        model("people.Person", "people_person"),
        model("people.Badge", "people_badge", kind="one_to_one", accessor=accessor),
    ]
    path.write_text(json.dumps({"version": 1, "models": models}))


def test_constraints_tell_a_one_to_one_relation_from_one_to_many(
    start_pgprism: StartPgprism, postgres: Postgres, people: Address
) -> None:
    proxy = start_pgprism(postgres.address.endpoint, advise={"catalog": url(people)})
    through = people.at(proxy.endpoint)
    for table in ("people_badge", "people_visit"):
        look_up(through, table)
    badge = wait_for_advice(proxy, "people_badge", "select_related(<the reverse accessor of the one-to-one field")
    assert "people_badge.person_id; badge unless related_name says otherwise" in badge
    # Both are asked for with LIMIT 21; only the constraint tells that visits may be several.
    wait_for_advice(proxy, "people_visit", "prefetch_related(<the reverse accessor of the foreign key")
    assert people.password not in proxy.log.read_text()
    assert proxy.metrics().total("pgprism_catalog_failures_total") == 0


def test_the_catalogue_connection_reads_and_goes(
    start_pgprism: StartPgprism, postgres: Postgres, people: Address
) -> None:
    proxy = start_pgprism(postgres.address.endpoint, advise={"catalog": url(people)})
    look_up(people.at(proxy.endpoint), "people_badge")
    wait_for_advice(proxy, "people_badge", "select_related(<the reverse accessor of the one-to-one field")

    def connections() -> int:
        return int(postgres.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgprism'"))

    wait_until(lambda: connections() == 0, "the catalogue connection is closed")
    # Its own connection: none of the listener's, which would be observed.
    assert not any("pg_constraint" in query["query"] for query in proxy.items("queries"))


def test_without_an_answer_advice_goes_by_names(
    start_pgprism: StartPgprism, postgres: Postgres, people: Address
) -> None:
    proxy = start_pgprism(postgres.address.endpoint, advise={"catalog": url(people.in_database("no_such_database"))})
    look_up(people.at(proxy.endpoint), "people_badge")
    line = wait_for_advice(proxy, "people_badge", "select_related(<the reverse accessor of people_badge.person_id, if")
    assert "badge unless related_name says otherwise" in line
    wait_until(
        lambda: proxy.metrics().total("pgprism_catalog_failures_total", reason="connect") >= 1,
        "the failure is counted",
    )
    log = proxy.log.read_text()
    assert log.count("the catalogue does not answer") == 1
    assert 'database "no_such_database" does not exist' in log
    assert people.password not in log


def test_the_model_map_is_read_at_start_and_again_on_sighup(
    start_pgprism: StartPgprism, postgres: Postgres, people: Address
) -> None:
    models = scratch_folder("models") / "models.json"
    write_map(models, "badge")
    proxy = start_pgprism(postgres.address.endpoint, advise={"models": str(models)})
    look_up(people.at(proxy.endpoint), "people_badge")
    assert wait_for_advice(proxy, "people_badge", "Person") == 'Person.objects.select_related("badge")'

    # Findings that are there already are worded anew.
    write_map(models, "name_tag")
    proxy.process.send(signal.SIGHUP)
    wait_for_advice(proxy, "people_badge", 'Person.objects.select_related("name_tag")')

    models.write_text('{"version": 1, "models": [{}]}')
    proxy.process.send(signal.SIGHUP)
    wait_until(lambda: "models[0]: missing field `label`" in proxy.log.read_text(), "the broken map is refused")
    assert advice(proxy, "people_badge") == 'Person.objects.select_related("name_tag")'

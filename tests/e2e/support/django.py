"""Django's own test suite, from its source archive, and a script of ORM queries, as processes."""

from __future__ import annotations

import enum
import fcntl
import importlib.metadata
import json
import os
import struct
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from . import tools
from .postgres import Address
from .processes import Child, run, scratch_folder
from .relay import RecordingRelay

_HERE = Path(__file__).resolve().parents[1]

SLICE = (
    "aggregation aggregation_regress annotations backends basic bulk_create constraints custom_columns dates "
    "db_functions defer defer_regress delete delete_regress distinct_on_fields expressions expressions_case "
    "expressions_window force_insert_update foreign_object from_db_value get_earliest_or_latest get_or_create "
    "indexes inspectdb introspection lookup m2m_through many_to_many many_to_one migrations model_inheritance "
    "null_queries one_to_one or_lookups ordering postgres_tests prefetch_related queries raw_query reserved_names "
    "schema select_for_update select_related select_related_onetoone transaction_hooks transactions update "
    "update_only_fields"
).split()
"""Labels of Django's suite whose subject is the database."""

SMOKE_SLICE = ["basic", "get_or_create", "transactions"]


class Driver(enum.Enum):
    """How Django speaks to the server."""

    PSYCOPG2 = "psycopg2"
    PSYCOPG3 = "psycopg"
    SERVER_SIDE_BINDING = "psycopg with server-side binding"


def source_tests() -> Path:
    """`tests/` of the source archive of the Django in use; fetched once and kept where setup keeps its things."""
    version = importlib.metadata.version("django")
    cache = tools.cache()
    home = cache / f"django-{version}"
    with (cache / "django.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            archives = scratch_folder("django")
            run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--no-binary", ":all:", "--dest", archives, f"django=={version}"],
                deadline_s=300,
            )
            (archive,) = archives.glob("*.tar.gz")
            with tarfile.open(archive) as tar:
                tar.extractall(home, filter="data")
            (home / "complete").touch()
    (found,) = home.glob("*/tests/runtests.py")
    return found.parent


def _environment(address: Address, driver: Driver, folder: Path) -> dict[str, str]:
    path = [str(_HERE)]
    if driver is Driver.PSYCOPG2:
        # Django takes psycopg 3 where both are installed: this makes it look absent.
        (folder / "psycopg.py").write_text("raise ImportError('hidden, so that Django takes psycopg2')\n")
        path.insert(0, str(folder))
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(path),
        "SLICE_HOST": address.host,
        "SLICE_PORT": str(address.port),
        "SLICE_USER": address.user,
        "SLICE_PASSWORD": address.password,
        "SLICE_SERVER_SIDE_BINDING": "1" if driver is Driver.SERVER_SIDE_BINDING else "",
    }


def run_slice(
    address: Address, driver: Driver, labels: list[str], deadline_s: float = 900.0, times: Path | None = None
) -> dict[str, str]:
    """Runs those labels; answers each test's outcome. When each test ran goes to the file `times`, as JSON."""
    folder = scratch_folder("slice")
    outcomes = folder / "outcomes.json"
    tests = source_tests()
    child = Child(
        [sys.executable, tests / "runtests.py", "--settings=django_slice.settings", "--parallel=1", "--noinput",
         "-v", "1", *labels],
        folder / "slice.log",
        env=_environment(address, driver, folder) | {"SLICE_OUTCOMES": str(outcomes), "SLICE_TIMES": str(times or "")},
        cwd=tests,
    )
    status = child.wait(deadline_s)
    if not outcomes.exists():
        raise AssertionError(f"Django's suite ended with {status} before it ran\n{child.tail()}")
    return json.loads(outcomes.read_text())


def run_orm_queries(address: Address, driver: Driver) -> None:
    """Runs `orm_queries.py` against a database that exists."""
    folder = scratch_folder("orm")
    done = run(
        [sys.executable, "-m", "django_slice.orm_queries"],
        env=_environment(address, driver, folder) | {"SLICE_NAME": address.database},
        cwd=folder,
        deadline_s=120,
    )
    assert done.stdout.strip().endswith(f"done with {driver.value.split()[0]}"), done.stdout


def statements(relay: RecordingRelay) -> Iterator[str]:
    """The text of every Query and Parse that clients sent through `relay`, in order, connection by connection."""
    for recording in relay.wait_ended():
        client, _ = recording.without_negotiation()
        at = struct.unpack_from("!i", client)[0] if len(client) >= 4 else len(client)
        while at + 5 <= len(client):
            tag, length = client[at : at + 1], struct.unpack_from("!i", client, at + 1)[0]
            body = client[at + 5 : at + 1 + length]
            if tag == b"Q":
                yield body.rstrip(b"\0").decode(errors="replace")
            elif tag == b"P":
                yield body.split(b"\0", 2)[1].decode(errors="replace")
            at += 1 + length

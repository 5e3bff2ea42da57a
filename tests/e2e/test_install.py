"""What `pip install pgprism` gives, and README.md's quick start, word for word, where there is nothing of ours."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import tools
from support.installs import Environment, project_version, quick_start, wheels
from support.network import private_network
from support.postgres import Address, Postgres
from support.processes import Child, run, scratch_folder
from support.runs import DEMO, url
from support.waiting import wait_until

pytestmark = pytest.mark.smoke

QUICK_START = quick_start()
INSTALL, RUN, SERVE, REPORT = QUICK_START if len(QUICK_START) == 4 else [""] * 4


def test_the_quick_start_is_the_four_commands_that_are_played_here() -> None:
    assert len(QUICK_START) == 4, QUICK_START
    assert INSTALL == "pip install pgprism"
    assert RUN.startswith("pgprism run -- ")
    assert SERVE.startswith("pgprism serve ")
    assert REPORT == "pgprism report"


@pytest.fixture(scope="module")
def environment() -> Environment:
    """Django and a driver, as a project has them, and then the first line of the quick start."""
    made = Environment.create(wheels(), "django==5.2.19", "psycopg[binary]==3.3.9")
    _type(made, INSTALL)
    return made


def _type(environment: Environment, line: str, *, cwd: Path | None = None, **variables: str) -> str:
    """Types the line into a shell; answers what it printed."""
    where = cwd or environment.folder.parent
    return run(["bash", "-c", line], env=environment.variables | variables, cwd=where, deadline_s=120).stdout


@contextlib.contextmanager
def _typed(environment: Environment, line: str, cwd: Path, **variables: str) -> Iterator[Child]:
    """Types the line and lets it run; at the end Ctrl-C, unless it has ended."""
    output = scratch_folder("typed") / "output"
    child = Child(["bash", "-c", f"exec {line}"], output, env=environment.variables | variables, cwd=cwd)
    try:
        yield child
    except BaseException:
        print(child.tail())
        child.kill()
        raise
    child.send(signal.SIGINT)
    assert child.wait(40) == 0, child.tail()


def _get(address: str) -> int:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.status


def _up(address: str) -> None:
    wait_until(lambda: _get(address) == 200, f"{address} answers", deadline_s=40, refused=(OSError,))


def test_the_quick_start_does_what_it_says(environment: Environment) -> None:
    folder = scratch_folder("project")
    shutil.copytree(DEMO, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    with private_network(), Postgres(18, port=5432) as server:
        at_postgres = url(server.create_database("shop"))
        for line in ("python manage.py migrate --verbosity 0", "python manage.py seed --books 60"):
            _type(environment, line, cwd=folder, DATABASE_URL=at_postgres)

        with _typed(environment, RUN, folder, DATABASE_URL=at_postgres) as running:
            for _ in range(3):
                _up("http://127.0.0.1:8000/bad/books/")
        said = running.log.read_text()
        assert 'select_related("author")' in said, said
        assert "shop_book.author_id -> shop_author.id" in said, said
        # The wheel brings the middleware along: the finding has its route.
        assert "bad/books/" in said, said

        at_pgprism = url(Address("127.0.0.1", 6433, "shop"))
        with _typed(environment, SERVE, folder):
            _up("http://127.0.0.1:9433/readyz")
            _type(environment, "python manage.py check --database default", cwd=folder, DATABASE_URL=at_pgprism)
            _type(environment, "python -c 'import django; django.setup(); from shop.models import Book; "
                  "[book.publisher.name for book in Book.objects.all()]'",
                  cwd=folder, DATABASE_URL=at_pgprism, DJANGO_SETTINGS_MODULE="shop.settings")
            said = wait_until(
                lambda: (text := _type(environment, REPORT)) and "FINDING" in text and text, "the report has a finding"
            )
            assert "shop_book.publisher_id -> shop_publisher.id" in said, said


def test_one_version_for_all(environment: Environment) -> None:
    version = project_version()
    asked = "import pgprism, django_pgprism, importlib.metadata as m; " \
            "print(pgprism.__version__, django_pgprism.__version__, m.version('pgprism'))"
    assert environment.python("-c", asked).split() == [version] * 3
    assert _type(environment, "pgprism --version") == f"pgprism {version}\n"


def test_the_module_is_the_program(environment: Environment) -> None:
    assert environment.python("-m", "pgprism", "--version") == f"pgprism {project_version()}\n"
    where = environment.python("-c", "import pgprism; print(pgprism.find_pgprism())").strip()
    assert Path(where) == environment.folder / "bin/pgprism"
    # Its arguments and its exit status are the program's.
    done = subprocess.run(
        [environment.folder / "bin/python", "-m", "pgprism", "serve", "--upstream", "nonsense://"],
        env=environment.variables, capture_output=True, text=True, timeout=20, check=False,
    )
    assert done.returncode == 64
    assert done.stderr.startswith("pgprism: --upstream: "), done.stderr


def test_a_program_that_is_gone_is_said_plainly(environment: Environment) -> None:
    program = environment.folder / "bin/pgprism"
    aside = environment.folder / "bin/pgprism.aside"
    program.rename(aside)
    try:
        done = subprocess.run(
            [environment.folder / "bin/python", "-m", "pgprism", "report"], capture_output=True, text=True,
            env=environment.variables | {"PATH": str(environment.folder / "bin")}, timeout=20, check=False,
        )
        # On the PATH it is found too, last.
        elsewhere = scratch_folder("path")
        (elsewhere / "pgprism").symlink_to(aside)
        found = run(
            [environment.folder / "bin/python", "-m", "pgprism", "--version"],
            env=environment.variables | {"PATH": str(elsewhere)},
        )
    finally:
        aside.rename(program)
    assert done.returncode == 69
    assert str(environment.folder / "bin") in done.stderr
    assert "pip install --force-reinstall pgprism" in done.stderr
    assert "Traceback" not in done.stderr
    assert found.stdout == f"pgprism {project_version()}\n"


def test_the_wheel_needs_nothing_and_says_what_it_is(environment: Environment) -> None:
    asked = "import importlib.metadata as m, json; d = m.metadata('pgprism'); " \
            "print(json.dumps({name: d.get_all(name) for name in d.keys()}))"
    metadata = json.loads(environment.python("-c", asked))
    (django,) = metadata["Requires-Dist"]
    assert re.fullmatch(r"django>=4\.2\s*; extra == 'django'", django), django
    assert metadata["License-Expression"] == ["MIT OR Apache-2.0"]
    assert metadata["License-File"] == ["LICENSE-MIT", "LICENSE-APACHE"]
    assert metadata["Requires-Python"] == [">=3.10"]
    # What an index shows has no links into a clone.
    text = environment.python("-c", "import importlib.metadata as m; print(m.metadata('pgprism').get_payload())")
    assert "pgprism run -- " in text
    assert re.findall(r"\]\((?!https?://)", text) == []
    # The type checker of a project finds the types.
    for package in ("pgprism", "django_pgprism"):
        asked = f"import importlib.resources as r; print((r.files('{package}') / 'py.typed').is_file())"
        assert environment.python("-c", asked) == "True\n"


def test_every_entry_point_leads_to_something(environment: Environment) -> None:
    asked = "import importlib.metadata as m; print(*(e.module for e in m.distribution('pgprism').entry_points))"
    for module in environment.python("-c", asked).split():
        assert (tools.PROJECT / "python/src" / f"{module.replace('.', '/')}.py").is_file(), module


def test_uninstalling_leaves_nothing(environment: Environment) -> None:
    """The last test of the file: the others want it there."""
    _type(environment, "pip uninstall --yes pgprism")
    left = [name for name in environment.files() if "pgprism" in name]
    assert left == []
    folders = [path for path in environment.folder.rglob("*pgprism*") if path.is_dir()]
    assert folders == []
    _type(environment, INSTALL)
    assert _type(environment, "pgprism --version") == f"pgprism {project_version()}\n"

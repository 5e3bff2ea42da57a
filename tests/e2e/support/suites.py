"""Runs of pytest and of Django's test runner in an environment of their own: pytest-django would meddle with the tests
of this folder. The same environment has django-guardian's tests, from its source archive."""

from __future__ import annotations

import fcntl
import functools
import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from . import tools
from .postgres import Address
from .processes import run, scratch_folder
from .runs import environment

GUARDIAN = "3.5.2"
_HERE = Path(__file__).resolve().parents[1]
_PACKAGES = ("pytest-django==4.14.0", "pytest-xdist==3.8.0", "django-environ==0.14.0", "psycopg2-binary==2.9.13")
_OURS = ("pytest", "psycopg", "psycopg-binary", "psycopg-pool")


def python() -> Path:
    """The interpreter: of PGPRISM_DJANGO_PYTHON, which has another Django, else of the environment of these tests."""
    named = os.environ.get("PGPRISM_DJANGO_PYTHON")
    return Path(named) if named else _home() / "bin" / "python"


@functools.cache
def _home() -> Path:
    django = importlib.metadata.version("django")
    home = tools.cache() / f"suites-django-{django}-guardian-{GUARDIAN}"
    pip = [home / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    with (tools.cache() / "suites.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            run([sys.executable, "-m", "venv", "--clear", home], deadline_s=120)
            run(
                [*pip, "download", "--no-deps", "--no-binary", ":all:", "--dest", home, f"django-guardian=={GUARDIAN}"],
                deadline_s=300,
            )
            (archive,) = home.glob("*.tar.gz")
            with tarfile.open(archive) as tar:
                tar.extractall(home, filter="data")
            ours = [f"{name}=={importlib.metadata.version(name)}" for name in _OURS]
            run([*pip, "install", f"django=={django}", *ours, *_PACKAGES, "typing_extensions"], deadline_s=900)
            (home / "complete").touch()
    return home


def guardian() -> Path:
    """The source of django-guardian, its tests among it."""
    return _home() / f"django_guardian-{GUARDIAN}"


@dataclass
class Suite:
    """What came of a run of tests."""

    status: int
    text: str
    took_s: float = 0.0

    @property
    def outcomes(self) -> dict[str, str]:
        """Of each test, from the lines of `-rA`."""
        found = re.findall(r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL) (\S.*?)(?: - .*)?$", self.text, re.MULTILINE)
        return {name: outcome.lower() for outcome, name in found}

    def message(self, test: str) -> str:
        """What the failure of a test says, from its heading to the next."""
        end = r"^(?:_+ \S.* _+|=+ \S.* =+|pgprism: \d+ tests? .*)$"
        found = re.search(rf"^_+ {re.escape(test)} _+\n(.*?){end}", self.text, re.MULTILINE | re.DOTALL)
        assert found, f"no failure of {test}\n{self.text}"
        return found[1]


def suite_environment(address: Address, *folders: Path, psycopg2: bool = False, **settings: str) -> dict[str, str]:
    """Leads to `address` by DATABASE_URL, with django_pgprism and these folders to import from."""
    path = [*folders, tools.PROJECT / "python" / "src"]
    if psycopg2:
        # Django takes psycopg 3 where both are installed: this makes it look absent.
        hiding = scratch_folder("psycopg2")
        (hiding / "psycopg.py").write_text("raise ImportError('hidden, so that Django takes psycopg2')\n")
        path.insert(0, hiding)
    return environment(address, PYTHONPATH=os.pathsep.join(map(str, path)), COLUMNS="300", **settings)


def run_pytest(
    env: dict[str, str], *arguments: str | Path, cwd: Path, plugin: bool = True, deadline_s: float = 170.0
) -> Suite:
    """pytest with pytest-django, and our plugin, as its entry point would have it."""
    loaded = ["-p", "django_pgprism.pytest_plugin"] if plugin else []
    return run_suite(["-m", "pytest", "-p", "no:cacheprovider", *loaded, "-rA", *arguments], env, cwd, deadline_s)


def run_suite(arguments: list[str | Path], env: dict[str, str], cwd: Path, deadline_s: float = 170.0) -> Suite:
    """The interpreter with these arguments."""
    began = time.monotonic()
    done = subprocess.run(
        [python(), *arguments], env=env, cwd=cwd, timeout=deadline_s, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )
    return Suite(done.returncode, done.stdout, time.monotonic() - began)

"""django-oscar from its source archive, in an environment of its own, with the Django that the other tests have."""

from __future__ import annotations

import fcntl
import functools
import importlib.metadata
import os
import sys
import tarfile
import tomllib
from pathlib import Path

from . import tools
from .postgres import Address
from .processes import run, scratch_folder
from .runs import environment

VERSION = "4.2.1"
_HERE = Path(__file__).resolve().parents[1]


def python() -> Path:
    """The interpreter with all that Oscar needs; installed once and kept where setup keeps its things."""
    return _home() / "bin" / "python"


def _source() -> Path:
    return _home() / f"django_oscar-{VERSION}" / "src"


@functools.cache
def _home() -> Path:
    django = importlib.metadata.version("django")
    home = tools.cache() / f"oscar-{VERSION}-django-{django}-whoosh-gunicorn"
    pip = [home / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    with (tools.cache() / "oscar.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            run([sys.executable, "-m", "venv", "--clear", home], deadline_s=120)
            run(
                [*pip, "download", "--no-deps", "--no-binary", ":all:", "--dest", home, f"django-oscar=={VERSION}"],
                deadline_s=300,
            )
            (archive,) = home.glob("*.tar.gz")
            with tarfile.open(archive) as tar:
                tar.extractall(home, filter="data")
            # The archive has no built styles, so that it cannot be installed; its Python is whole.
            project = tomllib.loads((home / f"django_oscar-{VERSION}" / "pyproject.toml").read_text())
            ours = [f"{name}=={importlib.metadata.version(name)}" for name in ("psycopg", "psycopg-binary", "gunicorn")]
            run(
                [*pip, "install", *project["project"]["dependencies"], f"django=={django}", *ours, "sorl-thumbnail<13",
                 "whoosh>=2.7,<2.8"],
                deadline_s=900,
            )
            (home / "complete").touch()
    return home


def oscar_environment(address: Address) -> dict[str, str]:
    """What the shop of `oscar_shop` reads."""
    return environment(
        address, DJANGO_SETTINGS_MODULE="oscar_shop.settings", PYTHONPATH=f"{_HERE}{os.pathsep}{_source()}",
        OSCAR_MEDIA=os.fspath(scratch_folder("media")), PYTHONUNBUFFERED="1",
    )

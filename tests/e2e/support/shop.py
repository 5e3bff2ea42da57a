"""The demo's shop as the tests play it: a filled database, and processes that call its pages."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import tools
from .postgres import Address, Postgres
from .processes import run, scratch_folder

_HERE = Path(__file__).resolve().parents[1]
_DEMO = tools.PROJECT / "demo"
BOOKS = 800


def environment(address: Address, **settings: str) -> dict[str, str]:
    url = f"postgres://{address.user}:{quote(address.password)}@{address.host}:{address.port}/{address.database}"
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(_HERE), str(_DEMO)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "DJANGO_SETTINGS_MODULE": "shop_site.settings",
        "DATABASE_URL": url,
        **settings,
    }


def fill(server: Postgres, name: str) -> Address:
    """A database of that name with a small shop in it."""
    address = server.create_database(name)
    for arguments in (["migrate", "--verbosity", "0"], ["seed", "--books", str(BOOKS)]):
        run(
            [sys.executable, "-m", "django", *arguments],
            env=environment(address), cwd=scratch_folder("shop"), deadline_s=120,
        )
    return address


def play(module: str, address: Address, *arguments: str, deadline_s: float, **settings: str) -> Any:
    """Runs `python -m shop_site.MODULE` against the database and answers the JSON that it writes."""
    done = run(
        [sys.executable, "-m", f"shop_site.{module}", *arguments],
        env=environment(address, **settings), cwd=scratch_folder("shop"), deadline_s=deadline_s,
    )
    return json.loads(done.stdout)

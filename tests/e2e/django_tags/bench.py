"""What tags cost the application for each query, with both drivers: `make bench-middleware` runs it on each Django.

    cd tests/e2e && PGPRISM_DJANGO_PYTHON=PYTHON ../../.venv/bin/python -m django_tags.bench

Writes the rows of the table in `docs/django.md`. The application's process alone is looked at, and what it sends goes
straight to PostgreSQL: what the proxy costs is the subject of `make bench`.
"""

import json
import os
import sys

from support import tools
from support.postgres import Postgres
from support.processes import run, scratch_folder

PYTHON = os.environ.get("PGPRISM_DJANGO_PYTHON", sys.executable)
HERE = tools.PROJECT / "tests" / "e2e"
MODES = ("plain", "tags", "callsite", "test")


def main() -> None:
    said = run([PYTHON, "-c", "import django, sys; print(django.get_version(), sys.version.split()[0])"]).stdout
    django, python = said.split()
    with Postgres(16) as server:
        address = server.create_database("tags")
        for driver in ("psycopg 3", "psycopg2"):
            folder = scratch_folder("bench")
            if driver == "psycopg2":
                (folder / "psycopg.py").write_text("raise ImportError('hidden, so that Django takes psycopg2')\n")
            env = os.environ | {
                "PYTHONPATH": os.pathsep.join(map(str, (folder, HERE, tools.PROJECT / "python" / "src"))),
                "DJANGO_SETTINGS_MODULE": "django_tags.settings",
                "TAGS_HOST": address.host, "TAGS_PORT": str(address.port), "TAGS_USER": address.user,
                "TAGS_PASSWORD": address.password, "TAGS_NAME": address.database,
            }
            if driver == "psycopg 3":
                run([PYTHON, "-m", "django_tags.serve", "prepare"], env=env, cwd=folder, deadline_s=120)
            cost = json.loads(run([PYTHON, "-m", "django_tags.overhead"], env=env, cwd=folder, deadline_s=300).stdout)
            figures = " | ".join(f"{cost[mode]:.0f} µs" for mode in MODES)
            print(f"| {driver}, Django {django}, Python {python} | {figures} |", flush=True)


if __name__ == "__main__":
    main()

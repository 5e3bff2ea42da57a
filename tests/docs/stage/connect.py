"""Connects with the DATABASES of a page, as Django does: `connect.py FILE`, or `connect.py FILE psycopg2`.

Writes how many aliases answered.
"""

import sys
from typing import Any

if sys.argv[2:] == ["psycopg2"]:
    # Django takes psycopg 3 where it is installed.
    sys.modules["psycopg"] = None  # type: ignore[assignment]

import django
from django.conf import settings
from django.db import connections

page: dict[str, Any] = {}
with open(sys.argv[1]) as file:
    exec(compile(file.read(), sys.argv[1], "exec"), page)
settings.configure(DATABASES=page["DATABASES"], INSTALLED_APPS=[])
django.setup()
for alias in page["DATABASES"]:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        assert cursor.fetchone() == ("shop", "shop")
    if "pool" in page["DATABASES"][alias].get("OPTIONS", {}):
        connections[alias].close_pool()
    else:
        connections[alias].close()
print(len(page["DATABASES"]))

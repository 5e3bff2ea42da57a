"""Settings, by variables that the runner sets: where the database is and how Django connects to it."""

from __future__ import annotations

import json
import os
from typing import Any

SECRET_KEY = "for the evaluation only"
ALLOWED_HOSTS = ["testserver"]
DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "evalsite.urls"
EVALUATION_DATA = "evalsite.data"
"""The module that fills the tables."""
EVALUATION_SCENARIOS = "scenarios"
"""The package whose modules are the scenarios."""
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"

_connect: dict[str, Any] = json.loads(os.environ["EVAL_CONNECT"])
"""host, port, user, password, the upstream's own port as `direct_port`, and names of both databases."""
_mode: dict[str, Any] = json.loads(os.environ.get("EVAL_MODE", "{}"))
"""conn_max_age, conn_health_checks, options, tool: all may be absent."""

TOOL = _mode.get("tool")


def _database(name: str, port: int, **more: Any) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "HOST": _connect["host"],
        "PORT": str(port),
        "USER": _connect["user"],
        "PASSWORD": _connect["password"],
    } | more


_pgprism = {
    "CONN_MAX_AGE": _mode.get("conn_max_age", 0),
    "CONN_HEALTH_CHECKS": _mode.get("conn_health_checks", False),
    "OPTIONS": _mode.get("options", {}),
}
DATABASES = {
    "default": _database(_connect["database"], _connect["port"], **_pgprism),
    "archive": _database(_connect["archive"], _connect["port"], **_pgprism),
    # Past the proxy: what a scenario puts back afterwards is no part of it.
    "backstage": _database(_connect["database"], _connect["direct_port"]),
}
DATABASE_ROUTERS = ["evalsite.router.Archive"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "rest_framework",
    "shop",
    "clinic",
    "scenarios",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
if TOOL == "zeal":
    INSTALLED_APPS.append("zeal")
    MIDDLEWARE.insert(0, "zeal.middleware.zeal_middleware")
    ZEAL_RAISE = False
    ZEAL_NPLUSONE_THRESHOLD = 3
elif TOOL == "nplusone":
    INSTALLED_APPS.append("nplusone.ext.django")
    MIDDLEWARE.insert(0, "nplusone.ext.django.NPlusOneMiddleware")

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

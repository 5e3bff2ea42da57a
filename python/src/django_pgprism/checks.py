"""System checks: settings that hide from pgprism what it could show, or that cost more than they have to.

``manage.py check`` prints them, ``SILENCED_SYSTEM_CHECKS`` silences each by its id. No query is sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from django_pgprism.conf import DEFAULTS

MIDDLEWARE = "django_pgprism.middleware.PgprismMiddleware"
# Those of Django that read from a database, or write the session to it, themselves or when a view asks them to.
QUERYING = {
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.auth.middleware.PersistentRemoteUserMiddleware",
    "django.contrib.auth.middleware.RemoteUserMiddleware",
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.contrib.redirects.middleware.RedirectFallbackMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.sites.middleware.CurrentSiteMiddleware",
    "django.middleware.cache.CacheMiddleware",
    "django.middleware.cache.FetchFromCacheMiddleware",
    "django.middleware.cache.UpdateCacheMiddleware",
}

Apps = Sequence[AppConfig] | None


def check_setting(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """``PGPRISM`` is a dictionary of what this version knows."""
    given = getattr(settings, "PGPRISM", {})
    if not isinstance(given, dict):
        return [Error("PGPRISM is no dictionary.", hint='Write PGPRISM = {"CALLSITE": True}.', id="pgprism.E001")]
    known = ", ".join(sorted(DEFAULTS))
    return [
        *(
            Error(f"PGPRISM has no key {key!r}.", hint=f"It knows: {known}.", id="pgprism.E002")
            for key in given
            if key not in DEFAULTS
        ),
        *(
            Error(f"PGPRISM[{key!r}] is {value!r}.", hint="It takes True or False.", id="pgprism.E003")
            for key, value in given.items()
            if key in DEFAULTS and not isinstance(value, bool)
        ),
    ]


def check_middleware(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """The middleware is there, once, and above all that send queries."""
    installed = list(settings.MIDDLEWARE)
    at = next((index for index, path in enumerate(installed) if _is_ours(path)), None)
    if at is None:
        return [
            Warning(
                "django_pgprism is installed, but its middleware is not: queries carry no tags.",
                hint=f"Put {MIDDLEWARE!r} first in MIDDLEWARE.",
                id="pgprism.W001",
            )
        ]
    above = [path for path in installed[:at] if path in QUERYING]
    if not above:
        return []
    return [
        Warning(
            f"PgprismMiddleware stands below {', '.join(above)}: their queries carry no tags.",
            hint=f"Put {MIDDLEWARE!r} first in MIDDLEWARE.",
            id="pgprism.W002",
        )
    ]


def check_connections(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """What each connection to PostgreSQL says of itself, and what it prepares."""
    return [message for alias, database in _databases() for message in _check_connection(alias, database)]


def check_lifetimes(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """How long connections to PostgreSQL live; asked for by ``manage.py check --deploy``."""
    return [message for alias, database in _databases() for message in _check_lifetime(alias, database)]


def _check_connection(alias: str, database: dict[str, Any]) -> Iterator[CheckMessage]:
    options = database.get("OPTIONS") or {}
    if not _has_application_name(options):
        yield Warning(
            f"DATABASES[{alias!r}] has no application_name: its queries look like those of every other program.",
            hint='Add "OPTIONS": {"application_name": "web"}, with another name for each kind of process.',
            id="pgprism.W003",
        )
    if options.get("server_side_binding") is True and options.get("prepare_threshold") is not None:
        yield Warning(
            f"DATABASES[{alias!r}] prepares statements by their text, comments included: request_id and traceparent, "
            "which differ in each request, are left out there, and a statement is prepared once for each route.",
            hint="Remove prepare_threshold where tags are worth more than prepared statements, or silence this.",
            id="pgprism.W004",
        )


def _check_lifetime(alias: str, database: dict[str, Any]) -> Iterator[CheckMessage]:
    if (database.get("OPTIONS") or {}).get("pool"):
        return
    kept_s = database.get("CONN_MAX_AGE", 0)
    if kept_s != 0 and not database.get("CONN_HEALTH_CHECKS", False):
        yield Warning(
            f"DATABASES[{alias!r}] keeps connections and does not check them: after a restart of PostgreSQL or of a "
            "proxy, a request fails for each of them.",
            hint='Add "CONN_HEALTH_CHECKS": True.',
            id="pgprism.W005",
        )
    if kept_s == 0:
        yield Info(
            f"DATABASES[{alias!r}] opens a connection for each request (CONN_MAX_AGE = 0).",
            hint='Add "CONN_MAX_AGE": 60 and "CONN_HEALTH_CHECKS": True; or, with psycopg 3 and Django 5.1 or later, '
            '"OPTIONS": {"pool": True}, which is also the way under ASGI.',
            id="pgprism.I001",
        )


def _has_application_name(options: dict[str, Any]) -> bool:
    """In OPTIONS, in what is sent as command-line options, or where libpq looks for it."""
    return bool(
        options.get("application_name")
        or options.get("service")
        or "application_name" in str(options.get("options", ""))
        or os.environ.get("PGAPPNAME")
        or os.environ.get("PGSERVICE")
    )


def _databases() -> list[tuple[str, dict[str, Any]]]:
    return [(alias, database) for alias, database in settings.DATABASES.items() if _is_postgresql(database)]


def _is_postgresql(database: dict[str, Any]) -> bool:
    """As its backend says, which may be another's that builds on Django's."""
    try:
        wrapper = import_string(f"{database.get('ENGINE', '')}.base.DatabaseWrapper")
    except (ImportError, ImproperlyConfigured):
        return False  # Django says so itself.
    return bool(wrapper.vendor == "postgresql")


def _is_ours(path: str) -> bool:
    if path == MIDDLEWARE:
        return True
    try:
        found = import_string(path)
    except ImportError:
        return False  # Django says so itself.
    from django_pgprism.middleware import PgprismMiddleware

    return isinstance(found, type) and issubclass(found, PgprismMiddleware)

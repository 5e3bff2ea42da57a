"""The application ``django_pgprism``: its checks, and tags on each connection."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_pgprism.checks import check_connections, check_lifetimes, check_middleware, check_setting
from django_pgprism.tagging import install


class PgprismConfig(AppConfig):
    """Has no models and sends no queries."""

    name = "django_pgprism"
    verbose_name = "pgprism"

    def ready(self) -> None:
        """Connects what the middleware relies on, before there are connections to the database."""
        connection_created.connect(_install, dispatch_uid="django_pgprism")
        for check in (check_setting, check_middleware, check_connections):
            checks.register(check, "pgprism")
        checks.register(check_lifetimes, "pgprism", deploy=True)


def _install(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    install(connection)

"""The application ``django_pgprism``: its checks, and tags on each connection."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from django_pgprism.checks import check_connections, check_lifetimes, check_middleware, check_setting
from django_pgprism.tagging import install_on_all


class PgprismConfig(AppConfig):
    """Has no models and sends no queries."""

    name = "django_pgprism"
    verbose_name = "pgprism"

    def ready(self) -> None:
        """Connects what the middleware relies on, before there are connections to the database."""
        install_on_all()
        for check in (check_setting, check_middleware, check_connections):
            checks.register(check, "pgprism")
        checks.register(check_lifetimes, "pgprism", deploy=True)


"""Who is compared, and what is said of each that is no figure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Contender:
    """One way to run the shop. `tool` is what `compare_site.settings` installs."""

    name: str
    tool: str
    package: str | None = None
    through_proxy: bool = False
    tags: bool = False
    counted_by_server: bool = False
    """Its server has pg_stat_statements loaded; all others' has it not."""
    has_verdict: bool = False
    """It says of a page by itself that something repeats there."""


BARE = Contender("nothing", "bare")
DEBUG = Contender("nothing, DEBUG on", "debug")
PGPRISM = Contender("pgprism", "bare", through_proxy=True, has_verdict=True)
TAGGED = Contender("pgprism, tags and lines", "bare", through_proxy=True, tags=True, has_verdict=True)
TOOLBAR = Contender("Django Debug Toolbar", "debug-toolbar", "django-debug-toolbar", has_verdict=True)
SILK = Contender("Silk", "silk", "django-silk")
ZEAL = Contender("zeal", "zeal", "django-zeal", has_verdict=True)
NPLUSONE = Contender("nplusone", "nplusone", "nplusone", has_verdict=True)
STATEMENTS = Contender("pg_stat_statements", "bare", counted_by_server=True)
OPENTELEMETRY = Contender("OpenTelemetry", "opentelemetry", "opentelemetry-sdk")
SENTRY = Contender("Sentry's SDK", "sentry", "sentry-sdk")

CONTENDERS = (
    BARE, DEBUG, PGPRISM, TAGGED, TOOLBAR, SILK, ZEAL, NPLUSONE, STATEMENTS, OPENTELEMETRY, SENTRY,
)  # fmt: skip

"""How Django connects: its version, its driver, and how long it keeps a connection."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import tools

POOL = {"min_size": 2, "max_size": 20}


class Driver(enum.Enum):
    PSYCOPG2 = "psycopg2"
    PSYCOPG = "psycopg"
    SERVER_SIDE_BINDING = "binding"
    """psycopg with `server_side_binding`."""


class Keep(enum.Enum):
    """What happens to a connection at a request's end."""

    CLOSE = "close"
    """CONN_MAX_AGE = 0"""
    STAY = "stay"
    """CONN_MAX_AGE = 60"""
    CHECK = "check"
    """CONN_MAX_AGE = 60 and CONN_HEALTH_CHECKS"""
    POOL = "pool"
    """psycopg's pool"""
    POOL_CHECK = "pool-check"
    """psycopg's pool and CONN_HEALTH_CHECKS"""


@dataclass(frozen=True)
class Configuration:
    django: str
    driver: Driver
    keep: Keep

    @property
    def name(self) -> str:
        return f"{self.django}-{self.driver.value}-{self.keep.value}"

    def mode(self) -> dict[str, Any]:
        """What `evalsite.settings` reads as EVAL_MODE."""
        options: dict[str, Any] = {}
        if self.driver is Driver.SERVER_SIDE_BINDING:
            options["server_side_binding"] = True
        if self.keep in (Keep.POOL, Keep.POOL_CHECK):
            options["pool"] = POOL
        return {
            "conn_max_age": 60 if self.keep in (Keep.STAY, Keep.CHECK) else 0,
            "conn_health_checks": self.keep in (Keep.CHECK, Keep.POOL_CHECK),
            "options": options,
        }


def python(django: str) -> Path:
    """The interpreter of the environment that has that Django."""
    return tools.TOOLS / "django" / django / "bin" / "python"


def all_configurations() -> list[Configuration]:
    """Every one that this machine can run; Django 6 needs a newer Python, which may be absent."""
    found = [
        Configuration(django, driver, keep)
        for django in ("5.2", "4.2")
        for driver in (Driver.PSYCOPG, Driver.PSYCOPG2, Driver.SERVER_SIDE_BINDING)
        for keep in (Keep.CLOSE, Keep.STAY, Keep.CHECK)
    ]
    found += [Configuration("5.2", Driver.PSYCOPG, keep) for keep in (Keep.POOL, Keep.POOL_CHECK)]
    newest = [Configuration("6.1", Driver.PSYCOPG, keep) for keep in (Keep.CLOSE, Keep.STAY, Keep.CHECK, Keep.POOL)]
    newest += [
        Configuration("6.1", Driver.PSYCOPG2, Keep.STAY),
        Configuration("6.1", Driver.SERVER_SIDE_BINDING, Keep.STAY),
    ]
    return found + [one for one in newest if python(one.django).exists()]


SMOKE = Configuration("5.2", Driver.PSYCOPG, Keep.STAY)


def selected(words: list[str]) -> list[Configuration]:
    """Those whose name has any of `words` as a whole part or as its beginning; all without words."""
    everything = all_configurations()
    if not words:
        return everything
    exact = {one.name for one in everything} & set(words)
    parts = [word for word in words if word not in exact]
    chosen = [
        one
        for one in everything
        if one.name in exact or any(one.name.startswith(part) or f"-{part}-" in f"-{one.name}-" for part in parts)
    ]
    if not chosen:
        raise SystemExit(
            f"no configuration is called {' or '.join(words)}; there are: " + " ".join(one.name for one in everything)
        )
    return chosen

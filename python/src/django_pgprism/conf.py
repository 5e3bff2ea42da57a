"""The setting ``PGPRISM``: a dictionary, every key of it optional."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

DEFAULTS: Mapping[str, bool] = {
    # Adds the line of the project's code to each query: the tag `callsite`.
    "CALLSITE": False,
}


@functools.cache
def callsite_wanted() -> bool:
    """Whether queries are to name the line that sent them."""
    given = getattr(settings, "PGPRISM", {})
    return bool({**DEFAULTS, **given}["CALLSITE"])


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "PGPRISM":
        callsite_wanted.cache_clear()


setting_changed.connect(_forget)

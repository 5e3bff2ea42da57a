"""The setting ``PGPRISM``: a dictionary, every key of it optional."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

DEFAULTS: Mapping[str, bool] = {
    # Adds the line of the project's code to each query: the tag `callsite`. Tests have it unless this says False.
    "CALLSITE": False,
}


@functools.cache
def callsite_wanted(*, in_test: bool = False) -> bool:
    """Whether queries are to name the line that sent them: where it is not said, those of tests do."""
    given = getattr(settings, "PGPRISM", {})
    if not isinstance(given, dict):
        raise ImproperlyConfigured('PGPRISM is no dictionary: write PGPRISM = {"CALLSITE": True}.')
    return bool(given.get("CALLSITE", in_test or DEFAULTS["CALLSITE"]))


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "PGPRISM":
        callsite_wanted.cache_clear()


setting_changed.connect(_forget)

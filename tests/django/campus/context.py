"""What every template may show."""

from __future__ import annotations

from typing import Any

from press.models import SiteConfig, Topic


def menu(request: Any) -> dict[str, Any]:
    return {
        "menu": Topic.objects.filter(parent=None).order_by("position"),
        "claim": lambda: SiteConfig.objects.get(key="claim").value,
    }

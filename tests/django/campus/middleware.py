"""What runs around every request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import F
from press.models import Presence, SiteConfig


class Site:
    """Reads the site's configuration, as many projects do, for what is shown to people."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        if request.GET.get("site"):
            request.site = SiteConfig.objects.filter(key="site").first()
        return self._get_response(request)


class LastSeen:
    """Notes that a user was here."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        response = self._get_response(request)
        if request.GET.get("seen") and request.user.is_authenticated:
            Presence.objects.filter(user_id=request.user.pk).update(pages=F("pages") + 1)
        return response

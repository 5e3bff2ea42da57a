"""A middleware that names the request in a comment of each statement, in the form that sqlcommenter defined."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from django.db import connection
from django.http import HttpRequest, HttpResponse


class Tags:
    """Keeps route, view and trace of the requests that it hands on in the comments of their statements."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Made before any statement, the route once it is known: session and user are read first.
        tags = {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"}
        request.tags = tags
        with connection.execute_wrapper(lambda *call: _tagged(tags, *call)):
            return self._get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        request.tags |= {
            "controller": request.resolver_match.view_name or "",
            "route": request.resolver_match.route,
        }


def _tagged(tags: dict[str, str], execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    comment = ",".join(f"{name}='{quote(value, safe='')}'" for name, value in sorted(tags.items()))
    if params is not None:
        comment = comment.replace("%", "%%")
    return execute(f"{sql} /*{comment}*/", params, many, context)

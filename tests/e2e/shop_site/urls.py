"""Addresses of the pages that the tests play."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import path

from shop_site import pairs, traffic
from shop_site.labels import PAIRS


def _page(answer: Callable[..., Any]) -> Callable[..., JsonResponse]:
    def view(_request: HttpRequest, **arguments: Any) -> JsonResponse:
        return JsonResponse({"answer": answer(**arguments)})

    return view


urlpatterns = [
    *(
        path(f"pairs/{number}/{side}/", _page(page))
        for number, pair in enumerate(PAIRS)
        for side, page in zip(("problem", "fixed"), pairs.PAGES[pair.name], strict=True)
    ),
    *(path(f"quiet/{route}/", _page(answer)) for route, answer in traffic.PAGES.items()),
]

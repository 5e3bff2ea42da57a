"""The labelled pages of the tests' shop, as HTML: the toolbar puts itself into nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.db.models import Count, Max, Min
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.utils.html import format_html, format_html_join
from shop_site import pairs, traffic
from shop_site.labels import PAIRS

from compare_site.settings import TOOL


def _page(answer: Callable[..., Any]) -> Callable[..., HttpResponse]:
    def view(_request: HttpRequest, **arguments: Any) -> HttpResponse:
        lines = format_html_join("", "<li>{}</li>", ((line,) for line in answer(**arguments)))
        return HttpResponse(format_html("<html><head></head><body><ul>{}</ul></body></html>", lines))

    return view


def many() -> list[Any]:
    """No loop: many questions, no two of them alike."""
    return [
        model.objects.aggregate(value=function(field.name))["value"]
        for model in apps.get_app_config("shop").get_models()
        for field in model._meta.concrete_fields
        for function in (Count, Min, Max)
    ]


urlpatterns = [
    *(
        path(f"pairs/{number}/{side}/", _page(page))
        for number, pair in enumerate(PAIRS)
        for side, page in zip(("problem", "fixed"), pairs.PAGES[pair.name], strict=True)
    ),
    *(path(f"quiet/{route}/", _page(answer)) for route, answer in traffic.PAGES.items()),
    path("many/", _page(many)),
]
if TOOL == "debug-toolbar":
    urlpatterns += [path("__debug__/", include("debug_toolbar.urls"))]
if TOOL == "silk":
    urlpatterns += [path("silk/", include("silk.urls", namespace="silk"))]

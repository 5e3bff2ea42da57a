"""The views that run a scenario's steps."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template import Context, Engine

from .registry import SCENARIOS

_engine = Engine()


def page(source: str, **context: Any) -> HttpResponse:
    """A template rendered as a page."""
    return HttpResponse(_engine.from_string(source).render(Context(context)))


def answer(result: Any) -> HttpResponseBase:
    if isinstance(result, HttpResponseBase):
        return result
    return JsonResponse({"result": result}, json_dumps_params={"default": str})


def serve(request: HttpRequest, name: str, variant: str, step: str) -> HttpResponseBase:
    scenario = SCENARIOS[name]
    if scenario.login and not request.user.is_authenticated:
        return HttpResponse(status=403)
    return answer(scenario.steps[variant, step](request))


async def serve_async(request: HttpRequest, name: str, variant: str, step: str) -> HttpResponseBase:
    """Coroutine functions run as such, others as Django runs synchronous code in an asynchronous view."""
    import inspect

    function = SCENARIOS[name].steps[variant, step]
    if inspect.iscoroutinefunction(function):
        return answer(await function(request))
    return answer(await sync_to_async(function)(request))

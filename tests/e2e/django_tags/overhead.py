"""What tags cost the application for each query: `python -m django_tags.overhead`, with a database that `prepare` made.

CPU time of this process, its driver included, with a middleware around one view that runs ORM queries in a loop, and
of the same view in a test without a middleware: the least of all rounds, whose modes take turns. Writes microseconds a
query as JSON.
"""

import contextlib
import json
import time

import django
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import resolve

QUERIES = 200
ROUNDS = 30


def view(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth.models import User

    for _ in range(QUERIES):
        User.objects.filter(pk=1).first()
    return HttpResponse("done")


def cpu_us(handler, request: HttpRequest) -> float:
    """Of one query, out of one request."""
    began = time.process_time_ns()
    handler(request)
    return (time.process_time_ns() - began) / QUERIES / 1000


def main() -> None:
    django.setup()
    from django_pgprism import testrun
    from django_pgprism.middleware import PgprismMiddleware

    request = RequestFactory().get("/mine/7/")
    request.resolver_match = resolve("/mine/7/")
    tagged, test = PgprismMiddleware(view), testrun.TestTags("tests/test_shop.py::TestPages::test_books[7]")
    modes = {
        "plain": (view, False, None),
        "tags": (tagged, False, None),
        "callsite": (tagged, True, None),
        "test": (view, True, test),
    }
    least = dict.fromkeys(modes, float("inf"))
    for _ in range(ROUNDS):
        for mode, (handler, callsite, running) in modes.items():
            with override_settings(PGPRISM={"CALLSITE": callsite}), contextlib.ExitStack() as stack:
                if running:
                    stack.enter_context(testrun.during(running))
                least[mode] = min(least[mode], cpu_us(handler, request))
    print(json.dumps({mode: round(us, 1) for mode, us in least.items()}))


if __name__ == "__main__":
    main()

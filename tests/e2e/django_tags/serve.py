"""Answers requests through Django's own handlers: `python -m django_tags.serve wsgi|asgi PATH...`.

TAGS_THREADS threads (1) answer all of them each; under ASGI they are tasks of one loop. TAGS_TRACEPARENT is sent as a
header. `prepare` instead of a handler makes tables, users and a session.
"""

import asyncio
import io
import os
import sys
import threading

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django_units.serve import KEY, prepare

HEADERS = {"cookie": f"{settings.SESSION_COOKIE_NAME}={KEY}", "host": "tags"}
if "TAGS_TRACEPARENT" in os.environ:
    HEADERS["traceparent"] = os.environ["TAGS_TRACEPARENT"]


def check(page: str, status: int) -> None:
    if status != (500 if page == "/missing/" else 200):
        raise SystemExit(f"{page}: {status}")


def answer(handler: WSGIHandler, page: str) -> None:
    """One request, from its first signal to its last."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": page,
        "SERVER_NAME": "tags",
        "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
    } | {f"HTTP_{name.upper()}": value for name, value in HEADERS.items()}
    said: list[str] = []
    response = handler(environ, lambda status, headers: said.append(status))
    for _ in response:
        pass
    response.close()
    check(page, int(said[0].split()[0]))


async def answer_async(handler: ASGIHandler, page: str) -> None:
    """One request, whose client stays until it has the whole response."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": page,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in HEADERS.items()],
    }
    messages = iter([{"type": "http.request"}])
    statuses: list[int] = []

    async def receive():
        message = next(messages, None)
        return message if message is not None else await asyncio.get_running_loop().create_future()

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await handler(scope, receive, send)
    check(page, statuses[0])


def through_wsgi(pages: list[str]) -> None:
    handler = WSGIHandler()
    for page in pages:
        answer(handler, page)


async def through_asgi(pages: list[str], count: int) -> None:
    handler = ASGIHandler()

    async def visitor() -> None:
        for page in pages:
            await answer_async(handler, page)

    await asyncio.gather(*(visitor() for _ in range(count)))


def main() -> None:
    django.setup()
    interface, *pages = sys.argv[1:]
    count = int(os.environ.get("TAGS_THREADS", "1"))
    if interface == "prepare":
        prepare()
    elif interface == "asgi":
        asyncio.run(through_asgi(pages, count))
    else:
        threads = [threading.Thread(target=through_wsgi, args=[pages]) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print("served")


if __name__ == "__main__":
    main()

"""Answers requests through Django's WSGI handler, one after the other: `python -m django_units.serve PATH...`.

`prepare` makes tables, users and a session first, and `job` is no request: it reads the list as a management command
would. Between two requests lies UNITS_THINK seconds. With UNITS_WARM, a server's port, the first page is answered from
there before: the imports of a first request take as long as people take to ask for another one.
"""

import datetime
import io
import os
import sys
import threading
import time

import django
from django.conf import settings
from django.contrib.auth import SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connections

KEY = "s" * 32


def prepare() -> None:
    from django.contrib.auth.models import Group, User
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session
    from django.utils import timezone

    call_command("migrate", verbosity=0)
    groups = [Group.objects.create(name=f"group {n}") for n in range(3)]
    for n in range(5):
        user = User.objects.create_user(f"user {n}", password="x")  # noqa: S106
        user.groups.set(groups[: n % 3 + 1])
    first = User.objects.order_by("id").first()
    data = {
        SESSION_KEY: str(first.pk),
        BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
        HASH_SESSION_KEY: first.get_session_auth_hash(),
    }
    expires = timezone.now() + datetime.timedelta(days=1)
    Session.objects.create(session_key=KEY, session_data=SessionStore().encode(data), expire_date=expires)


def answer(handler: WSGIHandler, page: str) -> None:
    """One request, from its first signal to its last."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/{page}",
        "SERVER_NAME": "units",
        "SERVER_PORT": "80",
        "HTTP_COOKIE": f"{settings.SESSION_COOKIE_NAME}={KEY}",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
    }
    said: list[str] = []
    response = handler(environ, lambda status, headers: said.append(status))
    for _ in response:
        pass
    response.close()
    expected = "500" if page == "broken" else "200"
    if not said[0].startswith(expected):
        raise SystemExit(f"{page}: {said[0]}")


def warm(page: str, port: str) -> None:
    """Answers a page with another server behind it; only where connections live for one request each."""
    database = connections["default"].settings_dict
    before = database["PORT"]
    database["PORT"] = port
    answer(WSGIHandler(), page)
    database["PORT"] = before


def serve(pages: list[str]) -> None:
    handler = WSGIHandler()
    think = float(os.environ.get("UNITS_THINK", "0.03"))
    for page in pages:
        answer(handler, page)
        time.sleep(think)


def job() -> None:
    from django.contrib.auth.models import User

    for user in User.objects.order_by("id"):
        list(user.groups.all())


def main() -> None:
    django.setup()
    pages = sys.argv[1:]
    if pages == ["prepare"]:
        prepare()
    elif pages == ["job"]:
        job()
    else:
        if port := os.environ.get("UNITS_WARM"):
            warm(pages[0], port)
        threads = [
            threading.Thread(target=serve, args=[pages]) for _ in range(int(os.environ.get("UNITS_THREADS", "1")))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print("served")


if __name__ == "__main__":
    main()

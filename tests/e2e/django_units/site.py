"""The pages. Each user's page costs one statement, the list of users one and one more for each of them."""

import os
import time
import uuid

from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

USERS = 5


def users(request: HttpRequest) -> HttpResponse:
    """Five users, and the groups of each: six statements."""
    lines = [f"{user.username}: {user.groups.all()!r}" for user in User.objects.order_by("id")[:USERS]]
    return HttpResponse("\n".join(lines))


def slow(request: HttpRequest) -> HttpResponse:
    """The same, with a template that takes 80 ms before its first line."""
    found = list(User.objects.order_by("id")[:USERS])
    time.sleep(0.08)
    return HttpResponse("\n".join(repr(user.groups.all()) for user in found))


def mine(request: HttpRequest) -> HttpResponse:
    """Who is logged in, then the list: eight statements."""
    return HttpResponse(request.user.get_username().encode() + users(request).content)


def stream(request: HttpRequest) -> HttpResponse:
    """The users by a server-side cursor, and the groups of each: six statements."""
    found = User.objects.order_by("id").iterator(chunk_size=2)
    return HttpResponse("\n".join(repr(user.groups.all()) for user in found))


def report(request: HttpRequest) -> HttpResponse:
    """The list, with a statement of 1.5 s behind its first: seven statements."""
    found = list(User.objects.order_by("id")[:USERS])
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), pg_sleep(1.5) FROM auth_user")
    return HttpResponse("\n".join(repr(user.groups.all()) for user in found))


def broken(request: HttpRequest) -> HttpResponse:
    """A statement that fails outside of a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT no_such_column FROM auth_user")
    return HttpResponse("never")


def trace(get_response):
    """OpenTelemetry's way, where it is asked for: a comment that all statements of a request share."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if not os.environ.get("UNITS_TRACE"):
            return get_response(request)
        parent = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"

        def comment(execute, sql, params, many, context):
            return execute(f"{sql} /*route='{request.path[1:]}',traceparent='{parent}'*/", params, many, context)

        with connection.execute_wrapper(comment):
            return get_response(request)

    return middleware


urlpatterns = [
    path("users", users),
    path("slow", slow),
    path("mine", mine),
    path("stream", stream),
    path("report", report),
    path("broken", broken),
]

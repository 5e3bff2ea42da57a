"""The pages. A comment that begins with `# callsite` marks a line that the tag of that name has to point to:
`of a task`, because the query runs in a thread that knows nothing of it."""

import asyncio
import contextvars
import threading

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth.models import Group, User
from django.db import connection, connections, transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.utils.decorators import sync_and_async_middleware


@sync_and_async_middleware
def around(get_response):
    """A middleware of the project's own, which is never where a view's query comes from."""
    if iscoroutinefunction(get_response):

        async def middleware(request):
            return await get_response(request)

    else:

        def middleware(request):
            return get_response(request)

    return middleware


def users(request: HttpRequest) -> HttpResponse:
    """Five users, and the groups of each: six statements."""
    found = User.objects.order_by("id")
    return HttpResponse("".join(str(list(user.groups.all())) for user in found))  # callsite


def mine(request: HttpRequest, number: int) -> HttpResponse:
    """Django's own look-ups, of the session and of who is logged in: two statements."""
    return HttpResponse(request.user.get_username())  # callsite


def missing(request: HttpRequest) -> HttpResponse:
    """A statement that fails."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT no_such_column FROM auth_user")  # callsite
    return HttpResponse("never")


def raw(request: HttpRequest) -> HttpResponse:
    """Statements in all the ways in which they are written by hand: twelve, of which the last two stay as they are."""
    from django.db.backends.postgresql.psycopg_any import sql

    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM auth_user WHERE username LIKE 'user%'")
        cursor.execute("SELECT id FROM auth_user WHERE username LIKE 'user%%'", ())
        cursor.execute("SELECT id FROM auth_user WHERE username LIKE 'user%%' AND id > %s;  ", [1])
        assert len(cursor.fetchall()) == 4
        cursor.execute("SELECT id FROM auth_user WHERE id > %(least)s ;", {"least": 2})
        assert len(cursor.fetchall()) == 3
        cursor.execute("SELECT 1; SELECT id FROM auth_user;\n")
        composed = sql.SQL("SELECT id FROM {} WHERE username LIKE {} AND id > {}")
        cursor.execute(composed.format(sql.Identifier("auth_user"), sql.Literal("user%"), sql.Literal(1)))
        assert len(cursor.fetchall()) == 4
        rows = [(f"group {n}",) for n in range(100, 103)]
        cursor.executemany("INSERT INTO auth_group (name) VALUES (%s)", rows)
        cursor.execute("DELETE FROM auth_group WHERE name LIKE %s", ["group 10_"])
        assert cursor.rowcount == 3
        cursor.execute("SELECT id /* mine */ FROM auth_user")
        cursor.execute("SELECT id FROM auth_user -- mine")
    return HttpResponse("done")


def nested(request: HttpRequest) -> HttpResponse:
    """Savepoints and two aliases: SAVEPOINT, SELECT, RELEASE, SELECT."""
    with transaction.atomic(), transaction.atomic():
        Group.objects.count()
    User.objects.using("second").count()
    return HttpResponse("done")


def cursor(request: HttpRequest) -> HttpResponse:
    """A server-side cursor, and the groups of each: six statements."""
    found = User.objects.order_by("id").iterator(chunk_size=2)
    return HttpResponse("".join(str(user.groups.all()) for user in found))


def threads(request: HttpRequest) -> HttpResponse:
    """A thread that was given the request's context, and one that was not: one tagged statement, and one without."""
    for target in (contextvars.copy_context().run, lambda function: function()):
        thread = threading.Thread(target=target, args=[_count])
        thread.start()
        thread.join()
    return HttpResponse("done")


def _count() -> None:
    User.objects.count()
    connections.close_all()


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """The users, while the body is read: six statements."""
    return StreamingHttpResponse(_lines())


def _lines():
    for user in User.objects.order_by("id"):
        yield str(list(user.groups.all()))


async def async_users(request: HttpRequest) -> HttpResponse:
    """Five users, and the groups of each: six statements."""
    lines = []
    async for user in User.objects.order_by("id"):  # callsite of a task
        groups = [str(group) async for group in user.groups.all()]  # callsite of a task
        lines.append(groups)
    return HttpResponse(str(lines))


async def async_gets(request: HttpRequest) -> HttpResponse:
    """One by one, all at once, and by a function of the project: seven statements."""
    first = await User.objects.order_by("id").afirst()  # callsite of a task
    await asyncio.gather(*(Group.objects.filter(pk=n).aexists() for n in range(5)))  # callsite of a task
    await sync_to_async(_half)()
    return HttpResponse(first.get_username())


def _half() -> None:
    User.objects.get(pk=1)  # callsite of a thread


async def async_stream(request: HttpRequest) -> StreamingHttpResponse:
    """The users, while the body is read: six statements."""
    return StreamingHttpResponse(_async_lines())


async def _async_lines():
    async for user in User.objects.order_by("id"):
        yield str([group async for group in user.groups.all()])


urlpatterns = [
    path("", users),
    path("mine/<int:number>/", mine, name="mine"),
    path("missing/", missing),
    path("raw/it's */100%/", raw),
    path("nested/", nested),
    path("cursor/", cursor),
    path("threads/", threads),
    path("stream/", stream),
    path("async/users/", async_users),
    path("async/gets/", async_gets),
    path("async/stream/", async_stream),
]

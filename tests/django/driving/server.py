"""Django's own handlers, on threads that live as long as a server's do."""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import queue
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections


@dataclass(frozen=True)
class Reply:
    status: int
    body: str


@dataclass(frozen=True)
class Ask:
    path: str
    query: str
    cookie: str


class ServerThread(threading.Thread):
    """One worker thread of a threaded server: its database connections are its own and outlive requests."""

    def __init__(self, handler: WSGIHandler, index: int) -> None:
        super().__init__(name=f"server-{index}", daemon=True)
        self._handler = handler
        self._asked: queue.SimpleQueue[tuple[Ask | None, concurrent.futures.Future[Reply]]] = queue.SimpleQueue()

    def ask(self, ask: Ask) -> Reply:
        future: concurrent.futures.Future[Reply] = concurrent.futures.Future()
        self._asked.put((ask, future))
        return future.result(60)

    def let_go(self) -> None:
        """Closes the thread's connections."""
        future: concurrent.futures.Future[Reply] = concurrent.futures.Future()
        self._asked.put((None, future))
        future.result(20)

    def run(self) -> None:
        while True:
            ask, future = self._asked.get()
            try:
                if ask is None:
                    connections.close_all()
                    future.set_result(Reply(0, ""))
                else:
                    future.set_result(self._serve(ask))
            except BaseException as error:
                future.set_exception(error)

    def _serve(self, ask: Ask) -> Reply:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": ask.path,
            "QUERY_STRING": ask.query,
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if ask.cookie:
            environ["HTTP_COOKIE"] = ask.cookie
        status: list[str] = []
        response = self._handler(environ, lambda line, headers, *rest: status.append(line))  # type: ignore[arg-type]
        try:
            body = b"".join(response)
        finally:
            # A server does this: Django then sends `request_finished` and lets go of its connections.
            response.close()  # type: ignore[attr-defined]
        return Reply(int(status[0].split()[0]), body.decode())


class AsyncServer:
    """The ASGI handler on an event loop of its own."""

    def __init__(self) -> None:
        self._handler = ASGIHandler()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="asgi", daemon=True)
        self._thread.start()

    def ask_at_once(self, asks: list[Ask]) -> list[Reply]:
        async def all_of_them() -> list[Reply]:
            return await asyncio.gather(*(self._serve(ask) for ask in asks))

        return asyncio.run_coroutine_threadsafe(all_of_them(), self._loop).result(60)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _serve(self, ask: Ask) -> Reply:
        headers = [(b"host", b"testserver")]
        if ask.cookie:
            headers.append((b"cookie", ask.cookie.encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": ask.path,
            "raw_path": ask.path.encode(),
            "query_string": ask.query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
        }
        sent: list[dict[str, Any]] = []
        received = False

        async def receive() -> dict[str, Any]:
            nonlocal received
            if received:
                await asyncio.Event().wait()
            received = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._handler(scope, receive, send)  # type: ignore[arg-type]
        body = b"".join(message.get("body", b"") for message in sent)
        return Reply(sent[0]["status"], body.decode())


def query_string(query: dict[str, Any]) -> str:
    return urlencode(query, doseq=True)

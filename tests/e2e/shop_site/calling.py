"""Requests as a server of one process gets them, without the server: straight into the WSGI handler.

A connection of Django belongs to the thread that calls, as in any server with threads.
"""

from __future__ import annotations

import io
import time
from typing import Any
from urllib.parse import urlencode

from django.core.handlers.wsgi import WSGIHandler


class Failed(Exception):
    """A page did not answer with a 2xx status."""


class Browser:
    """Calls pages one after another."""

    def __init__(self, handler: WSGIHandler) -> None:
        self._handler = handler

    def get(self, path: str) -> float:
        """Asks for a page; the seconds until its whole answer was there."""
        return self._ask("GET", path)

    def post(self, path: str, **form: str) -> float:
        """Sends a form; the seconds until the whole answer was there."""
        return self._ask("POST", path, urlencode(form).encode())

    def _ask(self, method: str, path: str, form: bytes = b"") -> float:
        status: list[str] = []
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(form)),
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(form),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        began = time.perf_counter()
        answer = self._handler(environ, lambda line, _headers: status.append(line))
        body = b"".join(answer)
        took = time.perf_counter() - began
        # The end of the request: where Django closes what is older than CONN_MAX_AGE.
        answer.close()
        if not status[0].startswith("20"):
            raise Failed(f"{path}: {status[0]} {body[:500]!r}")
        return took

"""What answers like pgprism's admin address, from the tags of the queries in `pages.sent`: the end-to-end tests ask the
real one. Its faults are what a real one shows seldom."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from project import pages

PHASES = {"database_ms": 2.0, "transfer_ms": 0.5, "client_ms": 0.0, "application_ms": 9.0}
FINDING = {
    "id": "00c0ffee00c0ffee",
    "kind": "n_plus_one_forward",
    "status": "open",
    "confidence": "proved",
    "fingerprint": "feedfeedfeedfeed",
    "parent_table": "shop_book",
    "parent_column": "publisher_id",
    "child_table": "shop_publisher",
    "child_column": "id",
    "chain": [],
    "tags": {"route": ["books/"], "callsite": ["shop/views.py:7", "shop/views.py:8", "a.py:1", "b.py:2"]},
    "advice": {
        "title": "Join shop_publisher in the query that reads shop_book",
        "django": 'Book.objects.select_related("publisher")',
        "why": "25 queries for 25 rows",
    },
    "proof": {
        "rows": 25, "nulls": 0, "distinct": 25, "matched": 25, "in_order": 25,
        "pattern": "shop_book.publisher_id -> shop_publisher.id, 25 of 25 rows in order",
    },
}


@dataclass
class FakePgprism:
    """Answers until it is closed; what it answers may be changed meanwhile."""

    settled: bool = True
    dropped: int = 0
    drops_at_settling: int = 0
    blind: bool = False
    incomplete: bool = False
    status: int = 200
    token: str = ""
    findings: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> FakePgprism:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802
                fake.asked.append(f"{self.command} {self.path}")
                status, answer = fake.answer(self.command, self.path, self.headers)
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, headers: Any) -> tuple[int, Any]:
        if self.token and headers["Authorization"] != f"Bearer {self.token}":
            return 401, {"error": {"code": "unauthorized", "message": "a token is needed"}}
        if self.status != 200:
            return self.status, {"error": {"code": "not_found", "message": "nothing is here"}}
        parts = urlsplit(path)
        test_id = parse_qs(parts.query).get("test_id", [""])[0]
        if parts.path == "/api/v1/settle":
            assert method == "POST" and headers["X-Pgprism"] == "1"
            self.dropped += self.drops_at_settling if test_id else 0
            return 200, {"settled": self.settled, "events_dropped": self.dropped}
        if parts.path == "/api/v1/units":
            return 200, {"items": [self._unit(test_id)] if self._queries(test_id) else [], "next": None, "total": 1}
        if parts.path.startswith("/api/v1/units/"):
            test_id = parts.path.rpartition("/")[2]
            timeline = [
                {
                    "fingerprint": FINDING["fingerprint"] if "publisher" in sql else f"{hash(sql):x}",
                    "query": sql, "rows": 3, "phases": PHASES,
                }
                for sql in self._queries(test_id)
            ]
            return 200, self._unit(test_id) | {"timeline": timeline}
        if parts.path.startswith("/api/v1/findings/"):
            return 200, next(one for one in self.findings if one["id"] == parts.path.rpartition("/")[2])
        return 404, {"error": {"code": "not_found", "message": "there is no such path"}}

    def _queries(self, test_id: str) -> list[str]:
        if self.blind:
            return []
        return [re.sub(r" /\*.*", "", sql) for sql in pages.sent if f"test_id='{test_id}'" in sql]

    def _unit(self, test_id: str) -> dict[str, Any]:
        queries = self._queries(test_id)
        repeated = sum(count - 1 for count in Counter(queries).values())
        return {
            "id": test_id, "queries": len(queries), "rows": 3 * len(queries), "duplicates": repeated, "phases": PHASES,
            "incomplete": self.incomplete, "findings": [one["id"] for one in self.findings],
        }

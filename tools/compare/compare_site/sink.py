"""Stands in for the services that agents send to: takes what they send, counts spans, and answers as they do.

python -m compare_site.sink PORT
"""

from __future__ import annotations

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SPANS = {"opentelemetry": 0, "sentry": 0}
"""Spans of statements since the start, by who sent them."""


def opentelemetry_spans(body: bytes) -> int:
    sent = ExportTraceServiceRequest.FromString(body)
    spans = [span for resource in sent.resource_spans for scope in resource.scope_spans for span in scope.spans]
    return sum(any(attribute.key.startswith("db.") for attribute in span.attributes) for span in spans)


def sentry_spans(body: bytes) -> int:
    found = 0
    for line in body.splitlines():
        try:
            item = json.loads(line)
        except ValueError:
            continue
        if isinstance(item, dict):
            found += sum(str(span.get("op", "")).startswith("db") for span in item.get("spans") or [])
    return found


class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/v1/traces":
            SPANS["opentelemetry"] += opentelemetry_spans(body)
        else:
            SPANS["sentry"] += sentry_spans(body)
        self._answer(b"{}" if self.path != "/v1/traces" else b"")

    def do_GET(self) -> None:
        self._answer(json.dumps(SPANS).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Sink).serve_forever()

"""The parts of one run: two servers, two proxies, a sink for agents, and the shop once for each contender."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from support import shop, tools
from support.postgres import Address, Postgres
from support.processes import Child, free_port, run, scratch_folder
from support.proxy import Pgprism
from support.waiting import wait_until

from .contenders import CONTENDERS, Contender

HERE = Path(__file__).resolve().parent
DATABASE = "compared"
STARTS_WITHIN_S = 30


@dataclass
class Page:
    """One answer of the shop."""

    seconds: float
    body: str


@dataclass
class Running:
    """The shop with one contender, served by one gunicorn worker."""

    contender: Contender
    server: Child
    port: int
    log: Path

    def get(self, path: str) -> Page:
        """A page on a connection of its own, as a worker without keep-alive serves it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            began = time.perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            took = time.perf_counter() - began
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(
                f"{self.contender.name}: {path}: {answer.status}\n{body[-2000:].decode(errors='replace')}"
            )
        return Page(took, body.decode(errors="replace"))

    def worker_bytes(self) -> int:
        """Resident memory of the worker."""
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split()
        status = Path(f"/proc/{children[0]}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024  # type: ignore[index]


class Stage:
    """Everything that runs, owned by process id and ended at the end."""

    def __init__(self, stack: contextlib.ExitStack, python: Path) -> None:
        self._stack = stack
        self._python = python
        self.folder = scratch_folder("compare")
        self.plain = stack.enter_context(Postgres(18, shared_preload_libraries=""))
        self.counting = stack.enter_context(Postgres(18))
        self._addresses = {False: shop.fill(self.plain, DATABASE), True: shop.fill(self.counting, DATABASE)}
        self.proxies: dict[str, Pgprism] = {}
        self.sink_port = free_port()
        sink = self._start("sink", ["-m", "compare_site.sink", str(self.sink_port)], self._environment({}))
        wait_until(lambda: self.spans() is not None, f"the sink answers\n{sink.tail()}", refused=(OSError,))
        self.running = {one.name: self._serve(one) for one in CONTENDERS}

    def spans(self) -> dict[str, int]:
        """Statements' spans that came from agents up to now."""
        connection = http.client.HTTPConnection("127.0.0.1", self.sink_port, timeout=5)
        try:
            connection.request("GET", "/")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def _start(self, name: str, arguments: list[str], environment: dict[str, str]) -> Child:
        child = Child([self._python, *arguments], self.folder / f"{name}.log", env=environment, cwd=self.folder)
        self._stack.callback(child.stop)
        return child

    def _environment(self, more: dict[str, str], *, tags: bool = False) -> dict[str, str]:
        places = [HERE, tools.PROJECT / "tests" / "e2e", tools.PROJECT / "demo"]
        if tags:
            places.append(tools.PROJECT / "python" / "src")
        return (
            os.environ
            | {
                "PYTHONPATH": os.pathsep.join(map(str, places)),
                "PYTHONDONTWRITEBYTECODE": "1",
                "DJANGO_SETTINGS_MODULE": "compare_site.settings",
            }
            | more
        )

    def _address(self, contender: Contender) -> Address:
        address = self._addresses[contender.counted_by_server]
        if not contender.through_proxy:
            return address
        proxy = Pgprism(address.endpoint)
        # Not with its tests' promises: sessions of the shop are still open then.
        self._stack.callback(proxy.abandon)
        self.proxies[contender.name] = proxy
        return address.at(proxy.endpoint)

    def _serve(self, contender: Contender) -> Running:
        address, port, log = (
            self._address(contender),
            free_port(),
            self.folder / f"{contender.tool}-{len(self.proxies)}.said",
        )
        login = f"{address.user}:{quote(address.password)}@{address.host}:{address.port}"
        environment = self._environment(
            {
                "COMPARE_TOOL": contender.tool,
                "COMPARE_LOG": str(log),
                "COMPARE_SENTRY_DSN": f"http://key@127.0.0.1:{self.sink_port}/1",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.sink_port}",
                "OTEL_SERVICE_NAME": "shop",
                "DATABASE_URL": f"postgres://{login}/{address.database}",
            },
            tags=contender.tags,
        )
        if contender.tool == "silk":
            run([self._python, "-m", "django", "migrate", "--verbosity", "0"], env=environment, cwd=self.folder)
        arguments = ["-m", "gunicorn", "compare_site.wsgi", "--bind", f"127.0.0.1:{port}", "--log-level", "warning"]
        server = self._start(contender.name.replace(" ", "-"), arguments, environment)
        running = Running(contender, server, port, log)

        def answers() -> bool:
            if server.exit_status is not None:
                raise RuntimeError(f"{contender.name}: gunicorn ended\n{server.tail()}")
            return "<li>" in running.get("/quiet/one/").body

        try:
            wait_until(answers, f"{contender.name} answers", deadline_s=STARTS_WITHIN_S, refused=(OSError,))
        except BaseException:
            print(server.tail())
            raise
        return running

"""The product itself, as a process with a folder, a log and promises that are checked when it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import tools
from .exposition import Scrape
from .processes import Child, run, scratch_folder
from .waiting import wait_until

Options = dict[str, Any]


@dataclass
class Expected:
    """What may be seen at the end; the default is the promise to every ordinary session."""

    exit_status: int = 0
    decode_errors: bool = False
    dropped_events: bool = False
    open_sessions: bool = False
    ends_within_s: float = 20.0


@dataclass
class Listener:
    """One `[[listeners]]` entry."""

    upstream: str | tuple[str, int]
    name: str = "default"
    options: Options = field(default_factory=dict)

    def table(self, listen: str) -> Options:
        upstream = self.upstream
        if not isinstance(upstream, str):
            upstream = f"postgres://{upstream[0]}:{upstream[1]}"
        return {"name": self.name, "listen": listen, "upstream": upstream} | self.options


class Pgprism:
    """`pgprism serve` in front of `upstream`.

    Keyword arguments are sections of the configuration file (`timeouts={"drain_timeout": "2s"}`), lists of repeated
    sections (`ignore=[{"kind": "duplicate"}]`) or its plain keys; `faults` are put in on purpose.
    At its end it must have exited with 0 on SIGTERM in time, without a panic in its log, without a decode error,
    a dropped event or an open session, unless `expect` says otherwise.
    """

    def __init__(
        self,
        upstream: str | tuple[str, int] | list[Listener],
        *,
        listener: Options | None = None,
        environment: dict[str, str] | None = None,
        faults: Sequence[str] = (),
        **sections: Any,
    ) -> None:
        self.expect = Expected()
        self.token: str | None = None
        """What the admin address asks for, if anything."""
        self.folder = scratch_folder("proxy")
        self.log = self.folder / "pgprism.log"
        self.slow_log = self.folder / "slow.log"
        self.config = self.folder / "pgprism.toml"
        self._ports_file = self.folder / "ports"
        self.listeners = upstream if isinstance(upstream, list) else [Listener(upstream, options=listener or {})]
        self.sections = sections
        self._listen = {one.name: "127.0.0.1:0" for one in self.listeners}
        self.write_config()
        self._child = Child(
            [tools.pgprism(), "serve", "--config", self.config, "--ports-file", self._ports_file,
             *(f"--fault={fault}" for fault in faults)],
            self.log,
            env=os.environ | {"NO_COLOR": "1"} | (environment or {}),
        )
        try:
            self.ports = wait_until(self._read_ports, "pgprism listens", deadline_s=15)
        except BaseException:
            self._child.kill()
            raise

    def write_config(self, **changes: Any) -> None:
        """Writes the configuration file anew, with these sections or plain keys changed; SIGHUP makes it count."""
        for name, change in changes.items():
            self.sections[name] = self.sections.get(name, {}) | change if isinstance(change, dict) else change
        repeated = {name: value for name, value in self.sections.items() if _is_repeated(value)}
        plain = {
            name: value
            for name, value in self.sections.items()
            if not isinstance(value, dict) and name not in repeated
        }
        sections: dict[str, Options] = {"admin": {"listen": "127.0.0.1:0"}}
        sections |= {name: table for name, table in self.sections.items() if isinstance(table, dict)}
        # Off unless a test reads it: a threshold nobody reaches.
        sections["slow_log"] = {"path": str(self.slow_log), "threshold": "1h"} | sections.get("slow_log", {})
        lines = _toml(plain)
        for one in self.listeners:
            lines += ["[[listeners]]", *_toml(one.table(self._listen[one.name]))]
        for name, tables in repeated.items():
            for table in tables:
                lines += [f"[[{name}]]", *_toml(table)]
        for name, table in sections.items():
            lines += [f"[{name}]", *_toml(table)]
        self.config.write_text("\n".join(lines) + "\n")

    def _read_ports(self) -> dict[str, tuple[str, int]] | None:
        if self._child.exit_status is not None:
            raise RuntimeError(f"pgprism ended with {self._child.exit_status}\n{self._child.tail()}")
        if not self._ports_file.exists():
            return None
        ports = {}
        for line in self._ports_file.read_text().splitlines():
            name, _, address = line.partition("=")
            host, _, port = address.rpartition(":")
            ports[name] = (host, int(port))
        wanted = {"admin", *(f"listener.{one.name}" for one in self.listeners)}
        return ports if wanted <= ports.keys() else None

    @property
    def endpoint(self) -> tuple[str, int]:
        return self.ports[f"listener.{self.listeners[0].name}"]

    def endpoint_of(self, listener: str) -> tuple[str, int]:
        return self.ports[f"listener.{listener}"]

    @property
    def admin(self) -> tuple[str, int]:
        return self.ports["admin"]

    @property
    def process(self) -> Child:
        return self._child

    def get(self, path: str, **parameters: str | int) -> bytes:
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(f"http://{self.admin[0]}:{self.admin[1]}{path}{query}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def post(self, path: str) -> int:
        host, port = self.admin
        request = urllib.request.Request(
            f"http://{host}:{port}/api/v1/{path}", method="POST", headers={"X-Pgprism": "1"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status

    def status_of(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://{self.admin[0]}:{self.admin[1]}{path}", timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def api(self, path: str, **parameters: str | int) -> Any:
        return json.loads(self.get(f"/api/v1/{path}", **parameters))

    def items(self, path: str, **parameters: str | int) -> list[dict[str, Any]]:
        """A whole list, page after page."""
        found: list[dict[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            page = self.api(path, limit=1000, **parameters, **after)
            found += page["items"]
            if not page.get("next"):
                return found
            after = {"after": page["next"]}

    def queries(self) -> dict[str, dict[str, Any]]:
        """`/api/v1/queries` by fingerprint."""
        return {item["fingerprint"]: item for item in self.items("queries")}

    def shape(self, sql: str, calls: int = 1, deadline_s: float = 10.0) -> dict[str, Any]:
        """The item of the shape of `sql`, once it has that many calls."""
        (fingerprint,) = fingerprints([sql])

        def found() -> dict[str, Any] | None:
            try:
                item = self.api(f"queries/{fingerprint}")
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return None
                raise
            return item if item["calls"] >= calls else None

        item = wait_until(found, f"{calls} calls of {sql!r} ({fingerprint})", deadline_s=deadline_s)
        assert item["calls"] == calls, f"{sql!r}: {item['calls']} calls, {calls} expected"
        return item

    def metrics(self) -> Scrape:
        return Scrape(self.get("/metrics").decode())

    def connections(self) -> list[dict[str, Any]]:
        return self.items("connections")

    def open_sessions(self) -> float:
        return self.metrics().total("pgprism_client_connections")

    def wait_no_sessions(self, deadline_s: float = 10.0) -> None:
        wait_until(lambda: self.open_sessions() == 0, "no client is connected", deadline_s=deadline_s)

    def wait_judged(self, deadline_s: float = 10.0) -> None:
        """Until every unit of work has ended, and all that was found in them is told: nothing changes any more."""
        self.wait_no_sessions(deadline_s)
        self.post("settle")

        def ended() -> bool:
            return all(unit["state"] == "ended" for unit in self.items("units"))

        wait_until(ended, "every unit ended", deadline_s=deadline_s, every_s=0.1)
        self.post("settle")

    def quiet(self, deadline_s: float = 10.0) -> Scrape:
        """The metrics once all that was observed is counted.

        Workers hand their figures in at ticks, so nothing less than two equal answers more than one tick apart tells.
        """
        last: list[float] = []

        def settled() -> Scrape | None:
            scrape = self.metrics()
            last.append(scrape.total("pgprism_queries_total"))
            return scrape if len(last) >= 4 and len(set(last[-4:])) == 1 else None

        return wait_until(settled, "the counts settle", deadline_s=deadline_s, every_s=0.06)

    def reload(self) -> None:
        self._child.send(signal.SIGHUP)

    def terminate(self) -> None:
        self._child.send(signal.SIGTERM)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_logged(self, words: str, count: int = 1, deadline_s: float = 10.0) -> None:
        wait_until(
            lambda: self.log_text().count(words) >= count, f"the log says {words!r}", deadline_s=deadline_s
        )

    def check_promises(self) -> None:
        """What every test of an ordinary session promises; while it still runs."""
        if not self.expect.open_sessions:
            self.wait_no_sessions()
        scrape = self.quiet()
        if not self.expect.decode_errors:
            bad = [s for s in scrape.series("pgprism_decode_errors_total") if s.value]
            assert not bad, f"decode errors: {bad}"
            bad = [s for s in scrape.series("pgprism_unobserved_sessions_total") if s.value]
            assert not bad, f"unobserved sessions: {bad}"
        if not self.expect.dropped_events:
            bad = [s for s in scrape.series("pgprism_events_dropped_total") if s.value]
            assert not bad, f"dropped events: {bad}"

    def stop(self) -> None:
        """Checks the promises, ends it with SIGTERM, checks the end; once."""
        if not self.folder.exists():
            return
        try:
            if self._child.exit_status is None:
                self.check_promises()
                self.terminate()
            status = self._child.wait(self.expect.ends_within_s)
            assert status == self.expect.exit_status, f"exit status {status}\n{self._child.tail()}"
            assert "panicked" not in self.log_text(), f"a panic in the log\n{self._child.tail()}"
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Ends it at once, asserting nothing: the test has failed already."""
        self._child.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Pgprism:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.stop()
        else:
            print(self._child.tail())
            self.abandon()


def _is_repeated(value: object) -> bool:
    """Whether it is a list of `[[sections]]`."""
    return isinstance(value, list) and all(isinstance(one, dict) for one in value) and bool(value)


def _toml(table: Options) -> list[str]:
    # JSON's strings, numbers, booleans and flat lists are TOML's too.
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]


_fingerprints: dict[str, str] = {}


def fingerprints(statements: list[str]) -> list[str]:
    """The ids of these statements, by `pgprism fingerprint`."""
    missing = [sql for sql in dict.fromkeys(statements) if sql not in _fingerprints]
    if missing:
        answers = fingerprint_lines([json.dumps(sql) for sql in missing])
        assert len(answers) == len(missing), f"{len(missing)} statements gave {len(answers)} lines"
        for sql, answer in zip(missing, answers, strict=True):
            _fingerprints[sql] = answer["fingerprint"]
    return [_fingerprints[sql] for sql in statements]


def fingerprint_lines(lines: list[str]) -> list[dict[str, Any]]:
    """`pgprism fingerprint - --json` over JSON lines."""
    done = run([tools.pgprism(), "fingerprint", "-", "--json"], input="\n".join(lines) + "\n", deadline_s=120)
    return [json.loads(line) for line in done.stdout.splitlines()]


def command(*arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """Another subcommand of the binary, to its end."""
    return run([tools.pgprism(), *arguments], env=os.environ | environment, check=check)

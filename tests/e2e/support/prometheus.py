"""A real Prometheus that scrapes the proxy, and promtool."""

from __future__ import annotations

import json
import shutil
import urllib.parse
import urllib.request
from typing import Any

from . import tools
from .processes import Child, free_port, run, scratch_folder
from .waiting import wait_until


class Prometheus:
    """Scrapes `target` every `interval`."""

    def __init__(self, target: tuple[str, int], interval: str = "500ms") -> None:
        self.folder = scratch_folder("prometheus")
        self.port = free_port()
        config = self.folder / "prometheus.yml"
        config.write_text(
            f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}\n"
            "scrape_configs:\n"
            "  - job_name: pgprism\n"
            f"    static_configs: [{{targets: ['{target[0]}:{target[1]}']}}]\n"
        )
        self._child = Child(
            [tools.program("prometheus"), f"--config.file={config}", f"--web.listen-address=127.0.0.1:{self.port}",
             f"--storage.tsdb.path={self.folder / 'data'}"],
            self.folder / "prometheus.log",
        )
        try:
            wait_until(lambda: self._get("/-/ready"), "Prometheus is ready", deadline_s=30, refused=(OSError,))
        except BaseException:
            self.abandon()
            raise

    def _get(self, path: str, **parameters: str) -> bytes:
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}{query}", timeout=10) as answer:
            return answer.read()

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """An instant query's vector."""
        answer = json.loads(self._get("/api/v1/query", query=expression))
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def value(self, expression: str) -> float | None:
        vector = self.ask(expression)
        return float(vector[0]["value"][1]) if vector else None

    def targets(self) -> list[dict[str, Any]]:
        return json.loads(self._get("/api/v1/targets"))["data"]["activeTargets"]

    def wait_value(self, expression: str, expected: float, deadline_s: float = 20.0) -> None:
        wait_until(
            lambda: self.value(expression) == expected, f"{expression} is {expected}", deadline_s=deadline_s, every_s=0.1
        )

    def abandon(self) -> None:
        self._child.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Prometheus:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()


def promtool_check(exposition: str) -> str:
    """What `promtool check metrics` has to say; empty when it is content."""
    done = run([tools.program("promtool"), "check", "metrics"], input=exposition, check=False)
    return (done.stdout + done.stderr).strip() + (f" (status {done.returncode})" if done.returncode else "")

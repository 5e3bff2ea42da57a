"""A real Prometheus that scrapes the proxy, with our rules if asked for, and promtool."""

from __future__ import annotations

import json
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import tools
from .processes import Child, free_port, run, scratch_folder
from .waiting import wait_until

CONFIG = tools.PROJECT / "config" / "prometheus"
RULES = CONFIG / "rules"
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class Rules:
    """Rule files, played so many times as fast as they are written.

    Every span of time in them, in ranges, offsets, `for` and intervals, is divided by it, and so has to be the scrape
    interval: then each expression sees as many samples as in production. Rates need no change, they are per second.
    """

    files: Iterable[Path]
    times_as_fast: int = 1

    def write(self, folder: Path) -> None:
        folder.mkdir()
        for file in self.files:
            groups = yaml.safe_load(file.read_text())
            for group in groups["groups"]:
                group["interval"] = self.span(group["interval"])
                for rule in group["rules"]:
                    rule["expr"] = self.expression(rule["expr"])
                    if "for" in rule:
                        rule["for"] = self.span(rule["for"])
            (folder / file.name).write_text(yaml.safe_dump(groups))

    def span(self, text: str) -> str:
        number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text).groups()
        milliseconds, rest = divmod(int(number) * _MILLISECONDS[unit], self.times_as_fast)
        assert rest == 0, f"{text} cannot be divided by {self.times_as_fast}"
        return f"{milliseconds}ms"

    def expression(self, text: str) -> str:
        def faster(found: re.Match[str]) -> str:
            return re.sub(r"\d+(?:ms|s|m|h|d)\b", lambda one: self.span(one[0]), found[0])

        return re.sub(r"\[[\w:]+\]|\boffset \w+", faster, text)


class Prometheus:
    """Scrapes the `targets` every `interval`, as one job."""

    def __init__(
        self, *targets: tuple[str, int], interval: str = "500ms", rules: Rules | None = None,
        lookback: str = "5m",
    ) -> None:
        self.folder = scratch_folder("prometheus")
        self.port = free_port()
        jobs = [{"job_name": "pgprism", "static_configs": [{"targets": [f"{host}:{port}" for host, port in targets]}]}]
        config: dict[str, Any] = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval},
            "scrape_configs": jobs,
        }
        if rules is not None:
            rules.write(self.folder / "rules")
            config["rule_files"] = ["rules/*.yml"]
        path = self.folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        self._child = Child(
            [tools.program("prometheus"), f"--config.file={path}", f"--web.listen-address=127.0.0.1:{self.port}",
             f"--storage.tsdb.path={self.folder / 'data'}", f"--query.lookback-delta={lookback}"],
            self.folder / "prometheus.log",
        )
        try:
            wait_until(self._is_ready, "Prometheus is ready", deadline_s=30, refused=(OSError,))
        except BaseException:
            self.abandon()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _is_ready(self) -> bytes:
        if self._child.exit_status is not None:
            raise RuntimeError(f"prometheus ended with {self._child.exit_status}\n{self._child.tail()}")
        return self._get("/-/ready")

    def _get(self, path: str, **parameters: str) -> bytes:
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with urllib.request.urlopen(f"{self.url}{path}{query}", timeout=10) as answer:
            return answer.read()

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """An instant query's vector."""
        return ask(self.url, expression)

    def value(self, expression: str) -> float | None:
        vector = self.ask(expression)
        return float(vector[0]["value"][1]) if vector else None

    def targets(self) -> list[dict[str, Any]]:
        return json.loads(self._get("/api/v1/targets"))["data"]["activeTargets"]

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with what became of its last evaluation."""
        groups = json.loads(self._get("/api/v1/rules"))["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def alerts(self, name: str) -> list[dict[str, Any]]:
        """The alerts of that name that fire now."""
        found = json.loads(self._get("/api/v1/alerts"))["data"]["alerts"]
        return [one for one in found if one["labels"]["alertname"] == name and one["state"] == "firing"]

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


class Refused(AssertionError):
    """An expression that Prometheus does not understand, or that has no answer: two series that cannot be told apart."""


def ask(url: str, expression: str) -> list[dict[str, Any]]:
    """The vector that `expression` gives now, at that Prometheus."""
    question = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?{question}", timeout=20) as answer:
            return json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        raise Refused(f"{json.load(error).get('error', error)}: {expression}") from None


def promtool_check(exposition: str) -> str:
    """What `promtool check metrics` has to say; empty when it is content."""
    done = run([tools.program("promtool"), "check", "metrics"], input=exposition, check=False)
    return (done.stdout + done.stderr).strip() + (f" (status {done.returncode})" if done.returncode else "")

"""A real Prometheus that scrapes what the demo started."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import tools
from support.processes import Child, free_port
from support.prometheus import RULES
from support.waiting import wait_until
from web import fetch_json, status_of

P95 = """
topk(10,
  histogram_quantile(0.95, sum by (fingerprint, le) (rate(pgprism_query_duration_seconds_bucket[1m])))
  * on (fingerprint) group_left (db_query_summary) pgprism_query_info
)
"""
RATE = "sum by (fingerprint) (rate(pgprism_query_duration_seconds_count[1m]))"


@dataclass
class ShapeLatency:
    """One query shape as Prometheus sees it."""

    fingerprint: str
    summary: str
    p95_s: float
    rate: float


class Prometheus:
    """Scrapes `targets` (job name to host and port) once a second, with the rules that config/prometheus has."""

    def __init__(self, folder: Path, targets: dict[str, str], start: Callable[..., Child]) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        config = folder / "prometheus.yml"
        jobs = [{"job_name": name, "static_configs": [{"targets": [at]}]} for name, at in targets.items()]
        settings = {
            "global": {"scrape_interval": "1s"},
            "rule_files": [str(RULES / "*.yml")],
            "scrape_configs": jobs,
        }
        # JSON is YAML.
        config.write_text(json.dumps(settings, indent=2))
        child = start(
            "prometheus",
            [
                tools.program("prometheus"),
                f"--config.file={config}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
            ],
        )

        def ready() -> bool:
            if child.exit_status is not None:
                raise RuntimeError(f"prometheus ended with {child.exit_status}\n{child.tail()}")
            return status_of(f"{self.url}/-/ready") == 200

        wait_until(ready, "Prometheus is ready", deadline_s=20, refused=(OSError,))

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The vector that `expression` gives now."""
        return fetch_json(f"{self.url}/api/v1/query", query=expression)["data"]["result"]

    def value(self, expression: str) -> float | None:
        """The one number that `expression` gives, or None when it gives nothing."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with what became of its last evaluation."""
        groups = fetch_json(f"{self.url}/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def slowest_shapes(self) -> list[ShapeLatency]:
        rates = {row["metric"]["fingerprint"]: float(row["value"][1]) for row in self.query(RATE)}
        rows = [
            ShapeLatency(
                row["metric"]["fingerprint"],
                row["metric"].get("db_query_summary", ""),
                float(row["value"][1]),
                rates.get(row["metric"]["fingerprint"], 0.0),
            )
            for row in self.query(P95)
        ]
        return sorted((row for row in rows if row.p95_s == row.p95_s), key=lambda row: -row.p95_s)

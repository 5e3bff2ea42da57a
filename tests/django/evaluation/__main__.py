"""`make eval`: every configuration through the proxy, then the in-process tools, on the same scenarios.

Exit status 1 when a promise is broken; the names are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import time
import urllib.error
from pathlib import Path
from typing import Any

from support.postgres import Postgres
from support.proxy import Pgprism
from support.waiting import wait_until

from . import report, wire
from .attribution import CLOCK_S, Ledger, Run, seconds, spanning
from .configurations import SMOKE, Configuration, Driver, Keep, selected
from .order import shuffled
from .player import Databases, Failed, Player, environment, model_map
from .projects import PROJECTS, Project
from .scoring import score, score_mixed, score_peer

POSTGRES = 16
MIXED_THREADS = 16
LATEST = 60
"""Findings looked at after each run: those that were seen last."""
BETWEEN_RUNS_S = (0.055, 0.07)
"""A visitor's pause, as between other requests, above `unit_gap`."""
UNITS_EVERY = 60
"""Runs after which the units are looked at: the proxy keeps the last thousand."""
PEERS = {
    "django-zeal": ("zeal", Configuration("5.2", Driver.PSYCOPG, Keep.CLOSE)),
    "nplusone": ("nplusone", Configuration("5.2", Driver.PSYCOPG, Keep.CLOSE)),
}


def say(words: str) -> None:
    print(words, flush=True)


class Evaluation:
    def __init__(self, options: argparse.Namespace, postgres: Postgres, project: Project) -> None:
        self.options = options
        self.postgres = postgres
        self.project = project
        self.databases = Databases(postgres, project)

    def wanted(self, scenarios: list[dict[str, Any]]) -> list[dict[str, Any]]:
        words = self.options.only
        if not words:
            return scenarios
        return [one for one in scenarios if any(word in (one["name"], one["family"], one["label"]) for word in words)]

    def configuration(self, configuration: Configuration) -> tuple[report.Result, dict[str, Any]]:
        began = time.monotonic()
        names = self.databases.copy(configuration.django)
        models = self._models(configuration, names)
        with contextlib.ExitStack() as stack:
            proxy = stack.enter_context(Pgprism(self.postgres.address.endpoint, **models))
            through = self.postgres.address.at(proxy.endpoint)
            env = environment(through, self.postgres.port, names, configuration.mode(), self.project)
            player = Player(configuration, env, self.options.seed)
            stack.callback(player.kill)
            scenarios = self.wanted(player.scenarios())
            ledger = Ledger()
            units: dict[str, dict[str, Any]] = {}
            runs: dict[str, dict[str, dict[str, Any]]] = {}
            rng = random.Random(self.options.seed)
            for count, (name, variant) in enumerate(shuffled(scenarios, self.options.seed)):
                time.sleep(rng.uniform(*BETWEEN_RUNS_S))
                played = player.play(name, variant)
                runs.setdefault(name, {})[variant] = played
                ledger.played(Run(name, variant, played["started"], played["ended"], played["statements"]))
                ledger.poll(proxy.api("findings", sort="last_seen", limit=LATEST)["items"])
                if count % UNITS_EVERY == UNITS_EVERY - 1:
                    units |= {unit["id"]: unit for unit in proxy.items("units")}
            player.let_go()
            _settle(proxy)
            findings = proxy.items("findings")
            ledger.poll(findings)
            units |= {unit["id"]: unit for unit in proxy.items("units")}
            marked = configuration.keep in (Keep.CLOSE, Keep.CHECK, Keep.POOL_CHECK)
            scored = score(scenarios, ledger, marked=marked, alone=configuration.keep is Keep.CLOSE)
            timelines = self._timelines(proxy, ledger, list(units.values()), scored.doubtful())
            if self.options.mixed:
                score_mixed(scored, scenarios, self._mixed(proxy, player, scenarios, findings))
            player.end()
        doubts = [
            f"{scenario['name']}: {words}"
            for scenario in scenarios
            for words in wire.problems_of(scenario, runs[scenario["name"]])
        ]
        if doubts := doubts + wire.shared_with_hard(scenarios, runs):
            raise Failed("scenarios that are not what they say: " + "; ".join(doubts))
        result = report.Result(
            configuration=f"{self.project.name} {configuration.name}",
            score=scored,
            seconds=time.monotonic() - began,
            runs=len(ledger.runs),
            merged_units=spanning(ledger.runs, list(units.values())),
            units=len(units),
            with_models=bool(models),
            failures=scored.failures(with_models=bool(models)),
        )
        raw = {
            "findings": findings,
            "sightings": [
                {
                    "name": one.run.name,
                    "variant": one.run.variant,
                    "finding": one.finding["id"],
                    "occurrences": one.occurrences,
                    "queries": one.queries,
                }
                for one in ledger.sightings.values()
            ],
            "timelines": timelines,
            "runs": [vars(run) for run in ledger.runs],
            "units": list(units.values()),
        }
        return result, raw

    def _mixed(
        self, proxy: Pgprism, player: Player, scenarios: list[dict[str, Any]], before: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Findings that grew while many threads played at once."""
        player.mix(MIXED_THREADS, self.options.mixed, sorted({one["label"] for one in scenarios}))
        player.let_go()
        _settle(proxy)
        known = {finding["id"]: finding["occurrences"] for finding in before}
        return [one for one in proxy.items("findings") if one["occurrences"] > known.get(one["id"], 0)]

    def _timelines(
        self, proxy: Pgprism, ledger: Ledger, units: list[dict[str, Any]], names: set[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """The statements of each run of those scenarios, as far as the proxy still has them."""
        if not self.options.raw:
            return {}
        found: dict[str, list[dict[str, Any]]] = {}
        for run in ledger.runs:
            if run.name not in names:
                continue
            for unit in units:
                if run.started - CLOCK_S <= seconds(unit["started_at"]) <= run.ended + CLOCK_S:
                    with contextlib.suppress(urllib.error.HTTPError):
                        found.setdefault(f"{run.name}/{run.variant}", []).append(proxy.api(f"units/{unit['id']}"))
        return found

    def _models(self, configuration: Configuration, names: tuple[str, str]) -> dict[str, Any]:
        """The section that gives the proxy the project's model map.

        With psycopg2 there is none, so that both ways are measured.
        """
        if not self.options.models or configuration.driver is Driver.PSYCOPG2:
            return {}
        return {"advise": {"models": str(model_map(configuration.django, names, self.postgres.address, self.project))}}

    def peer(self, tool: str, configuration: Configuration) -> Any:
        names = self.databases.copy(configuration.django)
        mode = configuration.mode() | {"tool": tool}
        address = self.postgres.address
        env = environment(address, address.port, names, mode, self.project)
        player = Player(configuration, env, self.options.seed)
        said: dict[tuple[str, str], list[str]] = {}
        broken: list[str] = []
        try:
            scenarios = self.wanted(player.scenarios())
            for name, variant in shuffled(scenarios, self.options.seed):
                try:
                    said[name, variant] = player.play(name, variant)["said"]
                except Failed as failure:
                    broken.append(f"{name} ({variant}): {str(failure).strip().splitlines()[-1]}")
            player.end()
        finally:
            player.kill()
        return score_peer(scenarios, said, broken)


def _settle(proxy: Pgprism) -> None:
    """Waits until all that was sent is counted and no unit is open; every client has gone."""
    proxy.quiet()
    wait_until(lambda: proxy.api("summary").get("units_open", 0) == 0, "no unit is open", deadline_s=15)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make eval", description=__doc__)
    parser.add_argument("configurations", nargs="*", help="names, beginnings or parts of them; all when none is given")
    parser.add_argument(
        "--project", action="append", choices=PROJECTS, help="that project alone; all when none is given"
    )
    parser.add_argument("--smoke", action="store_true", help="one configuration, no other tools")
    parser.add_argument("--seed", type=int, default=0, help="order and pauses; drawn when it is not given")
    parser.add_argument("--mixed", type=float, default=3, help="seconds of mixed traffic on 16 threads at the end")
    parser.add_argument("--only", action="append", help="scenarios of that name, family or label")
    parser.add_argument("--no-models", dest="models", action="store_false", help="advice without the model map")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="the proxy alone")
    parser.add_argument("--json", type=Path, default=Path("target/evaluation.json"), help="where the figures go")
    parser.add_argument("--raw", type=Path, help="a folder for all findings, runs and units of each configuration")
    parser.add_argument("--markdown", type=Path, help="a file for the tables")
    options = parser.parse_args()
    options.seed = options.seed or random.SystemRandom().randrange(1, 1_000_000)
    options.configurations += os.environ.get("EVAL_CONFIGS", "").split()
    return options


def main() -> int:
    options = _options()
    chosen = [SMOKE] if options.smoke else selected(options.configurations)
    say(f"seed {options.seed}, {len(chosen)} configurations")
    results: list[report.Result] = []
    peers: dict[str, Any] = {}
    with Postgres(POSTGRES) as postgres:
        for project in options.project or PROJECTS:
            evaluation = Evaluation(options, postgres, PROJECTS[project])
            for configuration in chosen:
                result, raw = evaluation.configuration(configuration)
                results.append(result)
                say(report.table([result], {}, markdown=False))
                if words := report.details(result):
                    say(words)
                if options.raw:
                    options.raw.mkdir(parents=True, exist_ok=True)
                    (options.raw / f"{project}-{configuration.name}.json").write_text(json.dumps(raw, indent=1))
            if options.peers and not options.smoke:
                for name, (tool, configuration) in PEERS.items():
                    peers[f"{project} {name}"] = peer = evaluation.peer(tool, configuration)
                    if words := report.peer_details(f"{project} {name}", peer):
                        say(words)
    say("\n" + report.table(results, peers, markdown=False))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report.as_json(options.seed, results, peers), indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(report.table(results, peers, markdown=True) + "\n")
    broken = [f"{result.configuration}: {words}" for result in results for words in result.failures]
    for words in broken:
        say(f"BROKEN {words}")
    return 1 if broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        sys.exit(f"evaluation: {failure}")

"""Reads one JSON object a line, plays what it asks for, answers with one line.

`{"run": NAME, "variant": VARIANT}` plays a scenario; `{"mix": THREADS, "seconds": S, "labels": [...]}` many at once;
`{"list": true}` tells all there are; `{"let_go": true}` closes all connections; `{"end": true}` ends.
"""

from __future__ import annotations

import collections
import gc
import hashlib
import importlib
import json
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import django

django.setup()

from django import forms  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.db import connections  # noqa: E402
from django.db.backends.signals import connection_created  # noqa: E402
from scenarios.registry import Scenario, Where, load_all  # noqa: E402

from .browser import THINK_S, Browser, Job, in_command  # noqa: E402
from .peers import Peer  # noqa: E402
from .server import AsyncServer, ServerThread  # noqa: E402

SESSION: str = importlib.import_module(settings.EVALUATION_DATA).SESSION
"""Session key of the superuser."""
THREADS = 16
SHAPES_TOLD = 6
CROWD_PATIENCE = 4
"""Among many visitors each thinks so much longer: their threads share one interpreter, and loops are slower."""


class Statements:
    """Every statement that Django's cursors were given, as they were given it: with placeholders for values."""

    def __init__(self) -> None:
        self._seen: list[tuple[str, str]] = []
        connection_created.connect(self._watch, weak=False)

    def _watch(self, sender: Any, connection: Any, **_: Any) -> None:
        if connection.alias != "backstage" and self._note not in connection.execute_wrappers:
            # In front: a scenario's own wrapper, put on before the connection was made, is taken off from the end.
            connection.execute_wrappers.insert(0, self._note)

    def _note(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        self._seen.append((context["connection"].alias, str(sql)))
        return execute(sql, params, many, context)

    def take(self) -> list[tuple[str, str]]:
        seen, self._seen = self._seen, []
        return seen


class WarmUp(forms.Form):
    """Loads the templates of Django's widgets, once for a process: 15 to 30 ms that no request but the first one has."""

    number = forms.IntegerField()
    one = forms.ChoiceField(choices=[("a", "A")])
    several = forms.MultipleChoiceField(choices=[("a", "A")])
    flag = forms.BooleanField()
    hidden = forms.CharField(widget=forms.HiddenInput)


class Player:
    def __init__(self, seed: int) -> None:
        str(forms.formset_factory(WarmUp, extra=1)())
        self.seed = seed
        self.scenarios = load_all()
        self.statements = Statements()
        self.peer = Peer(settings.TOOL)
        handler = WSGIHandler()
        self.threads = [ServerThread(handler, index) for index in range(THREADS)]
        for thread in self.threads:
            thread.start()
        self.asgi = AsyncServer()

    def play(self, name: str, variant: str) -> dict[str, Any]:
        scenario = self.scenarios[name]
        rng = random.Random(f"{self.seed} {name} {variant}")
        self.statements.take()
        self.peer.take()
        _backstage(scenario.before)
        started = time.time()
        try:
            shown = self._run(scenario, variant, rng)
            error = ""
        except Exception:
            shown, error = [], traceback.format_exc()
        ended = time.time()
        if scenario.where is Where.ASGI:
            # A request's thread has ended and its connections with it, once they are collected.
            gc.collect()
        _backstage(scenario.restore)
        statements = self.statements.take()
        counts = collections.Counter(sql for _, sql in statements)
        return {
            "name": name,
            "variant": variant,
            "started": started,
            "ended": ended,
            "error": error,
            "digest": hashlib.sha256("\n".join(shown).encode()).hexdigest()[:16],
            "statements": len(statements),
            "shapes": [[sql, count] for sql, count in counts.most_common(SHAPES_TOLD)],
            "said": self.peer.take(),
        }

    def _run(
        self,
        scenario: Scenario,
        variant: str,
        rng: random.Random,
        threads: list[ServerThread] | None = None,
        patience: float = 1.0,
    ) -> list[str]:
        if scenario.where is Where.COMMAND:
            job = Job(rng)

            def work() -> Any:
                with self.peer.watching_job():
                    return scenario.steps[variant, "page"](job)

            return [json.dumps(in_command(work), default=str)]
        browser = Browser(scenario, variant, threads or self.threads, self.asgi, rng, SESSION, patience)
        if scenario.drive is None:
            browser.get()
        else:
            scenario.drive(browser)
        return sorted(browser.shown)

    def mix(self, thread_count: int, seconds: float, labels: list[str]) -> dict[str, Any]:
        """Many threads, each playing one scenario after the other: those that leave the tables as they are."""
        eligible = [
            (scenario, variant)
            for scenario in self.scenarios.values()
            for variant in scenario.variants
            if scenario.label.value in labels
            and not scenario.before
            and not scenario.restore
            and not scenario.crowd
            and scenario.where is not Where.ASGI
        ]
        end = time.monotonic() + seconds
        played = 0
        failed: list[str] = []

        def visitor(index: int) -> None:
            nonlocal played
            rng = random.Random(f"{self.seed} visitor {index}")
            # A visitor's own thread serves whatever threads a scenario asks for.
            threads = [self.threads[index]] * len(self.threads)
            while time.monotonic() < end and not failed:
                scenario, variant = rng.choice(eligible)
                try:
                    self._run(scenario, variant, rng, threads, CROWD_PATIENCE)
                except Exception:
                    failed.append(f"{scenario.name}: {traceback.format_exc()}")
                played += 1
                time.sleep(CROWD_PATIENCE * rng.uniform(*THINK_S))

        visitors = [threading.Thread(target=visitor, args=(index,)) for index in range(thread_count)]
        for one in visitors:
            one.start()
        for one in visitors:
            one.join()
        return {"runs": played, "statements": len(self.statements.take()), "error": "\n".join(failed)}

    def let_go(self) -> None:
        """Closes every connection; the threads stay."""
        for thread in self.threads:
            thread.let_go()
        gc.collect()
        connections.close_all()
        for alias in connections:
            close_pool = getattr(connections[alias], "close_pool", None)
            if close_pool is not None:
                close_pool()


def _backstage(sql: str) -> None:
    if sql:
        with connections["backstage"].cursor() as cursor:
            cursor.execute(sql)


def describe(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "family": scenario.family,
        "label": scenario.label.value,
        "group": scenario.group.value,
        "where": scenario.where.value,
        "children": scenario.children,
        "login": scenario.login,
        "every": scenario.every,
        "marks_decide": scenario.marks_decide,
        "variants": list(scenario.variants),
        "expected": [vars(one) for one in scenario.expected],
    }


def main() -> None:
    # What a library prints must not end up among the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    threading.excepthook = lambda args: traceback.print_exception(args.exc_value)
    player = Player(int(os.environ.get("EVAL_SEED", "1")))
    for line in sys.stdin:
        asked = json.loads(line)
        if asked.get("let_go"):
            player.let_go()
            answer: Any = {}
        elif asked.get("end"):
            player.let_go()
            answer = {"ended": True}
        elif asked.get("list"):
            answer = [describe(scenario) for scenario in player.scenarios.values()]
        elif "mix" in asked:
            answer = player.mix(asked["mix"], asked["seconds"], asked["labels"])
        else:
            answer = player.play(asked["run"], asked["variant"])
        answers.write(json.dumps(answer) + "\n")
        if asked.get("end"):
            break


main()

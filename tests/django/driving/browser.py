"""Who plays a scenario: a browser that thinks between requests, or a job without any."""

from __future__ import annotations

import concurrent.futures
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.conf import settings
from django.db import connections
from scenarios.registry import Scenario, Where

from .server import Ask, AsyncServer, Reply, ServerThread, query_string

T = TypeVar("T")
THINK_S = (0.022, 0.07)
"""Between two requests of one visitor."""


class Unexpected(AssertionError):
    """A request was not answered as it should be."""


class Browser:
    """Plays one run of a scenario; keeps what it was shown."""

    def __init__(
        self,
        scenario: Scenario,
        variant: str,
        threads: list[ServerThread],
        asgi: AsyncServer,
        rng: random.Random,
        session: str,
        patience: float = 1.0,
    ) -> None:
        self._scenario = scenario
        self._variant = variant
        self._threads = threads
        self._asgi = asgi
        self._rng = rng
        self._patience = patience
        self._cookie = f"{settings.SESSION_COOKIE_NAME}={session}" if scenario.login else ""
        self._visited = threading.local()
        self.shown: list[str] = []

    @property
    def thread_count(self) -> int:
        return len(self._threads)

    def think(self, low_s: float = THINK_S[0], high_s: float = THINK_S[1]) -> None:
        time.sleep(self._patience * self._rng.uniform(low_s, high_s))

    def get(self, step: str = "page", thread: int = 0, hurry: bool = False, **query: Any) -> Any:
        """One request, after a pause when it is not the visitor's first; `hurry` leaves the pause out."""
        if getattr(self._visited, "once", False) and not hurry:
            self.think()
        self._visited.once = True
        if self._scenario.where is Where.ASGI:
            return self.gather([step], **query)[0]
        ask = Ask(f"/s/{self._scenario.name}/{self._variant}/{step}", query_string(query), self._cookie)
        return self._shown(self._threads[thread].ask(ask))

    def gather(self, steps: Iterable[str], **query: Any) -> list[Any]:
        """Requests to the ASGI handler, all at once."""
        asks = [
            Ask(f"/a/{self._scenario.name}/{self._variant}/{step}", query_string(query), self._cookie) for step in steps
        ]
        return [self._shown(reply) for reply in self._asgi.ask_at_once(asks)]

    def admin(self, path: str, **query: Any) -> str:
        """A page of the admin site of this variant."""
        if getattr(self._visited, "once", False):
            self.think()
        self._visited.once = True
        reply = self._threads[0].ask(Ask(f"/admin/{self._variant}/{path}", query_string(query), self._cookie))
        body = reply.body.replace(f"/admin/{self._variant}/", "/admin/")
        body = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", body)
        return str(self._shown(Reply(reply.status, body)))

    def visitors(self, count: int, visit: Callable[[int], T]) -> list[T]:
        """Several people at once, each on a server thread of their own: `visit` gets the thread's index."""
        with concurrent.futures.ThreadPoolExecutor(count) as people:
            return list(people.map(visit, range(count)))

    def _shown(self, reply: Reply) -> Any:
        if reply.status != 200:
            raise Unexpected(f"status {reply.status}: {reply.body[:2000]}")
        self.shown.append(reply.body)
        if reply.body.startswith("{"):
            return json.loads(reply.body)["result"]
        return reply.body


class Job:
    """What a command, a script or a worker has in place of a request."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def pause(self, low_s: float = 0.06, high_s: float = 0.09) -> None:
        """What a worker waits between two rounds."""
        time.sleep(self.rng.uniform(low_s, high_s))

    def threads(self, items: Iterable[Any], work: Callable[[Any], T], count: int = 4) -> list[T]:
        """Runs `work` on threads, each with connections of its own that are closed when it ends."""
        waiting = list(enumerate(items))
        done: dict[int, T] = {}
        failed: list[BaseException] = []

        def thread() -> None:
            try:
                while waiting:
                    try:
                        index, item = waiting.pop(0)
                    except IndexError:
                        break
                    done[index] = work(item)
            except BaseException as error:
                failed.append(error)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=thread) for _ in range(count)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(60)
        if failed:
            raise failed[0]
        return [done[index] for index in sorted(done)]


def in_command(work: Callable[[], T]) -> T:
    """Runs `work` as a process of its own would: on a thread without connections, which are closed at its end."""

    def run() -> T:
        try:
            return work()
        finally:
            connections.close_all()

    with concurrent.futures.ThreadPoolExecutor(1) as process:
        return process.submit(run).result(120)

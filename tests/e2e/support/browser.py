"""Chromium, used as a person would use it; whatever must never happen on a page of ours is written down.

A `Tab` fails its test on a console error, an uncaught error, a violation of the page's Content-Security-Policy and a
request to any address but the one it was opened for.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request, sync_playwright
from playwright.sync_api import Error as BrowserError

from . import tools
from .waiting import DeadlinePassed, wait_until

T = TypeVar("T")

LAUNCH_DEADLINE_S = 60
WIDE = (1280, 800)
NARROW = (400, 800)

# Names of other hosts lead nowhere, so that a page that asks for one cannot get an answer either.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]

# Event Timing reports nothing below 16 ms and rounds to 8 ms.
_SHORTEST_REPORTED_MS = 16.0
_OBSERVE = """
window.__observed = {events: [], tasks: [], violations: []};
document.addEventListener('securitypolicyviolation', (event) =>
  window.__observed.violations.push(`${event.violatedDirective}: ${event.blockedURI} at ${event.sourceFile}`));
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.interactionId) {
      window.__observed.events.push({id: entry.interactionId, name: entry.name, ms: entry.duration});
    }
  }
}).observe({type: 'event', durationThreshold: 16, buffered: true});
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    window.__observed.tasks.push({ms: entry.duration, at: entry.startTime});
  }
}).observe({type: 'longtask', buffered: true});
"""
_SPACES = re.compile("[\u00a0\u2009\u202f]")
# Two frames: what the last input caused has been painted and its entry has been queued.
_PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))"


class Browser:
    """One Chromium; its driver ends it when this process ends, however that happens."""

    def __init__(self) -> None:
        self._driver = sync_playwright().start()
        try:
            self._chromium = self._driver.chromium.launch(
                executable_path=tools.program("chromium"),
                args=_ARGUMENTS,
                timeout=LAUNCH_DEADLINE_S * 1000,
                env=os.environ | {"LANG": "C.UTF-8", "TZ": "UTC"},
            )
        except BaseException:
            self._driver.stop()
            raise

    def open(
        self,
        origin: str,
        path: str = "/",
        *,
        size: tuple[int, int] = WIDE,
        theme: str = "light",
        reduced_motion: bool = True,
        **options: Any,
    ) -> Tab:
        """A tab of its own (no cookies, no storage) at `origin` + `path`; `theme` is what the system prefers."""
        context = self._chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=theme,
            reduced_motion="reduce" if reduced_motion else "no-preference",
            locale="en-GB",
            timezone_id="UTC",
            **options,
        )
        context.add_init_script(_OBSERVE)
        tab = Tab(context.new_page(), origin)
        tab.go(path)
        return tab

    def close(self) -> None:
        try:
            self._chromium.close()
        finally:
            self._driver.stop()


class Tab:
    """A page and what happened on it. `page` is Playwright's; the rest is what our tests ask of it."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin.rstrip("/")
        self.requests: list[str] = []
        self._problems: list[str] = []
        self._allowed: list[re.Pattern[str]] = []
        page.set_default_timeout(10_000)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self._problems.append(f"uncaught: {error}"))
        page.on("crash", lambda _page: self._problems.append("the page crashed"))
        page.context.on("request", self._requested)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            where = message.location.get("url", "") if message.location else ""
            self._problems.append(f"console {message.type}: {message.text} ({where})")

    def _requested(self, request: Request) -> None:
        self.requests.append(request.url)
        there, here = urlsplit(request.url), urlsplit(self.origin)
        if there.scheme in ("data", "blob"):
            return
        if (there.scheme, there.netloc) != (here.scheme, here.netloc):
            self._problems.append(f"a request to another host: {request.url}")

    def allow(self, pattern: str) -> None:
        """What this test causes on purpose, e.g. `r"status of 404"`: Chromium itself writes failed requests down."""
        self._allowed.append(re.compile(pattern))

    def problems(self) -> list[str]:
        """All that happened and must not, up to now."""
        violations: list[str] = []
        if not self.page.is_closed():
            # A crashed page has told so already.
            try:
                violations = self.page.evaluate("() => window.__observed.violations")
            except BrowserError:
                violations = []
        found = [*self._problems, *(f"policy violated: {one}" for one in violations)]
        return [one for one in found if not any(allowed.search(one) for allowed in self._allowed)]

    def beside(self, path: str) -> Tab:
        """Another tab of the same browser profile: it shares cookies, storage and locks, and is closed with this one."""
        tab = Tab(self.page.context.new_page(), self.origin)
        tab.go(path)
        return tab

    def close(self) -> None:
        self.page.context.close()

    # Going places.

    def go(self, path: str) -> None:
        """Opens `path` as from a bookmark: nothing of the page before is left."""
        self.page.goto(self.origin + path, wait_until="domcontentloaded")

    @property
    def path(self) -> str:
        """Path and query string shown in the address bar."""
        return self.page.evaluate("() => location.pathname + location.search")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, selector: str = "body") -> str:
        """The text that a person sees there, spaces of all kinds as plain ones."""
        return _SPACES.sub(" ", self.page.locator(selector).first.inner_text())

    def wait(self, condition: Callable[[], T], what: str, deadline_s: float = 10.0) -> T:
        """Waits for `condition`; where it fails, tells what the page shows."""

        def asked() -> T:
            # What happened meanwhile reaches this process only while it asks the browser for something.
            self.page.evaluate("() => null")
            return condition()

        try:
            return wait_until(asked, what, deadline_s=deadline_s, refused=(BrowserError,))
        except DeadlinePassed as late:
            shown = self.text()[:1500]
            raise DeadlinePassed(f"{late}\n{self.path} shows:\n{shown}\nproblems: {self.problems()}") from None

    def wait_text(self, words: str | re.Pattern[str], selector: str = "body", deadline_s: float = 10.0) -> None:
        def shown() -> bool:
            text = self.text(selector)
            return words in text if isinstance(words, str) else bool(words.search(text))

        self.wait(shown, f"{selector} shows {words!r}", deadline_s)

    # Measuring.

    def painted(self) -> None:
        """Returns when what was done last has been painted."""
        self.page.evaluate(_PAINTED)

    def interactions(self, act: Sequence[Callable[[], object]]) -> Interactions:
        """Does these one after another, each a single key or click, and says how long each took to be painted."""
        self.painted()
        self.page.evaluate("() => { window.__observed.events = []; window.__observed.tasks = []; }")
        for one in act:
            one()
            self.painted()
        seen = self.page.evaluate("() => window.__observed")
        longest: dict[int, float] = {}
        for event in seen["events"]:
            longest[event["id"]] = max(longest.get(event["id"], 0.0), event["ms"])
        quick = [_SHORTEST_REPORTED_MS] * max(0, len(act) - len(longest))
        return Interactions(sorted([*longest.values(), *quick]), [task["ms"] for task in seen["tasks"]])

    def element_count(self) -> int:
        return self.page.evaluate("() => document.getElementsByTagName('*').length")

    def heap_bytes(self) -> int:
        """What the page's scripts hold once the garbage is gone."""
        session = self.page.context.new_cdp_session(self.page)
        try:
            session.send("HeapProfiler.collectGarbage")
            return int(session.send("Runtime.getHeapUsage")["usedSize"])
        finally:
            session.detach()

    def scrolls_sideways(self) -> bool:
        """Whether the page as a whole is wider than the window."""
        return self.page.evaluate(
            "() => document.scrollingElement.scrollWidth > document.scrollingElement.clientWidth"
        )

    # Looking.

    def accessibility_faults(self) -> list[str]:
        """What axe-core calls serious or critical, one line each with the first places."""
        self.page.evaluate(_axe_source())
        found = self.page.evaluate(
            "() => axe.run(document, {resultTypes: ['violations']}).then((result) => result.violations)"
        )
        return [
            f"{one['impact']}: {one['id']} ({one['help']}): "
            + "; ".join(f"{node['target']} {node['html'][:160]}" for node in one["nodes"][:4])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        """Writes what the window shows (`whole`: the page to its end) as PNG."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=file, full_page=whole, animations="disabled", caret="hide")


@dataclass(frozen=True)
class Interactions:
    """Durations from input to paint, shortest first, as Event Timing tells them; and tasks over 50 ms meanwhile."""

    durations_ms: list[float]
    long_tasks_ms: list[float]

    def percentile_ms(self, percent: float) -> float:
        return self.durations_ms[max(0, math.ceil(len(self.durations_ms) * percent / 100) - 1)]

    def __str__(self) -> str:
        return (
            f"{len(self.durations_ms)} interactions: p50 {self.percentile_ms(50):.0f} ms, "
            f"p95 {self.percentile_ms(95):.0f} ms, most {self.durations_ms[-1]:.0f} ms; "
            f"{len(self.long_tasks_ms)} tasks over 50 ms {json.dumps([round(ms) for ms in self.long_tasks_ms[:8]])}"
        )


def _axe_source() -> str:
    file = tools.TOOLS / "axe-core" / "axe.min.js"
    if not file.is_file():
        raise tools.Missing(f"{file} does not exist: make setup")
    return file.read_text()

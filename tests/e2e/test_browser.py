"""The part that watches the page, proved itself: it has to find what must not happen on a page."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' http://elsewhere.invalid"
_CLEAN = '<!doctype html><html lang="en"><title>t</title><main><h1>Heading</h1></main>'
_PAGES = {
    "/clean": _CLEAN,
    "/error": _CLEAN + '<script src="/error.js"></script>',
    "/inline": _CLEAN + "<script>document.title = 'ran'</script>",
    "/elsewhere": _CLEAN + '<img alt="x" src="http://elsewhere.invalid/x.png">',
    "/missing": _CLEAN + '<img alt="x" src="/nothing.png">',
    "/button": _CLEAN + '<button id="slow">Wait</button><script src="/slow.js"></script>',
    "/unlabelled": _CLEAN + '<input type="text"><img src="/nothing.svg">',
    "/error.js": "throw new Error('on purpose')",
    "/slow.js": """document.getElementById('slow').addEventListener('click', () => {
        const began = performance.now();
        while (performance.now() - began < 150);
        document.querySelector('h1').textContent = 'Done';
    })""",
}


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = _PAGES.get(self.path, "").encode()
        self.send_response(200 if body else 404)
        kind = "text/javascript" if self.path.endswith(".js") else "text/html; charset=utf-8"
        for name, value in (("Content-Type", kind), ("Content-Security-Policy", _POLICY), ("Content-Length", len(body))):
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on the console."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/error", "uncaught: on purpose"),
        ("/inline", "policy violated: script-src"),
        ("/elsewhere", "a request to another host: http://elsewhere.invalid/x.png"),
        ("/missing", "console error: Failed to load resource"),
    ],
)
def test_what_must_not_happen_on_a_page_is_found(browser, site, path, problem):
    tab = browser.open(site, path)
    tab.wait(lambda: any(problem in one for one in tab.problems()), f"{problem!r} is written down")
    tab.allow(".")
    assert tab.problems() == []
    tab.close()


@pytest.mark.smoke
def test_a_page_without_faults_has_no_problems(browser, site):
    tab = browser.open(site, "/clean", theme="dark")
    tab.allow("favicon")
    tab.wait_text("Heading")
    assert tab.page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
    assert tab.accessibility_faults() == []
    assert tab.problems() == []
    tab.close()


@pytest.mark.smoke
def test_a_slow_answer_to_a_click_is_measured(browser, site):
    tab = browser.open(site, "/button")
    seen = tab.interactions([lambda: tab.page.click("#slow"), lambda: tab.press("x"), lambda: tab.page.click("#slow")])
    assert len(seen.durations_ms) == 3
    assert seen.durations_ms[0] < 100 <= 150 <= seen.durations_ms[1], seen
    assert len(seen.long_tasks_ms) == 2, seen
    tab.close()


@pytest.mark.smoke
def test_faults_of_accessibility_are_found(browser, site):
    tab = browser.open(site, "/unlabelled")
    faults = "\n".join(tab.accessibility_faults())
    assert "critical: label" in faults and "critical: image-alt" in faults
    tab.close()

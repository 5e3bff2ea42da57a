"""Asks a running pgprism. `docs/api.md` of pgprism says what its answers hold."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

DEFAULT_URL = "http://127.0.0.1:9433"
ANSWER_WITHIN_S = 10.0
# What `settle` may take at most is 5 s.
UNITS_MAX = 1000


class Unreachable(Exception):
    """Nobody answers there."""


class Refused(Exception):
    """Somebody answers, but not what was asked for: what is wrong, and what to do about it."""


class BadAddress(ValueError):
    """What was typed leads to no proxy."""


class Proxy:
    """The admin address of a running pgprism."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = base_url(url)
        self._token = token
        # It is ours to reach: a proxy for the web, which the environment may name, would only learn the token.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def dropped(self) -> int:
        """How many events were dropped since it started: of these it knows nothing."""
        return self._settle("")[1]

    def settle(self, test_id: str) -> int:
        """Waits until all that is known of this test has been analysed; answers how many events were ever dropped."""
        settled, dropped = self._settle(f"?test_id={test_id}")
        if settled:
            return dropped
        raise Refused(
            f"pgprism at {self.url} could not analyse all queries of the test within 5 s: it may be short of CPU time."
        )

    def _settle(self, wanted: str) -> tuple[bool, int]:
        answer = self._ask(f"/api/v1/settle{wanted}", method="POST")
        try:
            return bool(answer["settled"]), int(answer["events_dropped"])
        except (KeyError, TypeError, ValueError):
            raise self._foreign("it does not know `settle`") from None

    def units(self, test_id: str) -> list[dict[str, Any]]:
        """The units of work of this test, oldest first."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            parameters = {"test_id": test_id, "limit": str(UNITS_MAX)} | ({"after": after} if after else {})
            page = self._ask(f"/api/v1/units?{urllib.parse.urlencode(parameters)}")
            found += page.get("items", [])
            after = page.get("next")
            if not after:
                return found[::-1]

    def unit(self, unit_id: str) -> dict[str, Any]:
        """One of them, statement by statement."""
        return self._ask(f"/api/v1/units/{urllib.parse.quote(unit_id, safe='')}")

    def finding(self, finding_id: str) -> dict[str, Any]:
        """One finding."""
        return self._ask(f"/api/v1/findings/{urllib.parse.quote(finding_id, safe='')}")

    def _ask(self, path: str, method: str = "GET") -> dict[str, Any]:
        headers = {"Accept": "application/json", "X-Pgprism": "1"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        if method == "POST":
            request.data = b""
        try:
            with self._opener.open(request, timeout=ANSWER_WITHIN_S) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Unreachable(f"no pgprism answers at {self.url} ({reason})") from None
        try:
            found = json.loads(body)
        except ValueError:
            raise self._foreign("its answer is no JSON") from None
        if not isinstance(found, dict):
            raise self._foreign("its answer is no object")
        return found

    def _refusal(self, error: urllib.error.HTTPError) -> Refused:
        if error.code == 401:
            wanted = "another token" if self._token else "a token"
            return Refused(
                f"pgprism at {self.url} wants {wanted}: name its file with --pgprism-token-file or PGPRISM_TOKEN_FILE."
            )
        said = f"it answers {error.code}"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said += f": {json.loads(error.read())['error']['message']}"
        if error.code in (403, 421):
            return Refused(f"pgprism at {self.url} refuses ({said}).")
        return self._foreign(said)

    def _foreign(self, what: str) -> Refused:
        return Refused(
            f"what answers at {self.url} is no pgprism that this version of django_pgprism understands ({what})."
        )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """A redirection is no answer of pgprism's."""


def base_url(typed: str) -> str:
    """`http://host:port` for that, or for `host:port` as `pgprism serve --admin` takes it."""
    url = typed.strip().rstrip("/")
    if "://" not in url:
        url = f"http://{url}"
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urllib.parse.urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.query:
        raise BadAddress(f"{typed!r} is no admin address of pgprism: write http://HOST:PORT, as {DEFAULT_URL}")
    # What `serve` may listen on is nothing to connect to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(parts.hostname, parts.hostname)  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"


def read_token(file: str | None) -> str | None:
    """The token of the admin address: of a file, else of the environment."""
    if not file:
        return os.environ.get("PGPRISM_TOKEN") or None
    try:
        token = Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadAddress(f"cannot read the token in {file}: {error}") from None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise BadAddress(f"{file} does not hold one line of visible ASCII characters, which a token is")
    return token

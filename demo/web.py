"""HTTP questions to the parts of the demo."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any


def fetch(url: str, **parameters: str) -> str:
    """The body of a 200; another status is an `urllib.error.HTTPError`."""
    query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
    with urllib.request.urlopen(url + query, timeout=10) as answer:
        return answer.read().decode()


def post(url: str, **form: str) -> str:
    """The body of the answer to a form; a status that is not 2xx is an `urllib.error.HTTPError`."""
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=10) as answer:
        return answer.read().decode()


def fetch_json(url: str, **parameters: str) -> Any:
    return json.loads(fetch(url, **parameters))


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code

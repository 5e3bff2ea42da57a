"""docs/troubleshooting.md quotes what the program says, and has an entry for all that it says to clients."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from pages import PROJECT
from sources import all_literals, errors_of, literals, plain

PAGE = PROJECT / "docs" / "troubleshooting.md"
SOURCES = PROJECT / "src"

# What is quoted there of others: PostgreSQL's and libpq's words.
OTHERS = "Logging in fails"


def _quoted() -> Iterator[tuple[str, str]]:
    """Section and message of each row."""
    section = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line[3:]
        cells = re.match(r"\| (`.*?) \| ", line)
        if cells and section not in (OTHERS, "Nothing is seen, or nothing is found"):
            for message in re.findall(r"`([^`]+)`", cells[1]):
                yield section, plain(message)


QUOTED = list(_quoted())


def test_there_are_rows() -> None:
    assert len(QUOTED) > 80


@pytest.mark.parametrize("message", sorted({message for _, message in QUOTED}))
def test_the_program_says_it(message: str) -> None:
    """Each part between two `…` stands in a text of the sources, as it is."""
    parts = [part.strip() for part in message.split("…")]
    for part in parts:
        if len(part) > 2 and not _is_said(part):
            raise AssertionError(f"no source says {part!r}")


def _is_said(part: str) -> bool:
    if any(part in text for text in all_literals()):
        return True
    # `kind: reason` is put together where it is shown.
    kind, _, reason = part.rstrip(":").partition(": ")
    return all(any(word == text or f"{word}:" in text for text in all_literals()) for word in (kind, reason) if word)


def _entries() -> str:
    return "\n".join(message for _, message in QUOTED)


def _has_entry(text: str) -> bool:
    """Whether a row quotes the text, whatever the row has in place of its values."""
    fixed = [re.escape(part.strip()) for part in text.split("…") if len(part.strip()) > 2]
    return bool(re.search(".*".join(fixed), _entries()))


CLIENT_TEXTS = [
    *errors_of(SOURCES / "proxy/greeting.rs", "GreetingError", without=("Left", "Malformed", "Handshake")),
    *errors_of(SOURCES / "proxy/upstream.rs", "ConnectError"),
    *errors_of(SOURCES / "proxy/upstream.rs", "TlsError"),
    # The words of errors that have no enum; a field of a log line is shorter.
    *(text for text in literals(SOURCES / "proxy/connection.rs") if " " in text and "session was lost" not in text),
]


@pytest.mark.parametrize("text", CLIENT_TEXTS)
def test_what_clients_are_told_has_an_entry(text: str) -> None:
    if text in ("client lost", "upstream lost", "no session"):
        return  # said to the log, at level debug
    assert _has_entry(text), f"docs/troubleshooting.md has no row for {text!r}"


def test_clients_are_told_things_in_one_place() -> None:
    """Whoever writes an ErrorResponse elsewhere extends `CLIENT_TEXTS`."""
    callers = [
        str(path.relative_to(SOURCES))
        for path in (SOURCES / "proxy").rglob("*.rs")
        if "tests" not in path.parts and "error_response(" in path.read_text()
    ]
    assert callers == ["proxy/connection.rs"]


def _reasons(path: str, pattern: str) -> list[str]:
    found = re.findall(pattern, (SOURCES / path).read_text().partition("#[cfg(test)]\nmod tests {")[0])
    assert found, f"{path} has no {pattern}"
    return found


REASONS = [
    *_reasons("registry.rs", r'(?:ConnectionError|Unobserved)::\w+ => "(\w+)"'),
    *_reasons("wire/frame.rs", r'FrameError::\w+ \{ \.\. \} => "(\w+)"'),
    *_reasons("session/mod.rs", r'Lost::\w+ \{ \.\. \} => "(\w+)"'),
    *_reasons("observer/mod.rs", r'switch_off\("(\w+)"'),
    *_reasons("observer/guard.rs", r'session_unobserved\("(\w+)"\)'),
    *_reasons("export/http/api/summary.rs", r'LossKind::\w+ => "(\w+)"'),
]


@pytest.mark.parametrize("reason", sorted(set(REASONS)))
def test_each_reason_is_explained(reason: str) -> None:
    # `accept` is the log's own message, `login_refused` PostgreSQL's refusal, `client_lost` the client's end.
    if reason in ("accept", "login_refused", "client_lost"):
        return
    assert re.search(rf"`[^`]*\b{reason}\b", PAGE.read_text()), f"docs/troubleshooting.md does not name {reason}"


def test_reasons_of_dropped_events_are_explained() -> None:
    metrics = (PROJECT / "docs" / "metrics.md").read_text()
    line = next(
        line for line in metrics.splitlines() if line.startswith("- `pgprism_events_dropped_total` has the reasons")
    )
    for reason in [*re.findall(r"`([a-z]+_[a-z_]+)` \(", line), "flow_full"]:
        assert reason in PAGE.read_text(), reason


def test_what_is_wrong_would_be_noticed() -> None:
    assert not _is_said("cannot connect with")
    assert not _has_entry("too many sessions: the limit of … is reached")

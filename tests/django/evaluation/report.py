"""Tables for the terminal and for people, JSON for programs."""

from __future__ import annotations

import dataclasses
from typing import Any

from .scoring import GROUPS, READS, SUSPECTED, WRITES, PeerScore, Score, Share


@dataclasses.dataclass
class Result:
    """One configuration's run."""

    configuration: str
    score: Score
    seconds: float
    runs: int
    merged_units: int
    units: int
    with_models: bool
    failures: list[str]


_HEAD = (
    "configuration",
    "reads",
    "P",
    "R",
    "kind",
    "parent",
    "writes",
    "P",
    "R",
    "suspected",
    "hard",
    "advice",
    "merged",
    "s",
)


def _row(result: Result) -> list[str]:
    reads, writes, suspected = (result.score.groups[name] for name in (READS, WRITES, SUSPECTED))
    return [
        result.configuration,
        str(reads.recall.all),
        str(reads.precision),
        str(reads.recall),
        str(reads.right_kind),
        str(reads.right_parent),
        str(writes.recall.all),
        str(writes.precision),
        str(writes.recall),
        f"{suspected.recall.right}/{suspected.recall.all}",
        str(len(result.score.hard)),
        str(result.score.advice),
        f"{result.merged_units}/{result.units}",
        f"{result.seconds:.0f}",
    ]


def _peer_row(name: str, score: PeerScore) -> list[str]:
    return [
        name,
        str(score.recall[READS].all),
        str(score.precision),
        str(score.recall[READS]),
        str(score.recall[WRITES].all),
        str(score.recall[WRITES]),
        f"{score.recall[SUSPECTED].right}/{score.recall[SUSPECTED].all}",
        str(len(score.hard)),
        str(len(score.broken)),
    ]


_PEER_HEAD = ("tool", "reads", "P", "R", "writes", "R", "suspected", "hard", "broken")


def _plain(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _marked(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)


def table(results: list[Result], peers: dict[str, PeerScore], markdown: bool) -> str:
    draw = _marked if markdown else _plain
    parts = []
    if results:
        parts.append(draw([list(_HEAD)] + [_row(result) for result in results]))
    if peers:
        parts.append(draw([list(_PEER_HEAD)] + [_peer_row(name, score) for name, score in peers.items()]))
    return "\n\n".join(parts)


def details(result: Result) -> str:
    """What to look at, one line each."""
    lines = []
    for group in GROUPS:
        figures = result.score.groups[group]
        lines += [f"  {group} false: {words}" for words in figures.false]
        lines += [f"  {group} missed: {words}" for words in figures.missed]
        lines += [f"  {group} wrong: {words}" for words in figures.wrong]
    lines += [f"  hard: {words}" for words in result.score.hard]
    lines += [f"  mixed: {words}" for words in result.score.mixed]
    lines += [f"  not removed: {words}" for words in result.score.not_removed]
    if result.with_models:
        lines += [f"  advice: {words}" for words in result.score.bad_advice]
    lines += [f"  wrong advice: {words}" for words in result.score.wrong_advice]
    return "\n".join(lines)


def peer_details(name: str, score: PeerScore) -> str:
    return "\n".join(
        [f"  {name} false: {words}" for words in score.false]
        + [f"  {name} missed: {words}" for words in score.missed]
        + [f"  {name} broke: {words}" for words in score.broken]
    )


def _json(value: Any) -> Any:
    if isinstance(value, Share):
        return {"right": value.right, "all": value.all, "value": round(value.value, 4)}
    if dataclasses.is_dataclass(value):
        return {one.name: _json(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _json(one) for key, one in value.items()}
    if isinstance(value, (list, set)):
        return [_json(one) for one in value]
    return value


def as_json(seed: int, results: list[Result], peers: dict[str, PeerScore]) -> dict[str, Any]:
    return {"seed": seed, "results": _json(results), "peers": _json(peers)}

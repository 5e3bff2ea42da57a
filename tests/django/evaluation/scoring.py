"""What the findings of all runs are worth, against the labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .attribution import Ledger, Sighting

READS, WRITES, SUSPECTED = "reads", "writes", "suspected"
GROUPS = (READS, WRITES, SUSPECTED)
_GROUP = {"write_loop": WRITES, "duplicate": WRITES, "query_loop": SUSPECTED, "chatty_unit": SUSPECTED}
_NAMED = re.compile(r"""(?:select_related|prefetch_related|Prefetch|Count|Avg|Sum|Max|Min)\(["'](\w+)["']""")
"""A line of advice that is sure of a relation's name."""
CHATTY_STATEMENTS = 50
"""A unit is said to ask too much only where a run really sent so many statements."""

THRESHOLDS = {
    READS: {"precision": 0.99, "recall": 0.98, "right_kind": 0.97, "right_parent": 0.97},
    WRITES: {"precision": 0.97, "recall": 0.95},
}


def group_of(finding: dict[str, Any]) -> str:
    return _GROUP.get(finding["kind"], READS)


def describe(finding: dict[str, Any]) -> str:
    parent = f"{finding.get('parent_table')}.{finding.get('parent_column')}"
    child = f"{finding.get('child_table')}.{finding.get('child_column')}"
    return f"{finding['confidence']} {finding['kind']} {parent} -> {child}"


@dataclass
class Share:
    """So many of so many."""

    right: int = 0
    all: int = 0

    def add(self, right: bool) -> None:
        self.right += right
        self.all += 1

    @property
    def value(self) -> float:
        return self.right / self.all if self.all else 1.0

    def __str__(self) -> str:
        return f"{self.value:.3f}" if self.all else "-"


@dataclass
class GroupScore:
    precision: Share = field(default_factory=Share)
    recall: Share = field(default_factory=Share)
    right_kind: Share = field(default_factory=Share)
    right_parent: Share = field(default_factory=Share)
    """Among findings that are proved."""
    false: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Found, but of another kind or parent."""


@dataclass
class Score:
    groups: dict[str, GroupScore] = field(default_factory=lambda: {name: GroupScore() for name in GROUPS})
    false_proved: list[str] = field(default_factory=list)
    false_look_alikes: list[str] = field(default_factory=list)
    hard_ids: set[str] = field(default_factory=set)
    hard: list[str] = field(default_factory=list)
    """What was said of runs that cannot be decided; `proved` ones are in `false_proved` too."""
    apart: list[str] = field(default_factory=list)
    """Suspected loops over constants and chatty units where none was labelled: neither right nor wrong."""
    not_removed: list[str] = field(default_factory=list)
    """Findings of a problem that its fixed twin showed again."""
    right_ids: set[str] = field(default_factory=set)
    """Of findings that are right somewhere."""
    apart_ids: set[str] = field(default_factory=set)
    mixed: list[str] = field(default_factory=list)
    """Findings that only many threads at once brought."""
    advice: Share = field(default_factory=Share)
    bad_advice: list[str] = field(default_factory=list)
    """Without the relation's name: only allowed where there is no model map."""
    wrong_advice: list[str] = field(default_factory=list)
    """With another relation's name: never allowed."""

    def doubtful(self) -> set[str]:
        """Scenarios of which something is to be looked at."""
        words = [*self.hard, *self.not_removed]
        for figures in self.groups.values():
            words += [*figures.false, *figures.missed, *figures.wrong]
        return {re.split(r"[: ]", one, maxsplit=1)[0] for one in words}

    def failures(self, with_models: bool) -> list[str]:
        """Which promises are broken, with the names."""
        broken = []
        for group, limits in THRESHOLDS.items():
            score = self.groups[group]
            names = {
                "precision": score.false,
                "recall": score.missed,
                "right_kind": score.wrong,
                "right_parent": score.wrong,
            }
            for figure, limit in limits.items():
                share: Share = getattr(score, figure)
                if share.value < limit:
                    broken.append(f"{group}: {figure} {share} < {limit}: {'; '.join(names[figure])}")
        for what, names in (
            ("proved, and false", self.false_proved),
            ("a look-alike is reported", self.false_look_alikes),
            ("still there when fixed", self.not_removed),
            ("only with many threads at once", self.mixed),
        ):
            if names:
                broken.append(f"{what}: {'; '.join(names)}")
        if self.wrong_advice:
            broken.append(f"the advice names another relation: {'; '.join(self.wrong_advice)}")
        if with_models and self.bad_advice:
            broken.append(f"the advice does not name the relation: {'; '.join(self.bad_advice)}")
        return broken


def score(
    scenarios: Iterable[dict[str, Any]],
    ledger: Ledger,
    with_advice: bool = True,
    marked: bool = False,
    alone: bool = False,
) -> Score:
    """`marked`: the configuration marks where requests begin, and so decides some hard scenarios; `alone`: by a
    connection for each, which decides those of commands too.
    """
    result = Score()
    for one in scenarios:
        scenario = _decided(one, alone if one["where"] == "command" else marked)
        of_problem = ledger.of(scenario["name"], "problem")
        if scenario["label"] == "problem":
            _problem(result, scenario, of_problem, with_advice)
            fixed = ledger.of(scenario["name"], "fixed")
            before = {one.finding["id"] for one in of_problem}
            for sighting in fixed:
                if sighting.finding["id"] in before and not _stands_apart(sighting):
                    result.not_removed.append(f"{scenario['name']}: {describe(sighting.finding)}")
                _unexpected(result, scenario, sighting, "fixed")
        elif scenario["label"] == "hard":
            for sighting in of_problem:
                words = f"{scenario['name']}: {describe(sighting.finding)}"
                result.hard.append(words)
                result.hard_ids.add(sighting.finding["id"])
                if sighting.finding["confidence"] == "proved" and not _match(scenario, sighting.finding):
                    result.false_proved.append(words)
            for sighting in ledger.of(scenario["name"], "fixed"):
                _unexpected(result, scenario, sighting, "fixed")
        else:
            for sighting in of_problem:
                _unexpected(result, scenario, sighting, scenario["label"])
    return result


def _decided(scenario: dict[str, Any], marked: bool) -> dict[str, Any]:
    """A scenario as it is to be scored: what marks decide is hard without them."""
    if not scenario["marks_decide"]:
        return scenario
    if scenario["label"] == "problem":
        return scenario if marked else scenario | {"label": "hard"}
    return scenario | {"label": "look_alike"} if marked else scenario


def _problem(result: Score, scenario: dict[str, Any], sightings: list[Sighting], with_advice: bool) -> None:
    group = scenario["group"]
    figures = result.groups[group]
    matched: list[dict[str, Any]] = []
    reported: set[tuple[str, str | None]] = set()
    for sighting in sorted(sightings, key=lambda one: -one.queries):
        finding = sighting.finding
        expected = _match(scenario, finding)
        if expected is None:
            _unexpected(result, scenario, sighting, "problem")
            continue
        pair = (finding["fingerprint"], finding.get("parent_fingerprint"))
        if pair in reported:
            # One finding for each cause: the same loop is not told twice.
            figures.precision.add(False)
            figures.false.append(f"{scenario['name']}: told twice, {describe(finding)}")
            continue
        reported.add(pair)
        matched.append(expected)
        result.right_ids.add(finding["id"])
        figures.precision.add(True)
        right_kind = finding["kind"] in expected["kinds"]
        figures.right_kind.add(right_kind)
        if not right_kind:
            figures.wrong.append(f"{scenario['name']}: {describe(finding)}, not {' or '.join(expected['kinds'])}")
        if expected["parents"] and finding["confidence"] == "proved":
            parent = [finding.get("parent_table"), finding.get("parent_column")]
            right_parent = parent in [list(one) for one in expected["parents"]]
            figures.right_parent.add(right_parent)
            if not right_parent:
                wanted = " or ".join(".".join(one) for one in expected["parents"])
                figures.wrong.append(f"{scenario['name']}: {describe(finding)}, parent is {wanted}")
        if with_advice and expected["relations"]:
            line = finding.get("advice", {}).get("django", "")
            named = any(word in line for word in expected["relations"])
            result.advice.add(named)
            if not named:
                wanted = " or ".join(expected["relations"])
                words = f"{scenario['name']}: {line!r} without {wanted}"
                result.bad_advice.append(words)
                if group == READS and _NAMED.search(line):
                    result.wrong_advice.append(words)
    found = all(one in matched for one in scenario["expected"]) if scenario["every"] else bool(matched)
    figures.recall.add(found)
    if not found:
        figures.missed.append(scenario["name"])


def _match(scenario: dict[str, Any], finding: dict[str, Any]) -> dict[str, Any] | None:
    """What was expected that comes nearest to `finding`; `None` when it is something else."""
    best: tuple[int, dict[str, Any]] | None = None
    for expected in scenario["expected"]:
        if expected["child_tables"] and not _tables(finding) & set(expected["child_tables"]):
            continue
        if finding["kind"] not in expected["kinds"] and (
            group_of(finding) != scenario["group"] or group_of(finding) == SUSPECTED
        ):
            continue
        parent = [finding.get("parent_table"), finding.get("parent_column")]
        near = 2 * (finding["kind"] in expected["kinds"]) + (parent in [list(one) for one in expected["parents"]])
        if best is None or near > best[0]:
            best = (near, expected)
    return best[1] if best else None


def _tables(finding: dict[str, Any]) -> set[str]:
    """The child's table; where none is told, all that its statement names."""
    if finding.get("child_table"):
        return {finding["child_table"]}
    return set(re.findall(r"\w+", finding.get("query", "")))


def score_mixed(result: Score, scenarios: list[dict[str, Any]], findings: list[dict[str, Any]]) -> None:
    """Takes note of findings that were not right, hard or apart in any run of its own, nor expected of any."""
    for finding in findings:
        if finding["id"] in result.right_ids | result.apart_ids | result.hard_ids:
            continue
        if finding["kind"] in ("query_loop", "chatty_unit") and finding["confidence"] == "suspected":
            continue
        if any(_is_just(one, finding) for one in scenarios if one["label"] == "problem"):
            continue
        words = f"{finding.get('evidence')}, {finding.get('queries')} of {finding.get('query', '')}"
        result.mixed.append(f"{describe(finding)} ({words})")


def _is_just(scenario: dict[str, Any], finding: dict[str, Any]) -> bool:
    """Whether the finding is all that was expected of the scenario, kind and parent too."""
    expected = _match(scenario, finding)
    if expected is None or finding["kind"] not in expected["kinds"]:
        return False
    parent = [finding.get("parent_table"), finding.get("parent_column")]
    return not expected["parents"] or parent in [list(one) for one in expected["parents"]]


def _stands_apart(sighting: Sighting) -> bool:
    finding = sighting.finding
    if finding["kind"] == "query_loop":
        return finding["confidence"] == "suspected"
    return finding["kind"] == "chatty_unit" and sighting.run.statements >= CHATTY_STATEMENTS


def _unexpected(result: Score, scenario: dict[str, Any], sighting: Sighting, variant: str) -> None:
    words = f"{scenario['name']} ({variant}): {describe(sighting.finding)}"
    if _stands_apart(sighting):
        result.apart.append(words)
        result.apart_ids.add(sighting.finding["id"])
        return
    figures = result.groups[group_of(sighting.finding)]
    figures.precision.add(False)
    figures.false.append(words)
    if sighting.finding["confidence"] == "proved":
        result.false_proved.append(words)
    if scenario["label"] == "look_alike":
        result.false_look_alikes.append(words)


@dataclass
class PeerScore:
    """The same for a tool that only says that there is something."""

    precision: Share = field(default_factory=Share)
    recall: dict[str, Share] = field(default_factory=lambda: {name: Share() for name in GROUPS})
    false: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    hard: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Scenarios that did not run with the tool in place."""


def score_peer(
    scenarios: Iterable[dict[str, Any]], said: dict[tuple[str, str], list[str]], broken: list[str]
) -> PeerScore:
    result = PeerScore(broken=broken)
    for scenario in scenarios:
        name = scenario["name"]
        if scenario["label"] == "hard":
            if said.get((name, "problem")):
                result.hard.append(name)
            continue
        for variant in scenario["variants"]:
            spoke = bool(said.get((name, variant)))
            if scenario["label"] == "problem" and variant == "problem":
                result.recall[scenario["group"]].add(spoke)
                if spoke:
                    result.precision.add(True)
                else:
                    result.missed.append(name)
            elif spoke:
                result.precision.add(False)
                result.false.append(f"{name} ({variant})")
    return result

"""The scoring itself, on made-up findings."""

from __future__ import annotations

import datetime
from typing import Any

from evaluation.attribution import Ledger, Run, spanning
from evaluation.scoring import READS, SUSPECTED, WRITES, score, score_mixed, score_peer

START = 1_800_000_000.0


def scenario(name: str, label: str = "problem", group: str = READS, **expected: Any) -> dict[str, Any]:
    wanted = {
        "kinds": ["n_plus_one_forward"],
        "child_tables": ["shop_customer"],
        "child_column": "id",
        "parents": [["shop_order", "customer_id"]],
        "relations": ["customer"],
    } | expected
    return {
        "name": name,
        "label": label,
        "group": group,
        "every": False,
        "where": "view",
        "marks_decide": label == "hard",
        "variants": ["problem", "fixed"] if label == "problem" else ["problem"],
        "expected": [wanted] if label == "problem" else [],
    }


def finding(at: float, **fields: Any) -> dict[str, Any]:
    """As `/api/v1/findings` tells it, last seen so many seconds after the start."""
    seen = datetime.datetime.fromtimestamp(START + at, datetime.timezone.utc)
    return {
        "id": "f1",
        "kind": "n_plus_one_forward",
        "confidence": "proved",
        "fingerprint": "c1",
        "parent_table": "shop_order",
        "parent_column": "customer_id",
        "child_table": "shop_customer",
        "child_column": "id",
        "occurrences": 1,
        "queries": 12,
        "last_seen": seen.isoformat(),
        "advice": {"django": 'Order.objects.select_related("customer")'},
    } | fields


def ledger(*names: str, statements: int = 13) -> Ledger:
    """Runs of one second, one every two seconds; `name/fixed` is the twin."""
    made = Ledger()
    for index, name in enumerate(names):
        plain, _, variant = name.partition("/")
        made.played(Run(plain, variant or "problem", START + 2 * index, START + 2 * index + 1, statements))
    return made


def test_a_finding_of_the_right_kind_and_parent_is_a_hit() -> None:
    played = ledger("a", "a/fixed")
    played.poll([finding(0.5)])
    scored = score([scenario("a")], played)
    reads = scored.groups[READS]
    assert (reads.precision.value, reads.recall.value, reads.right_kind.value, reads.right_parent.value) == (1, 1, 1, 1)
    assert reads.recall.all == 1
    assert scored.advice.value == 1
    assert scored.failures(with_models=True) == []


def test_nothing_found_is_missed_by_name() -> None:
    scored = score([scenario("a")], ledger("a", "a/fixed"))
    assert scored.groups[READS].missed == ["a"]
    assert any("recall 0.000" in words and "a" in words for words in scored.failures(with_models=False))


def test_another_kind_is_found_but_wrong() -> None:
    played = ledger("a")
    played.poll([finding(0.5, kind="n_plus_one_reverse")])
    reads = score([scenario("a")], played).groups[READS]
    assert (reads.recall.value, reads.right_kind.value) == (1, 0)
    assert reads.wrong and reads.wrong[0].startswith("a: ")


def test_the_parent_counts_only_when_it_is_proved() -> None:
    for confidence, parents in (("proved", 1), ("likely", 0)):
        played = ledger("a")
        played.poll([finding(0.5, confidence=confidence, parent_column="id")])
        reads = score([scenario("a")], played).groups[READS]
        assert (reads.right_parent.all, reads.right_parent.right) == (parents, 0)


def test_any_of_several_parents_is_right() -> None:
    played = ledger("a")
    played.poll([finding(0.5, parent_table="clinic_staff", parent_column="id")])
    both = scenario("a", parents=[["clinic_physician", "staff_ptr_id"], ["clinic_staff", "id"]])
    assert score([both], played).groups[READS].right_parent.value == 1


def test_a_finding_about_another_table_is_false() -> None:
    played = ledger("a")
    played.poll([finding(0.5, child_table="shop_tag")])
    scored = score([scenario("a")], played)
    reads = scored.groups[READS]
    assert (reads.precision.all, reads.precision.right, reads.missed) == (1, 0, ["a"])
    assert scored.false_proved


def test_one_loop_told_twice_is_false_once() -> None:
    played = ledger("a")
    played.poll([finding(0.5), finding(0.5, id="f2", kind="n_plus_one_reverse", queries=3)])
    reads = score([scenario("a")], played).groups[READS]
    assert (reads.precision.right, reads.precision.all) == (1, 2)
    assert "told twice" in reads.false[0]


def test_what_the_fixed_twin_shows_again_is_not_removed() -> None:
    played = ledger("a", "a/fixed")
    played.poll([finding(0.5)])
    played.poll([finding(2.5, occurrences=2, queries=24)])
    scored = score([scenario("a")], played)
    assert scored.not_removed and scored.groups[READS].precision.value == 0.5
    assert scored.failures(with_models=False)


def test_a_look_alike_must_be_silent() -> None:
    played = ledger("poll")
    played.poll([finding(0.2, confidence="likely")])
    scored = score([scenario("poll", "look_alike")], played)
    assert scored.false_look_alikes and not scored.false_proved
    assert any("look-alike" in words for words in scored.failures(with_models=False))


def test_a_suspected_loop_over_constants_stands_apart() -> None:
    played = ledger("warm")
    played.poll([finding(0.2, kind="query_loop", confidence="suspected", parent_table=None, parent_column=None)])
    scored = score([scenario("warm", "look_alike")], played)
    assert scored.apart and not scored.false_look_alikes and scored.failures(with_models=False) == []
    likely = ledger("warm")
    likely.poll([finding(0.2, kind="query_loop", confidence="likely")])
    assert score([scenario("warm", "look_alike")], likely).false_look_alikes


def test_a_suspected_loop_is_a_hit_where_it_is_labelled_only() -> None:
    loop = finding(0.2, kind="query_loop", confidence="suspected", parent_table=None, parent_column=None)
    labelled = scenario("get", group=SUSPECTED, kinds=["query_loop"], parents=[], relations=[])
    played = ledger("get")
    played.poll([loop])
    assert score([labelled], played).groups[SUSPECTED].recall.value == 1
    assert score([scenario("get")], played).groups[READS].missed == ["get"]


def test_a_chatty_unit_needs_statements() -> None:
    for statements, false in ((120, 0), (12, 1)):
        played = ledger("page", statements=statements)
        played.poll([finding(0.2, kind="chatty_unit", child_table=None)])
        assert score([scenario("page", "clean")], played).groups[SUSPECTED].precision.all == false


def test_writes_are_scored_apart() -> None:
    played = ledger("w")
    played.poll([finding(0.2, kind="write_loop", child_table="shop_audit", parent_table=None)])
    loop = scenario("w", group=WRITES, kinds=["write_loop"], child_tables=["shop_audit"], parents=[], relations=[])
    scored = score([loop], played)
    assert scored.groups[WRITES].recall.value == 1 and scored.groups[READS].recall.all == 0


def test_hard_scenarios_forbid_only_proof() -> None:
    for confidence, broken in (("likely", False), ("proved", True)):
        played = ledger("list")
        played.poll([finding(0.2, confidence=confidence)])
        scored = score([scenario("list", "hard")], played)
        assert len(scored.hard) == 1
        assert bool(scored.failures(with_models=False)) is broken


def test_marks_decide_what_is_hard_without_them() -> None:
    played = ledger("list")
    played.poll([finding(0.2, confidence="likely")])
    assert score([scenario("list", "hard")], played, marked=True).false_look_alikes


def test_a_problem_that_only_marks_decide_is_hard_without_them() -> None:
    slow = scenario("a") | {"marks_decide": True}
    for where, marks, missed in (
        ("view", {}, []),
        ("view", {"marked": True}, ["a"]),
        ("command", {"marked": True}, []),
        ("command", {"marked": True, "alone": True}, ["a"]),
    ):
        scored = score([slow | {"where": where}], ledger("a"), **marks)
        assert scored.groups[READS].missed == missed
    played = ledger("a")
    played.poll([finding(0.5)])
    scored = score([slow], played)
    assert len(scored.hard) == 1 and not scored.false_proved


def test_causes_side_by_side_must_all_be_found() -> None:
    both = scenario("a")
    both["expected"].append(both["expected"][0] | {"child_tables": ["shop_tag"], "parents": []})
    played = ledger("a")
    played.poll([finding(0.5)])
    assert score([both], played).groups[READS].recall.value == 1
    assert score([both | {"every": True}], played).groups[READS].missed == ["a"]
    played.poll([finding(0.5, id="f2", fingerprint="c2", child_table="shop_tag")])
    assert score([both | {"every": True}], played).groups[READS].recall.value == 1


def test_mixed_traffic_brings_nothing_new() -> None:
    played = ledger("a")
    played.poll([finding(0.5)])
    scored = score([scenario("a")], played)
    score_mixed(scored, [scenario("a")], [finding(9, occurrences=5), finding(9, id="late")])
    assert scored.mixed == []
    score_mixed(scored, [scenario("a")], [finding(9, id="other", parent_column="id")])
    assert len(scored.mixed) == 1 and scored.failures(with_models=False)


def test_advice_must_name_the_relation() -> None:
    played = ledger("a")
    played.poll([finding(0.5, advice={"django": 'select_related("coupon")'})])
    scored = score([scenario("a")], played)
    assert scored.bad_advice and scored.wrong_advice and scored.failures(with_models=False)


def test_advice_may_be_openly_incomplete_without_the_map() -> None:
    played = ledger("a")
    played.poll([finding(0.5, advice={"django": "prefetch_related(...)  # the accessor behind Order.customer_id"})])
    scored = score([scenario("a", relations=["lines"])], played)
    assert scored.bad_advice and not scored.wrong_advice
    assert scored.failures(with_models=True) and scored.failures(with_models=False) == []


def test_growth_belongs_to_the_run_it_was_seen_in_however_late_it_is_told() -> None:
    played = ledger("a", "b", "c")
    played.poll([])
    played.poll([finding(0.9)])
    played.poll([finding(4.1, occurrences=2, queries=20)])
    played.poll([finding(4.1, occurrences=2, queries=20)])
    assert [(one.run.name, one.occurrences, one.queries) for one in played.sightings.values()] == [
        ("a", 1, 12),
        ("c", 1, 8),
    ]


def test_units_over_two_runs_are_counted() -> None:
    played = ledger("a", "b")
    unit = {"started_at": "2027-01-15T08:00:00.500Z", "duration_ms": 400}
    assert START == 1_800_000_000 and spanning(played.runs, [unit]) == 0
    assert spanning(played.runs, [unit | {"duration_ms": 1_800}]) == 1


def test_peers_are_scored_by_scenario() -> None:
    scenarios = [scenario("a"), scenario("b"), scenario("poll", "look_alike"), scenario("list", "hard")]
    said = {("a", "problem"): ["n+1"], ("poll", "problem"): ["n+1"], ("list", "problem"): ["n+1"]}
    scored = score_peer(scenarios, said, [])
    assert scored.precision.value == 0.5 and scored.recall[READS].value == 0.5
    assert (scored.missed, scored.false, scored.hard) == (["b"], ["poll (problem)"], ["list"])

"""The waterfall against units whose times are known: by what PostgreSQL was told to sleep, and by the client's clock.

What is known of a time is an interval: `pg_sleep` takes at least what it was told, and nothing takes longer than its
client saw it take. Inside of it, 2 ms or 5 % are allowed, whichever is more.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest

from support import scenes
from support.browser import NARROW, WIDE, Tab
from support.orders import ORDERS, prepare
from support.postgres import Address
from support.proxy import Pgprism
from support.scenes import Known, Script

ROUTE = "report/"
CHILD_MS = 8.0
_traces = itertools.count(0x1000)


def tolerance_ms(expected_ms: float) -> float:
    return max(2.0, expected_ms * 0.05)


def assert_between(what: str, least_ms: float, seen_ms: float, most_ms: float) -> None:
    least, most = least_ms - tolerance_ms(least_ms), most_ms + tolerance_ms(most_ms)
    assert least <= seen_ms <= most, f"{what}: {seen_ms:.2f} ms, known to be {least_ms:.2f} to {most_ms:.2f} ms"


@dataclass
class Play:
    """A unit that was played: what its client saw, and what the API says of it."""

    known: list[Known]
    thought_ms: float
    unit: dict[str, Any]

    def assert_starts(self, what: str, known: Known, seen_ms: float) -> None:
        # The first statement may have reached the proxy late: all others then seem to be early.
        least = known.started_ms - self.known[0].late_ms
        assert_between(f"{what}: start of {known.name}", least, seen_ms, known.started_ms + known.late_ms)

    def assert_lasts(self, what: str, known: Known, seen_ms: float) -> None:
        assert_between(f"{what}: {known.name}", known.nominal_ms, seen_ms, known.ended_ms - known.started_ms)


@pytest.fixture
def address(database: Address) -> Address:
    return prepare(database)


def play(proxy: Pgprism, address: Address) -> Play:
    """A view as it might be: a list and a loop over it, a slow query, one whose rows come slowly, an error."""
    with scenes.client(address.at(proxy.endpoint)) as connection:
        # Catalogue caches are filled, the processes are awake.
        connection.execute("SELECT pg_sleep(0.001), repeat('x', 10)")
        script = Script(connection, ROUTE, next(_traces))
        # What begins and ends a transaction is no statement of the unit.
        connection.execute("BEGIN")
        orders = script.run(
            "orders", "SELECT o.id, o.customer_id, pg_sleep(0.002) FROM shop_order o ORDER BY o.id", 2.0 * ORDERS
        )
        script.think(40)
        for _, customer, _ in orders:
            script.run(
                f"customer {customer}",
                f"SELECT c.id, c.name, pg_sleep({CHILD_MS / 1000}) FROM shop_customer c WHERE c.id = {customer}",
                CHILD_MS,
            )
        script.think(60)
        script.run("slow", "SELECT pg_sleep(0.12) AS slow", 120)
        # Each row is wider than the server's send buffer: the first leaves it at 20 ms, the last at 120 ms.
        script.run("rows", "SELECT repeat('x', 20000), pg_sleep(0.02) FROM generate_series(1, 6)", 120)
        script.think(15)
        script.run("error", "SELECT pg_sleep(0.03), 1 / (random() * 0)::int", 0)
        connection.execute("ROLLBACK")
    return Play(script.known, script.thought_ms, scenes.unit_of(proxy, ROUTE, len(script.known)))


@pytest.mark.smoke
def test_the_timeline_of_a_unit_is_what_its_client_saw(pgprism, address):
    played = play(pgprism, address)
    unit, known = played.unit, played.known
    assert [unit["route"], unit["queries"], unit["incomplete"]] == [ROUTE, len(known), False]
    assert len(unit["timeline"]) == len(known)
    for entry, one in zip(unit["timeline"], known, strict=True):
        played.assert_starts("timeline", one, entry["at_ms"])
        played.assert_lasts("timeline", one, _duration_ms(entry))
        assert entry["rows"] == one.rows, one
    assert_between("the unit", known[-1].started_ms - known[0].late_ms, unit["duration_ms"], known[-1].ended_ms)
    waited_ms = sum(one.ended_ms - one.started_ms for one in known)
    assert_between(
        "application", played.thought_ms, unit["phases"]["application_ms"], known[-1].ended_ms - waited_ms + sum(
            one.late_ms for one in known
        )
    )

    by_name = {one.name: entry for one, entry in zip(known, unit["timeline"], strict=True)}
    rows = by_name["rows"]["phases"]
    late_ms = next(one.late_ms for one in known if one.name == "rows")
    assert_between("until the first row", 20, rows["database_ms"], 20 + late_ms)
    assert_between("from the first row to the last", 100, rows["transfer_ms"], 100 + late_ms)
    assert by_name["error"]["sqlstate"] == "22012"
    assert all(entry["sqlstate"] is None for name, entry in by_name.items() if name != "error")
    children = [entry for name, entry in by_name.items() if name.startswith("customer")]
    # That it is a loop is known from the third child on; the first two may be told later.
    assert {entry["parent_index"] for entry in children[2:]} == {0}


def _duration_ms(entry: dict[str, Any]) -> float:
    return sum(entry["phases"][f"{phase}_ms"] for phase in ("database", "transfer", "client"))


@dataclass
class Bar:
    """A row of the waterfall: what it says, and where on the axis it is drawn."""

    item: str
    at_ms: float
    duration_ms: float
    drawn_at_ms: float
    drawn_ms: float
    phases: dict[str, float]
    text: str
    px_per_ms: float

    @property
    def is_widened(self) -> bool:
        """A bar is never narrower than 2 px: its width says nothing then."""
        return self.drawn_ms * self.px_per_ms <= 2.5


# The scale is taken from two labels of the axis, not from what the page computes with.
_READ_BARS = """
() => {
  const left = (element) => element.getBoundingClientRect().left;
  const axis = document.querySelector('.wf-axis').getBoundingClientRect();
  const ticks = [...document.querySelectorAll('.wf-axis [data-ms]')]
    .map((tick) => ({ms: Number(tick.dataset.ms), x: axis.left + parseFloat(tick.style.left)}));
  const [first, last] = [ticks[0], ticks.at(-1)];
  const pxPerMs = (last.x - first.x) / (last.ms - first.ms);
  // What lies beyond the edges has no bar.
  const rows = [...document.querySelectorAll('[data-item][data-at-ms]')].filter((row) => row.querySelector('[data-bar]'));
  return rows.map((row) => {
    const bar = row.querySelector('[data-bar]').getBoundingClientRect();
    return {
      item: row.dataset.item,
      at_ms: Number(row.dataset.atMs),
      duration_ms: Number(row.dataset.durationMs),
      drawn_at_ms: first.ms + (bar.left - first.x) / pxPerMs,
      drawn_ms: bar.width / pxPerMs,
      phases: Object.fromEntries([...row.querySelectorAll('.wf-phase')].map((phase) =>
        [phase.className.match(/wf-fill-(\\w+)/)[1], phase.getBoundingClientRect().width / pxPerMs])),
      text: row.innerText.replace(/[\\u00a0\\u2009\\u202f]/g, ' '),
      px_per_ms: pxPerMs,
    };
  });
}
"""


def bars(tab: Tab) -> dict[str, Bar]:
    """The rows in sight, by item: `s3` is the fourth statement, `a4` the pause before the fifth, `g1` a group."""
    return {one["item"]: Bar(**one) for one in tab.page.evaluate(_READ_BARS)}


def open_unit(open_tab: Any, proxy: Pgprism, played: Play, **options: Any) -> Tab:
    tab = open_tab(proxy, f"/requests/{played.unit['id']}", **options)
    tab.page.locator("[role=treegrid] [data-item]").first.wait_for()
    return tab


@pytest.mark.smoke
def test_bars_are_drawn_where_and_as_long_as_the_statements_were(pgprism, address, open_tab):
    played = play(pgprism, address)
    # High enough that every row is drawn.
    tab = open_unit(open_tab, pgprism, played, size=(WIDE[0], 1600))
    tab.page.locator("[role=treegrid] [role=row][tabindex='0']").focus()
    tab.press("e")
    last = f"s{len(played.known) - 1}"
    tab.wait(lambda: f"s{ORDERS}" in bars(tab) and last in bars(tab), "the group is open")
    drawn = bars(tab)

    for number, one in enumerate(played.known):
        bar = drawn[f"s{number}"]
        played.assert_starts("row", one, bar.at_ms)
        played.assert_lasts("row", one, bar.duration_ms)
        played.assert_starts("bar", one, bar.drawn_at_ms)
        if not bar.is_widened:
            played.assert_lasts("bar", one, bar.drawn_ms)
        # The pixels say what the row says: to two of them.
        assert abs(bar.drawn_at_ms - bar.at_ms) * bar.px_per_ms < 2, bar
        assert bar.is_widened or abs(bar.drawn_ms - bar.duration_ms) * bar.px_per_ms < 2, bar

    by_name = {one.name: drawn[f"s{number}"] for number, one in enumerate(played.known)}
    rows = by_name["rows"]
    late_ms = next(one.late_ms for one in played.known if one.name == "rows")
    assert_between("drawn until the first row", 20, rows.phases["database"], 20 + late_ms)
    assert_between("drawn from the first row to the last", 100, rows.phases["transfer"], 100 + late_ms)
    assert "22012" in by_name["error"].text
    assert "12 rows" in by_name["orders"].text


def test_pauses_are_drawn_as_the_applications(pgprism, address, open_tab):
    played = play(pgprism, address)
    tab = open_unit(open_tab, pgprism, played, size=(WIDE[0], 1600))
    drawn = bars(tab)
    known = {one.name: number for number, one in enumerate(played.known)}
    for before, ms in ((1, 40.0), (known["slow"], 60.0), (known["error"], 15.0)):
        pause = drawn[f"a{before}"]
        seen_ms = played.known[before].started_ms - played.known[before - 1].ended_ms
        late_ms = played.known[before].late_ms + played.known[before - 1].late_ms
        assert_between(f"pause before {before}", ms, pause.duration_ms, seen_ms + late_ms)
        assert_between(f"drawn pause before {before}", ms, pause.drawn_ms, seen_ms + late_ms)
        assert "application" in pause.text
    # There was no pause worth a row before the rows of the second slow statement.
    assert f"a{known['rows']}" not in drawn


def test_a_group_spans_from_its_first_to_its_last_and_adds_up(pgprism, address, open_tab):
    played = play(pgprism, address)
    tab = open_unit(open_tab, pgprism, played, size=(WIDE[0], 1600))
    (group,) = [bar for bar in bars(tab).values() if bar.item.startswith("g")]
    children = [one for one in played.known if one.name.startswith("customer")]
    entries = [e for e, one in zip(played.unit["timeline"], played.known, strict=True) if one in children]
    assert f"× {ORDERS}" in group.text and "sum" in group.text and "each" in group.text
    played.assert_starts("group", children[0], group.at_ms)
    span_ms = entries[-1]["at_ms"] + _duration_ms(entries[-1]) - entries[0]["at_ms"]
    assert abs(group.duration_ms - span_ms) < 0.01
    assert abs(group.drawn_ms - span_ms) * group.px_per_ms < 2, group
    sum_ms = float(tab.page.locator(f"[data-item={group.item}]").get_attribute("data-sum-ms") or "nan")
    assert abs(sum_ms - sum(map(_duration_ms, entries))) < 0.01
    assert_between("sum", ORDERS * CHILD_MS, sum_ms, sum(one.ended_ms - one.started_ms for one in children))


def test_zoomed_in_the_bars_are_still_true(pgprism, address, open_tab):
    played = play(pgprism, address)
    tab = open_unit(open_tab, pgprism, played, size=(WIDE[0], 1600))
    tab.page.locator("[role=treegrid] [role=row][tabindex='0']").focus()
    before = bars(tab)
    tab.press("+")
    tab.wait(lambda: next(iter(bars(tab).values())).px_per_ms > 1.2 * next(iter(before.values())).px_per_ms, "zoomed")
    for bar in bars(tab).values():
        if 0 < bar.drawn_ms and not bar.is_widened and bar.item.startswith("s"):
            assert abs(bar.drawn_at_ms - bar.at_ms) * bar.px_per_ms < 2, bar
            assert abs(bar.drawn_ms - bar.duration_ms) * bar.px_per_ms < 2, bar
    tab.press("0")
    tab.wait(lambda: bars(tab) == before, "the whole unit is in sight again")


def test_long_idle_time_is_folded_and_says_its_length(pgprism, address, open_tab):
    with scenes.client(address.at(pgprism.endpoint)) as connection:
        script = Script(connection, "folded/", next(_traces))
        connection.execute("BEGIN")
        script.run("first", "SELECT pg_sleep(0.02) AS first", 20)
        script.think(700)
        script.run("second", "SELECT pg_sleep(0.03) AS second", 30)
        connection.execute("ROLLBACK")
    played = Play(script.known, script.thought_ms, scenes.unit_of(pgprism, "folded/", 2))
    tab = open_unit(open_tab, pgprism, played)
    shown = tab.text(".wf-fold-label")
    assert shown.endswith("ms"), shown
    idle_ms = played.known[1].started_ms - played.known[0].ended_ms
    assert_between("the fold", 700, float(shown.split()[0]), idle_ms + sum(one.late_ms for one in played.known))
    # Beside the fold both statements are long enough to be compared.
    boxes = [tab.page.locator(f"[data-item=s{n}] [data-bar]").bounding_box() for n in (0, 1)]
    ratio = boxes[1]["width"] / boxes[0]["width"]
    durations = [_duration_ms(entry) for entry in played.unit["timeline"]]
    assert abs(ratio - durations[1] / durations[0]) < 0.05, (ratio, durations)


def test_on_a_narrow_page_the_bars_are_true_too(pgprism, address, open_tab):
    played = play(pgprism, address)
    tab = open_unit(open_tab, pgprism, played, size=(NARROW[0], 1600))
    assert not tab.scrolls_sideways()
    boxes = tab.page.evaluate(
        """() => {
          return [...document.querySelectorAll('[data-item][data-at-ms]')].map((row) => {
            const bar = row.querySelector('[data-bar]').getBoundingClientRect();
            const track = row.querySelector('.wf-track').getBoundingClientRect();
            return {at_ms: Number(row.dataset.atMs), duration_ms: Number(row.dataset.durationMs),
                    left: (bar.left - track.left) / track.width, width: bar.width / track.width, px: bar.width};
          });
        }"""
    )
    whole_ms = played.unit["duration_ms"]
    assert len(boxes) >= 5
    for box in boxes:
        assert abs(box["left"] - box["at_ms"] / whole_ms) < 0.01, box
        assert box["px"] <= 2.5 or abs(box["width"] - box["duration_ms"] / whole_ms) < 0.01, box

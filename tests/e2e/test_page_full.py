"""The page in a real browser, all of it: keys, live updates, states, accessibility, and its budget at full size.

`open_tab` adds to each test: nothing on the console, no violation of the policy, no request to another address.
"""

from __future__ import annotations

import gzip
import signal
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from support import scenes, shop
from support.browser import NARROW, WIDE, Tab
from support.orders import list_orders, prepare
from support.postgres import Address, Postgres
from support.processes import free_port
from support.proxy import Pgprism
from support.views import views
from support.waiting import wait_until

INTERACTION_MS_MAX = 100
ELEMENTS_MAX = 2_500
FIRST_FIGURES_MS_MAX = 400
HEAP_BYTES_MAX = 60_000_000
# As they are written, comments included: there is no build step that would take them out.
ASSETS_BYTES_MAX = 360_000
ASSETS_PACKED_BYTES_MAX = 145_000


@pytest.fixture(scope="module")
def seen(postgres: Postgres) -> Iterator[Pgprism]:
    """A proxy that has seen the demo's shop: findings of each kind, errors, a client that forgot its transaction."""
    address = shop.fill(postgres, "page_shop")
    with Pgprism(postgres.address.endpoint) as proxy:
        through = address.at(proxy.endpoint)
        scenes.visit_shop(through, threads=2, rounds=2)
        scenes.fail(through)
        wait_until(lambda: len(proxy.items("findings", status="open")) >= 10, "the findings are open", deadline_s=30)
        with scenes.idle_in_transaction(through):
            yield proxy
    postgres.sql('DROP DATABASE "page_shop" WITH (FORCE)')


def arrived(tab: Tab, view: str) -> None:
    """Once the view is there with its first answers."""
    tab.page.locator(f"[data-view={view}]").wait_for()
    tab.wait(lambda: tab.page.locator(".skeleton").count() == 0, "the first answers are there")


# Keys.


def test_g_and_a_letter_lead_to_each_view(seen, open_tab):
    tab = open_tab(seen)
    arrived(tab, "overview")
    for letter, view in zip("frqclo", ("findings", "requests", "queries", "connections", "live", "overview"), strict=True):
        tab.press("g", letter)
        arrived(tab, view)
        tab.wait(lambda: tab.page.evaluate("() => document.activeElement.tagName") == "H1", "the heading has the focus")


@pytest.mark.parametrize(("down", "up"), [("j", "k"), ("ArrowDown", "ArrowUp")])
def test_rows_are_walked_opened_and_left_by_keys(seen, open_tab, down, up):
    tab = open_tab(seen, "/findings")
    arrived(tab, "findings")
    ids = [row.get_attribute("data-finding") for row in tab.page.locator("[data-finding]").all()]
    tab.press("j", down, down, up)
    focused = "() => document.activeElement.closest('[data-finding]')?.dataset.finding"
    assert tab.page.evaluate(focused) == ids[1]
    tab.press("Enter")
    arrived(tab, "finding")
    assert tab.path == f"/findings/{ids[1]}"
    tab.page.go_back()
    arrived(tab, "findings")
    tab.wait(lambda: tab.page.evaluate(focused) == ids[1], "the row that was left has the focus")
    tab.press("Enter")
    arrived(tab, "finding")
    tab.press("Escape")
    arrived(tab, "findings")


def test_brackets_lead_to_the_neighbours(seen, open_tab):
    ids = [one["id"] for one in seen.items("findings", status="open")]
    tab = open_tab(seen, f"/findings/{ids[1]}")
    arrived(tab, "finding")
    tab.page.locator("[data-key=']']").wait_for()
    tab.press("]")
    tab.wait(lambda: tab.path == f"/findings/{ids[2]}", "the next finding")
    tab.page.locator(f"[data-finding='{ids[2]}']").wait_for()
    tab.page.locator("[data-key='[']").wait_for()
    tab.press("[")
    tab.wait(lambda: tab.path == f"/findings/{ids[1]}", "the one before")


def test_the_list_of_keys_and_their_switch(seen, open_tab):
    tab = open_tab(seen)
    arrived(tab, "overview")
    tab.press("?")
    dialog = tab.page.get_by_role("dialog")
    dialog.wait_for()
    for key in ("g o", "/", "j k", "Enter", "[ ]", "c", "m", "s", "u", "p", "t"):
        assert key in dialog.inner_text()
    dialog.get_by_role("checkbox").uncheck()
    tab.press("Escape")
    dialog.wait_for(state="hidden")
    tab.press("g", "f")
    tab.painted()
    assert tab.path == "/"
    tab.go("/")
    arrived(tab, "overview")
    tab.press("g", "f")
    tab.painted()
    assert tab.path == "/", "the switch is forgotten"


def test_keys_are_dead_in_fields(seen, open_tab):
    tab = open_tab(seen, "/queries")
    arrived(tab, "queries")
    tab.press("/")
    tab.page.keyboard.type("gfmt")
    tab.wait(lambda: tab.path == "/queries?q=gfmt", "what was typed is the filter")
    tab.press("Escape")
    tab.wait(lambda: tab.path == "/queries", "Esc clears the filter")


def test_the_theme_changes_by_key_and_is_kept(seen, open_tab):
    tab = open_tab(seen)
    arrived(tab, "overview")
    background = "() => getComputedStyle(document.body).backgroundColor"
    seen_colours = {tab.page.evaluate(background)}
    for _ in range(3):
        tab.press("t")
        tab.painted()
        seen_colours.add(tab.page.evaluate(background))
    assert seen_colours == {"rgb(255, 255, 255)", "rgb(15, 19, 24)"}
    while tab.page.evaluate(background) != "rgb(15, 19, 24)":
        tab.press("t")
        tab.painted()
    tab.go("/queries")
    arrived(tab, "queries")
    assert tab.page.evaluate(background) == "rgb(15, 19, 24)"


def test_copy_copies_the_code_alone(seen, open_tab):
    tab = open_tab(seen, views(seen)["finding"], permissions=["clipboard-read", "clipboard-write"])
    arrived(tab, "finding")
    finding = seen.api(tab.path.removeprefix("/"))
    tab.press("c")
    tab.wait_text("Copied")
    # Where to write it is said in a comment, which is not copied.
    code = finding["advice"]["django"].split("  #")[0]
    assert tab.page.evaluate("() => navigator.clipboard.readText()") == code
    tab.page.get_by_role("button", name="Copy as Markdown").click()
    tab.wait(
        lambda: finding["advice"]["title"] in tab.page.evaluate("() => navigator.clipboard.readText()"), "Markdown too"
    )


def test_the_waterfalls_keys(seen, open_tab):
    tab = open_tab(seen, views(seen)["unit"])
    arrived(tab, "unit")
    rows = tab.page.locator("[role=treegrid] [data-item]")
    rows.first.wait_for()
    focused = "() => document.activeElement.dataset.item"
    tab.page.locator("[role=treegrid] [role=row][tabindex='0']").focus()
    first = tab.page.evaluate(focused)
    tab.press("n")
    group = tab.page.evaluate(focused)
    assert group.startswith("g")
    closed = rows.count()
    tab.press("ArrowRight")
    tab.wait(lambda: rows.count() > closed, "the group is open")
    tab.press("ArrowRight")
    assert tab.page.evaluate(focused) != group
    tab.press("ArrowLeft", "ArrowLeft")
    tab.wait(lambda: rows.count() == closed, "the group is closed")
    tab.press("Enter")
    tab.page.locator(".wf-panel").wait_for()
    assert f"row={group}" in tab.path
    tab.press("Home")
    assert tab.page.evaluate(focused) == first


def test_a_link_to_a_selected_row_opens_its_panel(seen, open_tab):
    tab = open_tab(seen, views(seen)["unit"])
    arrived(tab, "unit")
    tab.page.locator("[role=treegrid] [data-item^=g]").first.click()
    tab.page.locator(".wf-panel").wait_for()
    words, path = tab.text(".wf-panel h2"), tab.path
    again = open_tab(seen, path)
    again.page.locator(".wf-panel").wait_for()
    assert again.text(".wf-panel h2") == words


# Lists.


def test_the_server_sorts(seen, open_tab):
    tab = open_tab(seen, "/queries")
    arrived(tab, "queries")
    for name, sort in (("calls", "calls"), ("p95", "p95_ms"), ("mean", "mean_ms")):
        tab.page.locator("th").get_by_role("button", name=name, exact=False).first.click()
        wanted = [one["fingerprint"] for one in seen.api("queries", sort=sort, limit=5)["items"]]
        tab.wait(lambda wanted=wanted: _order(tab, "fingerprint")[:5] == wanted, f"sorted by {name}")
        assert tab.path == f"/queries?sort={sort}"
        assert tab.page.locator("th[aria-sort=descending]").count() == 1


def _order(tab: Tab, name: str) -> list[str]:
    return tab.page.evaluate(f"() => [...document.querySelectorAll('tbody [data-{name}]')].map((row) => row.dataset.{name})")


def test_filters_of_each_list(seen, open_tab):
    finding = seen.api("findings", kind="n_plus_one_reverse")["items"][0]
    tab = open_tab(seen)
    for path, data, api, q in (
        ("/queries", "fingerprint", "queries", "op:update"),
        ("/queries", "fingerprint", "queries", "error"),
        ("/findings", "finding", "findings", "kind:n_plus_one_reverse"),
        ("/findings", "finding", "findings", "route:bad/books"),
        ("/requests", "unit", "units", "route:bad/books n>10"),
        ("/requests", "unit", "units", "d>20ms"),
    ):
        tab.go(f"{path}?q={quote(q)}")
        wanted = {"queries": "fingerprint", "findings": "id", "units": "id"}[api]
        items = {one[wanted] for one in seen.api(api, q=q, limit=200)["items"]}
        assert items, f"{q} finds nothing"
        tab.wait(lambda items=items, data=data: set(_order(tab, data)) == items, f"{path} shows what matches {q}")
    tab.go(f"/requests?finding={finding['id']}")
    units = {one["id"] for one in seen.items("units", finding=finding["id"])}
    tab.wait(lambda: set(_order(tab, "unit")) == units, "the requests of a finding")
    tab.go("/requests?q=route:boks")
    tab.wait_text("No request matches route:boks.")


def test_an_idle_transaction_is_marked_and_first(seen, open_tab):
    tab = open_tab(seen, "/connections")
    arrived(tab, "connections")
    tab.wait_text("▲ idle in transaction")
    assert "forgetful" in tab.page.locator("tbody tr").first.inner_text()


def test_rows_keep_their_place_until_asked(start_pgprism, postgres, database, open_tab):
    proxy = start_pgprism(postgres.address.endpoint)
    address = prepare(database).at(proxy.endpoint)
    with scenes.client(address) as connection:
        connection.execute("SELECT pg_sleep(0.05) AS first")
        connection.execute("SELECT pg_sleep(0.02) AS second")
        tab = open_tab(proxy, "/queries")
        tab.wait_text("2 shapes")
        before = _order(tab, "fingerprint")
        connection.execute("SELECT pg_sleep(0.2) AS second")
        tab.page.locator("[data-key=s]").wait_for()
        assert _order(tab, "fingerprint") == before
        tab.press("s")
        tab.wait(lambda: _order(tab, "fingerprint") == before[::-1], "sorted again")
        connection.execute("SELECT pg_sleep(0.3) AS third")
        tab.page.locator("[data-key=u]").wait_for()
        assert _order(tab, "fingerprint") == before[::-1]
        tab.press("u")
        tab.wait(lambda: len(_order(tab, "fingerprint")) == 3, "the new shape is shown")


# Live.


def test_live_shows_queries_and_holds_them_on_request(start_pgprism, postgres, database, open_tab):
    proxy = start_pgprism(postgres.address.endpoint)
    tab = open_tab(proxy, "/live")
    tab.wait_text("Waiting for queries")
    tab.wait_text("live", ".top-bar")
    with scenes.client(prepare(database).at(proxy.endpoint)) as connection:

        def run(alias: str) -> bool:
            connection.execute(f"SELECT name AS {alias} FROM shop_customer LIMIT 2")
            return tab.page.locator(".live-list tbody tr").count() > 0

        tab.wait(lambda: run("watched"), "queries appear")
        tab.press("p")
        tab.wait_text("Paused")
        shown = tab.page.locator(".live-list tbody tr").count()
        tab.wait(lambda: run("held") and "Paused: 0" not in tab.text("[data-view=live]"), "what came is counted")
        assert tab.page.locator(".live-list tbody tr").count() == shown
        tab.press("p")
        tab.wait(lambda: tab.page.locator(".live-list tbody tr").count() > shown, "it goes on")
        tab.page.locator(".live-list tbody tr button").first.click()
        tab.page.locator("aside.panel").wait_for()
        assert "$1" in tab.text("aside.panel")
        tab.press("Escape")
        tab.page.locator("aside.panel").wait_for(state="hidden")


def test_tabs_share_one_stream(seen, open_tab):
    first = open_tab(seen)
    first.wait_text("live", ".top-bar")
    second = first.beside("/findings")
    second.wait_text("live", ".top-bar")

    def streams() -> int:
        return sum("/api/v1/stream" in url for url in first.requests)

    assert streams() == 1
    first.page.close()
    second.wait(lambda: streams() == 2, "the other one takes over")
    second.wait_text("live", ".top-bar")
    assert second.problems() == []


# States.


def test_lost_events_are_told_and_the_units_are_marked(start_pgprism, postgres, database, open_tab):
    proxy = start_pgprism(postgres.address.endpoint, debug={"drop_events_per_10000": 2000})
    proxy.expect.dropped_events = True
    address = prepare(database).at(proxy.endpoint)
    for _ in range(4):
        list_orders(address)
    incomplete = wait_until(
        lambda: [one for one in proxy.items("units") if one["incomplete"]], "a unit is incomplete", deadline_s=15
    )
    tab = open_tab(proxy)
    tab.wait_text("queries did not reach the analysis", ".strip")
    tab.go("/requests?show=incomplete")
    tab.page.locator(f"[data-unit='{incomplete[0]['id']}']").wait_for()
    tab.go(f"/requests/{incomplete[0]['id']}")
    tab.wait_text("Incomplete:")
    assert tab.accessibility_faults() == []


def test_an_upstream_that_is_down_is_told(start_pgprism, open_tab):
    with Postgres(17) as server:
        proxy = start_pgprism(server.address.endpoint)
        with scenes.client(server.address.at(proxy.endpoint)) as connection:
            connection.execute("SELECT 1 AS up")
        tab = open_tab(proxy)
        tab.wait_text("live", ".top-bar")
        server.halt(signal.SIGQUIT)

        def refused() -> bool:
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(server.address.at(proxy.endpoint).conninfo())
            return "does not answer" in tab.text()

        tab.wait(refused, "the page tells of it", deadline_s=20)
        assert f"127.0.0.1:{server.port}" in tab.text(".strip")
        server.start_again()
        tab.wait(lambda: "does not answer" not in tab.text(), "and that it is back", deadline_s=20)


def test_a_proxy_that_went_away_and_came_back(start_pgprism, postgres, database, open_tab):
    admin = {"listen": f"127.0.0.1:{free_port()}"}
    proxy = start_pgprism(postgres.address.endpoint, admin=admin)
    address = prepare(database)
    list_orders(address.at(proxy.endpoint))
    finding = scenes.finding_of(proxy, "n_plus_one_forward")
    tab = open_tab(proxy)
    tab.allow("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE")
    tab.page.locator("[data-finding]").first.wait_for()
    tab.wait_text("live", ".top-bar")
    proxy.stop()
    tab.wait_text("Not live since")
    assert finding["advice"]["title"] in tab.text(), "the last figures stay"
    again = start_pgprism(postgres.address.endpoint, admin=admin)
    list_orders(address.at(again.endpoint))
    tab.wait(lambda: "Not live since" not in tab.text(), "it is live again", deadline_s=25)


def test_what_is_no_longer_kept(seen, open_tab):
    tab = open_tab(seen)
    tab.allow("status of 404")
    for path, words in (
        ("/requests/999999999", "no longer kept"),
        ("/findings/0123456789abcdef", "not known here"),
        ("/queries/0123456789abcdef", "No query of the shape"),
    ):
        tab.go(path)
        tab.wait_text(words)


# For everybody.


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_view_is_accessible(seen, open_tab, theme, size):
    tab = open_tab(seen, size=size, theme=theme)
    faults = []
    for view, path in views(seen).items():
        tab.go(path)
        arrived(tab, view)
        tab.painted()
        faults += [f"{view}: {fault}" for fault in tab.accessibility_faults()]
        if tab.scrolls_sideways():
            faults.append(f"{view}: the page scrolls sideways")
    assert not faults, "\n".join(faults)


def test_the_login_is_accessible(start_pgprism, postgres, open_tab):
    proxy = start_pgprism(postgres.address.endpoint, environment={"PGPRISM_TOKEN": "correct-horse-battery-staple"})
    proxy.token = "correct-horse-battery-staple"
    for theme in ("light", "dark"):
        tab = open_tab(proxy, theme=theme, size=NARROW)
        tab.allow("status of 401")
        arrived(tab, "login")
        assert tab.accessibility_faults() == []


def test_320_pixels_are_enough(seen, open_tab):
    tab = open_tab(seen, size=(320, 640))
    for view, path in views(seen).items():
        tab.go(path)
        arrived(tab, view)
        assert not tab.scrolls_sideways(), view


# The budget.


def test_the_assets_keep_their_budget(seen, open_tab):
    tab = open_tab(seen)
    for view, path in views(seen).items():
        tab.go(path)
        arrived(tab, view)
    assets = [tab.page.request.get(url).body() for url in {url for url in tab.requests if "/assets/" in url}]
    whole, packed = sum(map(len, assets)), sum(len(gzip.compress(one)) for one in assets)
    print(f"{len(assets)} assets: {whole} bytes, {packed} with gzip")
    assert whole <= ASSETS_BYTES_MAX
    assert packed <= ASSETS_PACKED_BYTES_MAX


@pytest.fixture(scope="module")
def full(postgres: Postgres) -> Iterator[Pgprism]:
    """A proxy that holds all it may: 10,000 shapes and 1,000 units, one of them of 2,000 statements."""
    address = prepare(postgres.create_database("page_full"))
    with Pgprism(postgres.address.endpoint) as proxy:
        through = address.at(proxy.endpoint)
        scenes.many_shapes(through, shapes=10_000, units=1_000)
        scenes.long_unit(through, 2_000)
        for _ in range(3):
            list_orders(through)
        scenes.unit_of(proxy, "export/", 2_000, deadline_s=30)
        wait_until(lambda: len(proxy.items("units")) >= 1_000, "1,000 units are kept", deadline_s=30)
        assert len(proxy.queries()) >= 10_000
        yield proxy
    postgres.sql('DROP DATABASE "page_full" WITH (FORCE)')


def measured(tab: Tab, name: str, act: list[Any], tries: int = 4) -> None:
    """Whether p95 of these interactions is short enough: in the best of some tries, for this machine is shared."""
    figures = []
    for _ in range(tries):
        seen = tab.interactions(act)
        figures.append(f"{name}: {seen}")
        print(figures[-1])
        if seen.percentile_ms(95) <= INTERACTION_MS_MAX:
            return
    raise AssertionError("\n".join(figures))


def test_the_first_figures_come_at_once(full, open_tab):
    tab = open_tab(full, "/findings")
    shown = []
    for _ in range(5):
        tab.go("/")
        tab.page.locator("[data-view=overview] dl.figures").wait_for()
        shown.append(tab.page.evaluate("() => performance.now()"))
    print("first figures after", [f"{ms:.0f} ms" for ms in shown])
    # This machine is shared: the best of some tries tells what the page takes.
    assert min(shown) <= FIRST_FIGURES_MS_MAX


def test_ten_thousand_shapes_stay_smooth(full, open_tab):
    tab = open_tab(full, "/queries")
    arrived(tab, "queries")
    header = tab.page.locator("th").get_by_role("button")
    names = ["calls", "p95", "mean", "total"]
    measured(tab, "rows", [lambda: tab.press("j")] * 30)
    measured(tab, "sort", [lambda name=name: header.filter(has_text=name).first.click() for name in names] * 3)
    tab.press("/")
    measured(tab, "filter", [lambda key=key: tab.press(key) for key in "figure_12"])
    tab.page.locator("#filter").fill("figure_123")
    tab.wait(lambda: 0 < tab.page.locator("[data-fingerprint]").count() < 40, "what matches is shown")
    tab.page.keyboard.press("Control+a")
    measured(tab, "clear", [lambda: tab.press("Delete")])
    arrived(tab, "queries")
    _scroll_to_the_end(tab)
    assert tab.element_count() <= ELEMENTS_MAX


def test_a_thousand_units_stay_smooth(full, open_tab):
    tab = open_tab(full, "/requests")
    arrived(tab, "requests")
    header = tab.page.locator("th").get_by_role("button")
    measured(tab, "rows", [lambda: tab.press("j")] * 30)
    names = ["time", "queries", "started"]
    measured(tab, "sort", [lambda name=name: header.filter(has_text=name).first.click() for name in names] * 3)
    _scroll_to_the_end(tab)
    assert tab.element_count() <= ELEMENTS_MAX
    measured(tab, "views", [lambda key=key: tab.press(*key) for key in ("gf", "gr", "gq", "gc", "go", "gr")])


def _scroll_to_the_end(tab: Tab) -> None:
    """Page by page, as far as five pages of the list."""
    for _ in range(5):
        tab.page.evaluate("() => scrollTo(0, document.scrollingElement.scrollHeight)")
        tab.painted()
        assert tab.element_count() <= ELEMENTS_MAX


def test_a_waterfall_of_two_thousand_statements(full, open_tab):
    unit = scenes.unit_of(full, "export/", 2_000)
    tab = open_tab(full, "/requests?route=export/")
    arrived(tab, "requests")
    row = tab.page.locator(f"[data-unit='{unit['id']}'] a").first
    opened = []
    for _ in range(4):
        began = tab.page.evaluate("() => performance.now()")
        row.click()
        tab.page.locator("[role=treegrid] [data-item]").first.wait_for()
        tab.painted()
        opened.append(tab.page.evaluate("() => performance.now()") - began)
        assert tab.element_count() <= ELEMENTS_MAX
        tab.page.locator("[role=treegrid] [role=row][tabindex='0']").focus()
        tab.press("e")
        tab.painted()
        assert tab.element_count() <= ELEMENTS_MAX
        tab.page.go_back()
        arrived(tab, "requests")
    print("opened within", [f"{ms:.0f} ms" for ms in opened], "two frames, 50 ms of waiting and the answer included")
    row.click()
    tab.page.locator("[role=treegrid] [role=row][tabindex='0']").focus()
    keys = ["ArrowDown"] * 10 + ["e"] + ["ArrowDown"] * 10 + ["+", "+", "Shift+ArrowRight", "-", "0", "Shift+E"]
    measured(tab, "waterfall", [lambda key=key: tab.press(key) for key in keys])


def test_the_heap_stays_small_while_queries_flow(full, database, open_tab):
    tab = open_tab(full, "/live")
    tab.wait_text("live", ".top-bar")
    with scenes.client(prepare(database).at(full.endpoint)) as connection:

        def run() -> bool:
            for number in range(200):
                connection.execute(f"SELECT name AS line_{number % 50} FROM shop_customer LIMIT 2")
            return tab.page.locator(".live-list tbody tr").count() > 0

        tab.wait(run, "queries appear")
        heaps = []
        for _ in range(10):
            for _ in range(5):
                run()
            heaps.append(tab.heap_bytes())
        print("heap", [f"{bytes / 1e6:.1f} MB" for bytes in heaps])
        assert max(heaps) <= HEAP_BYTES_MAX
        assert tab.element_count() <= ELEMENTS_MAX
        measured(tab, "while queries flow", [lambda: (run(), tab.press("t"))] * 6)

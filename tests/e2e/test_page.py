"""The page in a real browser, what every change has to keep: it loads, shows what is known, stays live, asks for a token.

`open_tab` adds to each test: nothing on the console, no violation of the policy, no request to another address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from support import scenes
from support.orders import list_orders, prepare
from support.postgres import Address
from support.proxy import Pgprism

TOKEN = "correct-horse-battery-staple-of-the-tests"

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def known(postgres) -> Iterator[tuple[Pgprism, Address]]:
    """A proxy that has seen something of each kind, for tests that only look."""
    address = prepare(postgres.create_database("page"))
    with Pgprism(postgres.address.endpoint) as proxy:
        scenes.everything(proxy, address)
        yield proxy, address
    postgres.sql('DROP DATABASE "page" WITH (FORCE)')


def test_every_view_opens_from_a_bookmark(known, open_tab):
    proxy, address = known
    finding = proxy.api("findings", kind="n_plus_one_forward")["items"][0]
    tab = open_tab(proxy)
    with scenes.client(address.at(proxy.endpoint), "present"):
        for path, view, words in (
            ("/", "overview", finding["advice"]["title"]),
            ("/findings", "findings", finding["advice"]["title"]),
            (f"/findings/{finding['id']}", "finding", "select_related("),
            ("/requests", "requests", "customers/"),
            (f"/requests/{finding['example_unit']}", "unit", "orders/"),
            ("/queries", "queries", "SELECT shop_customer"),
            (f"/queries/{finding['fingerprint']}", "query", finding["fingerprint"]),
            ("/connections", "connections", "present"),
            ("/live", "live", "Live"),
        ):
            tab.go(path)
            tab.page.locator(f"[data-view={view}]").wait_for()
            tab.wait_text(words)
            assert tab.page.locator("h1").count() == 1, path
            assert tab.page.title().endswith("pgprism") and tab.page.title() != "pgprism", path
            tab.wait_text("live", ".top-bar")


def test_a_filter_is_in_the_address_and_works_from_it(known, open_tab):
    proxy, _ = known
    tab = open_tab(proxy, f"/queries?q={quote('table:shop_customer op:select')}")
    rows = tab.page.locator("[data-fingerprint]")
    rows.first.wait_for()
    shapes = proxy.api("queries", q="table:shop_customer op:select")["items"]
    assert rows.count() == len(shapes) > 1
    tab.press("/")
    tab.page.keyboard.press("Control+a")
    tab.page.keyboard.type("nothing has this name")
    tab.wait_text("No shape matches nothing has this name.")
    assert "q=nothing+has+this+name" in tab.path
    tab.page.get_by_text("Clear the filter").click()
    rows.first.wait_for()
    assert tab.path == "/queries"


def test_a_new_finding_appears_without_reloading(start_pgprism, postgres, database, open_tab):
    address = prepare(database)
    proxy = start_pgprism(postgres.address.endpoint)
    tab = open_tab(proxy)
    tab.wait_text("Waiting for the first query")
    tab.wait_text(f"{proxy.endpoint[0]}:{proxy.endpoint[1]}")
    tab.wait_text("live", ".top-bar")
    tab.page.evaluate("() => { window.__same_page = true; }")
    for _ in range(2):
        list_orders(address.at(proxy.endpoint))
    tab.page.locator("[data-finding]").first.wait_for()
    tab.wait(lambda: "1" in tab.text("nav .badge"), "the menu counts it")
    assert "Waiting for the first query" not in tab.text()
    assert tab.page.evaluate("() => window.__same_page"), "the page was loaded again"


def test_a_finding_is_muted_and_the_muting_undone(start_pgprism, postgres, database, open_tab):
    proxy = start_pgprism(postgres.address.endpoint)
    list_orders(prepare(database).at(proxy.endpoint))
    finding = scenes.finding_of(proxy, "n_plus_one_forward")
    tab = open_tab(proxy, f"/findings/{finding['id']}")

    def status() -> str:
        return proxy.api(f"findings/{finding['id']}")["status"]

    mute = tab.page.get_by_role("button", name="Mute", exact=True)
    mute.click()
    tab.wait(lambda: status() == "muted", "the server has muted it")
    tab.wait_text("Muted.", "[data-finding]")
    tab.page.get_by_role("button", name="Undo").click()
    tab.wait(lambda: status() == "open", "the server has it open again")
    mute.wait_for()
    tab.press("m")
    tab.wait(lambda: status() == "muted", "m mutes it")
    tab.go("/findings")
    tab.wait_text("No open finding")
    tab.page.get_by_role("button", name="Muted").click()
    tab.page.locator(f"[data-finding='{finding['id']}']").wait_for()
    assert tab.path == "/findings?status=muted"


def test_a_token_is_asked_for_once(start_pgprism, postgres, open_tab):
    proxy = start_pgprism(postgres.address.endpoint, environment={"PGPRISM_TOKEN": TOKEN})
    # Its own checks at the end ask without a token.
    proxy.token = TOKEN
    tab = open_tab(proxy, "/queries")
    tab.allow("status of 401")
    tab.page.locator("[data-view=login]").wait_for()
    tab.page.get_by_label("Token").fill("something else")
    tab.press("Enter")
    tab.wait_text("This is not the token.")
    tab.page.get_by_label("Token").fill(TOKEN)
    tab.press("Enter")
    tab.page.locator("[data-view=queries]").wait_for()
    assert tab.path == "/queries"
    tab.wait_text("live", ".top-bar")

    (cookie,) = tab.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/"), cookie
    assert TOKEN not in cookie["value"] and quote(TOKEN) not in cookie["value"]
    assert tab.page.evaluate("() => document.cookie") == ""
    assert not re.search("token", tab.page.evaluate("() => JSON.stringify({...localStorage, ...sessionStorage})"))
    tab.go("/findings")
    tab.page.locator("[data-view=findings]").wait_for()

"""Pictures of each view of the page, with the demo's shop as traffic, into docs/screenshots.

    scripts/screenshots                  all of them
    scripts/screenshots overview unit    those of some views
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from pathlib import Path

from PIL import Image
from support import scenes, shop
from support.browser import NARROW, WIDE, Browser, Tab
from support.postgres import Address, Postgres
from support.proxy import Pgprism
from support.tools import PROJECT
from support.views import views
from support.waiting import wait_until

FOLDER = PROJECT / "docs" / "screenshots"
LOOKS = {"light": ("light", WIDE), "dark": ("dark", WIDE), "narrow": ("light", NARROW)}
COLOURS = 256


def wait_shown(tab: Tab, view: str, address: Address) -> None:
    """Waits for all that a view shows."""
    tab.page.locator(f"[data-view={view}]").wait_for()
    tab.wait(lambda: tab.page.locator(".skeleton").count() == 0, "the first answers are there")
    tab.wait_text("live", ".top-bar")
    if view == "live":
        tab.wait(lambda: read_orders(address) or tab.page.locator(".live-list tbody tr").count() > 20, "queries appear")
    tab.painted()


def read_orders(address: Address) -> None:
    """A few statements of somebody who is there meanwhile."""
    with scenes.client(address, "shop") as connection:
        for number in range(12):
            connection.execute(
                "SELECT shop_book.id, shop_book.title, shop_book.price FROM shop_book"
                f" WHERE shop_book.author_id = {number + 1} ORDER BY shop_book.title"
            )


def small(png: bytes) -> Image.Image:
    """The same picture with few colours: text and flat areas need no more."""
    return Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("views", nargs="*", help="which views (default: all)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to (default docs/screenshots)")
    parser.add_argument("--rounds", type=int, default=8, help="how often visitors tour the shop before (default 8)")
    given = parser.parse_args()
    with (
        Postgres(18) as server,
        Pgprism(server.address.endpoint) as proxy,
        contextlib.closing(Browser()) as browser,
    ):
        address = shop.fill(server, "shop").at(proxy.endpoint)
        scenes.visit_shop(address, threads=4, rounds=given.rounds)
        scenes.fail(address)
        wait_until(lambda: len(proxy.items("findings", status="open")) >= 10, "the findings are open", deadline_s=30)
        with scenes.idle_in_transaction(address):
            for view, path in views(proxy).items():
                if given.views and view not in given.views:
                    continue
                for look, (theme, size) in LOOKS.items():
                    tab = browser.open(f"http://{proxy.admin[0]}:{proxy.admin[1]}", path, theme=theme, size=size)
                    wait_shown(tab, view, address)
                    file = given.folder / f"{view}-{look}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    small(tab.page.screenshot(animations="disabled", caret="hide")).save(file, optimize=True)
                    print(f"{file}: {file.stat().st_size / 1000:.0f} KB")
                    tab.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

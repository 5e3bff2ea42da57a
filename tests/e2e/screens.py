"""Shows the screens of `pgprism top` with the demo's shop as traffic: for whoever changes how they look.

    cd tests/e2e && PGPRISM_BIN=… ../../.venv/bin/python -m screens [COLUMNSxLINES …]
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

from support import shop, tools
from support.postgres import Address, Postgres
from support.processes import scratch_folder
from support.proxy import Pgprism
from support.scenes import fail, idle_in_transaction
from support.terminal import Screen
from support.waiting import wait_until

# The pauses are for whoever looks: figures of the last second have something in them then.
SIZES = ("80x24", "200x50")


@contextlib.contextmanager
def load(address: Address, threads: int = 4) -> Iterator[None]:
    """Visitors until the end."""
    child = subprocess.Popen(
        [sys.executable, "-m", "shop_site.tour", "--threads", str(threads), "--rounds", "10000"],
        env=shop.environment(address, DJANGO_SETTINGS_MODULE="shop_site.tagged"), cwd=scratch_folder("load"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        child.kill()
        child.wait()


def show(title: str, screen: Screen) -> None:
    print(f"\n===== {title}")
    print(screen.text())


def main() -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Postgres(18))
        address = shop.fill(server, "screens")
        proxy = Pgprism(address.endpoint)
        stack.callback(proxy.abandon)
        through = address.at(proxy.endpoint)
        for size in sys.argv[1:] or SIZES:
            columns, lines = map(int, size.split("x"))
            with contextlib.closing(Screen(columns, lines)) as screen:
                screen.run(tools.pgprism(), "top", "--admin", f"http://{proxy.admin[0]}:{proxy.admin[1]}")
                screen.wait("Findings")
                show(f"{size} first", screen)
                with load(through), idle_in_transaction(through):
                    fail(through)
                    wait_until(lambda: len(proxy.items("findings")) > 10, "findings", deadline_s=60)
                    time.sleep(3)
                    for number, name in enumerate(("findings", "shapes", "units", "connections"), 1):
                        screen.press(str(number))
                        time.sleep(2.5)
                        show(f"{size} {name}", screen)
                        if number == 3:
                            screen.press("/")
                            screen.type("route:bad/books")
                            screen.press("Enter")
                            time.sleep(1)
                        screen.press("j", "Enter")
                        time.sleep(1.5)
                        show(f"{size} {name}, one", screen)
                        if number < 3:
                            screen.press("NPage")
                            time.sleep(0.3)
                            show(f"{size} {name}, one, further", screen)
                        screen.press("Escape")
                    screen.press("t", "2")
                    time.sleep(1.5)
                    show(f"{size} shapes total", screen)
                    screen.press("?")
                    time.sleep(0.5)
                    show(f"{size} help", screen)
                    screen.press("x", "/")
                    screen.type("route:bo d>1ms")
                    time.sleep(0.5)
                    show(f"{size} typing", screen)
                    screen.press("Enter")
                    time.sleep(1.5)
                    show(f"{size} filtered", screen)


main()

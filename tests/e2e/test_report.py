"""`pgprism report` of a real proxy under the demo's traffic, in all its forms; the HTML one opened from disk."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from shop_site.labels import PAIRS
from support import tools
from support.postgres import Address
from support.proxy import Pgprism, command
from support.shop import fill, play

BYTES_MAX = 400 * 1024
SHAPES_IN_HTML = 50


@pytest.fixture(scope="module")
def shop(postgres) -> Iterator[Address]:
    address = fill(postgres, "reported")
    yield address
    postgres.sql('DROP DATABASE "reported" WITH (FORCE)')


@pytest.fixture
def proxy(start_pgprism, shop: Address) -> Pgprism:
    """A proxy that has seen the shop's pages, the bad ones too, and has judged all of it."""
    proxy = start_pgprism(shop.endpoint)
    play("load", shop.at(proxy.endpoint), "--threads", "4", "--requests", "40", deadline_s=240)
    proxy.wait_judged()
    return proxy


def _report(proxy: Pgprism, *arguments: str, **environment: str) -> str:
    address = f"http://{proxy.admin[0]}:{proxy.admin[1]}"
    done = command("report", "--admin", address, *arguments, **environment)
    assert done.stderr == ""
    return done.stdout


def _columns(line: str) -> int:
    """What a terminal gives the line."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def _open_findings(proxy: Pgprism) -> list[dict[str, object]]:
    return proxy.items("findings", status="open", sort="cost")


@pytest.mark.smoke
def test_every_form_says_the_same(proxy, tmp_path):
    findings = _open_findings(proxy)
    assert len(findings) > 5
    summary = proxy.api("summary")
    first = findings[0]
    code = first["advice"]["django"].split("  # ")[0]
    queries = f"{summary['queries']:,} queries"

    text = _report(proxy)
    lines = text.splitlines()
    assert max(map(_columns, lines)) <= 80 and "\x1b" not in text
    assert queries in lines[1] and lines[1].endswith("everything was observed")
    parts = ["WHERE THE TIME WENT", f"{len(findings)} FINDINGS", "TOP SHAPES by total time", "SLOWEST "]
    assert [part for part in parts if part in text] == parts
    assert text.index(parts[0]) < text.index(parts[1]) < text.index(parts[2]) < text.index(parts[3])
    # What does not fit into a line is cut there; the other forms have it whole.
    fixes = [
        ("try" if one["confidence"] == "suspected" else "fix", one["advice"]["django"].split("  # ")[0].splitlines()[0])
        for one in findings[:5]
    ]
    fits = [f"  {word}        {fix}\n" for word, fix in fixes if len(fix) <= 60]
    assert fits and [line for line in fits if line not in text] == []
    assert first["id"] in text and first["proof"]["pattern"][:60] in text
    assert text.count("\n  gain ") == 5
    assert f"and {len(findings) - 5} more: pgprism report --limit" in text
    everything = _report(proxy, "--limit", "1000")
    assert all(finding["id"] in everything for finding in findings)

    whole = json.loads(_report(proxy, "--format", "json"))
    assert whole["report_version"] == 1
    assert whole["summary"]["queries"] == summary["queries"]
    still_open = [one for one in whole["findings"] if one["status"] == "open"]
    assert [one["id"] for one in still_open] == [one["id"] for one in findings]
    assert len(whole["queries"]) == len(proxy.items("queries"))
    assert len(whole["units"]) == len(proxy.items("units"))
    assert {one["id"] for one in whole["examples"]} <= {one["id"] for one in whole["units"]}
    assert whole["examples"] and all(one["timeline"] for one in whole["examples"])
    assert sum(one["calls"] for one in whole["history"]) == summary["queries"]
    assert json.loads(_report(proxy, "--json"))["findings"] == whole["findings"]

    markdown = _report(proxy, "--markdown")
    assert markdown == _report(proxy, "--format", "markdown")
    assert queries in markdown and f"`{first['id']}`" in markdown and f"  {code.splitlines()[0]}" in markdown

    logged = _report(proxy, "--format", "lines", "--limit", "1000").splitlines()
    total = dict(part.split("=") for part in logged[0].removeprefix("pgprism report ").split())
    assert (int(total["queries"]), int(total["findings"])) == (summary["queries"], len(findings))
    read = [dict(part.split("=", 1) for part in shlex.split(line)[2:]) for line in logged[1:]]
    assert [one["id"] for one in read] == [one["id"] for one in findings]
    assert read[0]["fix"] == code.replace("\n", "\\n")

    for name, begins in {"a.html": "<!DOCTYPE html>", "a.md": "## pgprism", "a.json": "{", "a.txt": "pgprism "}.items():
        assert _report(proxy, "--output", str(tmp_path / name)) == ""
        assert (tmp_path / name).read_text().startswith(begins)


def test_a_terminal_gets_colours_and_its_width(proxy, tmp_path):
    """`script` gives the command a terminal; what it prints is the same text with colours around it."""
    admin = f"http://{proxy.admin[0]}:{proxy.admin[1]}"
    def on_terminal(columns: int, **environment: str) -> list[str]:
        said = f"stty rows 30 cols {columns}; {shlex.quote(str(tools.pgprism()))} report --admin {admin}"
        done = subprocess.run(
            ["script", "--quiet", "--return", "--command", said, str(tmp_path / "typescript")],
            env={"PATH": "/usr/bin:/bin", "TERM": "xterm", **environment},
            capture_output=True, text=True, timeout=30, check=True, stdin=subprocess.DEVNULL,
        )
        return done.stdout.replace("\r", "").splitlines()

    colours = re.compile(r"\x1b\[\d*m")
    for columns in (40, 80, 100, 200):
        lines = on_terminal(columns)
        assert any(colours.search(line) for line in lines)
        assert max(_columns(colours.sub("", line)) for line in lines) <= min(columns, 100)
    assert not any("\x1b" in line for line in on_terminal(80, NO_COLOR="1"))


@pytest.mark.smoke
def test_the_file_opens_from_disk_and_asks_nobody(proxy, open_tab, tmp_path):
    findings = _open_findings(proxy)
    file = tmp_path / "report.html"
    assert _report(proxy, "--output", str(file)) == ""
    assert file.stat().st_size <= BYTES_MAX
    page = file.read_text()
    # Neither addresses nor users nor what the pages are about.
    for word in (proxy.admin[0], str(proxy.admin[1]), str(proxy.endpoint[1]), "127.0.0.1"):
        assert word not in page
    assert " style=" not in page and "http://" not in page and "https://" not in page

    tab = open_tab("file://", str(file))
    assert [url for url in tab.requests if url != file.as_uri()] == []
    assert tab.page.title() == f"{len(findings)} findings · pgprism"
    assert tab.page.locator("article.card").count() == len(findings)
    assert [tab.text(f"#finding-{one['id']} h3") for one in findings] == [one["advice"]["title"] for one in findings]
    proved = [one for one in findings if one["confidence"] == "proved"]
    assert {pair.kind for pair in PAIRS} & {one["kind"] for one in proved}
    for one in proved:
        card = tab.page.locator(f"#finding-{one['id']}")
        assert card.locator("figure.proof svg[aria-label]").count() == 1
        assert one["proof"]["pattern"] in card.locator("figcaption").inner_text()
    assert tab.page.locator("svg.fall").count() >= 1
    assert tab.page.locator("svg.heat path").count() >= 2
    assert tab.page.locator("#shapes tbody").count() == min(SHAPES_IN_HTML, len(proxy.items("queries")))

    # Sorted by what a column holds, greatest first, then the other way round.
    def calls() -> list[float]:
        cells = tab.page.locator("#shapes .figures td:nth-child(2)")
        return [float(cell.get_attribute("data-v")) for cell in cells.all()]

    header = tab.page.locator("#shapes th").nth(1)
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending" and calls() == sorted(calls(), reverse=True)
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending" and calls() == sorted(calls())

    background = "() => getComputedStyle(document.body).backgroundColor"
    assert tab.page.evaluate(background) == "rgb(255, 255, 255)"
    tab.page.locator("#theme").click()
    assert tab.page.evaluate(background) == "rgb(15, 19, 24)"

    printed = tab.page.pdf()
    assert printed.startswith(b"%PDF-")


def test_it_is_read_in_the_dark_on_a_narrow_screen_and_without_scripts(proxy, open_tab, tmp_path):
    file = tmp_path / "report.html"
    _report(proxy, "--output", str(file))
    dark = open_tab("file://", str(file), theme="dark", size=(400, 800))
    assert dark.page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 24)"
    # Nothing but SQL and timelines scrolls sideways.
    assert dark.page.evaluate("() => document.documentElement.scrollWidth") <= 400
    still = open_tab("file://", str(file), java_script_enabled=False)
    assert still.page.locator("article.card").count() == len(_open_findings(proxy))
    assert still.page.locator("button.copy:visible").count() == 0
    still.page.locator("details summary").first.click()
    assert Path(file).stat().st_size <= BYTES_MAX

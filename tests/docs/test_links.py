"""Every link of the documentation leads somewhere."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pages import PROJECT, all_pages, anchors, links, name_of, slug_of

PAGES = all_pages()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_images_resolve(page: Path) -> None:
    wrong = []
    for link in links(page):
        problem = _problem(page, link.target, link.is_image)
        if problem:
            wrong.append(f"{link.place}: {link.target}: {problem}")
    assert not wrong, "\n".join(wrong)


def _problem(page: Path, target: str, is_image: bool) -> str | None:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        # Nobody is asked over the network: what is outside only has to be written as an address.
        is_local = parts.hostname in ("127.0.0.1", "localhost")
        fine = parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and is_local))
        return None if fine and " " not in target else "is no address that could be followed"
    path = unquote(parts.path)
    if path.startswith("/"):
        return "begins at the root of something that is no web site"
    there = (page.parent / path).resolve() if path else page
    if not there.is_relative_to(PROJECT):
        return "leads out of the repository"
    if not there.exists():
        return "does not exist"
    if is_image and there.suffix not in (".png", ".svg"):
        return "is no picture"
    if parts.fragment:
        if there.suffix != ".md":
            return "has no headings"
        if parts.fragment not in anchors(there):
            return f"has no such heading; it has {', '.join(sorted(anchors(there)))}"
    return None


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name in ("docs", "findings")], ids=name_of)
def test_every_page_is_led_to(page: Path) -> None:
    """From the index or the README, over as many links as it takes."""
    index = PROJECT / "docs" / "README.md"
    known, waiting = {index, PROJECT / "README.md"}, [index, PROJECT / "README.md"]
    while waiting:
        here = waiting.pop()
        for link in links(here):
            parts = urlsplit(link.target)
            there = (here.parent / unquote(parts.path)).resolve()
            if not parts.scheme and there.suffix == ".md" and there.is_file() and there not in known:
                known.add(there)
                waiting.append(there)
    assert page in known, f"no link leads to {name_of(page)}"


def test_every_picture_is_shown_or_is_another_look_of_one_that_is() -> None:
    shown = {
        (link.page.parent / link.target).resolve()
        for page in PAGES for link in links(page) if link.target.endswith(".png")
    }  # fmt: skip
    for picture in (PROJECT / "docs" / "screenshots").glob("*.png"):
        light = picture.with_name(f"{picture.stem.rpartition('-')[0]}-light.png")
        assert picture in shown or light in shown, f"{picture.name} is nowhere shown"


@pytest.mark.parametrize(
    ("heading", "slug"),
    [
        ("What cannot pass", "what-cannot-pass"),
        ("`[[listeners]]`", "listeners"),
        ("Who is who: application_name", "who-is-who-application_name"),
        ("Switching observation off and on", "switching-observation-off-and-on"),
        ("08006: cannot connect to …", "08006-cannot-connect-to-"),
    ],
)
def test_slugs_are_githubs(heading: str, slug: str) -> None:
    assert slug_of(heading) == slug


def test_a_wrong_link_is_noticed() -> None:
    readme = PROJECT / "README.md"
    assert _problem(readme, "docs/nowhere.md", False) == "does not exist"
    assert _problem(readme, "docs/tls.md#nowhere", False)
    assert _problem(readme, "../elsewhere.md", False)
    assert _problem(readme, "http://example.com/", False)
    assert _problem(readme, "docs/tls.md#measured", False) is None

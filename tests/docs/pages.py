"""The documentation as its reader's browser sees it: pages, headings, links, and blocks of code."""

from __future__ import annotations

import functools
import re
import textwrap
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

PROJECT = Path(__file__).resolve().parents[2]

SHELLS = ("console", "sh", "bash", "shell")


def all_pages() -> list[Path]:
    """Every page that is meant to be read."""
    single = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "demo/README.md", "python/README.md"]
    return [PROJECT / name for name in single] + sorted((PROJECT / "docs").rglob("*.md"))


def name_of(page: Path) -> str:
    return str(page.relative_to(PROJECT))


@dataclass(frozen=True)
class Block:
    """A block of code: fenced, or indented and then without a language."""

    page: Path
    line: int
    language: str
    text: str
    fenced: bool

    @property
    def place(self) -> str:
        return f"{name_of(self.page)}:{self.line}"

    @property
    def is_shell(self) -> bool:
        return self.language in SHELLS or not self.fenced

    def commands(self) -> list[str]:
        """What a reader types, a command each; a `\\` at the end of a line joins it with the next."""
        lines = self.text.replace("\\\n", "").splitlines()
        if any(line.startswith("$ ") for line in lines):
            # The rest is what the terminal answers.
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        commands = (re.sub(r"\s+#\s.*$", "", re.sub(r"\s+", " ", line)).strip() for line in lines)
        return [command for command in commands if command and not command.startswith("#")]


@dataclass(frozen=True)
class Link:
    page: Path
    line: int
    target: str
    is_image: bool

    @property
    def place(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


@functools.cache
def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("gfm-like", {"linkify": False}).parse(page.read_text())


def blocks(page: Path) -> list[Block]:
    found = []
    for token in _walk(_tokens(page)):
        if token.type in ("fence", "code_block"):
            language = token.info.split()[0] if token.info.strip() else ""
            text = textwrap.dedent(token.content)
            found.append(Block(page, _line(token), language, text, token.type == "fence"))
    return found


def links(page: Path) -> list[Link]:
    found, line = [], 0
    for token in _walk(_tokens(page)):
        line = _line(token) if token.map else line
        if token.type == "link_open":
            found.append(Link(page, line, str(token.attrs["href"]), False))
        elif token.type == "image":
            found.append(Link(page, line, str(token.attrs["src"]), True))
    return found


def inline_code(page: Path) -> list[tuple[int, str]]:
    """What stands in single backticks, with its line."""
    found, line = [], 0
    for token in _walk(_tokens(page)):
        line = _line(token) if token.map else line
        if token.type == "code_inline":
            found.append((line, token.content))
    return found


@functools.cache
def anchors(page: Path) -> frozenset[str]:
    """What may stand behind `#` for this page, as GitHub makes it of its headings."""
    found: set[str] = set()
    for opening, inline in zip(_tokens(page), _tokens(page)[1:], strict=False):
        if opening.type != "heading_open":
            continue
        text = "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))
        slug = base = slug_of(text)
        number = 0
        while slug in found:
            number += 1
            slug = f"{base}-{number}"
        found.add(slug)
    return frozenset(found)


def slug_of(heading: str) -> str:
    """GitHub's rule: lower case; letters, digits, `-` and `_` stay, spaces become `-`, all else goes."""
    kept = (
        c
        for c in heading.strip().lower()
        if c in " -_" or unicodedata.category(c)[0] in "LN" or unicodedata.category(c) == "Mn"
    )
    return "".join(kept).replace(" ", "-")


def shell_blocks() -> list[Block]:
    return [block for page in all_pages() for block in blocks(page) if block.is_shell]


def _walk(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _walk(token.children or [])


def _line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 0

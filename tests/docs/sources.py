"""What the program can say: the string literals of its sources, without those of its tests."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from pages import PROJECT

_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")


@functools.cache
def literals(path: Path) -> list[str]:
    """The file's string literals as a reader sees them: placeholders are `…`, escapes are what they stand for."""
    code = path.read_text().partition("#[cfg(test)]\nmod tests {")[0]
    code = re.sub(r"""b?'\\?["']'""", "''", code)
    code = "\n".join(line for line in code.splitlines() if not line.lstrip().startswith("//"))
    return [readable(text) for text in _LITERAL.findall(code)]


def readable(text: str) -> str:
    text = re.sub(r"\\\n\s*", "", text).replace('\\"', '"').replace("\\n", " ")
    text = text.replace("{{", "(").replace("}}", ")")
    return plain(_PLACEHOLDER.sub("…", text))


def plain(text: str) -> str:
    """Without backticks, which a page cannot quote inside of backticks."""
    return re.sub(r"\s+", " ", text.replace("`", ""))


@functools.cache
def all_literals() -> list[str]:
    found = []
    for path in sorted((PROJECT / "src").rglob("*.rs")):
        if "tests" not in path.parts and path.name != "tests.rs":
            found += literals(path)
    return found


def errors_of(path: Path, enum: str, without: tuple[str, ...] = ()) -> list[str]:
    """The texts of an error enum's variants, by their `#[error("…")]`."""
    code = path.read_text()
    body = code[code.index(f"enum {enum} ") :]
    body = body[: body.index("\n}\n")]
    found = re.findall(r'#\[error\(\s*"((?:[^"\\]|\\.)*)".*?\)\]\s*(\w+)', body, re.DOTALL)
    assert found, f"{enum} has no messages"
    return [readable(text) for text, variant in found if variant not in without]

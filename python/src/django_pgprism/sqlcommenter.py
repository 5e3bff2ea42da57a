"""Comments as sqlcommenter specifies them: sorted, URL-encoded key-value pairs at the end of a statement."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from urllib.parse import quote


@functools.lru_cache(maxsize=4096)  # The same lines send queries again and again.
def pair(key: str, value: str) -> str:
    """``key='value'``. URL-encoding leaves neither quotes nor ``*/`` in it."""
    return f"{quote(key, safe='')}='{quote(value, safe='')}'"


def pairs(tags: Mapping[str, str]) -> str:
    """All pairs with commas between them, sorted by key."""
    return ",".join(pair(key, tags[key]) for key in sorted(tags))


def with_comment(sql: str, inner: str) -> str:
    """``sql`` with the comment ``/*inner*/`` at its end, in front of a last semicolon.

    A statement that holds a comment already is left as it is, as the specification asks; so is an empty one.
    """
    if "/*" in sql or "--" in sql:
        return sql
    statement = sql.rstrip()
    semicolon = ""
    if statement.endswith(";"):
        statement, semicolon = statement.rstrip("; \t\r\n"), ";"
    if not statement:
        return sql
    return f"{statement} /*{inner}*/{semicolon}"

"""What pgprism has to find in the shop, and to call fixed once the pages are corrected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from support.waiting import wait_until
from web import fetch_json

Finding = dict[str, Any]

FOUND_WITHIN_S = 10.0


@dataclass(frozen=True)
class Mistake:
    """A page's mistake, and what of a finding tells that it is the one.

    `parent` is the column whose values flow, `child` the table that is looked up row by row, `page` its route.
    """

    page: str
    kind: str
    child: str | None = None
    parent: str | None = None

    def is_told_by(self, finding: Finding) -> bool:
        parent = f"{finding['parent_table']}.{finding['parent_column']}"
        return (
            finding["kind"] == self.kind
            and self.child in (None, finding["child_table"])
            and self.parent in (None, parent)
        )

    @property
    def route(self) -> str:
        """The page's address as Django's URL pattern has it."""
        return self.page.removeprefix("/")

    def __str__(self) -> str:
        way = " -> ".join(name for name in (self.parent, self.child) if name)
        return f"{self.page} {self.kind}{f' ({way})' if way else ''}"


# `/bad/counts/` has two of one kind: `count()` and `exists()` of the same column.
MISTAKES = (
    Mistake("/bad/books/", "n_plus_one_forward", "shop_author", "shop_book.author_id"),
    Mistake("/bad/books/", "n_plus_one_forward", "shop_publisher", "shop_book.publisher_id"),
    Mistake("/bad/authors/", "n_plus_one_reverse", "shop_book", "shop_author.id"),
    Mistake("/bad/tags/", "n_plus_one_many_to_many", None, "shop_book.id"),
    Mistake("/bad/orders/", "n_plus_one_forward", "shop_book", "shop_orderitem.book_id"),
    Mistake("/bad/counts/", "n_plus_one_aggregate", "shop_book", "shop_author.id"),
    Mistake("/bad/stock/", "n_plus_one_reverse", "shop_stock", "shop_book.id"),
    Mistake("/bad/descriptions/", "n_plus_one_deferred", "shop_book", "shop_book.id"),
    Mistake("/bad/basket/", "duplicate", "shop_customer"),
    Mistake("/bad/basket/", "duplicate", "shop_book"),
    Mistake("/bad/gifts/", "query_loop", "shop_customer"),
    Mistake("/bad/columns/", "chatty_unit"),
    Mistake("/bad/prices/", "write_loop", "shop_book"),
)


def all_findings(admin: str) -> list[Finding]:
    return fetch_json(f"{admin}/api/v1/findings", limit="1000")["items"]


def unknown(findings: Iterable[Finding]) -> list[Finding]:
    """Those that no mistake of the shop explains."""
    return [one for one in findings if not any(mistake.is_told_by(one) for mistake in MISTAKES)]


def untold(findings: Iterable[Finding]) -> list[Mistake]:
    """The mistakes that none of `findings` tells."""
    found = list(findings)
    return [mistake for mistake in MISTAKES if not any(mistake.is_told_by(one) for one in found)]


def misplaced(findings: Iterable[Finding]) -> list[Finding]:
    """Those that do not say which page, which view and which of the views' lines they come from."""
    return [
        one
        for one in findings
        if not any(mistake.is_told_by(one) and one["tags"].get("route") == [mistake.route] for mistake in MISTAKES)
        or not one["tags"].get("controller")
        or not all(site.startswith("shop/views/bad.py:") for site in one["tags"].get("callsite", [""]))
    ]


def in_words(finding: Finding) -> str:
    """One finding on one line, for messages."""
    way = f"{finding['parent_table']}.{finding['parent_column']} -> {finding['child_table']}.{finding['child_column']}"
    return f"{finding['id']} {finding['kind']} {finding['status']} {finding['confidence']} {way} {finding['tags']}"


def wait_found(admin: str) -> list[Finding]:
    """All findings, once every mistake is among those that are open."""

    def complete() -> list[Finding] | None:
        findings = all_findings(admin)
        missing = untold(one for one in findings if one["status"] == "open")
        if missing:
            seen = "\n".join(in_words(one) for one in findings)
            raise LookupError(f"not found: {', '.join(map(str, missing))}; found:\n{seen}")
        return findings

    return wait_until(
        complete, "pgprism finds every mistake", deadline_s=FOUND_WITHIN_S, every_s=0.1, refused=(LookupError,)
    )


def still_open(admin: str) -> list[Finding]:
    return [one for one in all_findings(admin) if one["status"] != "fixed"]

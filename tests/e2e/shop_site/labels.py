"""What each problem page has to be told as. Knows nothing of Django, so that the tests can read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Statements of each loop.
ROWS = 60


@dataclass(frozen=True)
class Pair:
    """A problem page and its fixed twin; kind and tables say which finding is the problem's.

    `parent_table` is `None` where no parent is known. `inside` is what the outer loop of a nested one is told as,
    where something cut it from the inner one.
    """

    name: str
    kind: str
    parent_table: str | None
    child_table: str
    inside: tuple[str, str, str] | None = None

    def is_told_by(self, finding: dict[str, Any]) -> bool:
        return _told(finding) == (self.kind, self.parent_table, self.child_table)

    def explains(self, finding: dict[str, Any]) -> bool:
        """Whether it tells of this pair's loop, the parent left out where a pause cut it off."""
        cut_off = (self.kind, None, self.child_table)
        return self.is_told_by(finding) or _told(finding) in (self.inside, cut_off)


def _told(finding: dict[str, Any]) -> tuple[str, str | None, str | None]:
    return (finding["kind"], finding["parent_table"], finding["child_table"])


PAIRS = (
    Pair("forward", "n_plus_one_forward", "shop_book", "shop_publisher"),
    Pair("reverse", "n_plus_one_reverse", "shop_author", "shop_book"),
    Pair("many to many", "n_plus_one_many_to_many", "shop_book", "shop_book_tags"),
    Pair("count", "n_plus_one_aggregate", "shop_customer", "shop_order"),
    Pair("exists", "n_plus_one_aggregate", "shop_customer", "shop_review"),
    Pair("deferred", "n_plus_one_deferred", "shop_author", "shop_author"),
    Pair(
        "nested", "n_plus_one_forward", "shop_orderitem", "shop_book",
        inside=("n_plus_one_reverse", "shop_order", "shop_orderitem"),
    ),
    Pair("create", "write_loop", None, "shop_review"),
    Pair("update", "write_loop", "shop_stock", "shop_stock"),
    Pair("look-up", "query_loop", None, "shop_orderitem"),
    Pair("duplicate", "duplicate", None, "shop_publisher"),
)

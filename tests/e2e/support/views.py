"""Where the page's views are."""

from __future__ import annotations

from .proxy import Pgprism


def views(proxy: Pgprism) -> dict[str, str]:
    """A path for each view: the most costly N+1, and the request that shows it."""
    finding = proxy.items("findings", kind="n_plus_one_forward", status="open")[0]
    return {
        "overview": "/",
        "findings": "/findings",
        "finding": f"/findings/{finding['id']}",
        "requests": "/requests",
        "unit": f"/requests/{finding['example_unit']}",
        "queries": "/queries",
        "query": f"/queries/{finding['fingerprint']}",
        "connections": "/connections",
        "live": "/live",
    }

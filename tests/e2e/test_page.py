"""The page in a real browser, the parts that every change has to keep: it loads, shows what is known, and stays live."""

from __future__ import annotations

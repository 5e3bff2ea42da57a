"""Faults under clients that keep a ledger: what was acknowledged must be there, once, and nobody else's.

`python -m chaos` from `tests/e2e`, or `make chaos`, plays all of it and writes the table of docs/reliability.md.
"""

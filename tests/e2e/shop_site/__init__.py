"""The demo's shop with pages of the tests' own, played through its WSGI handler.

Nothing of what these pages send tells which of them it was.
"""

"""The map of a Django project's models, by which pgprism names relations."""

from __future__ import annotations

__version__ = "0.1.0"

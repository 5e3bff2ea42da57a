"""What a Django project tells pgprism: the request that each query belongs to, and the names of its models."""

from __future__ import annotations

from pgprism import __version__

__all__ = ["__version__"]

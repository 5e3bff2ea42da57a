"""What a Django project tells pgprism: the request that each query belongs to, and the names of its models."""

from __future__ import annotations

__version__ = "0.1.0"

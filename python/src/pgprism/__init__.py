"""The program ``pgprism``, as pip installed it: ``python -m pgprism`` runs it, ``find_pgprism()`` says where it is."""

from __future__ import annotations

from pgprism._find import ProgramNotFound, find_pgprism

__all__ = ["ProgramNotFound", "__version__", "find_pgprism"]

__version__ = "0.1.0"

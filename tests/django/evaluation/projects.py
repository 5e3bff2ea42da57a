"""The Django projects whose scenarios are played."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Project:
    """A project of `tests/django`, by its settings."""

    name: str
    settings: str


SHOP = Project("shop", "evalsite.settings")
"""The detectors grew up with it: tables whose ids lie far apart, a scenario for every shape."""
CAMPUS = Project("campus", "campussite.settings")
"""Written without a look at the detectors: another domain, another style, and ids that all count from 1."""
PROJECTS = {project.name: project for project in (SHOP, CAMPUS)}

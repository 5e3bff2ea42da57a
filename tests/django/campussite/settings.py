"""The second project's settings: other applications, the same ways to connect."""

from __future__ import annotations

from evalsite.settings import *  # noqa: F403
from evalsite.settings import INSTALLED_APPS, MIDDLEWARE, TEMPLATES

ROOT_URLCONF = "campussite.urls"
EVALUATION_DATA = "campussite.data"
EVALUATION_SCENARIOS = "visits"
INSTALLED_APPS = [one for one in INSTALLED_APPS if one not in ("shop", "clinic", "scenarios")] + ["campus", "press"]
MIDDLEWARE = ["campus.middleware.Site", *MIDDLEWARE, "campus.middleware.LastSeen"]
TEMPLATES[0]["OPTIONS"]["context_processors"].append("campus.context.menu")

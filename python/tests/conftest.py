"""Sets Django up once, with the test project."""

from __future__ import annotations

import os

import django


def pytest_configure() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    django.setup()

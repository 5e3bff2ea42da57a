"""The demo shop's settings; `COMPARE_TOOL` names the tool that is installed, as its own documentation installs it."""

import logging
import os
import warnings

from shop.settings import *  # noqa: F403
from shop.settings import DATABASES, INSTALLED_APPS, MIDDLEWARE, TEMPLATES

TOOL = os.environ.get("COMPARE_TOOL", "bare")

ROOT_URLCONF = "compare_site.urls"
ALLOWED_HOSTS = ["127.0.0.1"]
# What Django advises for persistent connections.
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# The toolbar shows itself with DEBUG only; `debug` is Django with it and without the toolbar.
DEBUG = TOOL in ("debug", "debug-toolbar")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"file": {"class": "logging.FileHandler", "filename": os.environ.get("COMPARE_LOG", os.devnull)}},
    "loggers": {
        name: {"handlers": ["file"], "level": "WARNING"} for name in ("nplusone", "py.warnings", "django.request")
    },
}

if TOOL == "debug-toolbar":
    INSTALLED_APPS += ["django.contrib.staticfiles", "debug_toolbar"]
    MIDDLEWARE.insert(0, "debug_toolbar.middleware.DebugToolbarMiddleware")
    INTERNAL_IPS = ["127.0.0.1"]
    STATIC_URL = "static/"
elif TOOL == "silk":
    INSTALLED_APPS += ["django.contrib.messages", "django.contrib.staticfiles", "silk"]
    MIDDLEWARE.insert(0, "silk.middleware.SilkyMiddleware")
    STATIC_URL = "static/"
    TEMPLATES[0]["OPTIONS"]["context_processors"] += [
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]
elif TOOL == "zeal":
    INSTALLED_APPS += ["zeal"]
    MIDDLEWARE.insert(0, "zeal.middleware.zeal_middleware")
    # It warns instead of ending the request, and each time instead of once.
    ZEAL_RAISE = False
    logging.captureWarnings(True)
    warnings.simplefilter("always")
elif TOOL == "nplusone":
    INSTALLED_APPS += ["nplusone.ext.django"]
    MIDDLEWARE.insert(0, "nplusone.ext.django.NPlusOneMiddleware")
    NPLUSONE_LOG_LEVEL = logging.WARNING

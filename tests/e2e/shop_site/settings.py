"""The demo shop's settings, with the addresses of `urls.py`; what changes comes from the environment."""

import os

from shop.settings import *  # noqa: F403
from shop.settings import DATABASES

ROOT_URLCONF = "shop_site.urls"
ALLOWED_HOSTS = ["testserver"]
MIDDLEWARE = []
DATABASES["default"]["CONN_HEALTH_CHECKS"] = os.environ.get("CONN_HEALTH_CHECKS") == "1"

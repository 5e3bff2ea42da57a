"""The shop's, with what a test changes: SUITE_DATABASE as JSON, merged into `DATABASES["default"]`; SUITE_BARE leaves
django_pgprism's application and middleware out."""

import json
import os

from shop.settings import *  # noqa: F403
from shop.settings import DATABASES, INSTALLED_APPS, MIDDLEWARE

for key, value in json.loads(os.environ.get("SUITE_DATABASE", "{}")).items():
    DATABASES["default"][key] = DATABASES["default"].get(key, {}) | value if isinstance(value, dict) else value
if "SUITE_ASTRAY" in os.environ:
    DATABASES["default"]["PORT"] = os.environ["SUITE_ASTRAY"]
if "SUITE_BARE" in os.environ:
    INSTALLED_APPS.remove("django_pgprism")
    MIDDLEWARE.remove("django_pgprism.middleware.PgprismMiddleware")
# A live server asks for it.
STATIC_URL = "/static/"
TEST_RUNNER = os.environ.get("SUITE_RUNNER", "django_pgprism.runner.PgprismDiscoverRunner")
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

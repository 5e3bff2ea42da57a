"""The setting under test comes from the environment, as JSON to be merged into `DATABASES["default"]`."""

import json
import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["UNITS_HOST"],
        "PORT": os.environ["UNITS_PORT"],
        "USER": os.environ["UNITS_USER"],
        "PASSWORD": os.environ["UNITS_PASSWORD"],
        "NAME": os.environ["UNITS_NAME"],
    }
    | json.loads(os.environ.get("UNITS_DATABASE", "{}")),
}
SECRET_KEY = "of no use outside the tests"  # noqa: S105
ALLOWED_HOSTS = ["*"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_units.site.trace",
]
ROOT_URLCONF = "django_units.site"

"""What a test changes comes from the environment, as JSON: TAGS_DATABASE, merged into `DATABASES["default"]`, and
TAGS_PGPRISM, the setting PGPRISM. TAGS_OFF leaves the middleware out."""

import json
import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["TAGS_HOST"],
        "PORT": os.environ["TAGS_PORT"],
        "USER": os.environ["TAGS_USER"],
        "PASSWORD": os.environ["TAGS_PASSWORD"],
        "NAME": os.environ["TAGS_NAME"],
    }
    | json.loads(os.environ.get("TAGS_DATABASE", "{}")),
}
# Two aliases, one database.
DATABASES["second"] = DATABASES["default"]
PGPRISM = json.loads(os.environ.get("TAGS_PGPRISM", "{}"))
SECRET_KEY = "of no use outside the tests"  # noqa: S105
ALLOWED_HOSTS = ["*"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django_pgprism",
]
MIDDLEWARE = [
    "django_pgprism.middleware.PgprismMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_tags.site.around",
]
if os.environ.get("TAGS_OFF"):
    MIDDLEWARE.pop(0)
ROOT_URLCONF = "django_tags.site"

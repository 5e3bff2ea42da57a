"""Settings for Django's test suite against one server; the address comes from the environment."""

import os

_DATABASE = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": os.environ["SLICE_HOST"],
    "PORT": os.environ["SLICE_PORT"],
    "USER": os.environ["SLICE_USER"],
    "PASSWORD": os.environ["SLICE_PASSWORD"],
}
DATABASES = {
    "default": _DATABASE | {"NAME": "slice"},
    "other": _DATABASE | {"NAME": "slice_other"},
}
if os.environ.get("SLICE_SERVER_SIDE_BINDING"):
    for _one in DATABASES.values():
        _one["OPTIONS"] = {"server_side_binding": True}
SECRET_KEY = "of no use outside the tests"  # noqa: S105
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "django_slice.runner.RecordingRunner"

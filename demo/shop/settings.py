"""Settings of the demo shop: everything that changes comes from the environment."""

import importlib.util
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent

# A demo that anybody may read has no secret to keep; a real project takes this from the environment alone.
SECRET_KEY = os.environ.get("SECRET_KEY", "the-demo-shop-has-no-secrets")
DEBUG = os.environ.get("DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1").split(",")
# With SHOP_FIXED=1 the pages under /bad/ are served by their corrected twins: see shop/urls.py.
FIXED = os.environ.get("SHOP_FIXED") == "1"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
# Optional, with pgprism as with any other reader of sqlcommenter's tags: findings then name the route, the view and the
# line. Where the package is not installed, the shop is profiled without.
if importlib.util.find_spec("django_pgprism"):
    INSTALLED_APPS.append("django_pgprism")
    MIDDLEWARE.insert(0, "django_pgprism.middleware.PgprismMiddleware")
    PGPRISM = {"CALLSITE": True}
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]


def database(url):
    """Django's settings for `postgres://user:password@host:port/name`.

    Pointing this one URL at pgprism instead of PostgreSQL is all that profiling takes.
    `application_name` is a good habit with any proxy: it says in pg_stat_activity, in the slow log and in the report
    which program a query came from.
    """
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
        "CONN_MAX_AGE": int(os.environ.get("CONN_MAX_AGE", "0")),
        "OPTIONS": {"application_name": os.environ.get("APPLICATION_NAME", "shop")},
    }


DATABASES = {"default": database(os.environ.get("DATABASE_URL", "postgres://shop@127.0.0.1:6433/shop"))}

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "account"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

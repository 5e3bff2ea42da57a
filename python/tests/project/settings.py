"""Settings of the test project; no database is ever asked."""

SECRET_KEY = "only for tests"
INSTALLED_APPS = [
    "django_pgprism",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "project.people",
    "project.shop",
    "project.legacy",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "nowhere"}}
AUTH_USER_MODEL = "people.Account"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
ROOT_URLCONF = "project.pages"
ALLOWED_HOSTS = ["testserver"]
MIDDLEWARE = ["django_pgprism.middleware.PgprismMiddleware"]

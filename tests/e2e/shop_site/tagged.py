"""The demo shop's settings and addresses; each request tags its statements."""

from shop.settings import *  # noqa: F403
from shop.settings import MIDDLEWARE

ALLOWED_HOSTS = ["testserver"]
MIDDLEWARE = ["shop_site.tagging.Tags", *MIDDLEWARE]

"""Guardian's own, with a hash of passwords that takes no time: its tests make hundreds of users."""

from guardian.testapp.testsettings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

"""The rendered site itself with Django's own login: what its pages cost without the relying party."""

from config.settings import *  # noqa: F403
from config.settings import MIDDLEWARE

ROOT_URLCONF = "without.urls"
MIDDLEWARE = [name for name in MIDDLEWARE if name != "oidc.middleware.SessionRefresh"]
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]

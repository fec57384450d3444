"""Authlib's client for Django, which leaves users to the project: they are kept by subject as username.

https://docs.authlib.org/en/latest/oauth2/client/web/django.html
"""

from plain.settings import *  # noqa: F403
from plain.settings import CLIENT_ID, CLIENT_SECRET, ISSUER

AUTHLIB_OAUTH_CLIENTS = {"op": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}}
SERVER_METADATA_URL = f"{ISSUER}/.well-known/openid-configuration"

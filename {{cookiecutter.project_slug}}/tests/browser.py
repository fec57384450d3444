"""A person with a browser, for tests of whole logins."""

import requests
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpResponse
from django.test import Client

from accounts.models import User


class Browser:
    """Drives the site through Django's test client and the OP's pages over HTTP, with cookies for each."""

    def __init__(self) -> None:
        self.client = Client(SERVER_NAME="localhost")

    def get(self, path: str, **options) -> HttpResponse:
        return self.client.get(path, **options)

    @property
    def issuer(self) -> str:
        """The OP of this test."""
        return settings.OIDC_OP_ISSUER

    @property
    def user(self) -> User:
        """Who is signed in."""
        return User.objects.get(pk=self.client.session[SESSION_KEY])

    def start(self, path: str = "/oidc/authenticate/") -> str:
        """Open a page that leads to the OP and return the URL there."""
        response = self.client.get(path)
        assert response.status_code == 302, response.content
        return response["Location"]

    def answer(self, authorization_url: str, sub: str) -> str:
        """Choose a user on the OP's page and return the callback URL that the OP sends the browser to."""
        response = requests.post(authorization_url, data={"sub": sub}, allow_redirects=False, timeout=5)
        assert response.status_code == 302, response.text
        return response.headers["Location"]

    def log_in(self, sub: str, path: str = "/oidc/authenticate/") -> HttpResponse:
        """Go through a whole login as the OP's user `sub` and return the site's answer to the callback."""
        return self.client.get(self.answer(self.start(path), sub))

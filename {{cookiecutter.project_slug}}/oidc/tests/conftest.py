from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from hypothesis import settings as hypothesis_settings

from oidc.signals import login_refused
from oidc.tests.op import CLIENT, OP

# Without deadlines and chance, so that a loaded machine and a second run see the same.
hypothesis_settings.register_profile("site", max_examples=25, deadline=None, derandomize=True, database=None)
hypothesis_settings.load_profile("site")


class Browser:
    """A person with a browser: the site through Django's test client, the OP's yes through `OP.grant`."""

    def __init__(self, op: OP) -> None:
        self.op = op
        self.client = Client(SERVER_NAME="localhost")
        self.refusals: list[dict[str, Any]] = []

    def leave(self, next_url: str = "") -> HttpResponse:
        return self.client.get("/oidc/authenticate/", {"next": next_url} if next_url else {})

    def come_back(self, parameters: dict[str, str]) -> HttpResponse:
        return self.client.get("/oidc/callback/", parameters)

    def log_in(self, next_url: str = "") -> HttpResponse:
        """Go through a whole login, as far as it goes."""
        response = self.leave(next_url)
        return self.come_back(self.op.grant(response["Location"])) if response.status_code == 302 else response

    def outcome(self) -> str:
        """Return how a whole login ends: the code of the reason, or "signed_in"."""
        self.refusals.clear()
        self.log_in()
        if self.refusals:
            return self.refusals[-1]["reason"].code
        assert self.is_signed_in
        return "signed_in"

    def age(self, seconds: float) -> None:
        """Let the session be `seconds` older than it is."""
        session = self.client.session
        for name in ("oidc_login_at", "oidc_id_token_expiration", "oidc_auth_time"):
            if session.get(name) is not None:
                session[name] -= seconds
        session.save()

    @property
    def is_signed_in(self) -> bool:
        return "_auth_user_id" in self.client.session


@pytest.fixture
def op(settings) -> Iterator[OP]:
    """An OP that the site is set up for, without faults so far."""
    cache.clear()
    op = OP()
    settings.OIDC_OP_ISSUER = op.issuer
    settings.OIDC_RP_CLIENT_ID, settings.OIDC_RP_CLIENT_SECRET = CLIENT
    settings.OIDC_RP_SIGN_ALGO = "RS256"
    yield op
    op.close()


@pytest.fixture
def browser(op: OP, db: None) -> Iterator[Browser]:
    browser = Browser(op)

    def note(sender: type, **details: Any) -> None:
        browser.refusals.append(details)

    login_refused.connect(note)
    yield browser
    login_refused.disconnect(note)

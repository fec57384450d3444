"""Fixtures for pytest and pytest-django: `pytest_plugins = ["oidc.testing.fixtures"]` in the top conftest.py."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.http import HttpRequest
from django.test import Client
from django.utils.module_loading import import_string

from oidc.backends import OIDCAuthenticationBackend
from oidc.internal import session
from oidc.internal.verification import Login
from oidc.models import Identity
from oidc.signals import login_refused
from oidc.testing.browser import Browser
from oidc.testing.op import CLIENT, OP, Claims, Fault, dead


@pytest.fixture
def op(settings: Any) -> Iterator[OP]:
    """An OP of this test alone, which the site is set up for. It behaves, until the test says otherwise:

    op.claims["aud"] = "another"       # in the ID Token; op.userinfo, op.token_response, op.metadata likewise
    op.faults["/token"] = dead         # or slow, drip, raw(b"..."), responds({"error": "..."}, status=400)
    assert len(op.asked("/token")) == 1
    """
    cache.clear()
    with OP(site_url=settings.SITE_URL) as op:
        settings.OIDC_OP_ISSUER = op.issuer
        settings.OIDC_RP_CLIENT_ID, settings.OIDC_RP_CLIENT_SECRET = CLIENT
        settings.OIDC_RP_SIGN_ALGO = "RS256"
        for name in ("AUTHORIZATION", "TOKEN", "USER", "JWKS", "END_SESSION"):
            setattr(settings, f"OIDC_OP_{name}_ENDPOINT", "")
        yield op


@pytest.fixture
def refusals() -> Iterator[list[dict[str, Any]]]:
    """What `login_refused` was sent with during the test: `refusals[-1]["reason"].code`."""
    refusals: list[dict[str, Any]] = []

    def note(sender: object, **details: Any) -> None:
        refusals.append(details)

    login_refused.connect(note)
    yield refusals
    login_refused.disconnect(note)


@pytest.fixture
def browser(op: OP, db: None, refusals: list[dict[str, Any]]) -> Browser:
    """A person in front of the site and the OP, logged in nowhere: `browser.log_in()`, `browser.get("/profile/")`."""
    browser = Browser(op)
    browser.refusals = refusals
    return browser


@pytest.fixture
def log_in(op: OP, db: None, refusals: list[dict[str, Any]]) -> Callable[..., Browser]:
    """A function that logs a person in by the whole code flow, and returns their browser:

    assert log_in({"groups": ["staff"]}).user.is_staff

    The claims are changes to those of `oidc.testing.op.PERSON`; give a `sub` for another person. A `next_url` may
    follow. Where the site refuses, `browser.is_signed_in` is false and `refusals` has the reason.
    """

    def log_in(claims: Claims | None = None, **options: Any) -> Browser:
        browser = Browser(op)
        browser.refusals = refusals
        browser.log_in(claims or {}, **options)
        return browser

    return log_in


@pytest.fixture
def signed_in_client(op: OP, db: None) -> Callable[[Any], Client]:
    """A function that returns a `django.test.Client` in which a user is signed in as by a login at the OP.

    It asks neither the OP nor the site's policy. The session has an age and is renewed and ended by the OP; for a
    session that knows of no OP, `client.force_login(user)` is enough.
    """

    def sign_in(user: Any) -> Client:
        backends = django_settings.AUTHENTICATION_BACKENDS
        user.backend = next(b for b in backends if issubclass(import_string(b), OIDCAuthenticationBackend))
        identity, _ = Identity.objects.get_or_create(
            user=user, issuer=op.issuer, defaults={"subject": f"user-{user.pk}"}
        )
        request, client = HttpRequest(), Browser(op).client
        request.session = import_module(django_settings.SESSION_ENGINE).SessionStore()
        session.begin(request, user, Login({"iss": op.issuer, "sub": identity.subject}))
        request.session.save()
        client.cookies[django_settings.SESSION_COOKIE_NAME] = request.session.session_key
        return client

    return sign_in

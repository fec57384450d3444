"""Fixtures for pytest and pytest-django: `pytest_plugins = ["oidc.testing.fixtures"]` in the top conftest.py."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpRequest
from django.test import Client
from django.utils.module_loading import import_string

from oidc.backends import OIDCAuthenticationBackend
from oidc.internal import documents, session, shared_cache, transport
from oidc.internal.verification import Login
from oidc.models import Identity
from oidc.testing.browser import Browser
from oidc.testing.op import CLIENT, OP, Claims


def forget() -> None:
    """Let the site know nothing of any OP, as when it starts with an empty cache."""
    cache.clear()
    shared_cache.own.clear()
    documents.remembered.clear()
    transport.forget_breakers()


@pytest.fixture
def op(settings: Any) -> Iterator[OP]:
    """An OP for this test alone, at which the site is registered. It behaves until the test says otherwise:

    op.claims["aud"] = "another"  # in the ID Token; likewise op.userinfo, op.token_response, op.metadata
    op.faults["/token"] = dead  # from oidc.testing.op, as slow, responds({...}, status=400)
    """
    forget()
    with OP(site_url=settings.SITE_URL) as op:
        settings.OIDC_OP_ISSUER, settings.OIDC_RP_SIGN_ALGO = op.issuer, "RS256"
        settings.OIDC_RP_CLIENT_ID, settings.OIDC_RP_CLIENT_SECRET = CLIENT
        for name in ("AUTHORIZATION", "TOKEN", "USER", "JWKS", "END_SESSION"):
            setattr(settings, f"OIDC_OP_{name}_ENDPOINT", "")
        yield op


@pytest.fixture
def browser(op: OP, db: None) -> Browser:
    """A person who is logged in nowhere yet: `browser.log_in()`, `browser.get("/profile/")`, `browser.log_out()`."""
    return Browser(op)


@pytest.fixture
def log_in(op: OP, db: None) -> Callable[..., Browser]:
    """A function that logs a person in by a real code flow, in a new browser, and returns the browser.

    `log_in({"groups": ["staff"]})` takes changes to the claims of `oidc.testing.op.PERSON` (a second person needs
    another `sub`) and the options of `Browser.log_in`. The site may refuse: see `is_signed_in` and `refusals`.
    """

    def log_in(claims: Claims | None = None, **options: Any) -> Browser:
        browser = Browser(op)
        browser.log_in(claims or {}, **options)
        return browser

    return log_in


@pytest.fixture
def signed_in_client(op: OP, db: None, settings: Any) -> Callable[[Any], Client]:
    """A function that returns Django's test client, signed in as `user` with a session as a login at the OP begins it.

    Neither the OP nor the user policy is asked. Where renewal and logout do not matter, `client.force_login` will do.
    """

    def sign_in(user: Any) -> Client:
        paths = settings.AUTHENTICATION_BACKENDS
        user.backend = next(path for path in paths if issubclass(import_string(path), OIDCAuthenticationBackend))
        subject = {"subject": f"user-{user.pk}"}
        identity, _ = Identity.objects.get_or_create(user=user, issuer=op.issuer, defaults=subject)
        request, client = HttpRequest(), Client(SERVER_NAME="localhost")
        request.session = client.session
        session.begin(request, user, Login({"iss": op.issuer, "sub": identity.subject}))
        request.session.save()
        client.cookies[settings.SESSION_COOKIE_NAME] = str(request.session.session_key)
        return client

    return sign_in

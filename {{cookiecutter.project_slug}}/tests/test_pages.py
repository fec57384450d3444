"""The pages of this site. Change this file together with them; no other test knows them."""

import re

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import HttpResponse
from django.urls import path

from accounts.models import User
from config import urls
from pages import errors


def fail(request, kind: str) -> None:
    raise {"400": SuspiciousOperation, "403": PermissionDenied, "500": RuntimeError, "database": OperationalError}[kind]


def html(response: HttpResponse) -> str:
    """Return a page, which loads nothing from elsewhere."""
    page = response.content.decode()
    assert "default-src 'self'" in response["Content-Security-Policy"]
    assert not re.search(r'(src|href|action)="(https?:)?//', page)
    return page


@pytest.fixture
def user(db) -> User:
    return User.objects.create_user("kim", "kim@example.org", first_name="Kim", last_name="Example")


def test_the_home_page_offers_a_login_and_then_says_who_is_logged_in(client, user, signed_in_client, settings) -> None:
    settings.SITE_NAME = "<b>"
    page = html(client.get("/"))
    assert '<a class="button" href="/oidc/authenticate/">Login</a>' in page
    assert "<b>" not in page
    assert "developer" not in page
    page = html(signed_in_client(user).get("/"))
    assert "Current user: kim@example.org" in page
    assert 'action="/oidc/logout/" method="post"' in page
    assert 'name="csrfmiddlewaretoken"' in page
    settings.DEBUG = True
    assert "http://localhost/oidc/callback/" in client.get("/").content.decode()


def test_the_profile_needs_a_login_and_shows_what_the_site_knows(client, user, signed_in_client) -> None:
    assert client.get("/profile/")["Location"] == "/oidc/authenticate/?next=/profile/"
    client = signed_in_client(user)
    page = html(client.get("/profile/"))
    assert all(text in page for text in ("kim", "Kim Example", "kim@example.org"))
    assert "Kim Example" in html(client.get("/nowhere/"))


def test_errors_have_a_page_that_needs_neither_session_nor_database(client, settings, monkeypatch) -> None:
    monkeypatch.setattr(urls, "urlpatterns", [*urls.urlpatterns, path("fail/<kind>/", fail)])
    settings.ROOT_URLCONF = "config.urls"
    client.raise_request_exception = False
    for url, status in (("/fail/400/", 400), ("/fail/403/", 403), ("/nowhere/", 404), ("/fail/500/", 500)):
        response = client.get(url)
        assert response.status_code == status
        assert f"Status {status}" in html(response)
    client.handler.enforce_csrf_checks = True
    assert "out of date" in html(client.post("/oidc/logout/"))
    # The session of this cookie cannot be read, as the test may not use the database.
    client.cookies[settings.SESSION_COOKIE_NAME] = "of-a-database-that-is-down"
    assert "Status 500" in html(client.get("/"))
    client.cookies.clear()
    # Where the database has failed, it is not asked once more, for who is logged in.
    monkeypatch.setattr(errors, "render_to_string", lambda name, context, request: str(request))
    assert client.get("/fail/database/").content == b"None"

"""Pages for people: in every state, and when something fails."""

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.urls import path, reverse

from config.urls import handler400, handler403, handler404, handler500, urlpatterns  # noqa: F401
from tests.browser import Browser


def fail(request, kind):
    raise {"400": SuspiciousOperation, "403": PermissionDenied, "500": RuntimeError}[kind]


urlpatterns = [*urlpatterns, path("fail/<kind>/", fail)]


@pytest.fixture
def site(client, settings):
    settings.ROOT_URLCONF = __name__
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize(
    ("url", "status", "says"),
    [
        ("/fail/400/", 400, "Bad request"),
        ("/fail/403/", 403, "No access"),
        ("/nowhere/", 404, "Page not found"),
        ("/fail/500/", 500, "Something went wrong"),
    ],
)
def test_errors_have_a_page_that_needs_no_database(site, url: str, status: int, says: str) -> None:
    response = site.get(url)
    assert response.status_code == status
    assert f"<h1>{says}</h1>" in response.content.decode()


def test_a_forged_form_gets_a_page(browser: Browser) -> None:
    browser.log_in("ordinary")
    browser.client.handler.enforce_csrf_checks = True
    assert "out of date" in browser.client.post(reverse("oidc_logout")).content.decode()


def test_pages_load_nothing_from_elsewhere(browser: Browser) -> None:
    browser.log_in("ordinary")
    for url in ("/", "/profile/", "/nowhere/"):
        response = browser.get(url)
        assert "default-src 'self'" in response["Content-Security-Policy"]
        assert "//" not in response.content.decode().replace("http://localhost", "")


def test_profile_shows_what_the_op_said(browser: Browser) -> None:
    browser.log_in("staff")
    page = browser.get("/profile/").content.decode()
    assert all(text in page for text in (browser.user.email, browser.user.get_full_name(), "<dd>staff</dd>"))


def test_health_needs_neither_login_nor_op(client, db, settings) -> None:
    settings.OIDC_OP_ISSUER = "http://localhost:1"
    assert [client.get(url).status_code for url in ("/healthz", "/readyz")] == [200, 200]


def test_probes_may_name_any_host_and_speak_http(client, db, settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/healthz", headers={"host": "10.1.2.3:8000"}).status_code == 200


def test_readiness_names_what_is_down(client, db, settings) -> None:
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "redis://localhost:1"}}
    response = client.get("/readyz")
    assert (response.status_code, response.content) == (503, b"not ready: cache\n")


def test_site_name_is_escaped(settings, client, db) -> None:
    settings.SITE_NAME = "<b>\"'"
    assert "<b>" not in client.get("/").content.decode()

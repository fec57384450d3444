"""What test_headers.py runs inside a site, with the settings of production: the headers of each kind of page."""

import json
import os
import re
from pathlib import Path
from typing import Any

import django
import pytest
from config import urls
from django.conf import settings as of_site
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import Client
from django.urls import path

from oidc.models import Identity
from oidc.testing.browser import Browser
from oidc.testing.op import OP, PERSON

pytest_plugins = ["oidc.testing.fixtures"]

EVERYWHERE = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": r"camera=\(\), .*, usb=\(\)",
    "Referrer-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
    "X-Content-Type-Options": "nosniff",
    "X-Request-ID": "[0-9a-f]{32}",
}
OF_SITE = EVERYWHERE | {"Content-Security-Policy": ".*default-src 'self'.*", "X-Frame-Options": "DENY"}
# Before anything else has looked at it.
OF_A_STRANGE_HOST = {name: value for name, value in OF_SITE.items() if name != "X-Frame-Options"}
OF_A_PERSON = OF_SITE | {"Cache-Control": ".*no-store.*private.*"}
OF_A_PROBE = {name: EVERYWHERE[name] for name in ("X-Content-Type-Options", "X-Request-ID")} | {
    "Cache-Control": "no-store"
}
IN_A_FRAME = EVERYWHERE | {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors http://127.0.0.1:[0-9]+",
    "X-Frame-Options": None,
}
OVER_HTTP = {name: OF_SITE[name] for name in ("Permissions-Policy", "Referrer-Policy", "X-Content-Type-Options")}


@pytest.fixture
def browser(op: OP, db: None) -> Browser:
    """Somebody of the staff, logged in, behind a proxy that ends TLS."""
    user = get_user_model().objects.create_user("kim", is_staff=True)
    Identity.objects.create(user=user, issuer=op.issuer, subject=PERSON["sub"])
    browser = Browser(op, client())
    assert browser.log_in().headers["Location"] == "/"
    return browser


def client(**more: str) -> Client:
    return Client(**{"SERVER_NAME": "www.example.org", "HTTP_X_FORWARDED_PROTO": "https"} | more)


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError


@pytest.mark.parametrize(
    ("open_page", "status", "expected"),
    [
        pytest.param(lambda b: b.get("/"), 200, OF_A_PERSON, id="start page"),
        pytest.param(lambda b: b.get("/profile/"), 200, OF_A_PERSON, id="profile"),
        pytest.param(lambda b: client().get("/profile/"), 302, OF_SITE, id="page that needs a login"),
        pytest.param(lambda b: b.get("/admin/"), 200, OF_A_PERSON, id="admin"),
        pytest.param(lambda b: client().get("/admin/"), 302, OF_A_PERSON, id="admin without a login"),
        pytest.param(lambda b: client().get("/admin/password/"), 404, OF_SITE, id="admin's closed password form"),
        pytest.param(lambda b: b.leave(), 302, OF_A_PERSON, id="redirect to the OP"),
        pytest.param(lambda b: b.log_in(), 302, OF_A_PERSON, id="redirect of the callback"),
        pytest.param(lambda b: client().get("/oidc/callback/?state=x"), 400, OF_A_PERSON, id="failed login"),
        pytest.param(lambda b: client().get("/oidc/initiate/?iss=x"), 400, OF_A_PERSON, id="failed start of a login"),
        pytest.param(lambda b: b.get("/oidc/logout/"), 200, OF_A_PERSON, id="logout"),
        pytest.param(lambda b: b.post("/oidc/logout/"), 302, OF_A_PERSON, id="redirect of the logout"),
        pytest.param(lambda b: client().get("/oidc/logged-out/"), 200, OF_A_PERSON, id="logged out"),
        pytest.param(lambda b: client().post("/oidc/backchannel-logout/"), 400, OF_A_PERSON, id="back-channel logout"),
        pytest.param(lambda b: client().get("/oidc/frontchannel-logout/?sid=x"), 200, IN_A_FRAME, id="front channel"),
        pytest.param(lambda b: client(SERVER_NAME="evil.example").get("/"), 400, OF_A_STRANGE_HOST, id="error 400"),
        pytest.param(lambda b: csrf().post("/oidc/logout/"), 403, OF_SITE, id="error 403"),
        pytest.param(lambda b: client().get("/nowhere/"), 404, OF_SITE, id="error 404"),
        pytest.param(lambda b: quiet().get("/broken/"), 500, OF_SITE, id="error 500"),
        pytest.param(lambda b: client().get("/favicon.ico"), 302, OF_SITE, id="favicon"),
        pytest.param(lambda b: client().get("/healthz"), 200, OF_A_PROBE, id="healthz"),
        pytest.param(lambda b: client().get("/readyz"), 200, OF_A_PROBE, id="readyz"),
        pytest.param(lambda b: client(HTTP_X_FORWARDED_PROTO="http").get("/"), 301, OVER_HTTP, id="plain http"),
    ],
)
def test_headers(browser: Browser, settings: Any, monkeypatch, open_page, status: int, expected: dict) -> None:
    settings.OIDC_FRONTCHANNEL_LOGOUT = True
    settings.ROOT_URLCONF = "config.urls"
    monkeypatch.setattr(urls, "urlpatterns", [*urls.urlpatterns, path("broken/", broken), path("page/", page)])
    response = open_page(browser)
    assert response.status_code == status
    wrong = {
        name: response.headers.get(name)
        for name, pattern in expected.items()
        if (name in response.headers if pattern is None else not re.fullmatch(pattern, response.headers.get(name, "")))
    }
    assert wrong == {}


def csrf() -> Client:
    return Client(True, SERVER_NAME="www.example.org", HTTP_X_FORWARDED_PROTO="https")


def quiet() -> Client:
    made = client()
    made.raise_request_exception = False
    return made


MANUAL = Path(of_site.BASE_DIR, "oidc", "README.md").read_text(encoding="utf-8")


def page(request: HttpRequest) -> HttpResponse:
    """A page with a script as the manual says, and one as it would come from an attacker."""
    (tag,) = re.findall("<script nonce=[^>]+>", recipe()[3])
    html = f"<title>no</title>{tag}document.title = 'yes'</script><script>document.title = 'attacked'</script>"
    return HttpResponse(engines.all()[0].from_string(html).render({}, request))


def recipe() -> list[str]:
    """Return what the manual says for this Django: import, directive, context processor, tag."""
    (row,) = re.findall(rf"(?m)^\| Django {django.VERSION[0]}[.\d]* \|(.*)\|$", MANUAL)
    return [cell.strip().strip("`") for cell in row.split("|")]


def test_a_nonce_as_the_manual_says(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    imports, directive, processor, _ = recipe()
    names: dict[str, Any] = {}
    exec(imports, names)
    directives = of_site.CSP_DIRECTIVES | eval(f"{{{directive}}}", names)
    if django.VERSION[0] == 5:
        settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": directives}
    else:
        settings.SECURE_CSP = directives
    options = settings.TEMPLATES[0]["OPTIONS"]
    processors = [*options["context_processors"], *eval(f"[{processor}]")]
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"OPTIONS": options | {"context_processors": processors}}]
    settings.ROOT_URLCONF = "config.urls"
    monkeypatch.setattr(urls, "urlpatterns", [*urls.urlpatterns, path("page/", page)])
    response, again = client().get("/page/"), client().get("/page/")
    policy, html = response.headers["Content-Security-Policy"], response.content.decode()
    (nonce,) = re.findall('nonce="([^"]{16,})"', html)
    assert f"'nonce-{nonce}'" in policy
    assert f"'nonce-{nonce}'" not in again.headers["Content-Security-Policy"]
    assert "nonce" not in client().get("/healthz").headers
    Path(os.environ["NONCE_PAGE"]).write_text(json.dumps({"policy": policy, "html": html}), encoding="utf-8")

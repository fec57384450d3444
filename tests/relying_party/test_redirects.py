"""Who waits for a response, what a login looks like to them, and where a browser is never sent."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.test import RequestFactory

from oidc.internal import redirects
from oidc.internal.redirects import Kind
from oidc.testing.browser import Browser
from oidc.testing.op import OP

SCRIPT = {"Sec-Fetch-Mode": "cors"}
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://localhost/page/?tab=2", "Sec-Fetch-Mode": "cors"}
FORM = {"Sec-Fetch-Mode": "navigate", "Referer": "http://localhost/page/?tab=2"}

ELSEWHERE = [
    "https://evil.example/",
    "//evil.example",
    "//evil.example/%2e%2e",
    "/\\evil.example",
    "\\\\evil.example",
    "///evil.example",
    "////evil.example",
    "/\t/evil.example",
    "http:evil.example",
    "http:///evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "http://localhost@evil.example/",
    "http://localhost:pw@evil.example/",
    "http://localhost.evil.example/",
    "http://localhost:1/",
    "\x01https://evil.example",
    " //evil.example",
    "http://[",
]


def request(method: str = "GET", path: str = "/", headers: dict[str, str] | None = None, **options: Any) -> HttpRequest:
    return RequestFactory(SERVER_NAME="localhost").generic(method, path, headers=headers, **options)


def next_of(location: str) -> str:
    return parse_qs(urlsplit(location).query).get("next", [""])[0]


@pytest.mark.parametrize(
    ("method", "headers", "kind"),
    [
        pytest.param("GET", {"Sec-Fetch-Mode": "navigate"}, Kind.PAGE, id="navigation"),
        pytest.param("GET", {}, Kind.PAGE, id="old-browser"),
        pytest.param("GET", {"Accept": "text/html,*/*;q=0.8"}, Kind.PAGE, id="accepts-html"),
        pytest.param("GET", {"Accept": "text/html,application/json"}, Kind.PAGE, id="accepts-html-and-json"),
        pytest.param("POST", {"Sec-Fetch-Mode": "navigate"}, Kind.FORM, id="form"),
        pytest.param("POST", {}, Kind.FORM, id="form-of-an-old-browser"),
        pytest.param("GET", SCRIPT, Kind.SCRIPT, id="fetch"),
        pytest.param("GET", {"Sec-Fetch-Mode": "same-origin"}, Kind.SCRIPT, id="fetch-same-origin"),
        pytest.param("GET", {"Sec-Fetch-Mode": "no-cors"}, Kind.SCRIPT, id="image"),
        pytest.param("PUT", SCRIPT, Kind.SCRIPT, id="fetch-put"),
        pytest.param("GET", {"X-Requested-With": "XMLHttpRequest"}, Kind.SCRIPT, id="xhr"),
        pytest.param("GET", {"Accept": "application/json"}, Kind.SCRIPT, id="accepts-json"),
        pytest.param("GET", HTMX, Kind.HTMX, id="htmx"),
        pytest.param("DELETE", HTMX, Kind.HTMX, id="htmx-delete"),
        pytest.param("POST", {"Purpose": "prefetch"}, Kind.FORM, id="nothing-is-sent-in-advance"),
        pytest.param("HEAD", {}, Kind.NOBODY, id="head"),
        pytest.param("OPTIONS", {}, Kind.NOBODY, id="options"),
        pytest.param("HEAD", HTMX, Kind.NOBODY, id="head-of-htmx"),
        pytest.param("GET", {"Sec-Purpose": "prefetch;prerender"}, Kind.NOBODY, id="prefetch"),
        pytest.param("GET", {"Purpose": "prefetch"}, Kind.NOBODY, id="old-prefetch"),
    ],
)
def test_the_headers_say_who_waits(method: str, headers: dict[str, str], kind: Kind) -> None:
    assert redirects.kind_of(request(method, headers=headers)) is kind


@pytest.mark.parametrize(
    ("method", "headers", "status", "headers_back"),
    [
        pytest.param("GET", {}, 302, {"Location": "/oidc/authenticate/?next=%2F%3Fq%3D1"}, id="page"),
        pytest.param("POST", FORM, 401, {}, id="form"),
        pytest.param("GET", SCRIPT, 401, {"Content-Type": "application/json", "HX-Reswap": "none"}, id="script"),
        pytest.param("POST", SCRIPT, 401, {"Content-Type": "application/json"}, id="script-that-changes-data"),
        pytest.param(
            "GET", HTMX, 200, {"HX-Redirect": "/oidc/authenticate/?next=%2Fpage%2F%3Ftab%3D2"}, id="htmx-that-reads"
        ),
        pytest.param("POST", HTMX, 401, {"HX-Reswap": "none"}, id="htmx-that-changes-data"),
        pytest.param("HEAD", {}, 302, {}, id="head"),
    ],
)
def test_everybody_is_asked_to_log_in_as_they_understand_it(
    method: str, headers: dict[str, str], status: int, headers_back: dict[str, str]
) -> None:
    response = redirects.ask_to_log_in(request(method, "/?q=1", headers))
    assert response.status_code == status
    assert headers_back.items() <= dict(response.items()).items()


def test_a_script_is_told_where_to_log_in() -> None:
    assert redirects.ask_to_log_in(request(headers=SCRIPT)).content == b'{"login_url": "/oidc/authenticate/"}'


def test_a_form_that_came_too_late_leads_back_to_its_page() -> None:
    page = redirects.ask_to_log_in(request("POST", "/elsewhere/", FORM)).content.decode()
    assert 'href="/oidc/authenticate/?next=%2Fpage%2F%3Ftab%3D2"' in page


@pytest.mark.parametrize("referer", ["", *(url for url in ELSEWHERE if url.isprintable() and url.startswith("h"))])
def test_a_form_of_another_site_does_not_lead_there(referer: str) -> None:
    page = redirects.ask_to_log_in(request("POST", "/", FORM | {"Referer": referer})).content.decode()
    assert 'href="/oidc/authenticate/"' in page


def test_htmx_on_a_page_of_another_site_does_not_lead_there() -> None:
    response = redirects.ask_to_log_in(request(headers=HTMX | {"HX-Current-URL": "https://evil.example/"}))
    assert response["HX-Redirect"] == "/oidc/authenticate/"


@pytest.mark.parametrize("url", ELSEWHERE)
def test_other_sites_are_not_safe(url: str) -> None:
    """RFC 9700 4.11."""
    assert redirects.safe_url(request(), url) == ""


@pytest.mark.parametrize("url", ["/", "/page/?tab=1#part", "page", "?q=1", "http://localhost/page/", "/a//b", "/ü"])
def test_pages_of_this_site_are_safe(url: str) -> None:
    assert redirects.safe_url(request(), url) == url


def test_site_url_is_this_site_even_behind_a_proxy_that_changes_the_host(settings) -> None:
    settings.SITE_URL = "https://site.example.org"
    assert redirects.safe_url(request(), "https://site.example.org/a") == "https://site.example.org/a"


def test_other_hosts_are_safe_where_they_are_allowed(settings) -> None:
    settings.OIDC_REDIRECT_ALLOWED_HOSTS = ["app.example.org"]
    assert redirects.safe_url(request(), "https://app.example.org/a") == "https://app.example.org/a"
    assert redirects.safe_url(request(), "https://evil.example/a") == ""


def test_over_https_a_page_over_http_is_not_safe(settings) -> None:
    settings.SITE_URL = "https://localhost"
    assert redirects.safe_url(request(secure=True), "http://localhost/") == ""
    assert redirects.safe_url(request(secure=True), "https://localhost/") == "https://localhost/"


@pytest.mark.parametrize("path", ["//evil.example/", "///evil.example/", "/\\evil.example/", "//evil", "//"])
def test_a_page_whose_path_looks_like_another_host_does_not_lead_there(path: str) -> None:
    """What a server hands on for /%2Fevil.example/ and for //evil.example/."""
    here = request(PATH_INFO=path)
    location = redirects.ask_to_log_in(here)["Location"]
    assert redirects.safe_url(here, next_of(location)) == next_of(location)
    assert not urlsplit(next_of(location)).netloc


@pytest.mark.parametrize("path", ["//evil", "//evil.example/", "/\\evil.example/", "////evil.example/"])
def test_a_form_on_such_a_page_does_not_lead_there_either(path: str) -> None:
    assert redirects.page_of(request("POST", "/"), f"http://localhost{path}") == ""


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_login_goes_to_no_other_site(browser: Browser, op: OP, url: str) -> None:
    assert browser.come_back(op.grant(browser.leave(url)["Location"]))["Location"] == "/"


@pytest.mark.parametrize("path", ["/%2Fevil.example/", "/%5Cevil.example/"])
def test_a_renewal_of_such_a_page_stays_on_the_site(browser: Browser, op: OP, path: str) -> None:
    browser.outcome()
    browser.age(15 * 60)
    leaving = browser.get(path)
    assert "prompt=none" in leaving["Location"]
    location = browser.come_back(op.grant(leaving["Location"]))["Location"]
    assert not urlsplit(location).netloc
    assert not location.startswith(("//", "/\\"))


@pytest.mark.parametrize("path", ["/admin/login/?next={}", "/oidc/initiate/?iss={issuer}&target_link_uri={}"])
@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_no_other_view_leads_to_another_site(browser: Browser, op: OP, path: str, url: str) -> None:
    browser.outcome()
    get_user_model().objects.update(is_staff=True)
    response = browser.get(path.format(url, issuer=op.issuer))
    assert response.status_code == 302
    assert "evil" not in response["Location"]


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("localhost:8000", ""),
        ("127.0.0.1:8000", "http://localhost:8000/oidc/authenticate/?next=/a"),
        ("[::1]:8000", "http://localhost:8000/oidc/authenticate/?next=/a"),
        ("127.0.0.1:9000", ""),
        ("site.example.org:8000", ""),
        ("site.example.org", ""),
    ],
)
def test_on_this_machine_a_login_begins_at_the_host_that_it_ends_at(settings, host: str, canonical: str) -> None:
    settings.SITE_URL, settings.ALLOWED_HOSTS = "http://localhost:8000", ["*"]
    here = request(path="/oidc/authenticate/?next=/a", headers={"Host": host})
    assert redirects.canonical_url(here) == canonical


def test_a_login_that_begins_at_another_name_of_this_machine_moves(browser: Browser, settings) -> None:
    settings.SITE_URL, settings.ALLOWED_HOSTS = "http://localhost:8000", ["127.0.0.1"]
    leaving = browser.get("/oidc/authenticate/?next=/a", headers={"Host": "127.0.0.1:8000"})
    assert leaving["Location"] == "http://localhost:8000/oidc/authenticate/?next=/a"


def test_another_name_for_the_field_next_is_used_everywhere(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_REDIRECT_FIELD_NAME = "onward"
    assert redirects.login_url("/a") == "/oidc/authenticate/?onward=%2Fa"
    leaving = browser.get("/oidc/authenticate/?onward=/page/")
    assert browser.come_back(op.grant(leaving["Location"]))["Location"] == "/page/"


def test_a_login_from_no_page_in_particular_goes_home(browser: Browser, op: OP, settings) -> None:
    settings.LOGIN_REDIRECT_URL = "oidc_logged_out"
    assert browser.come_back(op.grant(browser.leave()["Location"]))["Location"] == "/oidc/logged-out/"


@pytest.mark.parametrize("url", ["//", "///", "/\\", "\\\\", " //", "//\t", "//?x", "//#x", "//./x", "//["])
def test_a_url_with_an_empty_host_is_not_safe(url: str) -> None:
    assert redirects.safe_url(RequestFactory(SERVER_NAME="localhost").get("/"), url) == ""

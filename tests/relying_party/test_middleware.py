"""The middleware: where it looks at sessions, and when it is not needed at all."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from oidc.middleware import SessionRefresh
from oidc.models import LoginSession
from oidc.testing.browser import Browser
from oidc.testing.fixtures import forget
from oidc.testing.op import ABSENT, OP, dead

FORM = {"Sec-Fetch-Mode": "navigate"}
FRAME = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
EXEMPT = ["/page/", "admin:index", re.compile(r"^/api/$")]


def respond(request: HttpRequest) -> HttpResponse:
    return HttpResponse("passed")


@pytest.fixture
def overdue(browser: Browser, settings: Any) -> Browser:
    """A signed-in browser whose session is due, beyond the grace period."""
    settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS, settings.OIDC_RENEWAL_GRACE_SECONDS = 900, 600
    browser.log_in()
    browser.age(1501)
    return browser


def test_it_follows_keys_where_sessions_are_neither_renewed_nor_limited(browser: Browser, settings: Any) -> None:
    """After a change of SECRET_KEY Django gives each session a new key, by which the OP's logout has to find it."""
    settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = settings.OIDC_SESSION_MAX_SECONDS = 0
    browser.log_in()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the next one" * 5, [settings.SECRET_KEY]
    assert browser.get("/page/").status_code == 200
    form = {"logout_token": browser.op.logout_token()}
    assert Client(SERVER_NAME="localhost").post("/oidc/backchannel-logout/", form).status_code == 200
    assert not browser.is_signed_in


@pytest.mark.parametrize("url", ["/", "/page/", "/oidc/callback/"])
def test_a_session_cookie_that_no_database_can_look_up_is_no_session(browser: Browser, url: str) -> None:
    response = browser.client.get(url, headers={"cookie": r'sessionid="aaaaaaaa\000"'})
    assert response.status_code == {"/": 200, "/page/": 302}.get(url, 400)


def test_nor_does_it_break_a_login(browser: Browser, op: OP) -> None:
    parameters = op.grant(browser.leave().headers["Location"])
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in browser.client.cookies.items())
    headers = {"cookie": cookies + r'; sessionid="aaaaaaaa\000"'}
    assert browser.client.get("/oidc/callback/", parameters, headers=headers).status_code == 302
    assert browser.is_signed_in


def test_renewal_can_be_off_while_the_limit_stays(overdue: Browser, settings: Any) -> None:
    settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS, settings.OIDC_SESSION_MAX_SECONDS = 0, 3600
    assert overdue.get("/page/").status_code == 200
    overdue.age(3600)
    assert overdue.get("/page/").status_code == 302
    assert not overdue.is_signed_in


@pytest.mark.parametrize(
    ("path", "is_exempt"),
    [
        pytest.param("/page/", True, id="path"),
        pytest.param("/admin/", True, id="name"),
        pytest.param("/api/", True, id="pattern"),
        pytest.param("/api/more/", False, id="pattern-that-does-not-match"),
        pytest.param("/page/more/", False, id="below-a-path"),
        pytest.param("/", False, id="another"),
        pytest.param("/oidc/authenticate/", True, id="login"),
        pytest.param("/oidc/callback/", True, id="callback"),
        pytest.param("/oidc/logout/", True, id="logout"),
        pytest.param("/oidc/initiate/", True, id="login-by-a-third-party"),
        pytest.param("/oidc/backchannel-logout/", True, id="back-channel"),
        pytest.param("/oidc/frontchannel-logout/", True, id="front-channel"),
        pytest.param("/oidc/logged-out/", True, id="logged-out"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_some_urls_are_left_alone(settings: Any, path: str, is_exempt: bool, method: str) -> None:
    settings.OIDC_EXEMPT_URLS = EXEMPT
    request = RequestFactory().generic(method, f"{path}?query")
    assert SessionRefresh(respond).is_refreshable_url(request) is not is_exempt


def test_a_page_that_is_exempt_is_shown_in_any_session(overdue: Browser, settings: Any, op: OP) -> None:
    settings.OIDC_EXEMPT_URLS = EXEMPT
    overdue.client.handler.load_middleware()
    op.faults = dict.fromkeys(op.endpoints, dead)
    asked = len(op.requests)
    assert overdue.get("/page/").status_code == 200
    assert overdue.post("/page/", headers=FORM).status_code == 200
    assert len(op.requests) == asked


def test_the_session_of_a_page_that_is_exempt_ends_too(overdue: Browser, settings: Any) -> None:
    """Elsewhere: an exempt URL is one that the OP is never asked for."""
    settings.OIDC_EXEMPT_URLS = EXEMPT
    overdue.client.handler.load_middleware()
    overdue.age(24 * 60 * 60)
    assert overdue.get("/page/").status_code == 200
    assert overdue.get("/").content == b"user None"
    assert not overdue.is_signed_in


@pytest.mark.parametrize("path", ["/oidc/authenticate/", "/oidc/initiate/"])
def test_an_overdue_session_does_not_stand_in_the_way_of_a_login(overdue: Browser, op: OP, path: str) -> None:
    response = overdue.get(path, data={"iss": op.issuer})
    assert response.status_code == 302
    assert "prompt=none" not in response["Location"]


def test_an_overdue_session_does_not_stand_in_the_way_of_a_logout_in_a_frame(
    overdue: Browser, op: OP, settings: Any
) -> None:
    """An OP on the same site is sent the session cookie, and cannot show its own pages in its own frame."""
    settings.OIDC_FRONTCHANNEL_LOGOUT = True
    sid = LoginSession.objects.get().sid
    response = overdue.get("/oidc/frontchannel-logout/", data={"iss": op.issuer, "sid": sid}, headers=FRAME)
    assert response.content == b"logged out"
    assert not overdue.is_signed_in


@pytest.mark.parametrize("charset", ["rot13", "utf-7", "idna", "unicode_escape", "undefined", "utf-16", "base64", "\0"])
@pytest.mark.parametrize(
    "path",
    ["/oidc/callback/", "/oidc/backchannel-logout/", "/oidc/initiate/", "/oidc/logout/", "/admin/password/", "/page/"],
)
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"])
def test_a_charset_that_forms_do_not_have_is_refused(
    browser: Browser, settings: Any, path: str, charset: str, kind: str
) -> None:
    settings.BREAK_GLASS_LOGIN, settings.OIDC_RESPONSE_MODE = True, "form_post"
    for method in ("POST", "GET"):
        response = browser.client.generic(method, f"{path}?a=b", b"state=x", f"{kind}; charset={charset}")
        assert response.status_code == 400


@pytest.mark.parametrize(
    "kind", ["text/x; charset*=rot13''x", "text/x; charset*=nonsense''%ff", 'a; CHARSET="rot13"', "a/b; x*=foo''%41"]
)
def test_it_may_be_written_in_any_way(browser: Browser, kind: str) -> None:
    assert browser.client.generic("POST", "/oidc/backchannel-logout/?a=b", b"c", kind).status_code == 400


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "nonsense", '"', "", "é"])
def test_a_charset_of_forms_or_one_that_nobody_knows_is_taken(browser: Browser, op: OP, charset: str) -> None:
    form = urlencode({"logout_token": op.logout_token()})
    kind = f"application/x-www-form-urlencoded; charset={charset}"
    assert browser.client.generic("POST", "/oidc/backchannel-logout/", form, kind).status_code == 200


@pytest.mark.parametrize(
    "values",
    [
        {"oidc_login_at": "yesterday"},
        {"oidc_login_at": None},
        {"oidc_id_token_expiration": "soon"},
        {"oidc_id_token_expiration": 1e308},
        {"_auth_user_id": "of-another-model"},
        {"_auth_user_backend": "tests.relying_party.stub.backends.Renamed"},
        {"_auth_user_backend": 7},
        {"_auth_user_hash": None},
    ],
)
@pytest.mark.parametrize("path", ["/page/", "/oidc/authenticate/", "/oidc/callback/", "/oidc/logout/"])
def test_a_broken_session_has_to_log_in_again(browser: Browser, values: dict[str, object], path: str) -> None:
    browser.log_in()
    store = browser.client.session
    store.update(values)
    store.save()
    assert browser.get(path).status_code < 500
    assert browser.get("/page/").status_code == 302
    assert browser.outcome() == "signed_in"


def test_an_op_that_cannot_be_asked_gets_a_page_with_the_way_back(overdue: Browser, op: OP) -> None:
    op.metadata["authorization_endpoint"] = ABSENT
    forget()
    response = overdue.get("/page/?tab=1")
    assert response.status_code == 502
    assert 'href="/oidc/authenticate/?next=%2Fpage%2F%3Ftab%3D1"' in response.content.decode()
    assert [refusal["reason"].code for refusal in overdue.refusals] == ["metadata_invalid"]


def test_a_session_whose_key_changes_with_the_password_is_still_ended_by_the_op(browser: Browser, op: OP) -> None:
    browser.log_in()
    user = browser.user
    user.set_password("first")
    user.is_staff = True
    user.save()
    browser.log_in()
    key = browser.client.session.session_key
    passwords = {"old_password": "first", "new_password1": "a new one 1", "new_password2": "a new one 1"}
    assert browser.post("/admin/password_change/", passwords).status_code == 302
    assert browser.client.session.session_key != key
    assert browser.get("/page/").status_code == 200
    browser.post("/oidc/backchannel-logout/", {"logout_token": op.logout_token()})
    assert not browser.is_signed_in

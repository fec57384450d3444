"""Logout, from here and from the OP, and what is left behind: nothing."""

import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from html import unescape
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import SuspiciousOperation
from django.test import Client
from django.urls import resolve
from django.utils.module_loading import import_string

from oidc.internal import session, verification
from oidc.logout import EVENT, logout_parameters
from oidc.models import LoginSession, SpentToken
from oidc.signals import logged_out_by_op
from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, CLIENT, OP, dead

BACK_CHANNEL, FRONT_CHANNEL = "/oidc/backchannel-logout/", "/oidc/frontchannel-logout/"

Send = Callable[..., Any]


@pytest.fixture
def send(op: OP, db: None, client: Client) -> Send:
    """Return a function that sends a logout token with `changes` to its claims, and returns the response."""

    def send(header: dict[str, Any] | None = None, **changes: Any) -> Any:
        return client.post(BACK_CHANNEL, {"logout_token": op.logout_token(header, **changes)})

    return send


@pytest.fixture
def name(op: OP) -> Callable[[Browser, Any], Browser]:
    """Return a function that logs a browser in with a session that the OP calls `sid`."""

    def log_in(browser: Browser, sid: Any) -> Browser:
        op.claims["sid"] = sid
        browser.log_in()
        return browser

    return log_in


# From here (RP-Initiated Logout 1.0)


def test_logout_goes_to_the_op_with_all_it_needs(browser: Browser, op: OP) -> None:
    """RP-Initiated Logout 1.0, section 2."""
    op.metadata["end_session_endpoint"] = f"{op.issuer}/end-session?realm=a"
    browser.log_in()
    id_token = browser.client.session[session.ID_TOKEN]
    url = urlsplit(browser.post("/oidc/logout/")["Location"])
    query = parse_qs(url.query)
    assert len(query.pop("state")[0]) >= 16
    assert query == {
        "realm": ["a"],
        "client_id": [CLIENT[0]],
        "id_token_hint": [id_token],
        "post_logout_redirect_uri": ["http://localhost/"],
    }
    assert not browser.is_signed_in
    assert not LoginSession.objects.exists()


def test_logout_ends_the_session_at_the_op_and_comes_back(browser: Browser, op: OP) -> None:
    browser.log_in()
    assert op.sessions
    assert browser.log_out().content == b"user None"
    assert not op.sessions


@pytest.mark.parametrize("size", [7000, 17_000])
def test_an_id_token_that_no_url_can_hold_is_left_out_and_the_page_says_so(browser: Browser, op: OP, size: int) -> None:
    op.claims["padding"] = "x" * size
    browser.log_in()
    page = unescape(browser.follow(browser.post("/oidc/logout/")).content.decode())
    assert not browser.is_signed_in
    assert "You may still be logged in at the sign-in service" in page
    url = page.partition(f'href="{op.issuer}')[2].partition('"')[0]
    assert url.startswith("/end-session?client_id=site-under-test&post_logout_redirect_uri=")
    assert "id_token_hint" not in url


def test_every_logout_has_a_state_of_its_own(browser: Browser) -> None:
    states = set()
    for _ in range(2):
        browser.log_in()
        states.add(parse_qs(urlsplit(browser.post("/oidc/logout/")["Location"]).query)["state"][0])
    assert len(states) == 2


def test_without_a_stored_id_token_the_op_is_told_who_asks(browser: Browser, settings: Any) -> None:
    settings.OIDC_STORE_ID_TOKEN = False
    browser.log_in()
    query = parse_qs(urlsplit(browser.post("/oidc/logout/")["Location"]).query)
    assert "id_token_hint" not in query
    assert query["client_id"] == [CLIENT[0]]


def test_get_offers_the_button_and_logs_nobody_out(browser: Browser) -> None:
    """A link or an image on another site must not."""
    browser.log_in()
    response = browser.get("/oidc/logout/")
    page = response.content.decode()
    assert response.status_code == 200
    assert '<form action="" method="post">' in page
    assert 'name="csrfmiddlewaretoken" value="' in page
    assert "Log out</button>" in page
    assert browser.is_signed_in


def test_the_button_works_and_nothing_else_does(op: OP, db: None) -> None:
    browser = Browser(op, Client(SERVER_NAME="localhost", enforce_csrf_checks=True))
    browser.log_in()
    assert browser.post("/oidc/logout/").status_code == 403
    assert browser.is_signed_in
    page = browser.get("/oidc/logout/").content.decode()
    token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    assert browser.post("/oidc/logout/", {"csrfmiddlewaretoken": token}).status_code == 302
    assert not browser.is_signed_in


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_logout_takes_no_other_method(browser: Browser, method: str) -> None:
    browser.log_in()
    assert getattr(browser.client, method)("/oidc/logout/").status_code == 405
    assert browser.is_signed_in


@pytest.mark.parametrize(
    ("dialect", "query"),
    [
        ("cognito", {"client_id": CLIENT[0], "logout_uri": "https://site/"}),
        ("auth0", {"client_id": CLIENT[0], "returnTo": "https://site/"}),
    ],
)
def test_dialects_of_logout(settings: Any, dialect: str, query: dict[str, str]) -> None:
    settings.OIDC_RP_CLIENT_ID = CLIENT[0]
    assert logout_parameters(dialect, "https://site/", "token") == query


@pytest.mark.parametrize("dialect", ["cognito", "auth0"])
def test_a_dialect_is_a_setting(browser: Browser, settings: Any, dialect: str) -> None:
    settings.OIDC_LOGOUT_DIALECT = dialect
    browser.log_in()
    query = parse_qs(urlsplit(browser.post("/oidc/logout/")["Location"]).query)
    back = query.pop("logout_uri" if dialect == "cognito" else "returnTo")
    assert (back, query) == (["http://localhost/"], {"client_id": [CLIENT[0]]})


@pytest.mark.parametrize(
    ("setting", "back"),
    [
        (None, "http://localhost/"),
        ("/page/", "http://localhost/page/"),
        ("oidc_logged_out", "http://localhost/oidc/logged-out/"),
        ("https://www.example.org/", "https://www.example.org/"),
    ],
)
def test_the_op_sends_the_browser_to_where_a_logout_ends(
    browser: Browser, settings: Any, setting: str | None, back: str
) -> None:
    settings.LOGOUT_REDIRECT_URL = setting
    browser.log_in()
    query = parse_qs(urlsplit(browser.post("/oidc/logout/")["Location"]).query)
    assert query["post_logout_redirect_uri"] == [back]


@pytest.mark.parametrize("value", [ABSENT, None, ""])
def test_an_op_without_an_end_session_endpoint_leaves_the_logout_here_and_the_page_says_so(
    browser: Browser, op: OP, value: object
) -> None:
    op.metadata["end_session_endpoint"] = value
    browser.log_in()
    page = browser.follow(browser.post("/oidc/logout/")).content.decode()
    assert "You may still be logged in at the sign-in service" in page
    assert not browser.is_signed_in
    assert not LoginSession.objects.exists()


def test_while_the_op_is_down_the_logout_stays_here_and_the_page_says_so(
    browser: Browser, op: OP, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.OIDC_OP_AUTHORIZATION_ENDPOINT = f"{op.issuer}/authorize"
    settings.OIDC_OP_TOKEN_ENDPOINT, settings.OIDC_OP_JWKS_ENDPOINT = f"{op.issuer}/token", f"{op.issuer}/jwks"
    settings.OIDC_OP_USER_ENDPOINT = f"{op.issuer}/userinfo"
    browser.log_in()
    op.faults = dict.fromkeys(op.endpoints, dead)
    page = browser.follow(browser.post("/oidc/logout/")).content.decode()
    assert "You may still be logged in at the sign-in service" in page
    assert not browser.is_signed_in
    assert "logout stays local reason=op_unreachable" in caplog.text


def test_the_logged_out_page_does_not_claim_it_to_somebody_who_is_logged_in(browser: Browser) -> None:
    browser.log_in()
    assert "You are logged in" in browser.get("/oidc/logged-out/").content.decode()


def test_a_session_that_no_op_began_ends_here_without_asking_the_op(
    op: OP, client: Client, django_user_model: Any
) -> None:
    client.force_login(django_user_model.objects.create_user("kim"))
    assert client.post("/oidc/logout/")["Location"] == "/"
    assert "_auth_user_id" not in client.session
    assert not op.requests


def test_somebody_who_is_not_logged_in_goes_home(op: OP, db: None, client: Client) -> None:
    assert client.post("/oidc/logout/")["Location"] == "/"
    assert not op.requests


@pytest.mark.parametrize("path", ["/oidc/logout/", "/oidc/logged-out/", BACK_CHANNEL, FRONT_CHANNEL])
@pytest.mark.parametrize("method", ["get", "post"])
def test_no_response_is_kept_by_a_cache(browser: Browser, settings: Any, method: str, path: str) -> None:
    settings.OIDC_FRONTCHANNEL_LOGOUT = True
    browser.log_in()
    assert "no-store" in getattr(browser, method)(path)["Cache-Control"]


# From the OP (Back-Channel Logout 1.0)


def test_the_op_ends_the_sessions_of_a_person(
    browser: Browser, op: OP, send: Send, caplog: pytest.LogCaptureFixture
) -> None:
    second, other = Browser(op), Browser(op)
    browser.log_in()
    second.log_in()
    other.log_in({"sub": "person-2"})
    with caplog.at_level("INFO"):
        assert send().status_code == 200
    assert [each.is_signed_in for each in (browser, second, other)] == [False, False, True]
    assert f"logout by the OP sessions=2 subject=person-1 issuer={op.issuer}" in caplog.text


@pytest.mark.parametrize("named", [{"sid": "sid-1", "sub": ABSENT}, {"sid": "sid-1"}])
def test_the_op_ends_one_session(
    browser: Browser, op: OP, send: Send, name: Callable[..., Browser], named: dict[str, Any]
) -> None:
    first, second = name(browser, "sid-1"), name(Browser(op), "sid-2")
    assert send(**named).status_code == 200
    assert [first.is_signed_in, second.is_signed_in] == [False, True]


def test_a_session_whose_name_the_op_did_not_say_ends_with_any_of_its_person(
    browser: Browser, send: Send, name: Callable[..., Browser]
) -> None:
    name(browser, ABSENT)
    assert send(sid="sid-1").status_code == 200
    assert not browser.is_signed_in


@pytest.mark.parametrize("sid", ["a\0", "s" * 256, 7, ""])
def test_a_session_without_a_usable_name_ends_with_its_person(
    browser: Browser, send: Send, name: Callable[..., Browser], sid: object
) -> None:
    name(browser, sid)
    assert send().status_code == 200
    assert not browser.is_signed_in


def test_the_name_that_a_session_was_given_at_a_renewal_counts(browser: Browser, op: OP, send: Send) -> None:
    browser.log_in()
    browser.age(1000)
    op.claims["sid"] = "sid-2"
    browser.come_back(op.grant(browser.get("/page/")["Location"]))
    assert send(sid="sid-2", sub=ABSENT).status_code == 200
    assert not browser.is_signed_in


def test_a_receiver_hears_of_a_logout_by_the_op(browser: Browser, send: Send) -> None:
    heard = []

    def note(sender: object, **details: Any) -> None:
        heard.append((details["subject"], details["sid"], details["sessions"]))

    browser.log_in()
    logged_out_by_op.connect(note)
    try:
        send()
    finally:
        logged_out_by_op.disconnect(note)
    assert heard == [("person-1", "", 1)]


def test_a_receiver_that_fails_does_not_fail_the_logout(browser: Browser, send: Send) -> None:
    def fail(**details: Any) -> None:
        raise SuspiciousOperation

    browser.log_in()
    logged_out_by_op.connect(fail)
    try:
        assert send().status_code == 200
    finally:
        logged_out_by_op.disconnect(fail)
    assert not browser.is_signed_in


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "file"])
def test_every_session_engine_but_cookies_obeys(
    browser: Browser, send: Send, settings: Any, tmp_path: Path, engine: str
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    browser.client.handler.load_middleware()
    browser.log_in()
    key = browser.client.cookies["sessionid"].value
    store = import_module(settings.SESSION_ENGINE).SessionStore
    assert store().exists(key)
    assert send().status_code == 200
    assert not store().exists(key)
    assert browser.get("/").content == b"user None"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        pytest.param({"iss": "https://evil.example"}, "issuer", id="issuer"),
        pytest.param({"iss": ABSENT}, "issuer", id="no-issuer"),
        pytest.param({"aud": "another-client"}, "audience", id="audience"),
        pytest.param({"aud": ABSENT}, "audience", id="no-audience"),
        pytest.param({"aud": [CLIENT[0], "another-client"]}, "audience", id="another-audience-beside-it"),
        pytest.param({"iat": ABSENT}, "time", id="no-iat"),
        pytest.param({"iat": 4e9}, "time", id="iat-in-the-future"),
        pytest.param({"iat": 1}, "time", id="iat-long-ago"),
        pytest.param({"exp": 1}, "time", id="expired"),
        pytest.param({"exp": None}, "time", id="exp-is-null"),
        pytest.param({"exp": "soon"}, "time", id="exp-is-text"),
        pytest.param({"events": ABSENT}, "malformed", id="no-events"),
        pytest.param({"events": [EVENT]}, "malformed", id="events-are-a-list"),
        pytest.param({"events": {"http://schemas.openid.net/event/other": {}}}, "malformed", id="another-event"),
        pytest.param({"events": {EVENT: 1}}, "malformed", id="event-is-not-an-object"),
        pytest.param({"nonce": "n"}, "nonce", id="nonce"),
        pytest.param({"nonce": None}, "nonce", id="nonce-is-null"),
        pytest.param({"sub": ABSENT}, "subject", id="nobody"),
        pytest.param({"sub": 7}, "subject", id="sub-is-not-text"),
        pytest.param({"sub": ""}, "subject", id="sub-is-empty"),
        pytest.param({"sub": "", "sid": "sid-1"}, "subject", id="sub-is-empty-beside-sid"),
        pytest.param({"sid": ["sid-1"]}, "subject", id="sid-is-not-text"),
        pytest.param({"sid": ""}, "subject", id="sid-is-empty"),
        pytest.param({"sid": "a\0"}, "subject", id="sid-is-not-printable"),
        pytest.param({"sid": "s" * 256}, "subject", id="sid-is-too-long"),
        pytest.param({"jti": ABSENT}, "subject", id="no-jti"),
        pytest.param({"jti": {}}, "subject", id="jti-is-not-text"),
        pytest.param({"header": {"typ": "at+jwt"}}, "malformed", id="typ"),
        pytest.param({"header": {"typ": 7}}, "malformed", id="typ-is-not-text"),
        pytest.param({"header": {"kid": "unknown"}}, "key", id="kid"),
        pytest.param({"header": {"crit": ["exp"]}}, "malformed", id="crit"),
    ],
)
def test_a_logout_token_that_breaks_a_rule_is_refused(
    browser: Browser, send: Send, changes: dict[str, Any], rule: str
) -> None:
    """Back-Channel Logout 1.0, section 2.6."""
    browser.log_in()
    response = send(**changes)
    assert response.status_code == 400
    assert response.json() == {"error": "invalid_request", "error_description": rule}
    assert browser.is_signed_in
    assert not SpentToken.objects.exists()


def test_a_logout_token_of_another_signer_is_refused(browser: Browser, op: OP, send: Send) -> None:
    browser.log_in()
    published = op.jwks
    op.sign_with("RS256", number=2, kid="key-1")
    op.jwks, op.header = published, {"kid": "key-1"}
    assert send().json()["error_description"] == "signature"
    assert browser.is_signed_in


def test_a_logout_token_that_is_not_signed_is_refused(browser: Browser, op: OP, client: Client) -> None:
    browser.log_in()
    header = urlsafe_b64encode(b'{"alg": "none", "typ": "logout+jwt"}').rstrip(b"=").decode()
    payload = op.logout_token().split(".")[1]
    response = client.post(BACK_CHANNEL, {"logout_token": f"{header}.{payload}."})
    assert (response.status_code, response.json()["error_description"]) == (400, "algorithm")
    assert browser.is_signed_in


def test_an_id_token_is_not_a_logout_token(browser: Browser, client: Client) -> None:
    browser.log_in()
    id_token = browser.client.session[session.ID_TOKEN]
    assert client.post(BACK_CHANNEL, {"logout_token": id_token}).status_code == 400
    assert browser.is_signed_in


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"header": {"typ": "JWT"}}, id="typ-of-many-ops"),
        pytest.param({"header": {"typ": "LOGOUT+JWT"}}, id="typ-in-capitals"),
        pytest.param({"header": {"typ": None}}, id="no-typ"),
        pytest.param({"exp": ABSENT}, id="no-exp"),
        pytest.param({"exp": 2**52}, id="exp-far-away"),
        pytest.param({"aud": [CLIENT[0]]}, id="aud-is-a-list"),
        pytest.param({"events": {EVENT: {}, "https://example.org/event": {}}}, id="another-event-beside-it"),
    ],
)
def test_what_ops_write_differently_is_taken(browser: Browser, send: Send, changes: dict[str, Any]) -> None:
    browser.log_in()
    assert send(**changes).status_code == 200
    assert not browser.is_signed_in


@pytest.mark.parametrize("exp", [ABSENT, 2**52, int(time.time()) + 600], ids=["absent", "far-away", "soon"])
def test_a_logout_token_is_obeyed_once(browser: Browser, send: Send, exp: object) -> None:
    assert send(jti="once", exp=exp).status_code == 200
    browser.log_in()
    assert send(jti="once", exp=exp).json()["error_description"] == "time"
    assert browser.is_signed_in


@pytest.mark.parametrize("exp", [ABSENT, 2**52])
def test_a_spent_token_is_remembered_for_as_long_as_it_could_be_sent_again(send: Send, exp: object) -> None:
    """Back-Channel Logout 1.0, section 2.6, rule 7: iat bounds what exp does not."""
    before = time.time()
    send(exp=exp)
    (expires,) = [spent.expires.timestamp() for spent in SpentToken.objects.all()]
    assert before + 3600 < expires < before + 3 * 3600


@pytest.mark.parametrize("body", [{}, {"logout_token": ""}, {"logout_token": ["a", "b"]}, {"logout_token": "a.b.c"}])
def test_requests_without_one_good_token_get_400(db: None, client: Client, op: OP, body: dict[str, Any]) -> None:
    response = client.post(BACK_CHANNEL, body)
    assert response.status_code == 400
    assert response.json() == {"error": "invalid_request", "error_description": "malformed"}


def test_two_good_tokens_in_one_request_are_refused(browser: Browser, op: OP, client: Client) -> None:
    browser.log_in()
    response = client.post(BACK_CHANNEL, {"logout_token": [op.logout_token(), op.logout_token(sub="person-2")]})
    assert response.status_code == 400
    assert browser.is_signed_in


def test_a_token_whose_key_cannot_be_had_is_not_reported_as_a_bad_token(op: OP, send: Send) -> None:
    op.faults["/jwks"] = dead
    response = send()
    assert (response.status_code, response.json()["error_description"]) == (400, "op_unreachable")


def test_the_back_channel_takes_no_other_method(client: Client) -> None:
    assert client.get(BACK_CHANNEL).status_code == 405


def test_the_back_channel_needs_no_csrf_token(op: OP, db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post(BACK_CHANNEL, {"logout_token": op.logout_token()}).status_code == 200


def test_no_log_has_the_logout_token(
    browser: Browser, op: OP, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for token in (op.logout_token(), op.logout_token(nonce="n")):
        with caplog.at_level("DEBUG"):
            client.post(BACK_CHANNEL, {"logout_token": token})
        assert token not in caplog.text
    assert "back-channel logout refused reason=nonce" in caplog.text


# While a login is being finished


@pytest.fixture
def told(send: Send, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that makes the OP send a logout token as soon as the site has called the function `path`."""

    def during(path: str) -> None:
        where, _, name = path.rpartition(".")
        original = getattr(import_string(where), name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            monkeypatch.setattr(path, original)
            assert send().status_code == 200
            return result

        monkeypatch.setattr(path, call)

    return during


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("oidc.internal.provider.exchange_code", id="the-code-is-exchanged"),
        pytest.param("oidc.internal.verification.verify", id="the-claims-are-verified"),
        pytest.param("django.contrib.auth.authenticate", id="the-user-is-found"),
        pytest.param("django.contrib.auth.login", id="the-user-is-logged-in"),
        pytest.param("oidc.models.LoginSession.save", id="the-session-has-a-row"),
    ],
)
def test_a_logout_by_the_op_ends_a_login_that_is_being_finished(
    browser: Browser, op: OP, told: Callable[[str], None], path: str
) -> None:
    callback = op.grant(browser.leave("/page/")["Location"])
    told(path)
    response = browser.come_back(callback)
    assert (response.status_code, browser.refusals[0]["reason"].code) == (403, "logged_out")
    assert 'href="/oidc/authenticate/?next=%2Fpage%2F"' in response.content.decode()
    assert not browser.is_signed_in
    assert not LoginSession.objects.exists()


def test_the_next_login_is_not_held_back(browser: Browser, told: Callable[[str], None]) -> None:
    told("oidc.internal.provider.exchange_code")
    assert [browser.outcome() for _ in range(2)] == ["logged_out", "signed_in"]


def test_a_logout_that_fails_can_be_sent_again(
    browser: Browser, op: OP, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.log_in()
    form, client.raise_request_exception = {"logout_token": op.logout_token()}, False
    with monkeypatch.context() as patch:
        patch.setattr("oidc.internal.session.end", lambda *args, **kwargs: 1 / 0)
        assert client.post(BACK_CHANNEL, form).status_code == 500
    assert client.post(BACK_CHANNEL, form).status_code == 200
    assert not browser.is_signed_in


@pytest.mark.parametrize("path", [BACK_CHANNEL, "/oidc/callback/"])
def test_what_is_written_is_committed_at_once_also_where_requests_are_transactions(path: str) -> None:
    """With ATOMIC_REQUESTS neither side would see the other."""
    assert resolve(path).func._non_atomic_requests == {"default"}


# From the OP, in a frame (Front-Channel Logout 1.0)


@pytest.mark.parametrize(
    ("query", "status", "has_ended"),
    [
        pytest.param({}, 400, False, id="nothing"),
        pytest.param({"iss": "ours"}, 400, False, id="no-sid"),
        pytest.param({"iss": "ours", "sid": ""}, 400, False, id="empty-sid"),
        pytest.param({"iss": "ours", "sid": "\0"}, 400, False, id="sid-is-not-printable"),
        pytest.param({"iss": "https://evil.example", "sid": "s"}, 400, False, id="another-issuer"),
        pytest.param({"iss": "", "sid": "s"}, 400, False, id="empty-issuer"),
        pytest.param({"iss": "ours", "sid": "another"}, 200, False, id="another-session"),
        pytest.param({"iss": "ours", "sid": "s"}, 200, True, id="one-session"),
        pytest.param({"sid": "s"}, 200, True, id="no-issuer-as-from-entra-id"),
    ],
)
def test_front_channel_logout(
    browser: Browser,
    op: OP,
    settings: Any,
    name: Callable[..., Browser],
    query: dict[str, str],
    status: int,
    has_ended: bool,
) -> None:
    """Front-Channel Logout 1.0, section 2. The browser sends no cookie into the frame."""
    settings.OIDC_FRONTCHANNEL_LOGOUT = True
    name(browser, "s")
    parameters = {key: op.issuer if value == "ours" else value for key, value in query.items()}
    response = Browser(op).get(FRONT_CHANNEL, data=parameters)
    assert response.status_code == status
    assert browser.is_signed_in is not has_ended
    assert response["Content-Security-Policy"] == f"default-src 'none'; frame-ancestors {op.issuer}"
    assert "X-Frame-Options" not in response


@pytest.mark.parametrize(("sid", "is_in"), [("s", False), ("another", True)])
def test_a_front_channel_logout_ends_a_login_that_is_being_finished(
    browser: Browser, op: OP, settings: Any, monkeypatch: pytest.MonkeyPatch, sid: str, is_in: bool
) -> None:
    """Anybody can open the URL, so it is noted where it fills no table."""
    settings.OIDC_FRONTCHANNEL_LOGOUT = True
    op.claims["sid"] = "s"
    verify = verification.verify

    def and_log_out(*arguments: Any) -> Any:
        assert Browser(op).get(FRONT_CHANNEL, {"iss": op.issuer, "sid": sid}).status_code == 200
        return verify(*arguments)

    monkeypatch.setattr(verification, "verify", and_log_out)
    assert browser.outcome() == ("signed_in" if is_in else "logged_out")
    assert not SpentToken.objects.exists()
    monkeypatch.undo()
    assert browser.outcome() == "signed_in"


def test_front_channel_logout_is_off_by_default(db: None, client: Client) -> None:
    assert client.get(FRONT_CHANNEL, {"sid": "s"}).status_code == 404

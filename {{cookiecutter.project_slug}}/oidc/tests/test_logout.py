"""Logout, from here and from the OP, and what is left behind: nothing."""

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.management import call_command
from django.db import connection
from django.urls import reverse

from oidc import op_logout, sessions
from oidc.logout import logout_parameters
from oidc.models import LoginSession, SpentToken
from oidc.signals import logged_out_by_op
from oidc.tests.conftest import Browser
from oidc.tests.op import ABSENT, CLIENT, OP, changed, dead

HTTP_ENGINES = ["db", "cached_db", "cache", "file"]


@pytest.fixture
def log_out(op: OP, client) -> Callable[..., int]:
    """Return a function that sends a logout token with `changes` to its claims and returns the HTTP status."""

    def send(header: dict[str, Any] | None = None, **changes: Any) -> int:
        now = int(time.time())
        claims = {
            "iss": op.issuer,
            "aud": CLIENT[0],
            "iat": now,
            "exp": now + 120,
            "jti": f"jti-{time.monotonic()}",
            "sub": "person-1",
            "events": {op_logout.EVENT: {}},
        }
        op.header |= {"typ": "logout+jwt"} | (header or {})
        response = client.post("/oidc/backchannel-logout/", {"logout_token": op.sign(changed(claims, changes))})
        assert "no-store" in response["Cache-Control"]
        return response.status_code

    return send


def test_logout_goes_to_the_op_with_all_it_needs(browser: Browser, op: OP) -> None:
    """RP-Initiated Logout 1.0, section 2."""
    op.metadata["end_session_endpoint"] = f"{op.issuer}/end-session?realm=a"
    browser.log_in()
    id_token = browser.client.session["oidc_id_token"]
    url = urlsplit(browser.client.post("/oidc/logout/")["Location"])
    query = parse_qs(url.query)
    assert len(query.pop("state")[0]) >= 16
    assert query == {
        "realm": ["a"],
        "client_id": [CLIENT[0]],
        "id_token_hint": [id_token],
        "post_logout_redirect_uri": ["http://localhost/"],
    }
    assert not browser.is_signed_in


@pytest.mark.parametrize(
    ("dialect", "query"),
    [
        ("cognito", {"client_id": CLIENT[0], "logout_uri": "https://site/"}),
        ("auth0", {"client_id": CLIENT[0], "returnTo": "https://site/"}),
    ],
)
def test_dialects_of_logout(settings, dialect: str, query: dict) -> None:
    settings.OIDC_RP_CLIENT_ID = CLIENT[0]
    assert logout_parameters(dialect, "https://site/", "token") == query


@pytest.mark.parametrize("fault", ["no endpoint", "down"])
def test_logout_without_the_op_is_local_and_says_so(browser: Browser, op: OP, fault: str) -> None:
    op.metadata["end_session_endpoint"] = ABSENT
    browser.log_in()
    if fault == "down":
        op.faults = dict.fromkeys(op.answers, dead)
    response = browser.client.post("/oidc/logout/", follow=True)
    assert "goes on" in response.content.decode()
    assert not browser.is_signed_in
    assert not LoginSession.objects.exists()


def test_the_op_ends_the_sessions_of_a_person(browser: Browser, op: OP, log_out, caplog) -> None:
    op.claims["sid"] = "sid-1"
    browser.log_in()
    second, other = Browser(op), Browser(op)
    second.log_in()
    op.claims |= {"sub": "person-2"}
    op.userinfo["sub"] = "person-2"
    other.log_in()
    with caplog.at_level("INFO"):
        assert log_out() == 200
    assert [each.is_signed_in for each in (browser, second, other)] == [False, False, True]
    assert f"logout by the OP sessions=2 subject=person-1 issuer={op.issuer}" in caplog.text


def test_a_receiver_hears_of_a_logout_by_the_op(browser: Browser, log_out) -> None:
    heard = []

    def note(sender: type, **details: Any) -> None:
        heard.append((details["subject"], details["sid"], details["sessions"]))

    browser.log_in()
    logged_out_by_op.connect(note)
    log_out()
    logged_out_by_op.disconnect(note)
    assert heard == [("person-1", "", 1)]


@pytest.mark.parametrize("named", [{"sid": "sid-1", "sub": ABSENT}, {"sid": "sid-1"}])
def test_the_op_ends_one_session(browser: Browser, op: OP, log_out, named: dict) -> None:
    op.claims["sid"] = "sid-1"
    browser.log_in()
    op.claims["sid"] = "sid-2"
    second = Browser(op)
    second.log_in()
    assert log_out(**named) == 200
    assert [browser.is_signed_in, second.is_signed_in] == [False, True]


@pytest.mark.parametrize("engine", HTTP_ENGINES)
def test_every_session_engine_but_cookies_obeys(browser: Browser, log_out, settings, tmp_path, engine: str) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    browser.client.handler.load_middleware()
    browser.log_in()
    key = browser.client.cookies["sessionid"].value
    assert log_out() == 200
    assert not import_module(settings.SESSION_ENGINE).SessionStore().exists(key)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"iss": "https://evil.example"}, id="issuer"),
        pytest.param({"aud": "another-client"}, id="audience"),
        pytest.param({"aud": [CLIENT[0], "another-client"]}, id="audience-beside"),
        pytest.param({"iat": ABSENT}, id="no-iat"),
        pytest.param({"iat": 4e9}, id="iat-in-the-future"),
        pytest.param({"exp": ABSENT}, id="no-exp"),
        pytest.param({"exp": 1}, id="expired"),
        pytest.param({"events": ABSENT}, id="no-events"),
        pytest.param({"events": {"http://schemas.openid.net/event/other": {}}}, id="another-event"),
        pytest.param({"events": {op_logout.EVENT: 1}}, id="event-is-no-object"),
        pytest.param({"nonce": "n"}, id="nonce"),
        pytest.param({"sub": ABSENT}, id="nobody"),
        pytest.param({"sub": 7}, id="sub-is-no-text"),
        pytest.param({"sub": ""}, id="sub-is-empty"),
        pytest.param({"sid": ["sid-1"]}, id="sid-is-no-text"),
        pytest.param({"sid": "a\0"}, id="sid-is-not-printable"),
        pytest.param({"sid": "s" * 256}, id="sid-is-too-long"),
        pytest.param({"jti": ABSENT}, id="no-jti"),
        pytest.param({"jti": {}}, id="jti-is-no-text"),
        pytest.param({"header": {"typ": "at+jwt"}}, id="typ"),
        pytest.param({"header": {"kid": "unknown"}}, id="kid"),
    ],
)
def test_a_logout_token_that_breaks_a_rule_is_refused(browser: Browser, log_out, changes: dict) -> None:
    """Back-Channel Logout 1.0, section 2.6."""
    browser.log_in()
    assert log_out(**changes) == 400
    assert browser.is_signed_in


def test_an_id_token_is_no_logout_token(browser: Browser, client) -> None:
    browser.log_in()
    id_token = browser.client.session["oidc_id_token"]
    assert client.post("/oidc/backchannel-logout/", {"logout_token": id_token}).status_code == 400


def test_a_session_whose_name_the_op_did_not_say_ends_with_any_of_its_person(browser: Browser, log_out) -> None:
    browser.log_in()
    assert log_out(sid="sid-1") == 200
    assert not browser.is_signed_in


@pytest.mark.parametrize("sid", ["a\0", "s" * 256, 7, ""])
def test_a_session_without_a_name_that_can_be_kept_ends_with_its_person(
    browser: Browser, op: OP, log_out, sid: object
) -> None:
    op.claims["sid"] = sid
    browser.log_in()
    assert log_out(exp=2**52) == 200
    assert not browser.is_signed_in


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"typ": "LOGOUT+JWT"}])
def test_types_that_ops_write_are_taken(browser: Browser, log_out, header: dict) -> None:
    browser.log_in()
    assert log_out(header) == 200


def test_a_logout_token_is_obeyed_once(browser: Browser, log_out) -> None:
    assert log_out(jti="once") == 200
    browser.log_in()
    assert log_out(jti="once") == 400
    assert browser.is_signed_in


@pytest.mark.parametrize("body", [{}, {"logout_token": ""}, {"logout_token": ["a", "b"]}, {"logout_token": "a.b.c"}])
def test_requests_without_one_good_token_get_400(db, client, op: OP, body: dict) -> None:
    response = client.post("/oidc/backchannel-logout/", body)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_the_back_channel_is_for_post(client) -> None:
    assert client.get("/oidc/backchannel-logout/").status_code == 405


def test_ending_a_session_takes_three_queries_however_many_there_are(db, django_assert_num_queries, op: OP) -> None:
    rows = (LoginSession(session_key=f"session-{i}", issuer=op.issuer, subject="s", sid=f"{i}") for i in range(2000))
    LoginSession.objects.bulk_create(rows)
    with django_assert_num_queries(3):
        assert sessions.end(op.issuer, sid="77") == 1


@pytest.mark.skipif(connection.vendor != "sqlite", reason="other databases may read a small table as a whole")
@pytest.mark.parametrize("named", [{"sid": "1"}, {"subject": "1"}])
def test_ending_sessions_looks_at_an_index(db, named: dict) -> None:
    plan = LoginSession.objects.filter(issuer="https://op.example.org", **named).explain()
    assert f"oidc_session_{next(iter(named))}" in plan


@pytest.mark.parametrize(
    ("query", "status", "ended"),
    [
        ({}, 400, False),
        ({"sid": "\0"}, 400, False),
        ({"iss": "https://evil.example", "sid": "s"}, 400, False),
        ({"sid": "s"}, 200, True),
        ({"iss": None, "sid": "s"}, 200, True),
    ],
)
def test_front_channel_logout(browser: Browser, op: OP, settings, query: dict, status: int, ended: bool) -> None:
    settings.OIDC_FRONTCHANNEL_LOGOUT = True
    op.claims["sid"] = "s"
    browser.log_in()
    parameters = {"iss": op.issuer, **query} if query else {}
    parameters = {name: value for name, value in parameters.items() if value is not None}
    response = Browser(op).client.get("/oidc/frontchannel-logout/", parameters)
    assert response.status_code == status
    assert browser.is_signed_in is not ended
    if ended:
        assert response["Content-Security-Policy"] == f"default-src 'none'; frame-ancestors {op.issuer}"
        assert "X-Frame-Options" not in response


def test_front_channel_logout_is_off_by_default(db, client) -> None:
    assert client.get("/oidc/frontchannel-logout/").status_code == 404


def test_clean_up_forgets_what_is_over(browser: Browser, op: OP, log_out, capsys) -> None:
    browser.log_in()
    over = Browser(op)
    over.log_in()
    over.client.session.flush()
    log_out(sub="nobody", exp=int(time.time()) + 1)
    SpentToken.objects.update(expires="2020-01-01T00:00:00Z")
    call_command("clean_up")
    assert [row.session_key for row in LoginSession.objects.all()] == [browser.client.session.session_key]
    assert "2 notes of sessions" in capsys.readouterr().out


def test_a_third_party_can_start_a_login(browser: Browser, op: OP) -> None:
    """Core 4."""
    query = {"iss": op.issuer, "target_link_uri": "http://localhost/profile/", "login_hint": "kim"}
    leaving = browser.client.get(reverse("oidc_initiate"), query)
    assert parse_qs(urlsplit(leaving["Location"]).query)["login_hint"] == ["kim"]
    assert browser.come_back(op.grant(leaving["Location"]))["Location"] == "http://localhost/profile/"


def test_a_third_party_can_post_too(browser: Browser, op: OP) -> None:
    assert browser.client.post(reverse("oidc_initiate"), {"iss": op.issuer}).status_code == 302


@pytest.mark.parametrize("issuer", ["", "https://evil.example"])
def test_a_third_party_cannot_choose_another_op(browser: Browser, issuer: str) -> None:
    assert browser.client.get(reverse("oidc_initiate"), {"iss": issuer}).status_code == 400


def test_a_third_party_cannot_choose_a_page_elsewhere(browser: Browser, op: OP) -> None:
    query = {"iss": op.issuer, "target_link_uri": "https://evil.example/"}
    leaving = browser.client.get(reverse("oidc_initiate"), query)
    assert browser.come_back(op.grant(leaving["Location"]))["Location"] == "/"


def test_a_third_party_cannot_switch_the_person_who_is_signed_in(browser: Browser, op: OP) -> None:
    browser.log_in()
    query = {"iss": op.issuer, "target_link_uri": "/profile/"}
    assert browser.client.get(reverse("oidc_initiate"), query)["Location"] == "/profile/"

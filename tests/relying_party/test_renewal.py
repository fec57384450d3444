"""Renewal of sessions: what each kind of request gets when a session is due, and what the OP's word does to it."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.base import UpdateError
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from oidc import errors
from oidc.errors import LoginError
from oidc.internal import provider, session, transport
from oidc.internal.verification import Login
from oidc.models import LoginSession
from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, OP, dead, responds

PAGE = "/page/?tab=2"
RENEWAL_SECONDS, GRACE_SECONDS, MAX_SECONDS = 900, 600, 3600

NAVIGATION = {"Sec-Fetch-Mode": "navigate"}
FORM = NAVIGATION | {"Referer": f"http://localhost{PAGE}"}
SCRIPT = {"Sec-Fetch-Mode": "cors"}
HTMX = {"HX-Request": "true", "HX-Current-URL": f"http://localhost{PAGE}", "Sec-Fetch-Mode": "cors"}

# Who asks: what they get while the session is due, the same with the OP down, and when the session is overdue
# (beyond the grace period) or closed (the OP has said no), the same with the OP down, and beyond its maximum age.
TABLE = {
    ("GET", "page"): ("round trip", "passes", "round trip", "503", "log in"),
    ("POST", "form"): ("passes", "passes", "401", "401", "401"),
    ("GET", "script"): ("401", "passes", "401", "401", "401"),
    ("POST", "script"): ("passes", "passes", "401", "401", "401"),
    ("PUT", "script"): ("passes", "passes", "401", "401", "401"),
    ("GET", "htmx"): ("htmx logs in", "passes", "htmx logs in", "htmx logs in", "htmx logs in"),
    ("POST", "htmx"): ("passes", "passes", "401", "401", "401"),
    ("DELETE", "htmx"): ("passes", "passes", "401", "401", "401"),
    ("HEAD", "page"): ("passes", "passes", "401", "401", "log in"),
    ("OPTIONS", "script"): ("passes", "passes", "401", "401", "log in"),
    ("GET", "prefetch"): ("passes", "passes", "401", "401", "log in"),
}
HEADERS = {
    "page": NAVIGATION,
    "form": FORM,
    "script": SCRIPT,
    "htmx": HTMX,
    "prefetch": {"Sec-Purpose": "prefetch;prerender"},
}
KINDS = pytest.mark.parametrize(("method", "kind"), TABLE)


@pytest.fixture(autouse=True)
def times(settings: Any) -> None:
    settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = RENEWAL_SECONDS
    settings.OIDC_RENEWAL_GRACE_SECONDS = GRACE_SECONDS
    settings.OIDC_SESSION_MAX_SECONDS = MAX_SECONDS


@pytest.fixture
def due(browser: Browser) -> Browser:
    """A signed-in browser whose session is due, within the grace period."""
    browser.log_in()
    browser.age(RENEWAL_SECONDS + 1)
    return browser


@pytest.fixture
def overdue(due: Browser) -> Browser:
    """A signed-in browser whose session is due, beyond the grace period."""
    due.age(GRACE_SECONDS)
    return due


@pytest.fixture
def closed(due: Browser) -> Browser:
    """A signed-in browser whose session is due, within the grace period, and has been closed."""
    store = due.client.session
    session.close(store)
    due.client.cookies["sessionid"] = store.session_key
    return due


@pytest.fixture
def refreshing(settings: Any, browser: Browser) -> Browser:
    """A signed-in browser whose session is due and has a refresh token."""
    settings.OIDC_RENEWAL = "refresh_token"
    browser.log_in()
    browser.age(RENEWAL_SECONDS + 1)
    return browser


def take_down(op: OP) -> None:
    """Let nothing come from the OP any more, and its latest response be too long ago to rely on."""
    op.faults = dict.fromkeys(op.endpoints, dead)
    transport.forget_breakers()


def ask(browser: Browser, method: str, kind: str) -> Any:
    return browser.client.generic(method, PAGE, headers=HEADERS[kind])


def outcome(response: Any) -> str:
    """Return what a request got, in the words of `TABLE`."""
    if "HX-Redirect" in response:
        return "htmx logs in"
    if response.status_code == 302:
        return "round trip" if "prompt=none" in response["Location"] else "log in"
    return "passes" if response.status_code == 200 else str(response.status_code)


def refreshes(op: OP) -> int:
    return len([asked for asked in op.asked("/token") if asked.form.get("grant_type") == "refresh_token"])


# The table: kinds of requests x time


@KINDS
def test_before_it_is_due_everything_passes(browser: Browser, op: OP, method: str, kind: str) -> None:
    browser.log_in()
    browser.age(RENEWAL_SECONDS - 10)
    asked = len(op.requests)
    assert outcome(ask(browser, method, kind)) == "passes"
    assert len(op.requests) == asked


@KINDS
def test_when_it_is_due(due: Browser, method: str, kind: str) -> None:
    assert outcome(ask(due, method, kind)) == TABLE[method, kind][0]


@KINDS
def test_when_it_is_due_and_the_op_is_down(due: Browser, op: OP, method: str, kind: str) -> None:
    take_down(op)
    assert outcome(ask(due, method, kind)) == TABLE[method, kind][1]


@KINDS
def test_after_the_grace_period(overdue: Browser, method: str, kind: str) -> None:
    assert outcome(ask(overdue, method, kind)) == TABLE[method, kind][2]


@KINDS
def test_after_the_op_has_said_no(closed: Browser, method: str, kind: str) -> None:
    assert outcome(ask(closed, method, kind)) == TABLE[method, kind][2]


@KINDS
def test_after_the_grace_period_while_the_op_is_down(overdue: Browser, op: OP, method: str, kind: str) -> None:
    take_down(op)
    assert outcome(ask(overdue, method, kind)) == TABLE[method, kind][3]


@KINDS
def test_after_the_op_has_said_no_and_gone_down(closed: Browser, op: OP, method: str, kind: str) -> None:
    take_down(op)
    assert outcome(ask(closed, method, kind)) == TABLE[method, kind][3]


@KINDS
def test_beyond_the_maximum_age(browser: Browser, op: OP, method: str, kind: str) -> None:
    browser.log_in()
    browser.age(MAX_SECONDS + 1)
    asked = len(op.requests)
    assert outcome(ask(browser, method, kind)) == TABLE[method, kind][4]
    assert not browser.is_signed_in
    assert len(op.requests) == asked


@KINDS
def test_with_a_refresh_token_the_op_is_asked_in_the_background(
    refreshing: Browser, op: OP, method: str, kind: str
) -> None:
    assert outcome(ask(refreshing, method, kind)) == "passes"
    nobody_waits = method in ("HEAD", "OPTIONS") or kind == "prefetch"
    assert refreshes(op) == (0 if nobody_waits else 1)


# What each gets, in detail


@pytest.mark.parametrize("headers", [SCRIPT, {"X-Requested-With": "XMLHttpRequest"}, {"Accept": "application/json"}])
def test_a_script_is_told_where_to_log_in(due: Browser, headers: dict[str, str]) -> None:
    response = due.get(PAGE, headers=headers)
    assert (response.status_code, response.json()) == (401, {"login_url": "/oidc/authenticate/"})


def test_htmx_goes_to_the_login_and_back_to_its_page(due: Browser) -> None:
    response = due.get("/api/", headers=HTMX)
    assert response["HX-Redirect"] == "/oidc/authenticate/?next=%2Fpage%2F%3Ftab%3D2"


def test_htmx_that_came_too_late_keeps_its_page(overdue: Browser) -> None:
    response = overdue.post(PAGE, headers=HTMX)
    assert (response["HX-Reswap"], response.get("HX-Redirect")) == ("none", None)


def test_a_form_that_came_too_late_leads_back_to_its_page(overdue: Browser) -> None:
    page = overdue.post("/elsewhere/", headers=FORM).content.decode()
    assert 'href="/oidc/authenticate/?next=%2Fpage%2F%3Ftab%3D2"' in page
    assert "go back" in page


@pytest.mark.parametrize(("method", "kind"), [("HEAD", "page"), ("GET", "prefetch")])
def test_a_header_that_anybody_can_send_opens_nothing(overdue: Browser, method: str, kind: str) -> None:
    response = ask(overdue, method, kind)
    assert (response.status_code, response.content) == (401, b"")


def test_a_page_for_everybody_is_shown_beyond_the_maximum_age(browser: Browser) -> None:
    browser.log_in()
    browser.age(MAX_SECONDS + 1)
    assert browser.get("/").content == b"user None"


def test_logging_out_needs_no_renewal(overdue: Browser) -> None:
    assert overdue.post("/oidc/logout/").status_code == 302
    assert not overdue.is_signed_in


# The silent round trip


def test_a_page_makes_a_silent_round_trip_and_comes_back(
    due: Browser, op: OP, caplog: pytest.LogCaptureFixture
) -> None:
    key = due.client.session.session_key
    leaving = due.get(PAGE)
    with caplog.at_level(logging.INFO, "oidc"):
        assert due.come_back(op.grant(leaving["Location"]))["Location"] == PAGE
    assert caplog.messages == [f"login renewed user={due.user.pk} issuer={op.issuer}"]
    assert due.get(PAGE).status_code == 200
    assert due.client.session.session_key == key
    assert due.client.session[session.EXPIRES_AT] > time.time() + RENEWAL_SECONDS - 10


def test_a_round_trip_comes_back_as_a_query(settings: Any, due: Browser, op: OP) -> None:
    """With a form from the OP's site the browser would not send the session cookie (SameSite=Lax)."""
    settings.OIDC_RESPONSE_MODE = "form_post"
    leaving = due.get(PAGE)["Location"]
    assert "response_mode" not in parse_qs(urlsplit(leaving).query)
    assert due.come_back(op.grant(leaving))["Location"] == PAGE


@pytest.mark.parametrize(
    "error", ["login_required", "interaction_required", "consent_required", "account_selection_required"]
)
def test_an_op_that_wants_to_see_the_person_gets_an_interactive_login(due: Browser, op: OP, error: str) -> None:
    state = op.grant(due.get(PAGE)["Location"])["state"]
    again = due.come_back({"error": error, "state": state, "iss": op.issuer})
    assert "prompt" not in parse_qs(urlsplit(again["Location"]).query)
    assert due.come_back(op.grant(again["Location"]))["Location"] == PAGE


def test_the_person_is_asked_once(due: Browser, op: OP) -> None:
    state = op.grant(due.get(PAGE)["Location"])["state"]
    again = due.come_back({"error": "login_required", "state": state, "iss": op.issuer})["Location"]
    refused = due.come_back(op.grant(again) | {"error": "login_required"})
    assert refused.status_code == errors.LOGIN_REQUIRED.status


def test_a_person_who_is_refused_is_signed_out(due: Browser, op: OP) -> None:
    state = op.grant(due.get(PAGE)["Location"])["state"]
    assert due.come_back({"error": "access_denied", "state": state, "iss": op.issuer}).status_code == 403
    assert not due.is_signed_in
    assert not LoginSession.objects.exists()


def test_a_person_whom_the_policy_refuses_is_signed_out(due: Browser, op: OP, monkeypatch: pytest.MonkeyPatch) -> None:
    callback = op.grant(due.get(PAGE)["Location"])
    monkeypatch.setattr("oidc.backends.OIDCAuthenticationBackend.verify_claims", lambda self, claims: False)
    assert due.come_back(callback).status_code == 403
    assert not due.is_signed_in


def test_an_identity_that_breaks_a_rule_renews_nothing_and_ends_nothing(due: Browser, op: OP) -> None:
    """Anybody can bring about such a response, so it must not sign anybody out either."""
    expiry = due.client.session[session.EXPIRES_AT]
    callback = op.grant(due.get(PAGE)["Location"])
    op.claims["nonce"] = "of another login"
    assert due.come_back(callback).status_code == 403
    assert due.client.session[session.EXPIRES_AT] == expiry
    assert due.is_signed_in


def test_a_renewal_that_was_under_way_does_not_undo_a_logout(due: Browser, op: OP) -> None:
    callback = op.grant(due.get(PAGE)["Location"])
    due.post("/oidc/logout/")
    assert due.come_back(callback)["Location"] == PAGE
    assert not due.is_signed_in
    assert len(op.asked("/token")) == 1


def test_another_person_at_the_op_begins_a_session_of_their_own(due: Browser, op: OP) -> None:
    key, began, first = due.client.session.session_key, due.client.session[session.BEGAN_AT], due.user
    due.visit_op(due.get(PAGE)["Location"].replace("prompt=none", ""), {"sub": "person-2"})
    due.come_back(op.grant(due.get(PAGE)["Location"], "person-2"))
    assert due.user != first
    assert due.client.session.session_key != key
    assert due.client.session[session.BEGAN_AT] > began + RENEWAL_SECONDS
    assert [row.subject for row in LoginSession.objects.all()] == ["person-2"]


def test_renewals_do_not_make_a_session_younger(due: Browser, op: OP) -> None:
    due.come_back(op.grant(due.get(PAGE)["Location"]))
    due.age(MAX_SECONDS - RENEWAL_SECONDS)
    assert due.get(PAGE, headers=SCRIPT).status_code == 401
    assert not due.is_signed_in


# While the OP is down


def test_while_the_op_is_down_no_request_waits_for_it(due: Browser, op: OP) -> None:
    take_down(op)
    due.get(PAGE)
    started = time.monotonic()
    for headers in (NAVIGATION, SCRIPT, HTMX, FORM):
        assert due.get(PAGE, headers=headers).status_code == 200
    assert time.monotonic() - started < 2


def test_a_person_is_not_sent_to_a_gateway_that_says_that_the_op_is_down(due: Browser, op: OP) -> None:
    op.faults = dict.fromkeys(op.endpoints, responds(b"<p>Bad Gateway", "text/html", status=502))
    transport.forget_breakers()
    assert due.get(PAGE).status_code == 200


def test_after_the_grace_period_the_page_says_that_the_op_is_down(overdue: Browser, op: OP) -> None:
    take_down(op)
    page = unescape(overdue.get(PAGE).content.decode())
    assert str(errors.OP_UNREACHABLE.explanation) in page
    assert 'href="/oidc/authenticate/?next=%2Fpage%2F%3Ftab%3D2"' in page


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(dead, id="down"),
        pytest.param(responds({"error": "temporarily_unavailable"}, status=503), id="a-problem-of-its-own"),
        pytest.param(responds({"error": "invalid_client"}, status=401), id="does-not-know-the-site"),
        pytest.param(responds(b"<html>", "text/html", 500), id="an-error-page"),
    ],
)
def test_an_op_that_fails_during_the_round_trip_postpones_the_renewal(
    due: Browser, op: OP, fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    callback = op.grant(due.get(PAGE)["Location"])
    op.faults["/token"] = fault
    assert due.come_back(callback)["Location"] == PAGE
    assert due.get(PAGE).status_code == 200
    assert len([asked for asked in op.asked("/token") if asked.form]) == 2
    (line,) = [message for message in caplog.messages if message.startswith("renewal failed reason=")]
    assert f"endpoint={op.issuer}/token op_error=" in line
    assert next(reason.hint for reason in errors.REASONS if f"reason={reason.code} " in line) in line


@pytest.mark.parametrize("error", ["temporarily_unavailable", "server_error", "invalid_scope"])
def test_an_op_that_cannot_say_anything_postpones_the_renewal(due: Browser, op: OP, error: str) -> None:
    state = op.grant(due.get(PAGE)["Location"])["state"]
    assert due.come_back({"error": error, "state": state, "iss": op.issuer})["Location"] == PAGE
    assert due.get(PAGE).status_code == 200


def test_nothing_is_postponed_beyond_the_grace_period(overdue: Browser, op: OP) -> None:
    callback = op.grant(overdue.get(PAGE)["Location"])
    op.faults["/token"] = dead
    assert overdue.come_back(callback).status_code == 503
    assert overdue.post(PAGE, headers=FORM).status_code == 401


def test_an_op_that_responds_strangely_is_not_down(due: Browser, op: OP) -> None:
    op.faults["/.well-known/openid-configuration"] = responds(b"moved", status=302, Location="/elsewhere")
    assert outcome(due.get(PAGE)) == "round trip"


# The OP's no is final


@pytest.fixture
def refused_silently(due: Browser, op: OP) -> str:
    """Where the browser is sent after the OP has ended the person's session and said login_required."""
    op.end_sessions("person-1")
    return due.come_back(op.grant(due.get(PAGE)["Location"]))["Location"]


@pytest.fixture
def refused_in_the_background(refreshing: Browser, op: OP) -> Any:
    """What a form gets after the OP has ended the person's session and said invalid_grant."""
    op.end_sessions("person-1")
    return refreshing.post(PAGE, headers=FORM)


def test_after_login_required_the_session_is_closed_within_the_grace_period(
    due: Browser, refused_silently: str
) -> None:
    assert due.post(PAGE, headers=FORM).status_code == 401
    assert due.post(PAGE, headers=SCRIPT).status_code == 401
    assert due.get(PAGE, headers=SCRIPT).status_code == 401
    assert due.client.head(PAGE).status_code == 401
    assert outcome(due.get(PAGE)) == "round trip"


def test_after_invalid_grant_the_session_is_closed_within_the_grace_period(
    refreshing: Browser, refused_in_the_background: Any
) -> None:
    assert refused_in_the_background.status_code == 401
    assert refreshing.post(PAGE, headers=SCRIPT).status_code == 401
    assert refreshing.get(PAGE, headers=SCRIPT).status_code == 401
    assert refreshing.client.head(PAGE).status_code == 401
    assert outcome(refreshing.get(PAGE)) == "round trip"


def test_a_refresh_token_that_was_refused_is_not_tried_again(
    refreshing: Browser, op: OP, refused_in_the_background: Any
) -> None:
    refreshing.post(PAGE, headers=FORM)
    assert refreshes(op) == 1
    assert LoginSession.objects.get().refresh_token == ""


def test_a_login_of_the_person_opens_the_session_again(due: Browser, op: OP, refused_silently: str) -> None:
    assert due.come_back(op.grant(refused_silently))["Location"] == PAGE
    assert due.post(PAGE, headers=FORM).status_code == 200
    assert due.get(PAGE, headers=SCRIPT).status_code == 200


def test_a_silent_yes_of_the_op_opens_the_session_again(due: Browser, op: OP, refused_silently: str) -> None:
    op.grant(refused_silently)  # logs in at the OP, and never comes back from there
    assert due.come_back(op.grant(due.get(PAGE)["Location"]))["Location"] == PAGE
    assert due.post(PAGE, headers=FORM).status_code == 200


def test_after_invalid_grant_a_round_trip_brings_the_next_refresh_token(
    refreshing: Browser, op: OP, refused_in_the_background: Any
) -> None:
    leaving = refreshing.get(PAGE)["Location"]
    refreshing.visit_op(leaving.replace("prompt=none", ""), "person-1")
    refreshing.come_back(op.grant(leaving))
    assert refreshing.post(PAGE, headers=FORM).status_code == 200
    assert LoginSession.objects.get().refresh_token


def test_an_outage_does_not_open_a_closed_session(due: Browser, op: OP, refused_silently: str) -> None:
    state = op.grant(due.get(PAGE)["Location"])["state"]
    take_down(op)
    assert due.come_back({"code": "any", "state": state, "iss": op.issuer}).status_code == 503
    transport.forget_breakers()  # a while passes
    assert due.get(PAGE).status_code == 503
    assert due.post(PAGE, headers=FORM).status_code == 401


def test_a_person_who_turns_back_at_the_op_is_out_and_can_go_on_without_a_login(
    due: Browser, op: OP, refused_silently: str
) -> None:
    callback = op.grant(refused_silently)
    due.come_back({"error": "access_denied", "state": callback["state"], "iss": op.issuer})
    assert not due.is_signed_in
    assert due.get("/").status_code == 200


def test_a_session_that_is_closed_stays_closed_where_renewal_is_off(settings: Any, closed: Browser) -> None:
    settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = 0
    assert closed.post(PAGE, headers=FORM).status_code == 401


def test_a_request_under_way_does_not_undo_it(due: Browser, op: OP) -> None:
    """It has read the session before the OP said no, and writes it afterwards."""
    stale = due.client.session
    stale["of the site"] = 1
    op.end_sessions("person-1")
    due.come_back(op.grant(due.get(PAGE)["Location"]))
    with pytest.raises(UpdateError):
        stale.save()
    assert due.post(PAGE, headers=FORM).status_code == 401


def test_a_renewal_under_way_does_not_undo_it(due: Browser, op: OP) -> None:
    """The OP has said yes a moment before it said no, and the yes is written later."""
    stale = HttpRequest()
    stale.session, stale.user = due.client.session, due.user
    assert stale.session[session.EXPIRES_AT]  # read
    op.end_sessions("person-1")
    due.come_back(op.grant(due.get(PAGE)["Location"]))
    with pytest.raises(LoginError, match="logged_out"):
        session.extend(stale, Login({"iss": op.issuer, "sub": "person-1"}))
    assert due.post(PAGE, headers=FORM).status_code == 401


def test_a_session_that_was_closed_is_still_ended_by_the_op(due: Browser, op: OP, refused_silently: str) -> None:
    due.post("/oidc/backchannel-logout/", {"logout_token": op.logout_token()})
    assert not due.is_signed_in


def test_a_session_is_closed_even_if_the_page_then_fails(
    refreshing: Browser, op: OP, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django does not save a session with a response of 5xx."""
    op.end_sessions("person-1")
    former = refreshing.client.session
    monkeypatch.setattr("oidc.internal.discovery.op_is_reachable", lambda: False)
    assert refreshing.get(PAGE).status_code == 503
    assert not former.exists(former.session_key)


# Refresh tokens


def test_a_refresh_token_renews_without_a_redirect(
    refreshing: Browser, op: OP, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "oidc"):
        assert refreshing.get(PAGE).status_code == 200
    assert caplog.messages == [f"login renewed user={refreshing.user.pk} issuer={op.issuer}"]
    assert refreshing.client.session[session.EXPIRES_AT] > time.time() + RENEWAL_SECONDS - 10


def test_a_rotated_refresh_token_is_the_next_one(refreshing: Browser, op: OP, settings: Any) -> None:
    settings.OIDC_SESSION_MAX_SECONDS = 0
    seen = {LoginSession.objects.get().refresh_token}
    for _ in range(3):
        refreshing.age(RENEWAL_SECONDS + 1)
        LoginSession.objects.update(paused_until=None)
        assert refreshing.get(PAGE).status_code == 200
        seen.add(LoginSession.objects.get().refresh_token)
    assert refreshes(op) == 3
    assert len(seen) == 4


def test_an_op_that_does_not_rotate_lets_the_refresh_token_stay(refreshing: Browser, op: OP) -> None:
    before = LoginSession.objects.get().refresh_token
    op.token_response["refresh_token"] = ABSENT
    assert refreshing.get(PAGE).status_code == 200
    assert LoginSession.objects.get().refresh_token == before


def test_refresh_tokens_are_stored_encrypted(refreshing: Browser, op: OP) -> None:
    (token,) = [text for kind, text in list(op.grants)[-3:] if kind == "refresh_token"]
    stored = LoginSession.objects.get().refresh_token
    assert stored
    assert token not in stored + str(dict(refreshing.client.session))
    assert session.decrypt(stored) == token


def test_without_that_setting_refresh_tokens_are_not_stored(due: Browser) -> None:
    assert LoginSession.objects.get().refresh_token == ""


def test_requests_that_follow_at_once_do_not_refresh_again(refreshing: Browser, op: OP) -> None:
    refreshing.get(PAGE)
    refreshing.age(RENEWAL_SECONDS + 1)
    assert refreshing.get(PAGE).status_code == 200
    assert refreshes(op) == 1


def test_the_claims_that_come_with_it_reach_the_user(refreshing: Browser, op: OP) -> None:
    op.userinfo["email"] = "new@example.org"
    refreshing.get(PAGE)
    assert get_user_model().objects.get().email == "new@example.org"


def test_a_refreshed_response_without_an_id_token_is_judged_by_userinfo(refreshing: Browser, op: OP) -> None:
    op.token_response["id_token"] = ABSENT
    assert refreshing.get(PAGE).status_code == 200
    assert len(op.asked("/userinfo")) == 2


@pytest.mark.parametrize(
    ("id_token", "userinfo"),
    [
        pytest.param({"sub": "person-2"}, {}, id="another-person"),
        pytest.param({"iss": "https://evil.example"}, {}, id="another-issuer"),
        pytest.param({"aud": "another-client"}, {}, id="another-client"),
        pytest.param({"auth_time": 1}, {}, id="another-time-of-login"),
        pytest.param({"nonce": "of another login"}, {}, id="another-nonce"),
        pytest.param({"exp": 1}, {}, id="expired"),
        pytest.param({}, {"sub": "person-2"}, id="userinfo-of-another-person"),
    ],
)
def test_a_refreshed_identity_that_breaks_a_rule_ends_the_session(
    refreshing: Browser, op: OP, id_token: dict[str, Any], userinfo: dict[str, Any]
) -> None:
    """Core 12.2. It comes straight from the OP, so nobody else can have brought it about."""
    op.claims |= id_token
    op.userinfo |= userinfo
    assert refreshing.get(PAGE, headers=SCRIPT).status_code == 401
    assert not refreshing.is_signed_in


@pytest.mark.parametrize(
    ("method", "returned"),
    [("verify_claims", lambda self, claims: False), ("filter_users_by_claims", lambda self, claims: others())],
    ids=["may-not-use-the-site", "is-another-user"],
)
def test_a_person_whom_the_policy_refuses_at_a_refresh_is_signed_out(
    refreshing: Browser, monkeypatch: pytest.MonkeyPatch, method: str, returned: Callable[..., Any]
) -> None:
    get_user_model().objects.create_user("other")
    monkeypatch.setattr(f"oidc.backends.OIDCAuthenticationBackend.{method}", returned)
    assert refreshing.get(PAGE)["Location"].startswith("/oidc/authenticate/?next=")
    assert not refreshing.is_signed_in


def others() -> list[Any]:
    return list(get_user_model().objects.filter(username="other"))


def test_a_user_who_is_deactivated_is_out_at_once(refreshing: Browser, op: OP) -> None:
    get_user_model().objects.update(is_active=False)
    assert refreshing.get(PAGE)["Location"].startswith("/oidc/authenticate/?next=")
    assert refreshes(op) == 0


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(dead, id="down"),
        pytest.param(responds({"error": "invalid_client"}, status=401), id="does-not-know-the-site"),
        pytest.param(responds({"error": "temporarily_unavailable"}, status=400), id="a-problem-of-its-own"),
        pytest.param(responds(b"<html>", "text/html", 500), id="an-error-page"),
    ],
)
def test_an_op_that_cannot_say_anything_ends_no_session(refreshing: Browser, op: OP, fault: Any) -> None:
    op.faults["/token"] = fault
    for headers in (NAVIGATION, SCRIPT, FORM):
        assert refreshing.get(PAGE, headers=headers).status_code == 200
    assert refreshes(op) == 1
    row = LoginSession.objects.get()
    assert row.refresh_token
    assert row.paused_until - timezone.now() <= timedelta(seconds=30)


def test_a_refresh_is_tried_again_after_half_a_minute(refreshing: Browser, op: OP) -> None:
    op.faults["/token"] = dead
    refreshing.get(PAGE)
    del op.faults["/token"]
    LoginSession.objects.update(paused_until=None)
    transport.forget_breakers()
    assert refreshing.get(PAGE).status_code == 200
    assert refreshes(op) == 2


def test_a_request_that_read_the_session_just_before_it_was_renewed_goes_on(refreshing: Browser, op: OP) -> None:
    refreshing.age(GRACE_SECONDS)
    original = session.claim_refresh_token

    def let_another_renew(made: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session, "claim_refresh_token", original)
            assert refreshing.get(PAGE).status_code == 200
        return original(made)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "claim_refresh_token", let_another_renew)
        assert refreshing.post(PAGE, headers=SCRIPT).status_code == 200
    assert refreshes(op) == 1


def test_a_session_that_ends_while_the_op_is_asked_is_not_an_error(refreshing: Browser, op: OP) -> None:
    original = provider.refresh

    def end_session(token: str) -> Any:
        session.end(op.issuer, subject="person-1")
        return original(token)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provider, "refresh", end_session)
        assert refreshing.post(PAGE, headers=SCRIPT).status_code == 401
    assert not refreshing.is_signed_in


def test_a_session_that_ends_while_it_is_refreshed_is_not_an_error(refreshing: Browser, op: OP) -> None:
    def end_after_lease(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        result = execute(sql, *args)
        if sql.startswith("UPDATE") and "paused_until" in sql:
            LoginSession.objects.all().delete()
        return result

    with connection.execute_wrapper(end_after_lease):
        assert refreshing.get(PAGE).status_code == 302
    assert refreshes(op) == 0


def test_without_a_refresh_token_the_browser_makes_the_round_trip(browser: Browser, op: OP, settings: Any) -> None:
    settings.OIDC_RENEWAL = "refresh_token"
    op.token_response["refresh_token"] = ABSENT
    browser.log_in()
    browser.age(RENEWAL_SECONDS + 1)
    assert outcome(browser.get(PAGE)) == "round trip"


@pytest.mark.parametrize("token", [7, {}, "é"])
def test_a_refresh_token_that_could_not_be_sent_back_counts_as_none(
    browser: Browser, op: OP, settings: Any, token: object
) -> None:
    settings.OIDC_RENEWAL = "refresh_token"
    op.token_response["refresh_token"] = token
    assert browser.outcome() == "signed_in"
    assert LoginSession.objects.get().refresh_token == ""


@pytest.mark.parametrize("claims", [{}, {"nonce": "x"}, {"sub": "person-2"}])
def test_no_log_of_a_refresh_has_a_token(
    refreshing: Browser, op: OP, caplog: pytest.LogCaptureFixture, claims: dict[str, Any]
) -> None:
    used = session.decrypt(LoginSession.objects.get().refresh_token)
    op.claims = claims
    with caplog.at_level(logging.DEBUG):
        refreshing.get(PAGE)
    assert refreshes(op) == 1
    assert not [text for text in (used, *(text for _, text in op.grants)) if text in caplog.text]


# Sessions that no OP began


@pytest.fixture(params=["redirect", "refresh_token"])
def years_later(request: pytest.FixtureRequest, settings: Any, op: OP, later: Callable[..., None]) -> OP:
    """The OP of a site that renews, on a day long after every session there is has begun."""
    settings.OIDC_RENEWAL, settings.ALLOWED_HOSTS = request.param, ["*"]
    later(weeks=150)
    return op


@KINDS
def test_a_session_of_force_login_is_neither_renewed_nor_limited(
    years_later: OP, client: Client, django_user_model: Any, method: str, kind: str
) -> None:
    client.force_login(django_user_model.objects.create_user("kim"))
    assert client.generic(method, PAGE, headers=HEADERS[kind]).status_code == 200
    assert "_auth_user_id" in client.session
    assert not years_later.requests


def test_the_admin_client_of_pytest_django_works(years_later: OP, admin_client: Client) -> None:
    assert admin_client.get("/admin/").status_code == 200
    assert not years_later.requests


def test_somebody_who_is_not_signed_in_costs_no_request_to_the_op(years_later: OP, db: None, client: Client) -> None:
    assert client.get("/").content == b"user None"
    assert not years_later.requests
    assert not client.cookies


def test_a_session_of_the_kit_is_renewed(
    op: OP, signed_in_client: Callable[[Any], Client], django_user_model: Any, later: Callable[..., None]
) -> None:
    client = signed_in_client(django_user_model.objects.create_user("kim"))
    assert client.get(PAGE).status_code == 200
    later(seconds=RENEWAL_SECONDS + 1)
    assert outcome(client.get(PAGE)) == "round trip"


def test_a_refresh_token_that_came_in_place_of_another_is_kept_whatever_fails_after_it(
    refreshing: Browser, op: OP, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The OP takes the former one for stolen when it comes again."""
    sent: list[str] = []
    refresh = provider.refresh
    monkeypatch.setattr(provider, "refresh", lambda token: sent.append(token) or refresh(token))
    op.faults["/userinfo"] = responds({}, status=503)
    assert refreshing.get("/page/").status_code == 200
    op.faults.clear()
    LoginSession.objects.update(paused_until=None)
    assert refreshing.get("/page/").status_code == 200
    assert len({*sent}) == len(sent) == 2

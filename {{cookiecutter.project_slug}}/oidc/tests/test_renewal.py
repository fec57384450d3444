"""Renewal of sessions: what each kind of request gets when a session is due, and what the OP's answer does."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection
from django.test import RequestFactory

from oidc import refresh
from oidc.answers import Kind, kind_of
from oidc.models import LoginSession
from oidc.tests.conftest import Browser
from oidc.tests.op import ABSENT, OP, answers, dead

PAGE = "/profile/?tab=2"
SCRIPT = {"Sec-Fetch-Mode": "cors"}
HTMX = {"HX-Request": "true", "HX-Current-URL": f"http://localhost{PAGE}", "Sec-Fetch-Mode": "cors"}
FORM = {"Sec-Fetch-Mode": "navigate", "Referer": f"http://localhost{PAGE}"}


@pytest.fixture
def due(browser: Browser, settings) -> Browser:
    """A signed-in browser whose session is due, within the grace period."""
    settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS, settings.OIDC_RENEWAL_GRACE_SECONDS = 900, 600
    browser.log_in()
    browser.age(901)
    return browser


@pytest.fixture
def overdue(due: Browser) -> Browser:
    """A signed-in browser whose session is due, beyond the grace period."""
    due.age(600)
    return due


@pytest.mark.parametrize(
    ("method", "headers", "kind"),
    [
        pytest.param("GET", {"Sec-Fetch-Mode": "navigate"}, Kind.PAGE, id="navigation"),
        pytest.param("GET", {}, Kind.PAGE, id="old-browser"),
        pytest.param("GET", {"Accept": "text/html,*/*;q=0.8"}, Kind.PAGE, id="accepts-html"),
        pytest.param("POST", {"Sec-Fetch-Mode": "navigate"}, Kind.FORM, id="form"),
        pytest.param("POST", {}, Kind.FORM, id="form-of-an-old-browser"),
        pytest.param("GET", SCRIPT, Kind.SCRIPT, id="fetch"),
        pytest.param("GET", {"Sec-Fetch-Mode": "same-origin"}, Kind.SCRIPT, id="fetch-same-origin"),
        pytest.param("PUT", SCRIPT, Kind.SCRIPT, id="fetch-put"),
        pytest.param("GET", {"X-Requested-With": "XMLHttpRequest"}, Kind.SCRIPT, id="xhr"),
        pytest.param("GET", {"Accept": "application/json"}, Kind.SCRIPT, id="accepts-json"),
        pytest.param("GET", HTMX, Kind.HTMX, id="htmx"),
        pytest.param("DELETE", HTMX, Kind.HTMX, id="htmx-delete"),
        pytest.param("POST", {"Purpose": "prefetch"}, Kind.FORM, id="nothing-is-sent-in-advance"),
        pytest.param("HEAD", {}, Kind.NOBODY, id="head"),
        pytest.param("OPTIONS", {}, Kind.NOBODY, id="options"),
        pytest.param("GET", {"Sec-Purpose": "prefetch;prerender"}, Kind.NOBODY, id="prefetch"),
        pytest.param("GET", {"Purpose": "prefetch"}, Kind.NOBODY, id="old-prefetch"),
    ],
)
def test_kinds_of_requests(method: str, headers: dict, kind: Kind) -> None:
    assert kind_of(RequestFactory().generic(method, "/", headers=headers)) is kind


def test_a_page_makes_a_silent_round_trip_and_comes_back(due: Browser, op: OP) -> None:
    key = due.client.session.session_key
    leaving = due.client.get(PAGE)
    assert parse_qs(urlsplit(leaving["Location"]).query)["prompt"] == ["none"]
    assert due.come_back(op.grant(leaving["Location"]))["Location"] == PAGE
    assert due.client.get(PAGE).status_code == 200
    assert due.client.session.session_key == key


@pytest.mark.parametrize("error", ["login_required", "interaction_required", "consent_required"])
def test_an_op_that_wants_to_see_the_person_gets_an_interactive_login(due: Browser, op: OP, error: str) -> None:
    state = op.grant(due.client.get(PAGE)["Location"])["state"]
    again = due.come_back({"error": error, "state": state, "iss": op.issuer})
    assert "prompt" not in parse_qs(urlsplit(again["Location"]).query)
    assert due.come_back(op.grant(again["Location"]))["Location"] == PAGE


@pytest.mark.parametrize("headers", [SCRIPT, {"X-Requested-With": "XMLHttpRequest"}])
def test_a_script_is_told_where_to_log_in(due: Browser, headers: dict) -> None:
    response = due.client.get(PAGE, headers=headers)
    assert (response.status_code, response.json()) == (401, {"login_url": "/oidc/authenticate/"})


def test_htmx_goes_to_the_login_and_back_to_its_page(due: Browser) -> None:
    response = due.client.get("/profile/", headers=HTMX)
    assert response["HX-Redirect"] == "/oidc/authenticate/?next=%2Fprofile%2F%3Ftab%3D2"


@pytest.mark.parametrize("headers", [{}, FORM, SCRIPT, HTMX])
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_what_changes_data_passes_within_the_grace_period(due: Browser, method: str, headers: dict) -> None:
    assert getattr(due.client, method)("/healthless/", headers=headers).status_code == 404


@pytest.mark.parametrize("headers", [FORM, SCRIPT, HTMX])
def test_what_changes_data_gets_401_after_the_grace_period(overdue: Browser, headers: dict) -> None:
    assert overdue.client.post(PAGE, headers=headers).status_code == 401


def test_htmx_that_came_too_late_keeps_its_page(overdue: Browser) -> None:
    response = overdue.client.post(PAGE, headers=HTMX)
    assert (response["HX-Reswap"], response.get("HX-Redirect")) == ("none", None)


def test_a_form_that_came_too_late_leads_back_to_its_page(overdue: Browser) -> None:
    page = overdue.client.post("/elsewhere/", headers=FORM).content.decode()
    assert 'href="/oidc/authenticate/?next=%2Fprofile%2F%3Ftab%3D2"' in page
    assert "go back" in page


def test_a_form_of_another_site_does_not_lead_there(overdue: Browser) -> None:
    page = overdue.client.post("/", headers=FORM | {"Referer": "https://evil.example/"}).content.decode()
    assert 'href="/oidc/authenticate/"' in page


@pytest.mark.parametrize("url", ["/", "/oidc/logged-out/?x", "/static/site.css"])
def test_some_urls_are_left_alone(overdue: Browser, settings, url: str) -> None:
    settings.OIDC_EXEMPT_URLS = ["/", "oidc_logged_out", "/static/site.css"]
    overdue.client.handler.load_middleware()
    assert overdue.client.get(url).status_code in (200, 404)


def test_logging_out_needs_no_renewal(overdue: Browser) -> None:
    assert overdue.client.post("/oidc/logout/").status_code == 302
    assert not overdue.is_signed_in


def test_while_the_op_is_down_a_session_goes_on_for_the_grace_period(due: Browser, op: OP) -> None:
    cache.clear()
    op.faults = dict.fromkeys(op.answers, dead)
    assert due.client.get(PAGE).status_code == 200
    assert due.client.get(PAGE, headers=SCRIPT).status_code == 200
    assert len(op.requests) - len(op.asked("/token")) <= 5


@pytest.mark.parametrize("metadata", ["cached", "not cached"])
def test_while_the_op_is_down_a_session_ends_after_the_grace_period(overdue: Browser, op: OP, metadata: str) -> None:
    if metadata == "not cached":
        cache.clear()
    op.faults = dict.fromkeys(op.answers, dead)
    response = overdue.client.get(PAGE)
    assert response.status_code == 503
    assert "Try again" in response.content.decode()


def test_an_op_that_fails_during_the_round_trip_postpones_the_renewal(due: Browser, op: OP) -> None:
    callback = op.grant(due.client.get(PAGE)["Location"])
    op.faults["/token"] = dead
    assert due.come_back(callback)["Location"] == PAGE
    assert due.client.get(PAGE).status_code == 200


@pytest.mark.parametrize("headers", [FORM, SCRIPT])
def test_a_person_who_is_refused_at_renewal_is_out(due: Browser, op: OP, headers: dict) -> None:
    state = op.grant(due.client.get(PAGE)["Location"])["state"]
    assert due.come_back({"error": "access_denied", "state": state, "iss": op.issuer}).status_code == 403
    assert not due.is_signed_in


def test_a_session_ends_at_its_greatest_age(browser: Browser, settings) -> None:
    settings.OIDC_SESSION_MAX_SECONDS = 3600
    browser.log_in()
    browser.age(3601)
    assert browser.client.get(PAGE)["Location"].startswith("/oidc/authenticate/?next=/profile/")
    assert not browser.is_signed_in


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        pytest.param("post", FORM, 401, id="form"),
        pytest.param("post", HTMX, 401, id="htmx-post"),
        pytest.param("get", HTMX, 200, id="htmx"),
        pytest.param("get", SCRIPT, 401, id="script"),
        pytest.param("head", {}, 302, id="head"),
        pytest.param("get", {"Sec-Purpose": "prefetch"}, 302, id="prefetch"),
    ],
)
def test_no_kind_of_request_outlives_the_greatest_age(browser: Browser, settings, method, headers, status) -> None:
    settings.OIDC_SESSION_MAX_SECONDS = 3600
    browser.log_in()
    browser.age(3601)
    assert getattr(browser.client, method)(PAGE, headers=headers).status_code == status
    assert not browser.is_signed_in


@pytest.mark.parametrize(("method", "headers"), [("head", {}), ("get", {"Sec-Purpose": "prefetch"})])
def test_what_nobody_looks_at_is_left_alone(due: Browser, method: str, headers: dict) -> None:
    assert getattr(due.client, method)(PAGE, headers=headers).status_code == 200


@pytest.mark.parametrize(("method", "headers"), [("head", {}), ("get", {"Purpose": "prefetch"})])
def test_no_header_stretches_the_grace_period(overdue: Browser, method: str, headers: dict) -> None:
    response = getattr(overdue.client, method)(PAGE, headers=headers)
    assert (response.status_code, response.content) == (401, b"")


def test_a_renewal_that_was_under_way_does_not_undo_a_logout(due: Browser, op: OP) -> None:
    callback = op.grant(due.client.get(PAGE)["Location"])
    due.client.post("/oidc/logout/")
    assert due.come_back(callback)["Location"] == PAGE
    assert not due.is_signed_in


def test_another_person_at_the_op_begins_a_session_of_its_own(due: Browser, op: OP, settings) -> None:
    op.claims["sub"] = op.userinfo["sub"] = "person-2"
    due.come_back(op.grant(due.client.get(PAGE)["Location"]))
    settings.OIDC_SESSION_MAX_SECONDS = 3600
    due.age(3601)
    due.client.get(PAGE)
    assert not due.is_signed_in


def test_renewals_do_not_make_a_session_younger(due: Browser, op: OP, settings) -> None:
    settings.OIDC_SESSION_MAX_SECONDS = 1000
    due.come_back(op.grant(due.client.get(PAGE)["Location"]))
    due.age(100)
    assert due.client.get(PAGE, headers=SCRIPT).status_code == 401


@pytest.fixture
def refreshing(browser: Browser, settings) -> Browser:
    """A signed-in browser whose session is due and has a refresh token."""
    settings.OIDC_RENEWAL, settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = "refresh_token", 900
    browser.log_in()
    browser.age(901)
    return browser


def test_a_refresh_token_renews_without_a_redirect(refreshing: Browser, op: OP) -> None:
    assert refreshing.client.get(PAGE).status_code == 200
    assert refreshing.client.session["oidc_id_token_expiration"] > time.time() + 800
    assert refresh.decrypt(LoginSession.objects.get().refresh_token) == "refresh-token-1+"


def test_a_rotated_refresh_token_is_the_next_one(refreshing: Browser, op: OP) -> None:
    for _ in range(3):
        refreshing.age(901)
        LoginSession.objects.update(refreshing_until=None)
        assert refreshing.client.get(PAGE).status_code == 200
    assert op.refresh_token == "refresh-token-1+++"


def test_refresh_tokens_are_stored_encrypted(refreshing: Browser) -> None:
    stored = LoginSession.objects.get().refresh_token
    assert stored
    assert "refresh-token" not in stored + str(dict(refreshing.client.session))


def test_a_new_secret_key_reads_old_refresh_tokens_through_its_fallbacks(refreshing: Browser, settings) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    stored, settings.SECRET_KEY = LoginSession.objects.get().refresh_token, "another-key"
    assert refresh.decrypt(stored) == "refresh-token-1"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda op: op.claims.update(sub="person-2"), id="another-person"),
        pytest.param(lambda op: op.claims.update(iss="https://evil.example"), id="another-issuer"),
        pytest.param(lambda op: op.userinfo.update(sub="person-2"), id="userinfo-of-another-person"),
        pytest.param(lambda op: get_user_model().objects.update(is_active=False), id="deactivated"),
    ],
)
def test_a_renewal_that_is_refused_ends_the_session(refreshing: Browser, op: OP, change, caplog) -> None:
    change(op)
    assert refreshing.client.get(PAGE, headers=SCRIPT).status_code in (302, 401)
    assert not refreshing.is_signed_in or not get_user_model().objects.get().is_active
    assert "refresh-token-1" not in caplog.text


@pytest.mark.parametrize("error", ["invalid_client", "temporarily_unavailable"])
def test_an_op_with_a_problem_of_its_own_ends_no_session(refreshing: Browser, op: OP, error: str) -> None:
    op.faults["/token"] = answers({"error": error}, status=400)
    assert refreshing.client.get(PAGE).status_code == 200


def test_an_op_that_answers_strangely_is_not_down(due: Browser, op: OP) -> None:
    cache.clear()
    due.leave()
    op.faults["/.well-known/openid-configuration"] = answers(b"moved", status=302, Location="/elsewhere")
    assert "prompt=none" in due.client.get(PAGE)["Location"]


def test_a_refresh_token_that_is_over_leaves_the_word_to_the_browser(refreshing: Browser, op: OP) -> None:
    op.refresh_token = "another"
    assert refreshing.client.post("/nowhere/", headers=FORM).status_code == 404
    assert "prompt=none" in refreshing.client.get(PAGE)["Location"]
    assert LoginSession.objects.get().refresh_token == ""


def test_a_session_that_ends_while_it_is_renewed_is_not_an_error(refreshing: Browser, op: OP) -> None:
    def end_after_lease(execute: Callable, sql: str, *args: Any) -> Any:
        result = execute(sql, *args)
        if sql.startswith("UPDATE") and "refreshing_until" in sql:
            LoginSession.objects.all().delete()
        return result

    with connection.execute_wrapper(end_after_lease):
        assert refreshing.client.get(PAGE).status_code == 302
    assert len(op.asked("/token")) == 1


def test_while_the_op_is_down_a_refresh_is_tried_again_later(refreshing: Browser, op: OP) -> None:
    cache.clear()
    op.faults = dict.fromkeys(op.answers, dead)
    assert refreshing.client.get(PAGE).status_code == 200
    assert refreshing.is_signed_in


def test_without_a_refresh_token_the_browser_makes_the_round_trip(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_RENEWAL = "refresh_token"
    op.token_response["refresh_token"] = ABSENT
    browser.log_in()
    browser.age(100_000)
    settings.OIDC_SESSION_MAX_SECONDS = 0
    assert "prompt=none" in browser.client.get(PAGE)["Location"]


def test_a_refreshed_response_without_id_token_is_checked_by_userinfo(refreshing: Browser, op: OP) -> None:
    op.token_response["id_token"] = ABSENT
    assert refreshing.client.get(PAGE).status_code == 200


def test_an_error_of_the_op_does_not_reach_the_person(refreshing: Browser, op: OP) -> None:
    op.faults["/token"] = answers(b"<html>", "text/html", 500)
    assert refreshing.client.get(PAGE).status_code == 200


def test_requests_that_follow_at_once_do_not_refresh_again(refreshing: Browser, op: OP) -> None:
    refreshing.client.get(PAGE)
    refreshing.age(901)
    assert refreshing.client.get(PAGE).status_code == 200
    assert len([asked for asked in op.asked("/token") if asked.form["grant_type"] == "refresh_token"]) == 1

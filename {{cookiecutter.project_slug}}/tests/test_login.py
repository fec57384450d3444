"""Whole logins with the authorization code flow, against the development OP."""

from urllib.parse import parse_qs, urlsplit

import pytest

from accounts.models import Identity, User
from tests.browser import Browser


def test_a_login_makes_a_user_and_goes_home(browser: Browser) -> None:
    response = browser.log_in("ordinary")
    assert (response.status_code, response["Location"]) == (302, "/")
    assert "Current user: olivia@example.org" in browser.get("/").content.decode()


def test_the_authorization_request_has_state_nonce_and_pkce(browser: Browser) -> None:
    query = parse_qs(urlsplit(browser.start()).query)
    assert query["response_type"] == ["code"]
    assert query["redirect_uri"] == ["http://localhost/oidc/callback/"]
    assert query["code_challenge_method"] == ["S256"]
    assert all(len(query[name][0]) >= 32 for name in ("state", "nonce", "code_challenge"))


def test_login_returns_to_the_page_that_needed_it(browser: Browser) -> None:
    login = browser.get("/profile/?tab=1")["Location"]
    assert browser.log_in("ordinary", login)["Location"] == "/profile/?tab=1"


def test_login_does_not_follow_a_foreign_next(browser: Browser) -> None:
    assert browser.log_in("ordinary", "/oidc/authenticate/?next=https://evil.example/")["Location"] == "/"


def test_two_tabs_do_not_disturb_each_other(browser: Browser) -> None:
    first, second = browser.start("/oidc/authenticate/?next=/profile/"), browser.start()
    assert browser.get(browser.answer(second, "ordinary"))["Location"] == "/"
    assert browser.get(browser.answer(first, "ordinary"))["Location"] == "/profile/"


def test_a_second_login_finds_the_same_user(browser: Browser) -> None:
    browser.log_in("ordinary")
    Browser().log_in("ordinary")
    assert Identity.objects.get().user == User.objects.get()


def test_the_session_key_changes_at_every_login(browser: Browser) -> None:
    browser.log_in("ordinary")
    before = browser.client.session.session_key
    browser.log_in("ordinary")
    assert browser.client.session.session_key != before


def test_a_person_without_email_can_log_in(browser: Browser) -> None:
    browser.log_in("no-email")
    assert "Current user: noel" in browser.get("/").content.decode()


def test_declining_at_the_op_is_explained(browser: Browser) -> None:
    state = parse_qs(urlsplit(browser.start("/oidc/authenticate/?next=/profile/")).query)["state"][0]
    response = browser.get(f"/oidc/callback/?error=access_denied&state={state}")
    page = response.content.decode()
    assert response.status_code == 403
    assert "cancelled" in page
    assert "/oidc/authenticate/?next=%2Fprofile%2F" in page


@pytest.mark.parametrize("query", ["", "?code=x", "?code=x&state=y", "?error=access_denied&state=y"])
def test_a_callback_that_nobody_started_is_refused_with_a_page(browser: Browser, query: str) -> None:
    response = browser.get(f"/oidc/callback/{query}")
    assert response.status_code == 400
    assert "Try again" in response.content.decode()


def test_logout_ends_the_session_and_goes_to_the_op(browser: Browser, op: str) -> None:
    browser.log_in("ordinary")
    url = urlsplit(browser.client.post("/oidc/logout/")["Location"])
    query = parse_qs(url.query)
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{op}/oauth2/end_session"
    assert query["post_logout_redirect_uri"] == ["http://localhost/"]
    assert query["id_token_hint"][0].count(".") == 2
    assert "Login" in browser.get("/").content.decode()


def test_logout_needs_post_and_csrf_token(browser: Browser) -> None:
    browser.log_in("ordinary")
    assert browser.get("/oidc/logout/").status_code == 405
    browser.client.handler.enforce_csrf_checks = True
    assert browser.client.post("/oidc/logout/").status_code == 403
    assert "Current user" in browser.get("/").content.decode()

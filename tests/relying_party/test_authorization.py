"""The authorization request, and the attempt that a browser keeps between leaving for the OP and coming back."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from django.core import signing
from django.http import HttpResponse
from django.utils.encoding import iri_to_uri

from oidc.internal import authorization
from oidc.internal.authorization import Attempt
from oidc.testing.browser import Browser
from oidc.testing.op import CLIENT, OP


def request_of(response: HttpResponse) -> dict[str, str]:
    """Return the parameters of the authorization request to which a response redirects."""
    return dict(parse_qsl(urlsplit(response["Location"]).query))


def granted(browser: Browser, next_url: str = "") -> dict[str, str]:
    """Begin a login and return the parameters with which the OP sends the browser back."""
    return browser.op.grant(browser.leave(next_url)["Location"])


def reasons(browser: Browser) -> list[str]:
    return [refusal["reason"].code for refusal in browser.refusals]


def test_the_request_has_what_the_code_flow_with_pkce_needs(browser: Browser, op: OP) -> None:
    """Core 3.1.2.1, RFC 7636 4.3."""
    leaving = browser.leave()
    sent = request_of(leaving)
    assert leaving["Location"].startswith(f"{op.issuer}/authorize?")
    assert sent | dict.fromkeys(("state", "nonce", "code_challenge"), "...") == {
        "response_type": "code",
        "client_id": CLIENT[0],
        "redirect_uri": "http://localhost/oidc/callback/",
        "scope": "openid email profile",
        "state": "...",
        "nonce": "...",
        "code_challenge": "...",
        "code_challenge_method": "S256",
    }


def test_no_two_attempts_have_anything_in_common(browser: Browser) -> None:
    first, second = request_of(browser.leave()), request_of(browser.leave())
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 32
        assert first[name] != second[name]


def test_the_verifier_goes_to_the_token_endpoint_only(browser: Browser, op: OP) -> None:
    """RFC 7636 4.2: S256, whose verifier the OP sees together with the code."""
    leaving = browser.leave()
    browser.come_back(op.grant(leaving["Location"]))
    verifier = op.asked("/token")[0].form["code_verifier"]
    assert len(verifier) >= 43
    assert verifier not in leaving["Location"]


def test_the_redirect_uri_comes_from_site_url_in_both_legs(browser: Browser, op: OP, settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    leaving = browser.get("/oidc/authenticate/", headers={"Host": "evil.example"})
    assert request_of(leaving)["redirect_uri"] == "http://localhost/oidc/callback/"
    browser.come_back(op.grant(leaving["Location"]))
    assert op.asked("/token")[0].form["redirect_uri"] == "http://localhost/oidc/callback/"


def test_an_authorization_endpoint_keeps_its_own_query_but_not_against_the_protocol(browser: Browser, op: OP) -> None:
    op.metadata["authorization_endpoint"] = f"{op.issuer}/authorize?tenant=a+b&client_id=x&empty="
    query = parse_qs(urlsplit(browser.leave()["Location"]).query, keep_blank_values=True)
    assert (query["tenant"], query["empty"], query["client_id"]) == (["a b"], [""], [CLIENT[0]])


def test_configured_parameters_are_sent_but_not_against_the_protocol(browser: Browser, settings) -> None:
    protected = dict.fromkeys(("state", "nonce", "client_id", "redirect_uri", "code_challenge"), "fixed")
    settings.OIDC_AUTH_REQUEST_EXTRA_PARAMS = {"ui_locales": "fr", **protected}
    sent = request_of(browser.leave())
    assert sent["ui_locales"] == "fr"
    assert "fixed" not in sent.values()


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"max_age": 300}, "authentication_too_old"),
        ({"max_age": "300"}, "authentication_too_old"),
        ({"acr_values": "gold platinum"}, "authentication_too_weak"),
        ({"prompt": "login"}, "signed_in"),
    ],
)
def test_what_every_login_asks_for_is_verified(
    browser: Browser, op: OP, settings, parameters: dict[str, Any], reason: str
) -> None:
    """Core 3.1.2.1: max_age and acr_values are a wish until the ID Token says that it was granted."""
    settings.OIDC_AUTH_REQUEST_EXTRA_PARAMS = parameters
    op.claims["auth_time"] = 1
    assert {name: str(value) for name, value in parameters.items()}.items() <= request_of(browser.leave()).items()
    assert browser.outcome() == reason


def test_a_max_age_that_is_not_a_number_is_left_to_the_op(op: OP, rf, settings) -> None:
    settings.OIDC_AUTH_REQUEST_EXTRA_PARAMS = {"max_age": "often"}
    assert request_of(authorization.leave(rf.get("/"), Attempt()))["max_age"] == "often"


def test_a_response_as_a_form_is_asked_for_where_it_is_configured(browser: Browser, settings) -> None:
    """Form Post Response Mode: the cookie has to come along with a POST from the OP's site."""
    settings.OIDC_RESPONSE_MODE = "form_post"
    leaving = browser.leave()
    (cookie,) = leaving.cookies.values()
    assert request_of(leaving)["response_mode"] == "form_post"
    assert (cookie["samesite"], cookie["secure"]) == ("None", True)


def test_a_code_is_good_for_one_login(browser: Browser, op: OP) -> None:
    callback = granted(browser)
    cookies = browser.client.cookies.copy()
    browser.come_back(callback)
    browser.client.cookies = cookies
    browser.come_back(callback)
    assert reasons(browser) == ["attempt_unknown"]
    assert len(op.asked("/token")) == 1


def test_a_failed_callback_uses_up_the_attempt(browser: Browser) -> None:
    callback = granted(browser)
    browser.come_back(callback | {"iss": "https://evil.example"})
    browser.come_back(callback)
    assert reasons(browser) == ["callback_issuer", "attempt_unknown"]


def test_a_finished_attempt_leaves_the_browser(browser: Browser) -> None:
    response = browser.come_back(granted(browser))
    assert [cookie.value for name, cookie in response.cookies.items() if "attempt" in name] == [""]


def test_a_response_to_another_browser_is_refused(browser: Browser, op: OP) -> None:
    """RFC 9700 4.7."""
    assert browser.come_back(granted(Browser(op))).status_code == 400
    assert not op.asked("/token")


def test_the_cookie_of_one_attempt_does_not_serve_another(browser: Browser) -> None:
    browser.leave()
    callback = granted(browser)
    first, second = browser.client.cookies.values()
    second.set(second.key, first.value, first.value)
    browser.come_back(callback)
    assert reasons(browser) == ["attempt_unknown"]


def test_an_attempt_ends_after_ten_minutes_and_the_person_can_go_on_to_the_page(
    browser: Browser, op: OP, later: Callable[..., None]
) -> None:
    callback = granted(browser, "/page/?tab=2")
    later(minutes=10, seconds=1)
    page = browser.come_back(callback)
    assert reasons(browser) == ["attempt_expired"]
    assert 'href="/oidc/authenticate/?next=%2Fpage%2F%3Ftab%3D2"' in page.content.decode()
    assert not op.asked("/token")


def test_an_attempt_lasts_ten_minutes(browser: Browser, op: OP, later: Callable[..., None], monkeypatch) -> None:
    monkeypatch.setattr("oidc.testing.op.CODE_SECONDS", 600)
    callback = granted(browser)
    later(minutes=9, seconds=50)
    browser.come_back(callback)
    assert browser.is_signed_in


def test_after_an_hour_nothing_is_known_of_an_attempt(browser: Browser, later: Callable[..., None]) -> None:
    callback = granted(browser)
    later(hours=1, seconds=1)
    browser.come_back(callback)
    assert reasons(browser) == ["attempt_unknown"]


def test_the_cookie_of_an_attempt_lives_an_hour(browser: Browser) -> None:
    (cookie,) = browser.leave().cookies.values()
    assert cookie["max-age"] == authorization.COOKIE_SECONDS == 60 * 60


def test_tabs_do_not_disturb_each_other(browser: Browser) -> None:
    first, second = granted(browser, "/?1"), granted(browser, "/?2")
    assert [browser.come_back(second)["Location"], browser.come_back(first)["Location"]] == ["/?2", "/?1"]


def test_an_attempt_survives_a_session_that_is_flushed(browser: Browser) -> None:
    browser.outcome()
    callback = granted(browser, "/?page")
    browser.client.session.flush()
    assert browser.come_back(callback)["Location"] == "/?page"


def test_a_changed_cookie_is_refused(browser: Browser) -> None:
    callback = granted(browser)
    for cookie in browser.client.cookies.values():
        cookie.set(cookie.key, "x" + cookie.value, "x" + cookie.value)
    assert browser.come_back(callback).status_code == 400


@pytest.mark.parametrize("fields", [{}, [], "text", None, {"acr_values": 7}, {"acr_values": [], "unknown": 1}])
def test_an_attempt_of_another_release_of_the_site_is_refused(browser: Browser, fields: object) -> None:
    callback = granted(browser)
    signed = signing.dumps(fields, salt=authorization.SALT)
    for cookie in browser.client.cookies.values():
        cookie.set(cookie.key, signed, signed)
    browser.come_back(callback)
    assert reasons(browser) == ["attempt_unknown"]


@pytest.mark.parametrize("next_url", ["/" + "a" * 990, "/?q=" + "é" * 990, "/?q=" + '"' * 990, "/" + "a" * 9000])
def test_a_browser_carries_a_few_attempts_within_the_limits_of_servers(browser: Browser, next_url: str) -> None:
    for _ in range(8):
        browser.leave(next_url)
    pending = [cookie for cookie in browser.client.cookies.values() if cookie.value]
    assert len(pending) == authorization.MAX_PENDING
    assert sum(len(f"{cookie.key}={cookie.value}; ") for cookie in pending) < 7500
    assert all(cookie["httponly"] and cookie["samesite"] == "Lax" for cookie in pending)


def test_the_oldest_attempt_gives_way(browser: Browser, later: Callable[..., None]) -> None:
    callbacks = []
    for _ in range(authorization.MAX_PENDING + 1):
        callbacks.append(granted(browser))
        later(seconds=1)
    for callback in reversed(callbacks):
        browser.come_back(callback)
    # The last one is refused silently: whoever is logged in already gets no error page.
    assert len(browser.op.asked("/token")) == authorization.MAX_PENDING
    assert callbacks[0]["code"] not in [asked.form["code"] for asked in browser.op.asked("/token")]


@pytest.mark.parametrize("planted", ["", "x", "a:b:c", "é"])
def test_a_planted_cookie_does_not_push_out_an_attempt(browser: Browser, planted: str) -> None:
    for number in range(8):
        browser.client.cookies[f"{authorization.COOKIE_PREFIX}{number}"] = planted
    callback = granted(browser)
    browser.come_back(callback)
    assert browser.is_signed_in


@pytest.mark.parametrize("next_url", ["/page/?tab=1", "/übersicht/?q=ö", "http://localhost/page/"])
def test_a_login_goes_on_to_next(browser: Browser, next_url: str) -> None:
    assert browser.come_back(granted(browser, next_url))["Location"] == iri_to_uri(next_url)


def test_a_next_that_is_too_long_for_a_cookie_leads_home(browser: Browser) -> None:
    assert browser.come_back(granted(browser, "/" + "a" * authorization.MAX_NEXT_CHARACTERS))["Location"] == "/"


def test_over_https_the_cookie_is_secure_and_no_other_host_can_plant_it(browser: Browser, settings) -> None:
    """RFC 6265bis 4.1.3.2."""
    settings.SITE_URL = "https://localhost"
    (cookie,) = browser.leave().cookies.values()
    assert cookie.key.startswith("__Host-oidc_attempt_")
    assert (cookie["secure"], cookie["path"], cookie["domain"], cookie["httponly"]) == (True, "/", "", True)


def test_a_silent_renewal_comes_back_as_a_query_even_where_logins_come_back_as_a_form(op: OP, rf, settings) -> None:
    """With a form from another site the browser would not send the session cookie."""
    settings.OIDC_RESPONSE_MODE = "form_post"
    sent = request_of(authorization.leave(rf.get("/"), Attempt("/page/", silent=True)))
    assert sent["prompt"] == "none"
    assert "response_mode" not in sent


def test_an_attempt_asks_for_what_it_will_verify(op: OP, rf, settings) -> None:
    settings.OIDC_AUTH_REQUEST_EXTRA_PARAMS = {"max_age": 86400, "acr_values": "silver"}
    sent = request_of(authorization.leave(rf.get("/"), Attempt(max_age=300, acr_values=("gold", "platinum"))))
    assert (sent["max_age"], sent["acr_values"]) == ("300", "gold platinum")


@pytest.mark.parametrize("state", ["", "\0", "\ud800", "x" * 10_000])
def test_a_state_that_nobody_sent_is_unknown(rf, state: str) -> None:
    with pytest.raises(authorization.LoginError, match="attempt_unknown"):
        authorization.take(rf.get("/"), state)


def test_cookies_that_only_look_like_attempts_are_left_alone(browser: Browser) -> None:
    """No cookie can be deleted whose name is none."""
    cookies = "; ".join(f"oidc_attempt_{name}=1" for name in ("a", "b", "c", "d", "("))
    assert browser.client.get("/oidc/authenticate/", headers={"cookie": cookies}).status_code == 302

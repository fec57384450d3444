"""What a browser carries between leaving for the OP and coming back, and where it may go on to."""

import time
from urllib.parse import parse_qs, urlsplit

import pytest

from oidc import attempts
from oidc.tests.conftest import Browser
from oidc.tests.op import CLIENT, OP


def request_of(response) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(response["Location"]).query).items()}


def test_nothing_of_one_attempt_is_in_the_next(browser: Browser) -> None:
    first, second = request_of(browser.leave()), request_of(browser.leave())
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 32
        assert first[name] != second[name]


def test_the_verifier_stays_out_of_the_authorization_request(browser: Browser, op: OP) -> None:
    """RFC 7636 4.2: S256, whose verifier the OP sees only with the code."""
    sent = request_of(browser.leave())
    browser.log_in()
    assert sent["code_challenge_method"] == "S256"
    assert "code_verifier" not in sent
    assert len(op.asked("/token")[0].form["code_verifier"]) >= 43


def test_the_redirect_uri_is_site_urls_in_both_legs(browser: Browser, op: OP, settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    response = browser.client.get("/oidc/authenticate/", headers={"Host": "evil.example"})
    assert request_of(response)["redirect_uri"] == "http://localhost/oidc/callback/"
    browser.come_back(op.grant(response["Location"]))
    assert op.asked("/token")[0].form["redirect_uri"] == "http://localhost/oidc/callback/"


def test_an_authorization_endpoint_keeps_its_own_query_but_not_against_the_protocol(browser: Browser, op: OP) -> None:
    op.metadata["authorization_endpoint"] = f"{op.issuer}/authorize?tenant=a+b&client_id=x&empty="
    query = parse_qs(urlsplit(browser.leave()["Location"]).query, keep_blank_values=True)
    assert (query["tenant"], query["empty"], query["client_id"]) == (["a b"], [""], [CLIENT[0]])


def test_configured_parameters_are_sent_but_not_against_the_protocol(browser: Browser, settings) -> None:
    settings.OIDC_AUTH_REQUEST_EXTRA_PARAMS = {"ui_locales": "fr", "state": "fixed"}
    sent = request_of(browser.leave())
    assert sent["ui_locales"] == "fr"
    assert sent["state"] != "fixed"


def test_a_code_is_good_for_one_login(browser: Browser, op: OP) -> None:
    callback = op.grant(browser.leave()["Location"])
    cookies = browser.client.cookies.copy()
    browser.come_back(callback)
    browser.client.cookies = cookies
    browser.come_back(callback)
    assert browser.refusals[0]["reason"].code == "attempt_unknown"
    assert len(op.asked("/token")) == 1


def test_a_failed_callback_uses_the_attempt_up(browser: Browser, op: OP) -> None:
    callback = op.grant(browser.leave()["Location"])
    browser.come_back(callback | {"iss": "https://evil.example"})
    browser.come_back(callback)
    assert [refusal["reason"].code for refusal in browser.refusals] == ["callback_issuer", "attempt_unknown"]


def test_an_answer_to_another_browser_is_refused(browser: Browser, op: OP) -> None:
    """RFC 9700 4.7."""
    callback = op.grant(Browser(op).leave()["Location"])
    assert browser.come_back(callback).status_code == 400
    assert not op.asked("/token")


def test_the_cookie_of_one_attempt_does_not_serve_another(browser: Browser, op: OP) -> None:
    browser.leave()
    callback = op.grant(browser.leave()["Location"])
    first, second = browser.client.cookies.values()
    second.set(second.key, first.value, first.value)
    browser.come_back(callback)
    assert browser.refusals[0]["reason"].code == "attempt_unknown"


def test_an_attempt_ends_after_ten_minutes(browser: Browser, op: OP, monkeypatch) -> None:
    callback = op.grant(browser.leave()["Location"])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + attempts.MAX_AGE + 1)
    browser.come_back(callback)
    assert browser.refusals[0]["reason"].code == "attempt_expired"


def test_tabs_do_not_disturb_each_other(browser: Browser, op: OP) -> None:
    first, second = op.grant(browser.leave("/?1")["Location"]), op.grant(browser.leave("/?2")["Location"])
    assert [browser.come_back(second)["Location"], browser.come_back(first)["Location"]] == ["/?2", "/?1"]


def test_an_attempt_survives_a_session_that_is_flushed(browser: Browser, op: OP) -> None:
    browser.log_in()
    callback = op.grant(browser.leave("/?page")["Location"])
    browser.client.session.flush()
    assert browser.come_back(callback)["Location"] == "/?page"


def test_a_changed_cookie_is_refused(browser: Browser, op: OP) -> None:
    callback = op.grant(browser.leave()["Location"])
    for cookie in browser.client.cookies.values():
        cookie.set(cookie.key, "x" + cookie.value, "x" + cookie.value)
    assert browser.come_back(callback).status_code == 400


@pytest.mark.parametrize("next_url", ["/" + "a" * 990, "/?q=" + "é" * 990, "/?q=" + '"' * 990, "/" + "a" * 9000])
def test_a_browser_carries_a_handful_of_attempts_within_the_limits_of_servers(browser: Browser, next_url: str) -> None:
    for _ in range(8):
        browser.leave(next_url)
    pending = [cookie for cookie in browser.client.cookies.values() if cookie.value]
    assert len(pending) == attempts.MAX_PENDING
    assert sum(len(f"{cookie.key}={cookie.value}; ") for cookie in pending) < 7500
    assert all(cookie["httponly"] and cookie["samesite"] == "Lax" for cookie in pending)


@pytest.mark.parametrize("next_url", ["/profile/?tab=1", "/übersicht/?q=ö", "http://localhost/profile/"])
def test_a_login_goes_on_to_next(browser: Browser, op: OP, next_url: str) -> None:
    location = browser.come_back(op.grant(browser.leave(next_url)["Location"]))["Location"]
    assert location == attempts.iri_to_uri(next_url)


@pytest.mark.parametrize(
    "next_url",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "///evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "http://localhost@evil.example/",
        "\x01https://evil.example",
        " //evil.example",
    ],
)
def test_next_leads_to_no_other_site(browser: Browser, next_url: str) -> None:
    """RFC 9700 4.11."""
    assert browser.log_in(next_url)["Location"] == "/"


def test_over_https_the_cookie_is_secure_and_no_other_host_can_plant_it(browser: Browser, settings) -> None:
    """RFC 6265bis 4.1.3.2."""
    settings.SITE_URL = "https://localhost"
    (cookie,) = browser.leave().cookies.values()
    assert cookie.key.startswith("__Host-oidc_attempt_")
    assert (cookie["secure"], cookie["path"], cookie["domain"], cookie["httponly"]) == (True, "/", "", True)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000"])
def test_on_this_machine_a_login_begins_at_the_host_that_it_ends_at(browser: Browser, settings, host: str) -> None:
    settings.SITE_URL, settings.ALLOWED_HOSTS = "http://localhost:8000", ["localhost", "127.0.0.1"]
    response = browser.client.get("/oidc/authenticate/?next=/a", headers={"host": host})
    here = response["Location"] == "http://localhost:8000/oidc/authenticate/?next=/a"
    assert here is (host != "localhost:8000")

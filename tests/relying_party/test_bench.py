"""The bench of the development OP: what each mishap makes of a login, and the way back to normal."""

from html import escape

import jwt
import pytest
import requests

from oidc.testing.bench import MISHAPS, PATH, Bench
from oidc.testing.browser import Browser
from oidc.testing.op import OP, PERSON

SUB = PERSON["sub"]
# With what reason a login ends under each mishap.
REASONS = {
    "deny": "access_denied",
    "audience": "id_token_audience",
    "expired": "id_token_time",
    "subject": "userinfo_subject",
    "slow": "op_timeout",
    "down": "op_unreachable",
    "keys": "",
}


@pytest.fixture
def bench(op: OP) -> Bench:
    return Bench(op)


def send(browser: Browser, headers: dict[str, str] | None = None, **form: str) -> requests.Response:
    """Send a form of the bench."""
    return browser.ask_op("post", browser.op.issuer + PATH, data=form, headers=headers)


def test_every_mishap_has_its_reason_here() -> None:
    assert MISHAPS.keys() == REASONS.keys()


@pytest.mark.parametrize("name", MISHAPS)
def test_a_mishap_makes_the_site_say_what_the_bench_says(bench: Bench, browser: Browser, settings, name: str) -> None:
    settings.OIDC_TIMEOUT = 0.5
    send(browser, mishap=name)
    page = browser.log_in(SUB)
    if not MISHAPS[name].site_says:
        assert browser.is_signed_in
        return
    assert browser.refusals[-1]["reason"].code == REASONS[name]
    assert escape(MISHAPS[name].site_says) in page.content.decode()


@pytest.mark.parametrize("name", MISHAPS)
def test_afterwards_everything_is_normal_again(bench: Bench, browser: Browser, name: str) -> None:
    send(browser, mishap=name)
    send(browser, mishap="none")
    browser.log_in(SUB)
    assert browser.is_signed_in


def test_one_mishap_takes_the_place_of_another(bench: Bench, browser: Browser) -> None:
    send(browser, mishap="audience")
    assert bench.op.claims
    send(browser, mishap="subject")
    assert (bench.op.claims, bench.op.userinfo) == ({}, {"sub": "somebody-else"})


def test_new_keys_are_new(bench: Bench, browser: Browser) -> None:
    send(browser, mishap="keys")
    browser.log_in(SUB)
    assert jwt.get_unverified_header(browser.client.session["oidc_id_token"])["kid"] == "key-2"


def test_the_page_shows_what_can_go_wrong_and_what_does(bench: Bench, browser: Browser) -> None:
    before = browser.ask_op("get", bench.op.issuer + PATH).text
    for mishap in MISHAPS.values():
        assert all(escape(text) in before for text in (mishap.title, mishap.shows, mishap.site_says))
    assert "Back to normal" not in before
    after = send(browser, mishap="audience").text
    assert "On purpose: Wrong audience" in after
    assert "Back to normal" in after
    assert "Everything is normal" in send(browser, mishap="none").text


def test_while_something_goes_wrong_people_see_it_at_the_next_login(bench: Bench, browser: Browser) -> None:
    browser.log_in(SUB)
    assert browser.ask_op("get", browser.leave()["Location"]).status_code == 302
    send(browser, mishap="audience")
    assert "Back to normal" in browser.ask_op("get", browser.leave()["Location"]).text


def test_it_goes_wrong_without_a_page_too(bench: Bench, browser: Browser) -> None:
    browser.log_in(SUB)
    browser.age(901)
    send(browser, mishap="deny")
    page = browser.follow(browser.get("/page/"))
    assert escape(MISHAPS["deny"].site_says) in page.content.decode()
    assert not browser.is_signed_in


def test_whoever_was_about_to_log_in_goes_on_with_that(bench: Bench, browser: Browser) -> None:
    send(browser, mishap="audience")
    url = browser.leave()["Location"]
    assert send(browser, {"Referer": url}, mishap="none").headers["Location"] == url
    elsewhere = send(browser, {"Referer": "https://evil.example.org/authorize?"}, mishap="none")
    assert (elsewhere.status_code, elsewhere.headers.get("Location")) == (200, None)


def test_a_person_who_is_disabled_is_refused_whatever_the_site_asks(bench: Bench, browser: Browser, settings) -> None:
    settings.OIDC_RENEWAL = "refresh_token"
    browser.log_in(SUB)
    browser.age(901)
    send(browser, disable=SUB)
    # The refresh token is refused, then prompt=none, then the login itself.
    silent = browser.get("/page/")["Location"]
    assert "prompt=none" in silent
    interactive = browser.get(browser.visit_op(silent).removeprefix(settings.SITE_URL))["Location"]
    assert [asked.form["grant_type"] for asked in bench.op.asked("/token")] == ["authorization_code", "refresh_token"]
    page = browser.get(browser.visit_op(interactive, SUB).removeprefix(settings.SITE_URL))
    assert browser.refusals[-1]["reason"].code == "access_denied"
    assert page.status_code == 403
    assert not bench.op.sessions.keys() - {browser.at_op.cookies["op_session"]}
    assert browser.get("/page/").status_code == 302


def test_claims_that_are_typed_do_not_get_a_disabled_person_in(bench: Bench, browser: Browser) -> None:
    send(browser, disable=SUB)
    browser.log_in({"sub": SUB})
    assert browser.refusals[-1]["reason"].code == "access_denied"
    browser.log_in({"sub": "somebody-else"})
    assert browser.is_signed_in


def test_everybody_is_back_when_everything_is_normal(bench: Bench, browser: Browser) -> None:
    send(browser, disable=SUB)
    assert f"{SUB} is disabled" in browser.ask_op("get", bench.op.issuer + PATH).text
    send(browser, mishap="none")
    browser.log_in(SUB)
    assert browser.is_signed_in


def test_who_is_logged_in_can_be_logged_out(bench: Bench, browser: Browser) -> None:
    page = f"{bench.op.issuer}{PATH}"
    assert 'name="log_out"' not in browser.ask_op("get", page).text
    browser.log_in({"sub": "kim", "name": "Kim <b>"})
    text = browser.ask_op("get", page).text
    assert 'name="log_out" value="kim"' in text
    assert "<h3>Kim &lt;b&gt;</h3>" in text


def test_a_site_that_is_down_cannot_be_told_of_a_logout(bench: Bench, browser: Browser) -> None:
    bench.op.site_url = "http://localhost:1"
    assert "The site cannot be reached" in send(browser, log_out=SUB).text


@pytest.fixture
def running(live_server, settings, request: pytest.FixtureRequest) -> Browser:
    """A browser in front of a site that runs, where the OP can tell it something."""
    settings.SITE_URL = live_server.url
    browser = Browser(request.getfixturevalue("op"), url=live_server.url)
    Bench(browser.op)
    return browser


def test_a_logout_everywhere_reaches_every_browser(running: Browser) -> None:
    second = Browser(running.op, url=running.url)
    for browser in (running, second):
        browser.log_in(SUB)
        assert browser.get("/page/").status_code == 200
    assert "The site said 200" in send(running, log_out=SUB).text
    assert [browser.get("/page/").status_code for browser in (running, second)] == [302, 302]
    assert not running.op.sessions


def test_a_page_of_another_site_cannot_switch_anything(bench: Bench, browser: Browser) -> None:
    response = send(browser, {"Origin": "https://evil.example.org"}, mishap="deny")
    assert (response.status_code, bench.op.error, bench.op.mishap) == (403, "", "")
    assert send(browser, {"Origin": bench.op.issuer}, mishap="deny").status_code == 200


def test_only_an_op_of_this_machine_alone_has_a_bench() -> None:
    with OP(host="0.0.0.0") as op:
        with pytest.raises(ValueError, match="listen on this machine alone"):
            Bench(op)
        assert PATH not in op.endpoints


def test_an_op_of_tests_has_none_unless_it_is_asked_for(op: OP, browser: Browser) -> None:
    assert browser.ask_op("get", op.issuer + PATH).status_code == 404
    assert "what can go wrong" not in browser.ask_op("get", browser.leave()["Location"]).text

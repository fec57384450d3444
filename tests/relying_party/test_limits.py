"""Codes that fail are limited for each client; honest logins are not, nor is anybody for ever."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_network
from typing import Any

import pytest
from django.core import signing
from django.test import RequestFactory

from oidc import errors
from oidc.errors import LoginError
from oidc.internal import limits
from oidc.testing.browser import Browser
from oidc.testing.op import OP, Fault, dead, responds, slow

IN, FAILED, CLOSED = 302, 400, 429
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.1"


@pytest.fixture(autouse=True)
def few(settings: Any) -> None:
    """Three failures in a minute close the way to the OP, so that no test needs many."""
    settings.OIDC_FAILED_LOGINS_PER_MINUTE = 3


@pytest.fixture(autouse=True)
def minute(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Begin each test with a minute, as one that ends meanwhile forgives everything; `minute(1)` is the next one."""
    now, clock = time.time, [0.0]
    monkeypatch.setattr(limits, "_last_failure", 0)
    monkeypatch.setattr(time, "time", lambda: now() + clock[0])

    def pass_minutes(number: int) -> None:
        clock[0] += number * 60

    clock[0] = 60 - now() % 60
    return pass_minutes


def begin(browser: Browser, address: str, **headers: str) -> Any:
    return browser.get("/oidc/authenticate/", REMOTE_ADDR=address, headers=headers)


def finish(browser: Browser, leaving: Any, address: str, code: str | None = None, **headers: str) -> Any:
    """Come back from the OP, with the code that it gave or another one."""
    parameters = browser.op.grant(leaving["Location"]) | ({"code": code} if code else {})
    return browser.get("/oidc/callback/", parameters, REMOTE_ADDR=address, headers=headers)


def status(browser: Browser, address: str = HERE, code: str | None = None, **headers: str) -> int:
    """Return the status with which a login ends."""
    leaving = begin(browser, address, **headers)
    is_open = leaving.status_code == IN
    return (finish(browser, leaving, address, code, **headers) if is_open else leaving).status_code


def fail(op: OP, address: str = HERE, times: int = 3) -> list[int]:
    """Come back with made-up codes, each time as a new browser."""
    return [status(Browser(op), address, "made-up") for _ in range(times)]


@pytest.mark.usefixtures("db")
def test_made_up_codes_beyond_the_limit_do_not_reach_the_op(op: OP) -> None:
    # Begun before, so that the start of a login, which is refused as well, is not what holds them up.
    begun = [(browser := Browser(op), begin(browser, HERE)) for _ in range(10)]
    seen = [finish(*login, HERE, "made-up").status_code for login in begun]
    assert seen == [FAILED] * 3 + [CLOSED] * 7
    assert len(op.asked("/token")) == 3


def test_who_is_limited_reads_when_to_come_back(op: OP, browser: Browser, minute: Any) -> None:
    fail(op)
    response = begin(browser, HERE)
    refusal = browser.refusals[-1]
    assert (response.status_code, refusal["reason"]) == (CLOSED, errors.TOO_MANY_FAILURES)
    assert response["Retry-After"] == "60"
    assert all(text in response.content.decode() for text in ("from your network", refusal["reference"]))
    minute(1)
    assert status(browser) == IN


def test_the_log_has_the_address_to_act_on(op: OP, browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    fail(op)
    begin(browser, HERE)
    assert f"detail=3 in this minute, now from {HERE}" in caplog.text


def test_a_login_that_another_site_asks_for_is_limited_too(op: OP, browser: Browser) -> None:
    fail(op)
    assert browser.get("/oidc/initiate/", {"iss": op.issuer}, REMOTE_ADDR=HERE).status_code == CLOSED


@pytest.mark.usefixtures("db")
def test_people_elsewhere_log_in_meanwhile(op: OP) -> None:
    fail(op, times=10)
    assert status(Browser(op), ELSEWHERE) == IN


@pytest.mark.usefixtures("db")
def test_what_succeeds_is_not_counted_however_many_share_an_address(op: OP) -> None:
    assert {status(Browser(op)) for _ in range(10)} == {IN}


def test_a_browser_that_has_logged_in_before_is_a_client_by_itself(op: OP, browser: Browser) -> None:
    assert status(browser) == IN
    browser.post("/oidc/logout/")
    fail(op, times=5)
    assert status(Browser(op)) == CLOSED
    assert status(browser) == IN
    assert [status(browser, code="made-up") for _ in range(5)] == [FAILED] * 3 + [CLOSED] * 2


@pytest.mark.parametrize("value", ["x", "a:b:c", "of something else"])
def test_a_forged_cookie_makes_nobody_known(op: OP, browser: Browser, value: str) -> None:
    fail(op)
    browser.client.cookies["oidc_browser"] = signing.dumps("x", salt="oidc.attempts") if " " in value else value
    assert status(browser) == CLOSED


def test_the_cookie_of_a_known_browser_expires(op: OP, browser: Browser, minute: Any) -> None:
    status(browser)
    minute(90 * 24 * 60 + 1)
    fail(op)
    assert status(browser) == CLOSED


@pytest.mark.parametrize(("mode", "same_site"), [("query", "Lax"), ("form_post", "None")])
def test_the_cookie_comes_along_with_the_response_of_the_op_and_is_out_of_reach(
    op: OP, browser: Browser, settings: Any, mode: str, same_site: str
) -> None:
    settings.OIDC_RESPONSE_MODE = mode
    cookie = browser.log_in().cookies["oidc_browser"]
    assert (cookie["httponly"], cookie["path"], cookie["samesite"]) == (True, "/", same_site)
    assert not {browser.user.username, "person-1"} & {cookie.value, signing.loads(cookie.value, salt=limits.COOKIE)}


def test_many_addresses_together_are_limited_and_known_browsers_are_not(
    op: OP, browser: Browser, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STRANGERS", 2)
    assert status(browser) == IN
    browser.post("/oidc/logout/")
    seen = [status(Browser(op), f"198.51.100.{number}", "made-up") for number in range(10)]
    assert seen == [FAILED] * 6 + [CLOSED] * 4
    assert status(Browser(op), ELSEWHERE) == CLOSED
    assert status(browser, ELSEWHERE) == IN


def test_nothing_is_limited_where_the_setting_is_0(op: OP, browser: Browser, settings: Any) -> None:
    settings.OIDC_FAILED_LOGINS_PER_MINUTE = 0
    assert fail(op, times=10) == [FAILED] * 10
    assert status(browser) == IN


@pytest.mark.parametrize(
    ("fault", "is_counted"),
    [
        (responds({"error": "invalid_grant"}, status=400), True),
        (responds({"error": "invalid_request"}, status=400), True),
        (responds({"error": "server_error"}, status=500), True),
        (responds(b"<p>blocked", status=403), True),
        (dead, False),
        (slow, False),
    ],
    ids=["invalid-grant", "invalid-request", "server-error", "not-json", "dead", "slow"],
)
def test_what_costs_the_op_a_response_is_counted(
    op: OP, db: None, rf: RequestFactory, settings: Any, fault: Fault, is_counted: bool
) -> None:
    """A firewall or a crash that a made-up code provokes is no way round the limit."""
    settings.OIDC_FAILED_LOGINS_PER_MINUTE, settings.OIDC_TIMEOUT = 1, 0.2
    leaving = begin(browser := Browser(op), HERE)
    op.faults["/token"] = fault
    finish(browser, leaving, HERE)
    is_open = True
    try:
        limits.check(rf.get("/", REMOTE_ADDR=HERE))
    except LoginError:
        is_open = False
    assert is_open is not is_counted


def test_a_renewal_that_is_limited_leaves_the_session_as_it_is(op: OP, browser: Browser) -> None:
    browser.log_in()
    del browser.client.cookies["oidc_browser"]
    browser.age(1000)
    to_the_op = browser.get("/page/", REMOTE_ADDR=HERE)
    fail(op)
    assert finish(browser, to_the_op, HERE)["Location"] == "/page/"
    assert browser.get("/page/").status_code == 200
    assert browser.is_signed_in


def test_a_script_reads_json(op: OP, browser: Browser) -> None:
    fail(op)
    response = begin(browser, HERE, **{"Sec-Fetch-Mode": "cors"})
    assert (response.status_code, "Retry-After" in response) == (CLOSED, True)
    reference = browser.refusals[-1]["reference"]
    message = str(errors.TOO_MANY_FAILURES.explanation)
    assert response.json() == {"reason": "too_many_failures", "message": message, "reference": reference}


def test_a_login_asks_the_cache_only_while_others_fail(
    op: OP, browser: Browser, monkeypatch: pytest.MonkeyPatch, minute: Any
) -> None:
    asked: list[str] = []
    cached = limits.shared_cache.cached

    def record(operation: str, *arguments: Any) -> Any:
        asked.append(operation)
        return cached(operation, *arguments)

    monkeypatch.setattr(limits.shared_cache, "cached", record)
    for failures, looks in ((0, 0), (1, 2), (0, 0)):
        fail(op, times=failures)
        asked.clear()
        assert status(Browser(op), ELSEWHERE) == IN
        assert asked.count("get_many") == looks  # at its start, and when it comes back
        minute(1)


def test_what_fails_in_one_process_counts_in_all(op: OP, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(op)
    monkeypatch.setattr(limits, "_last_failure", 0)
    assert fail(op) == [FAILED, CLOSED, CLOSED]


def test_while_the_cache_is_down_each_process_counts_alone(op: OP, browser: Browser, broken_cache: None) -> None:
    assert fail(op, times=5) == [*[FAILED] * 3, CLOSED, CLOSED]
    assert status(browser, ELSEWHERE) == IN


def test_failures_at_the_same_time_are_all_counted(rf: RequestFactory, op: OP, settings: Any) -> None:
    settings.OIDC_FAILED_LOGINS_PER_MINUTE = 200

    def fail_as_others_do(_: int) -> None:
        with suppress(LoginError), limits.exchange(rf.get("/")):
            raise LoginError(errors.CODE_REFUSED)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(fail_as_others_do, range(199)))
    limits.check(rf.get("/"))
    fail_as_others_do(0)
    with pytest.raises(LoginError, match="too_many_failures"):
        limits.check(rf.get("/"))


@pytest.mark.parametrize(
    ("remote", "forwarded", "proxies", "client"),
    [
        ("192.0.2.1", None, [], "192.0.2.1"),
        ("192.0.2.1", "198.51.100.1", [], "192.0.2.1"),
        ("192.0.2.1", "198.51.100.1", ["10.0.0.0/8"], "192.0.2.1"),
        ("10.0.0.2", "198.51.100.1", ["10.0.0.0/8"], "198.51.100.1"),
        ("10.0.0.2", "6.6.6.6, 198.51.100.1", ["10.0.0.0/8"], "198.51.100.1"),
        ("10.0.0.2", "6.6.6.6, 198.51.100.1, 10.0.0.3", ["10.0.0.0/8"], "198.51.100.1"),
        ("10.0.0.2", "10.1.1.1", ["10.0.0.0/8"], "10.1.1.1"),
        ("10.0.0.2", None, ["10.0.0.0/8"], "10.0.0.2"),
        ("10.0.0.2", "unknown", ["10.0.0.0/8"], "10.0.0.2"),
        ("10.0.0.2", "6.6.6.6, \0", ["10.0.0.0/8"], "10.0.0.2"),
        ("10.0.0.2", "6.6.6.6, 198.51.100.1", ["0.0.0.0/0", "::/0"], "198.51.100.1"),
        ("", "6.6.6.6, 198.51.100.1", ["127.0.0.1/32"], "198.51.100.1"),
        ("", "198.51.100.1", [], "127.0.0.1"),
        ("10.0.0.2", "198.51.100.1:4711", ["10.0.0.0/8"], "198.51.100.1"),
        ("10.0.0.2", "[2001:db8::1]:4711", ["10.0.0.0/8"], "2001:db8::/64"),
        ("10.0.0.2", "[2001:db8::1]", ["10.0.0.0/8"], "2001:db8::/64"),
        ("10.0.0.2", "2001:db8::1", ["10.0.0.0/8"], "2001:db8::/64"),
        ("10.0.0.2", "6.6.6.6, [", ["10.0.0.0/8"], "10.0.0.2"),
        ("2001:db8:1:2:3:4:5:6", None, [], "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", None, [], "2001:db8:1:2::/64"),
        ("::1", None, [], "::/64"),
        ("::ffff:192.0.2.1", None, [], "192.0.2.1"),
        ("::ffff:10.0.0.2", "192.0.2.1", ["10.0.0.0/8"], "192.0.2.1"),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxy(
    rf: RequestFactory, settings: Any, remote: str, forwarded: str | None, proxies: list[str], client: str
) -> None:
    settings.FORWARDED_ALLOW_IPS = [ip_network(proxy) for proxy in proxies]
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert limits.address_of(rf.get("/", REMOTE_ADDR=remote, headers=headers)) == client


def test_another_address_in_the_header_is_no_way_round_the_limit(op: OP, browser: Browser, settings: Any) -> None:
    settings.FORWARDED_ALLOW_IPS = [ip_network("10.0.0.0/8")]
    lies = (f"6.6.6.{number}, {HERE}" for number in range(10))
    seen = [status(Browser(op), "10.0.0.2", "made-up", **{"X-Forwarded-For": lie}) for lie in lies]
    assert seen == [FAILED] * 3 + [CLOSED] * 7
    assert status(browser, "10.0.0.2", **{"X-Forwarded-For": ELSEWHERE}) == IN

"""Many people at once, and one person many times at once: whatever the order, the result is one consistent state."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import connections
from django.test import Client
from django.utils import timezone

from oidc.building_blocks import claims as read
from oidc.building_blocks import rights, users
from oidc.internal import renewal, session
from oidc.models import Identity, LoginSession, SpentToken
from oidc.testing.browser import Browser
from oidc.testing.op import OP
from tests.relying_party.stub.backends import Backend

PEOPLE = 10

pytestmark = pytest.mark.usefixtures("shared_database")


class ByAddress(Backend):
    """Finds users by identity, at the first login by their verified address."""

    def filter_users_by_claims(self, claims: Any) -> Any:
        return users.by_identity(claims) or users.by_verified_email(claims)


class WithGroups(Backend):
    """Brings the Django groups A, B and C in line with the OP's a, b and c."""

    def update_user(self, user: Any, claims: Any) -> Any:
        user = super().update_user(user, claims)
        rights.apply(user, read.groups(claims, "groups"), managed={"a": "A", "b": "B", "c": "C"})
        return user


@pytest.fixture(autouse=True)
def patience(settings: Any) -> None:
    """A busy machine is not what these tests are about."""
    settings.OIDC_TIMEOUT = 30


def at_once(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    """Make all calls at the same moment, each in a thread of its own, and return their results."""
    calls = list(calls)
    together = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            together.wait(30)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def come_back_at_once(op: OP, people: list[dict[str, Any]]) -> list[Browser]:
    """Log people in who all come back from the OP at the same moment, and return their browsers."""
    browsers = [Browser(op) for _ in people]
    callbacks = [
        browser.visit_op(browser.leave()["Location"], who) for browser, who in zip(browsers, people, strict=True)
    ]

    def come_back(browser: Browser, callback: str) -> Callable[[], Any]:
        return lambda: browser.get(callback.removeprefix(op.site_url))

    at_once(map(come_back, browsers, callbacks))
    return browsers


def clients_with_cookies_of(browser: Browser) -> list[Client]:
    """Return many clients with the cookies of one browser, like the requests that its pages send at once."""
    clients = [Client(SERVER_NAME="localhost") for _ in range(PEOPLE)]
    for client in clients:
        client.cookies = browser.client.cookies.copy()
    return clients


# First logins


def test_ten_first_logins_of_one_person_make_one_user_and_ten_sessions(op: OP) -> None:
    browsers = come_back_at_once(op, [{"sub": "kim"}] * PEOPLE)
    assert all(browser.is_signed_in for browser in browsers)
    assert get_user_model().objects.count() == Identity.objects.count() == 1
    assert len({browser.client.session.session_key for browser in browsers}) == PEOPLE
    assert LoginSession.objects.count() == PEOPLE


def test_first_logins_of_people_with_one_name_make_one_user_each(op: OP) -> None:
    people = [{"sub": f"kim-{number}", "preferred_username": "kim"} for number in range(5)]
    assert all(browser.is_signed_in for browser in come_back_at_once(op, people))
    assert get_user_model().objects.count() == Identity.objects.count() == 5
    names = set(get_user_model().objects.values_list("username", flat=True))
    assert names == {"kim", "kim-2", "kim-3", "kim-4", "kim-5"}


def test_two_people_with_one_verified_address_cannot_both_take_over_its_user(op: OP, settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.ByAddress"]
    existing = get_user_model().objects.create_user("existing", "kim@example.org")
    claims = {"email": "kim@example.org", "email_verified": True}
    come_back_at_once(op, [claims | {"sub": f"kim-{number}"} for number in range(4)])
    assert existing.identities.count() == 1
    assert Identity.objects.count() == get_user_model().objects.count()


def test_a_callback_that_is_sent_many_times_at_once_spends_the_code_once(op: OP) -> None:
    browser = Browser(op)
    callback = op.grant(browser.leave()["Location"])
    statuses = at_once(
        lambda client=client: client.get("/oidc/callback/", callback).status_code
        for client in clients_with_cookies_of(browser)
    )
    assert sorted(statuses) == [302] + [400] * (PEOPLE - 1)
    assert len(op.asked("/token")) == 1


# Rights


def test_changes_of_groups_at_the_same_time_do_not_mix(op: OP) -> None:
    def log_in(groups: list[str]) -> Callable[[], Any]:
        claims = {"iss": op.issuer, "sub": "kim", "groups": groups}
        return lambda: WithGroups().authenticate(None, verified_claims=claims)

    log_in(["a"])()
    at_once(map(log_in, [["a", "b"], ["c"], ["a", "b"], ["c"]]))
    names = sorted(Group.objects.filter(user__identities__subject="kim").values_list("name", flat=True))
    assert names in (["A", "B"], ["C"])


# Refreshes and logouts


@pytest.fixture
def refreshing(op: OP, settings: Any) -> Browser:
    """A signed-in browser whose session is due and has a refresh token."""
    settings.OIDC_RENEWAL, settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = "refresh_token", 900
    browser = Browser(op)
    browser.log_in()
    browser.age(901)
    return browser


def refreshes(op: OP) -> int:
    return len([asked for asked in op.asked("/token") if asked.form["grant_type"] == "refresh_token"])


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Mode": "cors"}], ids=["pages", "scripts"])
def test_requests_of_one_session_at_once_refresh_it_once(refreshing: Browser, op: OP, headers: dict[str, str]) -> None:
    """A refresh token that is used twice makes a careful OP end the session (RFC 9700 4.14.2)."""
    statuses = at_once(
        lambda client=client: client.get("/page/", headers=headers).status_code
        for client in clients_with_cookies_of(refreshing)
    )
    assert set(statuses) == {200}
    assert refreshes(op) == 1


@pytest.mark.parametrize(
    ("method", "headers"),
    [("get", {"Sec-Fetch-Mode": "cors"}), ("post", {"Sec-Fetch-Mode": "cors"}), ("get", {}), ("post", {})],
    ids=["scripts-read", "scripts-write", "pages", "forms"],
)
def test_requests_at_once_beyond_the_grace_period_wait_for_the_one_that_asks(
    refreshing: Browser,
    op: OP,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    headers: dict[str, str],
) -> None:
    monkeypatch.setattr(renewal, "MAX_WAIT_SECONDS", 30)
    settings.OIDC_RENEWAL_GRACE_SECONDS, op.latency = 0, 0.1
    statuses = at_once(
        lambda client=client: getattr(client, method)("/page/", headers=headers).status_code
        for client in clients_with_cookies_of(refreshing)[:6]
    )
    assert set(statuses) == {200}
    assert refreshes(op) == 1


def test_nobody_waits_for_longer_than_a_second_and_at_most_eight_do(refreshing: Browser, settings: Any) -> None:
    """A slow OP must not keep the threads that serve pages."""
    settings.OIDC_RENEWAL_GRACE_SECONDS = 0
    LoginSession.objects.update(paused_until=timezone.now() + session.LEASE)

    def ask(client: Client) -> tuple[int, float]:
        began = time.monotonic()
        status = client.get("/page/", headers={"Sec-Fetch-Mode": "cors"}).status_code
        return status, time.monotonic() - began

    results = at_once(lambda client=client: ask(client) for client in clients_with_cookies_of(refreshing))
    assert {status for status, _ in results} == {401}
    assert len([seconds for _, seconds in results if seconds < 0.9]) == PEOPLE - 8
    assert max(seconds for _, seconds in results) < 3


def test_nobody_waits_for_an_op_that_was_down_just_now(refreshing: Browser, settings: Any) -> None:
    settings.OIDC_RENEWAL_GRACE_SECONDS = 0
    LoginSession.objects.update(paused_until=timezone.now() + session.PAUSE)
    began = time.monotonic()
    assert refreshing.get("/page/", headers={"Sec-Fetch-Mode": "cors"}).status_code == 401
    assert time.monotonic() - began < 0.5


def test_a_refusal_in_the_background_meets_requests_at_once_once(refreshing: Browser, op: OP) -> None:
    op.end_sessions("person-1")
    at_once(lambda client=client: client.post("/page/") for client in clients_with_cookies_of(refreshing))
    assert refreshes(op) == 1
    assert LoginSession.objects.get().refresh_token == ""


def test_after_a_change_of_secret_key_requests_at_once_leave_no_session_that_the_op_cannot_end(
    op: OP, settings: Any
) -> None:
    """Each of them gets a new key from Django, and the browser keeps one."""
    browser = Browser(op)
    browser.log_in()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key", [settings.SECRET_KEY]
    statuses = at_once(
        lambda client=client: client.get("/page/").status_code for client in clients_with_cookies_of(browser)
    )
    assert 200 in statuses
    assert Session.objects.count() == LoginSession.objects.count() == 1
    form = {"logout_token": op.logout_token()}
    assert Client(SERVER_NAME="localhost").post("/oidc/backchannel-logout/", form).status_code == 200
    assert not Session.objects.exists()


def test_a_logout_token_that_is_sent_many_times_at_once_is_obeyed_once(refreshing: Browser, op: OP) -> None:
    form = {"logout_token": op.logout_token()}
    statuses = at_once(
        lambda client=client: client.post("/oidc/backchannel-logout/", form).status_code
        for client in [Client(SERVER_NAME="localhost") for _ in range(PEOPLE)]
    )
    assert sorted(statuses) == [200] + [400] * (PEOPLE - 1)
    assert SpentToken.objects.count() == 1
    assert not refreshing.is_signed_in


def test_a_session_that_the_op_ends_while_it_is_used_stays_ended(refreshing: Browser, op: OP) -> None:
    """A request that is under way must not write the session back."""
    form = {"logout_token": op.logout_token()}
    calls = [lambda client=client: client.get("/page/") for client in clients_with_cookies_of(refreshing)]
    at_once([*calls, lambda: Client(SERVER_NAME="localhost").post("/oidc/backchannel-logout/", form)])
    assert refreshing.get("/page/").status_code == 302
    assert not LoginSession.objects.exists()

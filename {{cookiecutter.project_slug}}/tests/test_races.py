"""Logins at the same time: whatever order they come in, the result is one consistent state."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth.models import Group
from django.db import connections

from accounts.backends import OIDCBackend
from accounts.models import Identity, User
from tests.browser import Browser

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_database")]


@pytest.fixture
def at_once(shared_database: None) -> Callable[..., list]:
    """Return a function that lets several people come back from the OP at the same moment."""

    def run(people: list[tuple[Browser, str]]) -> list[int]:
        callbacks = [(browser, browser.answer(browser.start(), sub)) for browser, sub in people]
        together = Barrier(len(people))

        def come_back(browser: Browser, callback: str) -> int:
            together.wait(30)
            try:
                return browser.get(callback).status_code
            finally:
                connections.close_all()

        with ThreadPoolExecutor(len(people)) as threads:
            return list(threads.map(lambda pair: come_back(*pair), callbacks))

    return run


def test_first_logins_of_several_people_with_one_name_make_one_user_each(at_once, person, settings) -> None:
    settings.OIDC_TIMEOUT = 30
    people = [(Browser(), person({"preferred_username": "kim"}, f"kim-{number}")) for number in range(5)]
    assert at_once(people) == [302] * 5
    assert Identity.objects.count() == User.objects.count() == 5


def test_two_people_with_one_verified_address_cannot_both_be_linked(at_once, person, settings) -> None:
    settings.OIDC_TIMEOUT, settings.OIDC_USER_MATCHING = 30, "verified_email"
    existing = User.objects.create_user("existing", "kim@example.org")
    claims = {"email": "kim@example.org", "email_verified": True}
    at_once([(Browser(), person(claims, f"kim-{number}")) for number in range(4)])
    assert existing.identities.count() == 1
    assert Identity.objects.count() == User.objects.count()


def test_changes_of_groups_at_the_same_time_do_not_mix(shared_database: None, settings, op: str) -> None:
    settings.OIDC_MANAGED_GROUPS = ["a", "b", "c"]
    # The claims as they are, without asking the OP.
    settings.OIDC_USERINFO, settings.OIDC_NEEDED_CLAIMS = "when-needed", []
    together = Barrier(4)

    def update(groups: list[str]) -> None:
        together.wait(30)
        try:
            OIDCBackend().get_or_create_user(None, "", {"iss": op, "sub": "kim", "groups": groups})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(update, [["a", "b"], ["c"], ["a", "b"], ["c"]]))
    names = sorted(Group.objects.filter(user__identities__subject="kim").values_list("name", flat=True))
    assert names in (["a", "b"], ["c"])

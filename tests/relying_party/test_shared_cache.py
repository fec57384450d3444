"""The cache that all processes share: what happens while it is down, or hangs."""

import time
from collections.abc import Callable

import pytest
from django.core.cache import cache

from oidc.internal import shared_cache
from oidc.testing.browser import Browser


@pytest.fixture
def own_cache(settings) -> None:
    # A cache server has a clock of its own, which no test moves.
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": __name__}}
    cache.clear()


def test_once_is_once_until_its_time_has_passed(own_cache: None, later: Callable[..., None]) -> None:
    assert [shared_cache.once(key, 10) for key in ("this", "this", "that")] == [True, False, True]
    later(seconds=11)
    assert shared_cache.once("this", 10)


def test_a_cache_that_fails_costs_speed_only(browser: Browser, broken_cache: None) -> None:
    assert browser.outcome() == "signed_in"


def test_a_cache_that_hangs_is_left_alone_for_ten_times_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [100.0], list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(shared_cache, "_silent_until", 0.0)

    def hang() -> None:
        asked.append(now[0])
        now[0] += 0.5
        raise TimeoutError

    for _ in range(12):
        with pytest.raises(shared_cache.CacheError):
            shared_cache.ask(hang)
        now[0] += 0.5
    assert asked == [100.0, 105.5]
    with pytest.raises(shared_cache.CacheError):
        shared_cache.ask(hang, even_if_silent=True)
    assert len(asked) == 3

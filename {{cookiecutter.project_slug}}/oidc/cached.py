"""Documents of the OP, kept in the cache that all processes of the site share.

A document is fresh for an hour, then refreshed by whoever comes first; while the OP is down the
old one serves on. A cache that fails costs speed, never a login.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from typing import Any

from django.core.cache import cache

from oidc.errors import LoginError, Reason

logger = logging.getLogger(__name__)

FRESH_SECONDS = 60 * 60
KEPT_SECONDS = 7 * 24 * 60 * 60
REFRESH_FLOOR_SECONDS = 30


def document(kind: str, url: str, fetch: Callable[[str], Any]) -> Any:
    """Return the document of `url`: the cached one while it is fresh, else what `fetch(url)` returns.

    Raises the `LoginError` of `fetch` only if no older copy exists.
    """
    key = _key(kind, url)
    entry = _get(key)
    if entry is None:
        return _store(key, fetch(url))
    fetched_at, value = entry
    if time.time() - fetched_at < FRESH_SECONDS or not once(f"{key}:refresh", REFRESH_FLOOR_SECONDS):
        return value
    try:
        return _store(key, fetch(url))
    except LoginError as error:
        logger.warning("stale %s of the OP stays in use: %s", kind, error)
        return value


def refetched(kind: str, url: str, fetch: Callable[[str], Any]) -> Any | None:
    """Return a newly fetched document, or None if one was fetched less than half a minute ago."""
    key = _key(kind, url)
    if not once(f"{key}:refetch", REFRESH_FLOOR_SECONDS):
        return None
    return _store(key, fetch(url))


def probe(url: str, ask: Callable[[], Any]) -> bool:
    """Tell whether `ask` found the server of `url` up: now, or less than half a minute ago in any process."""
    key = _key("down", url)
    if not once(f"{key}:asked", REFRESH_FLOOR_SECONDS):
        _, is_down = _get(key) or (0, False)
        return not is_down
    is_down = False
    try:
        ask()
    except LoginError as error:
        # Whatever it answered, it is there.
        is_down = error.reason in (Reason.OP_UNREACHABLE, Reason.OP_TIMEOUT)
        logger.warning("the OP %s: %s", "is down" if is_down else "answers strangely", error)
    _store(key, is_down)
    return not is_down


def once(key: str, seconds: int) -> bool:
    """Tell whether this is the first call for `key` in `seconds`, in any process of the site."""
    try:
        return cache.add(key, 1, seconds)
    except Exception as error:  # noqa: BLE001 - cache backends have no common exception
        logger.warning("cache failed: %s", type(error).__name__)
        return True


def _key(kind: str, url: str) -> str:
    return f"oidc:{kind}:{hashlib.sha256(url.encode()).hexdigest()}"


def _get(key: str) -> Any:
    try:
        return cache.get(key)
    except Exception as error:  # noqa: BLE001 - cache backends have no common exception
        logger.warning("cache failed: %s", type(error).__name__)
        return None


def _store(key: str, value: Any) -> Any:
    try:
        cache.set(key, (time.time(), value), KEPT_SECONDS)
    except Exception as error:  # noqa: BLE001 - cache backends have no common exception
        logger.warning("cache failed: %s", type(error).__name__)
    return value

"""Documents of the OP, kept in the cache that all processes of the site share.

A document is fresh for a while, then refreshed by whoever comes first; while the OP is down the old one serves on.
Each process remembers for some seconds what it has read, so that few logins of a busy site ask the cache.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from typing import Any

from oidc.errors import LoginError
from oidc.internal.shared_cache import cached, once

logger = logging.getLogger(__name__)

# For how long a document is taken as it is, and for how long it is kept for an OP that is down.
FRESH_SECONDS, KEPT_SECONDS = 60 * 60, 7 * 24 * 60 * 60
REFRESH_FLOOR_SECONDS = 30
REFETCHES = 10
FAILED_SECONDS = 5
MEMORY_SECONDS = 5
# When a document was fetched, and the document.
Entry = tuple[float, Any]
# What this process has read or fetched of late, by key, and when it did.
remembered: dict[str, tuple[float, Entry]] = {}


def document(kind: str, url: str, fetch: Callable[[str], Any]) -> Any:
    """Return the document of `url`: the cached one while it is fresh, else what `fetch(url)` returns.

    Raises the `LoginError` of `fetch` only if there is no older copy.
    """
    key = _key(kind, url)
    if (entry := _remembered(key) or _remember(key, cached("get", key))) is None:
        return _store(key, fetch(url))
    fetched_at, value = entry
    # Not fresh either, if a clock that was wrong has been set back.
    if not 0 <= time.time() - fetched_at < FRESH_SECONDS and once(f"{key}:refresh", REFRESH_FLOOR_SECONDS):
        try:
            return _store(key, fetch(url))
        except LoginError as error:
            logger.warning("an old copy of the OP's %s stays in use: %s", kind, error)
    return value


def refetched(kind: str, url: str, fetch: Callable[[str], Any]) -> Any | None:
    """Return a newly fetched document, or None if the whole site has fetched it too often of late.

    Anybody can cause it with a forged token, so it is ten times at once, and then once more after each half minute. A
    fetch that fails, whose `LoginError` is raised, does not count for long. What another process has fetched since this
    one read it serves here too.
    """
    key = _key(kind, url)
    known, entry = _remembered(key), cached("get", key)
    if known and entry and known[0] < entry[0]:
        _remember(key, entry)
        return entry[1]
    # Each slot is taken for half a minute longer than the one before it, so that they do not all come free together.
    slots = ((f"{key}:refetch:{number}", number * REFRESH_FLOOR_SECONDS) for number in range(1, REFETCHES + 1))
    if (slot := next((slot for slot, seconds in slots if once(slot, seconds)), None)) is None:
        return None
    try:
        return _store(key, fetch(url))
    except LoginError:
        cached("set", slot, 1, FAILED_SECONDS)
        raise


def replaced(kind: str, url: str, fetch: Callable[[str], Any]) -> Any:
    """Return a newly fetched document, whenever there was one before; raises the `LoginError` of `fetch`."""
    return _store(_key(kind, url), fetch(url))


def _key(kind: str, url: str) -> str:
    return f"oidc:{kind}:{hashlib.sha256(url.encode()).hexdigest()}"


def _store(key: str, value: Any) -> Any:
    entry = time.time(), value
    cached("set", key, entry, KEPT_SECONDS)
    _remember(key, entry)
    return value


def _remembered(key: str) -> Entry | None:
    read_at, entry = remembered.get(key, (0.0, None))
    return entry if 0 <= time.time() - read_at < MEMORY_SECONDS else None


def _remember(key: str, entry: Entry | None) -> Entry | None:
    if entry:
        remembered[key] = time.time(), entry
    return entry

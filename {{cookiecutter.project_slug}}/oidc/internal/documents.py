"""Documents of the OP, kept in the cache that all processes of the site share.

A document is fresh for a while, then refreshed by whoever comes first; while the OP is down the old one serves on.
Whoever serves a request asks the cache once for each document.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from django.core.signals import request_finished, request_started
from django.dispatch import Signal, receiver

from oidc.errors import LoginError
from oidc.internal.shared_cache import cached, once

logger = logging.getLogger(__name__)

REFRESH_FLOOR_SECONDS = 30
REFETCHES = 10
FAILED_SECONDS = 5
# What the request that is being served has read, by key; None outside of requests.
_read: ContextVar[dict[str, Any] | None] = ContextVar("oidc_documents", default=None)


@receiver([request_started, request_finished])
def forget_what_was_read(signal: Signal, **kwargs: Any) -> None:
    """Remember from now on, or no more."""
    _read.set({} if signal is request_started else None)


class Lifetime(NamedTuple):
    """For how many seconds a document is taken as it is, and for how many it is kept for an OP that is down."""

    fresh: float
    kept: int


def document(kind: str, url: str, fetch: Callable[[str], Any], lifetime: Lifetime) -> Any:
    """Return the document of `url`: the cached one while it is fresh, else what `fetch(url)` returns.

    Raises the `LoginError` of `fetch` only if there is no older copy.
    """
    key = _key(kind, url)
    if key in (read := _read.get() or {}):
        return read[key]
    if (entry := cached("get", key)) is None:
        return _store(key, fetch(url), lifetime.kept)
    fetched_at, value = entry
    if time.time() - fetched_at >= lifetime.fresh and once(f"{key}:refresh", REFRESH_FLOOR_SECONDS):
        try:
            return _store(key, fetch(url), lifetime.kept)
        except LoginError as error:
            logger.warning("an old copy of the OP's %s stays in use: %s", kind, error)
    return _remember(key, value)


def refetched(kind: str, url: str, fetch: Callable[[str], Any], lifetime: Lifetime) -> Any | None:
    """Return a newly fetched document, or None if the whole site has fetched it too often of late.

    Anybody can cause it with a forged token, so it is ten times at once, and then once more after each half minute. A
    fetch that fails, whose `LoginError` is raised, does not count for long.
    """
    # Each slot is taken for half a minute longer than the one before it, so that they do not all come free together.
    slots = (
        (f"{_key(kind, url)}:refetch:{number}", number * REFRESH_FLOOR_SECONDS) for number in range(1, REFETCHES + 1)
    )
    if (slot := next((slot for slot, seconds in slots if once(slot, seconds)), None)) is None:
        return None
    try:
        return _store(_key(kind, url), fetch(url), lifetime.kept)
    except LoginError:
        cached("set", slot, 1, FAILED_SECONDS)
        raise


def replaced(kind: str, url: str, fetch: Callable[[str], Any], lifetime: Lifetime) -> Any:
    """Return a newly fetched document, whenever there was one before; raises the `LoginError` of `fetch`."""
    return _store(_key(kind, url), fetch(url), lifetime.kept)


def _key(kind: str, url: str) -> str:
    return f"oidc:{kind}:{hashlib.sha256(url.encode()).hexdigest()}"


def _store(key: str, value: Any, seconds: int) -> Any:
    cached("set", key, (time.time(), value), seconds)
    return _remember(key, value)


def _remember(key: str, value: Any) -> Any:
    if (read := _read.get()) is not None:
        read[key] = value
    return value

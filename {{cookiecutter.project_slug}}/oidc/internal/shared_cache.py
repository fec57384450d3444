"""The cache that all processes of a site share, and what each of them does while it is down.

A process then keeps what it needs itself, so that neither a login nor the OP suffers.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache

logger = logging.getLogger(__name__)

# A cache that fails is left alone for so many times as long as that took: refused connections cost nothing, others do.
SILENCE = 10
_silent_until = 0.0
# Stands in for the shared cache while it is down.
own = LocMemCache("oidc", {})


class CacheError(Exception):
    """The shared cache is down."""


def once(key: str, seconds: int) -> bool:
    """Tell whether this is the first call for `key` in `seconds`, in any process of the site."""
    return bool(cached("add", key, 1, seconds))


def cached(operation: str, *arguments: Any) -> Any:
    """Return what a method of the cache returns, or while that is down the one of this process's own."""
    try:
        return ask(getattr(cache, operation), *arguments)
    except CacheError:
        return getattr(own, operation)(*arguments)


def ask(operation: Callable[..., Any], *arguments: Any, even_if_silent: bool = False) -> Any:
    """Return what an operation of the shared cache returns.

    Raises `CacheError`: for a while after a slow failure at once, unless `even_if_silent`.
    """
    global _silent_until
    began = time.monotonic()
    if began < _silent_until and not even_if_silent:
        raise CacheError
    try:
        return operation(*arguments)
    except Exception as error:
        failed = time.monotonic()
        _silent_until = failed + SILENCE * (failed - began)
        logger.warning("cache failed: %s", type(error).__name__)
        raise CacheError from error

"""Sessions in the database, with copies in the shared cache that save most requests a query (SESSION_ENGINE).

With Django's own `cached_db`, a request that reads or saves a session while another one ends it puts the copy back for
two weeks, and each page is a 500 while the cache is down. Here a session that ends leaves a mark that is read together
with its copy, a copy is good for five minutes at most, and a cache that is down costs a query. So does one that takes
no writes, because it is full or a replica: it does not learn which sessions end.
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends import cached_db, db
from django.contrib.sessions.backends.base import VALID_KEY_CHARS
from django.core.cache.backends.base import BaseCache
from django.utils.crypto import get_random_string

from oidc.internal import shared_cache
from oidc.internal.shared_cache import CacheError

COPY_SECONDS = 5 * 60
# Longer than any request that has read the session before it ended.
MARK, MARK_SECONDS = "oidc.ended.", 60 * 60
# Any other cookie names no session, and a cache would complain of it with a warning for each.
KEY = re.compile(r"[a-z0-9]{8,40}")
# How long a write says that others work too, in seconds.
TRUST_SECONDS = 10.0
PROBE = "oidc.takes_writes"
_wrote_at = float("-inf")
# Sessions that ended while the cache was down, and when: they are marked as soon as it is back.
_unmarked: dict[str, float] = {}


class SessionStore(cached_db.SessionStore):
    """Django's `cached_db`, but only the database says whether a session exists."""

    _cache: BaseCache
    _get_session_from_db: Callable[[], Any]
    exists, aexists = db.SessionStore.exists, db.SessionStore.aexists

    def load(self) -> dict[str, Any]:
        """Return what the session holds; nothing if it has ended."""
        if not KEY.fullmatch(self.session_key or ""):
            self._session_key = None
            return {}
        with suppress(CacheError):
            self._set_marks()
            if time.monotonic() - _wrote_at > TRUST_SECONDS:
                self._write(self._cache.set, PROBE, 1, TRUST_SECONDS)
            found = shared_cache.ask(self._cache.get_many, [self.cache_key, mark := MARK + str(self.session_key)])
            if mark in found:
                self._session_key = None
                return {}
            if self.cache_key in found:
                return dict(found[self.cache_key])
        if (row := self._get_session_from_db()) is None:
            return {}
        data: dict[str, Any] = self.decode(row.session_data)
        with suppress(CacheError):
            seconds = min(COPY_SECONDS, self.get_expiry_age(expiry=row.expire_date))
            # Not in place of what another request has saved meanwhile.
            self._write(self._cache.add, self.cache_key, data, seconds)
        return data

    def save(self, must_create: bool = False) -> None:
        """Save to the database, then the copy, which an empty new session needs not have; raises as Django's does."""
        db.SessionStore.save(self, must_create)
        with suppress(CacheError):
            if not must_create:
                seconds = min(COPY_SECONDS, self.get_expiry_age())
                self._write(self._cache.set, self.cache_key, dict(self.items()), seconds)

    def delete(self, session_key: str | None = None) -> None:
        """End a session, this one if none is named: at once in every process."""
        if key := session_key or self.session_key:
            self.model.objects.filter(pk=key).delete()
            _unmarked[key] = time.monotonic()
            with suppress(CacheError):
                self._set_marks(even_if_silent=True)

    def _get_new_session_key(self) -> str:
        """Return a random key. Django asks the database whether there is such a one, which its insert says too."""
        return get_random_string(32, VALID_KEY_CHARS)

    aload, asave, adelete = sync_to_async(load), sync_to_async(save), sync_to_async(delete)  # type: ignore[arg-type]

    def _set_marks(self, *, even_if_silent: bool = False) -> None:
        for key, ended_at in list(_unmarked.items()):
            if time.monotonic() - ended_at < COPY_SECONDS:
                # First what a cache does that is full.
                copy = self.cache_key_prefix + key
                shared_cache.ask(self._cache.delete, copy, even_if_silent=even_if_silent)
                self._write(self._cache.set, MARK + key, 1, MARK_SECONDS, even_if_silent=even_if_silent)
            _unmarked.pop(key, None)

    def _write(self, operation: Callable[..., Any], *arguments: Any, even_if_silent: bool = False) -> None:
        """Change the cache; raises `CacheError`, and then nothing is read from it before a write has worked."""
        global _wrote_at
        try:
            shared_cache.ask(operation, *arguments, even_if_silent=even_if_silent)
            _wrote_at = time.monotonic()
        except CacheError:
            _wrote_at = float("-inf")
            raise

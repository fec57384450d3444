"""Sessions with copies in the shared cache: they end as promptly as those of the database alone."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.sessions.backends import db as sessions_db
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.module_loading import import_string

from oidc import cached_db
from oidc.cached_db import SessionStore
from oidc.internal import shared_cache
from oidc.testing.browser import Browser
from oidc.testing.op import OP, PERSON


@pytest.fixture(autouse=True)
def engine(settings: Any) -> None:
    settings.SESSION_ENGINE = "oidc.cached_db"
    cache.clear()
    cached_db._unmarked.clear()
    cached_db._wrote_at = float("-inf")


class DeadCache:
    """A cache server that is down."""

    def __init__(self, *args: Any) -> None: ...

    def get(self, *args: Any) -> None:
        raise ConnectionError

    add = set = delete = get_many = has_key = get

    def close(self) -> None: ...


@pytest.fixture
def cache_is(settings: Any) -> Callable[[str], None]:
    """A function that takes the cache down and up again; it keeps what it has."""
    up = settings.CACHES

    def switch(state: str) -> None:
        settings.CACHES = up if state == "up" else {"default": {"BACKEND": f"{__name__}.DeadCache"}}

    return switch


@pytest.fixture
def cache_refuses(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that lets methods of the cache fail; it keeps what it has."""

    def refuse(*methods: str) -> None:
        backend = import_string(settings.CACHES["default"]["BACKEND"])
        made = type("Refusing", (backend,), dict.fromkeys(methods, DeadCache.get))
        monkeypatch.setitem(globals(), "Refusing", made)
        settings.CACHES = {"default": {**settings.CACHES["default"], "BACKEND": f"{__name__}.Refusing"}}

    return refuse


@pytest.fixture
def signed_in(browser: Browser) -> Browser:
    browser.op.claims["sid"] = "sid-1"
    browser.log_in()
    assert browser.get("/page/").status_code == 200
    return browser


def store(**values: Any) -> SessionStore:
    """Return a session that is stored."""
    made = SessionStore()
    made.update(values)
    made.create()
    return made


def copy_of(key: str | None) -> Any:
    return cache.get(f"{SessionStore.cache_key_prefix}{key}")


def send_logout_token(op: OP, **names: str) -> None:
    form = {"logout_token": op.logout_token(**names)}
    assert Client(SERVER_NAME="localhost").post("/oidc/backchannel-logout/", form).status_code == 200


# What it is for


def test_a_page_reads_no_session_from_the_database(signed_in: Browser) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert signed_in.get("/page/").status_code == 200
    assert [query["sql"] for query in captured if "django_session" in query["sql"]] == []


def test_sessions_survive_a_flush_of_the_cache(signed_in: Browser) -> None:
    cache.clear()
    assert signed_in.get("/page/").status_code == 200
    assert copy_of(signed_in.client.session.session_key)


@pytest.mark.parametrize("method", ["save", "load"])
def test_a_copy_is_good_for_five_minutes_and_never_longer_than_its_session(db: None, monkeypatch, method: str) -> None:
    lifetimes = []
    monkeypatch.setattr(shared_cache, "ask", lambda call, *given, **options: lifetimes.append(given[2:]) or {})
    for seconds in (3600, 60):
        made = store(a=1)
        made.set_expiry(seconds)
        made.save()
        lifetimes.clear()
        if method == "save":
            made.save()
        else:
            SessionStore(made.session_key).load()
        assert int(lifetimes[-1][0]) in (min(seconds, 300), min(seconds, 300) - 1)


# Ending


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda browser: send_logout_token(browser.op, sid="sid-1"), id="back-channel-by-sid"),
        pytest.param(lambda browser: send_logout_token(browser.op), id="back-channel-by-subject"),
        pytest.param(lambda browser: call_command("deactivate_user", PERSON["sub"]), id="deactivate_user"),
        pytest.param(lambda browser: browser.log_out(), id="logout"),
    ],
)
def test_a_session_that_ends_is_gone_from_the_cache_too(signed_in: Browser, end: Callable[[Browser], Any]) -> None:
    thief = Client(SERVER_NAME="localhost")
    thief.cookies = signed_in.client.cookies.copy()
    key = signed_in.client.session.session_key
    assert copy_of(key)
    end(signed_in)
    assert copy_of(key) is None
    assert thief.get("/page/").status_code == 302


def test_a_request_that_has_read_a_session_before_it_ended_does_not_put_it_back(db: None, monkeypatch) -> None:
    made, read = store(a=1), SessionStore._get_session_from_db
    cache.clear()

    def read_and_lose(self: SessionStore) -> Any:
        row = read(self)
        SessionStore().delete(self.session_key)
        return row

    monkeypatch.setattr(SessionStore, "_get_session_from_db", read_and_lose)
    SessionStore(made.session_key).load()
    assert copy_of(made.session_key), "the race that the mark is for"
    monkeypatch.undo()
    assert SessionStore(made.session_key).load() == {}


def test_a_request_that_has_saved_a_session_before_it_ended_does_not_put_it_back(db: None, monkeypatch) -> None:
    made, save = store(a=1), sessions_db.SessionStore.save

    def save_and_lose(self: SessionStore, must_create: bool = False) -> None:
        save(self, must_create)
        SessionStore().delete(self.session_key)

    monkeypatch.setattr(sessions_db.SessionStore, "save", save_and_lose)
    made.save()
    assert copy_of(made.session_key), "the race that the mark is for"
    monkeypatch.undo()
    assert SessionStore(made.session_key).load() == {}
    with pytest.raises(sessions_db.UpdateError):
        made.save()


def test_a_request_that_reads_does_not_undo_what_another_one_saves(db: None, monkeypatch) -> None:
    made, read = store(a=1), SessionStore._get_session_from_db
    cache.clear()

    def read_and_be_late(self: SessionStore) -> Any:
        row = read(self)
        monkeypatch.undo()
        other = SessionStore(self.session_key)
        other["a"] = 2
        other.save()
        return row

    monkeypatch.setattr(SessionStore, "_get_session_from_db", read_and_be_late)
    SessionStore(made.session_key).load()
    assert SessionStore(made.session_key).load() == {"a": 2}


# Without the cache


def test_pages_logins_and_logouts_go_on_while_the_cache_is_down(signed_in: Browser, op: OP, cache_is, log_in) -> None:
    cache_is("down")
    assert signed_in.get("/page/").status_code == 200
    op.claims["sid"] = "sid-2"
    another = log_in({"sub": "another"})
    assert another.get("/page/").status_code == 200
    another.log_out()
    assert another.get("/page/").status_code == 302
    send_logout_token(op, sid="sid-1")
    assert signed_in.get("/page/").status_code == 302


def test_a_session_that_ended_while_the_cache_was_down_stays_ended(signed_in: Browser, op: OP, cache_is) -> None:
    key = signed_in.client.session.session_key
    cache_is("down")
    send_logout_token(op, sid="sid-1")
    cache_is("up")
    assert copy_of(key)
    assert signed_in.get("/page/").status_code == 302
    assert copy_of(key) is None


def test_an_ended_session_is_marked_even_while_the_cache_is_left_alone(db: None, monkeypatch) -> None:
    made = store(a=1)
    monkeypatch.setattr(shared_cache, "_silent_until", float("inf"))
    SessionStore().delete(made.session_key)
    monkeypatch.undo()
    assert SessionStore(made.session_key).load() == {}
    assert cache.get(f"oidc.ended.{made.session_key}") == 1


# In place of another process, which has not seen the logout.
@pytest.mark.parametrize(
    ("refused", "seconds_since_a_write"), [(["set", "add"], 0), (["set", "add", "delete"], 11)], ids=["full", "replica"]
)
def test_a_cache_that_takes_no_writes_keeps_no_ended_session_alive(
    signed_in: Browser, op: OP, cache_refuses, refused: list[str], seconds_since_a_write: int
) -> None:
    cache_refuses(*refused)
    send_logout_token(op, sid="sid-1")
    cached_db._unmarked.clear()
    cached_db._wrote_at = time.monotonic() - seconds_since_a_write
    assert signed_in.get("/page/").status_code == 302


def test_while_the_cache_takes_writes_it_is_not_asked_for_one_each_time(signed_in: Browser, cache_refuses) -> None:
    cache_refuses("set", "add")
    with CaptureQueriesContext(connection) as queries:
        assert signed_in.get("/page/").status_code == 200
    assert "django_session" not in str(queries.captured_queries)


def test_marks_for_copies_that_cannot_be_there_any_more_are_dropped(db: None, cache_is) -> None:
    cache_is("down")
    SessionStore().delete("ended-long-ago")
    assert set(cached_db._unmarked) == {"ended-long-ago"}
    cached_db._unmarked["ended-long-ago"] -= cached_db.COPY_SECONDS
    SessionStore("anothersession").load()
    assert not cached_db._unmarked


# Elsewhere


@pytest.mark.parametrize("key", ["ended.oidc", "x" * 300, "oidc.ended.oidc"])
def test_a_cookie_that_names_no_session_reads_nothing_and_asks_nobody(db: None, monkeypatch, key: str) -> None:
    """A cache would warn of each that is too long, with the whole of it, and Python would keep every warning."""
    cache.set(key[:200], {"_auth_user_id": "1"})
    SessionStore().delete("ended.oidc")
    monkeypatch.delattr(shared_cache, "ask")
    with CaptureQueriesContext(connection) as queries:
        assert SessionStore(key).load() == {}
    assert not queries.captured_queries


def test_the_methods_for_asynchronous_views_do_the_same(shared_database: None) -> None:
    made = SessionStore()
    made["a"] = 1
    async_to_sync(made.asave)()
    assert copy_of(made.session_key) == {"a": 1}
    assert async_to_sync(SessionStore(made.session_key).aload)() == {"a": 1}
    async_to_sync(made.adelete)()
    assert async_to_sync(SessionStore(made.session_key).aload)() == {}
    assert copy_of(made.session_key) is None
    assert not Session.objects.exists()


def test_a_login_asks_the_database_for_no_free_key_and_writes_one_copy(browser: Browser, monkeypatch: Any) -> None:
    """The insert of a session says itself whether its key is taken; and what is empty needs no copy."""
    written: list[str] = []
    backend = type(cache._connections["default"])
    put = backend.set

    def note_and_put(self: Any, key: str, *args: Any, **kwargs: Any) -> None:
        written.append(key)
        put(self, key, *args, **kwargs)

    monkeypatch.setattr(backend, "set", note_and_put)
    with CaptureQueriesContext(connection) as queries:
        browser.log_in()
    asked = [query["sql"] for query in queries if "django_session" in query["sql"]]
    assert [sql.split()[0] for sql in asked] == ["INSERT", "UPDATE"]
    assert len([key for key in written if "cached_db" in key]) == 1


def test_a_key_that_is_taken_is_not_used(monkeypatch: Any, db: None) -> None:
    keys = iter(["a" * 32, "a" * 32, "b" * 32])
    monkeypatch.setattr(SessionStore, "_get_new_session_key", lambda self: next(keys))
    for expected in ("a" * 32, "b" * 32):
        (store := SessionStore()).create()
        assert store.session_key == expected

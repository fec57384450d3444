# ruff: noqa: E402 - Django has to be set up before its models are imported
"""Fills the database of a rendered site, and measures what is done there; `benchmarks.scale` runs it inside of one.

python -m benchmarks.stored fill 1000000
python -m benchmarks.stored measure 1000000     prints JSON
"""

import json
import os
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
sys.path.insert(0, os.getcwd())

import django

django.setup()

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client

from oidc.internal import session
from oidc.models import LoginSession, SpentToken
from oidc.testing.browser import Browser
from oidc.testing.op import OP

ROUNDS = 40
# Of what is slow there are fewer.
FEWEST_ROUNDS, PATIENCE_SECONDS = 5, 10
ENDED = 1000
ISSUER = "https://op.example.org"
NUMBERS = {
    "postgresql": "SELECT generate_series(1, {n}) AS i",
    "sqlite": "SELECT value AS i FROM generate_series(1, {n})",
}
# A key as random as a real one, so that neighbours in time are none in the index.
KEY = {"postgresql": "md5(i::text)", "sqlite": "printf('%08x', (i * 2654435761) % 4294967296) || printf('%024d', i)"}
AGO = {
    "postgresql": "now() - ({}) * interval '1 second'",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now', -({}) || ' seconds')",
}
DATA = ".eJ" + "x" * 500 + ":1xocE4:" + "y" * 43
FALSE = {"postgresql": "false", "sqlite": "0"}


def fill(number: int) -> None:
    """Store so many users, each with an identity, a session, a note of it and a record of a login."""
    kind = connection.vendor
    key, ago, no = KEY[kind], AGO[kind].format, FALSE[kind]
    yes = {"postgresql": "true", "sqlite": "1"}[kind]
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number})"
    source = f"({NUMBERS[kind].format(n=number)}) AS n" if kind == "postgresql" else "n"
    start = "" if kind == "postgresql" else numbers
    name = "'person-' || i"
    rows = {
        "accounts_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, "
        "date_joined)": f"i, '!', {no}, {name}, 'First' || i % 977, 'Last' || i % 7919, {name} || '@example.org', "
        f"{no}, {yes}, {ago('86400')}",
        "oidc_identity (user_id, issuer, subject, created)": f"i, '{ISSUER}', {name}, {ago('86400')}",
        "django_session (session_key, session_data, expire_date)": f"{key}, '{DATA}', {ago('-86400 - i % 1000000')}",
        "oidc_loginsession (session_key, issuer, subject, sid, began, refresh_token)": f"{key}, '{ISSUER}', {name}, "
        f"'sid-' || i, {ago('i % 36000')}, ''",
        "oidc_signin (user_id, at, by_password, name_digest, refused)": f"i, {ago('i % 5000000')}, {no}, '', "
        "CASE WHEN i % 50 = 0 THEN 'user_inactive' ELSE '' END",
    }
    with connection.cursor() as cursor:
        if kind == "sqlite":
            cursor.execute("PRAGMA cache_size = -400000")
        for table, values in rows.items():
            cursor.execute(f"INSERT INTO {table} {start} SELECT {values} FROM {source}", None)
        if kind == "postgresql":
            cursor.execute("SELECT setval('accounts_user_id_seq', %s)", [number])
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("CHECKPOINT")
        else:
            cursor.execute("ANALYZE")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.sync()  # else what was stored is written while something is measured


# Making one reads all static files.
HANDLER = Client().handler


def visitor() -> Client:
    """Return a client as of a new browser."""
    client = Client(SERVER_NAME="localhost")
    client.handler = HANDLER
    return client


class Watch:
    """What one thing takes each time: seconds in all, seconds in the database, queries, cache operations."""

    def __init__(self) -> None:
        self.samples: list[dict[str, float]] = []
        self.queries: list[str] = []
        self._database = 0.0

    def _execute(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, *arguments)
        finally:
            self._database += time.perf_counter() - began
            self.queries.append(sql)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._database, self.queries = 0.0, []
        asked = OPERATIONS.total()
        with connection.execute_wrapper(self._execute):
            cpu, began = time.process_time(), time.perf_counter()
            yield
            sample = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
        statements = [sql for sql in self.queries if sql.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE")]
        writes = [sql for sql in statements if not sql.startswith("SELECT")]
        self.samples.append(
            sample
            | {"database": self._database, "queries": len(statements), "writes": len(writes)}
            | {"cache": OPERATIONS.total() - asked}
        )

    @property
    def medians(self) -> dict[str, float]:
        return {name: statistics.median(sample[name] for sample in self.samples) for name in self.samples[0]}


OPERATIONS: Counter[str] = Counter()


def count_cache_operations() -> None:
    backend = type(caches["default"])
    for name in ("get", "set", "add", "delete", "get_many"):
        original = getattr(backend, name)

        def counted(self: Any, *arguments: Any, _name: str = name, _original: Any = original, **named: Any) -> Any:
            OPERATIONS[_name] += 1
            return _original(self, *arguments, **named)

        setattr(backend, name, counted)


def measure(number: int) -> dict[str, Any]:
    """Return the medians of everything, by name, and what cleaning up took."""
    with OP(site_url=settings.SITE_URL) as op:
        settings.OIDC_OP_ISSUER = op.issuer
        settings.OIDC_RP_CLIENT_ID, settings.OIDC_RP_CLIENT_SECRET = op.client
        with connection.cursor() as cursor:
            # Whose sessions are ended here are at this OP.
            for table in ("oidc_loginsession", "oidc_identity"):
                cursor.execute(f"UPDATE {table} SET issuer = %s WHERE id <= 1000", [op.issuer])
        result = {name: watch.medians for name, watch in things(op)}
        before = len(op.requests)
        Browser(op, visitor()).log_in({"sub": "counted"})
        paths = Counter(asked.path.partition("?")[0] for asked in op.requests[before:])
        result["requests to the OP"] = {path: paths[path] for path in ("/token", "/userinfo")}
    result["clean-up"] = cleaning_up(number)
    return result


def things(op: OP) -> Iterator[tuple[str, Watch]]:
    """Do everything that is measured a number of times."""
    count_cache_operations()
    log_in(op, {"sub": "warm-up"}, Watch())
    for name, who in (("login of a new person", "new-{}"), ("login of a known person", "person-{}")):
        watch = Watch()
        for number in range(1, ROUNDS + 1):
            sub = who.format(number)
            browser = log_in(op, {"sub": sub, "email": f"{sub}@example.org", "preferred_username": sub}, watch)
        yield name, watch
    yield "page", repeated(lambda _: browser.get("/profile/"), 200)
    for name, first, names in (("by sid", 100, ("sub", "sid")), ("by subject", 200, ("sub",))):
        people = [{"sub": f"person-{first + number}", "sid": f"sid-{first + number}"} for number in range(ROUNDS)]
        tokens = [op.logout_token(**{name: person[name] for name in names}) for person in people]
        before = LoginSession.objects.filter(issuer=op.issuer).count()
        form = [{"logout_token": token} for token in tokens]
        yield (
            f"back-channel logout {name}",
            repeated(lambda number, form=form: visitor().post("/oidc/backchannel-logout/", form[number]), 200),
        )
        assert LoginSession.objects.filter(issuer=op.issuer).count() == before - ROUNDS
    admin = visitor()
    admin.force_login(get_user_model().objects.create_superuser("root-of-the-measurement"))
    for name, path in {
        "admin: list of users": "/admin/accounts/user/",
        "admin: search by name": "/admin/accounts/user/?q=person-57{}",
        "admin: search by address": "/admin/accounts/user/?q=son-12{}@example.org",
        "admin: search in vain": "/admin/accounts/user/?q=nobody-{}",
        "admin: page of a user": "/admin/accounts/user/{}/change/",
        "admin: list of logins": "/admin/oidc/signin/",
    }.items():
        yield name, repeated(lambda number, path=path: admin.get(path.format(number + 1)), 200)


def log_in(op: OP, who: dict[str, str], watch: Watch) -> Browser:
    client = visitor()
    browser = Browser(op, client)
    op.claims.update(who)
    op.userinfo.update(who)
    with watch.running():
        leaving = client.get("/oidc/authenticate/")
        grant = op.grant(leaving["Location"])
        response = client.get("/oidc/callback/", grant)
    op.claims.clear()
    op.userinfo.clear()
    assert response.status_code == 302, response.content
    return browser


def repeated(call: Callable[[int], Any], status: int) -> Watch:
    watch, began = Watch(), time.perf_counter()
    call(0)
    for number in range(1, ROUNDS):
        if number > FEWEST_ROUNDS and time.perf_counter() - began > PATIENCE_SECONDS:
            break
        with watch.running():
            response = call(number)
        assert response.status_code == status, (response.status_code, response.content[:500])
    return watch


def cleaning_up(number: int) -> dict[str, Any]:
    """End a thousand sessions, and where there are many a tenth of all, while somebody else writes all the time."""
    result = {"of a thousand": timed_clean_up(ENDED)}
    if number > 10 * ENDED:
        result["of a tenth"] = timed_clean_up(number // 10)
    return result


def timed_clean_up(ended: int) -> dict[str, float]:
    past = AGO[connection.vendor].format("3 * 86400")
    with connection.cursor() as cursor:
        keys = f"(SELECT session_key FROM oidc_loginsession ORDER BY id DESC LIMIT {ended})"
        made = f"SELECT 'ended-' || session_key, session_data, {past} FROM django_session WHERE session_key IN {keys}"
        if number_of(LoginSession) < ended:
            made = f"SELECT 'ended-' || i, '{DATA}', {past} FROM generate_series(1, {ended}) AS i"
        if connection.vendor == "sqlite":
            numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ended})"
            made = f"{numbers} SELECT 'ended-' || i, '{DATA}', {past} FROM n"
        cursor.execute(f"INSERT INTO django_session (session_key, session_data, expire_date) {made}", None)
        cursor.execute(
            "INSERT INTO oidc_loginsession (session_key, issuer, subject, sid, began, refresh_token) "
            f"SELECT session_key, '{ISSUER}', session_key, '', {past}, '' FROM django_session "
            "WHERE session_key LIKE 'ended-%'",
            None,
        )
        cursor.execute("ANALYZE")
    before, batches, waits, is_done = number_of(LoginSession), list[float](), list[float](), threading.Event()

    def note(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, *arguments)
        finally:
            if sql.startswith("DELETE"):
                batches.append(time.perf_counter() - began)

    def write() -> None:
        """Write what a logout writes, as somebody who would wait for a lock."""
        number = 0
        while not is_done.is_set():
            number += 1
            began = time.perf_counter()
            SpentToken.objects.create(digest=f"{ended}-{number}", expires=session.timezone.now() + session.LEASE)
            waits.append(time.perf_counter() - began)
            time.sleep(0.002)
        connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    began = time.perf_counter()
    with connection.execute_wrapper(note):
        call_command("clean_up", "--days", "9999", stdout=StringIO())
    seconds = time.perf_counter() - began
    is_done.set()
    writer.join()
    deleted = before - number_of(LoginSession)
    assert deleted >= ended, (deleted, ended)
    return {
        "seconds": seconds,
        "ended": deleted,
        "longest batch": max(batches),
        "longest wait": max(waits),
        "writes meanwhile": len(waits),
    }


def number_of(model: Any) -> int:
    return int(model.objects.count())


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(int(sys.argv[2]))
    else:
        print(json.dumps(measure(int(sys.argv[2]))))

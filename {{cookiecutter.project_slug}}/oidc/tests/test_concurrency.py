"""Many people at once, and one person many times at once."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections

from oidc.tests.conftest import Browser
from oidc.tests.op import OP

PEOPLE = 10


@pytest.fixture
def shared_database(request, tmp_path: Path, monkeypatch, django_db_setup: None) -> Iterator[None]:
    """A database for several threads: the one of the tests, or a file in place of SQLite's in memory."""
    if connection.vendor != "sqlite":
        request.getfixturevalue("transactional_db")
        yield
        return
    with request.getfixturevalue("django_db_blocker").unblock():
        connection.ensure_connection()
        with sqlite3.connect(tmp_path / "db.sqlite3") as file:
            connection.connection.backup(file)
        monkeypatch.setitem(connections.settings["default"], "NAME", str(tmp_path / "db.sqlite3"))
        yield


def test_ten_first_logins_of_one_person_make_one_user_and_ten_sessions(shared_database: None, op: OP, settings) -> None:
    settings.OIDC_TIMEOUT = 30
    together = Barrier(PEOPLE)

    def log_in() -> str | None:
        try:
            browser = Browser(op)
            callback = op.grant(browser.leave()["Location"])
            together.wait(30)
            browser.come_back(callback)
            return browser.client.session.session_key if browser.is_signed_in else None
        finally:
            connections.close_all()

    with ThreadPoolExecutor(PEOPLE) as threads:
        sessions = {future.result() for future in [threads.submit(log_in) for _ in range(PEOPLE)]}
        users = threads.submit(get_user_model().objects.count).result()
        threads.submit(connections.close_all).result()
    assert users == 1
    assert len(sessions - {None}) == PEOPLE

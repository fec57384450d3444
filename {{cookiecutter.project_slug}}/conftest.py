import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection, connections


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
        in_memory = connections["default"]
        del connections["default"]
        yield
        connections["default"].close()
        connections["default"] = in_memory

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection, connections


@pytest.fixture
def shared_database(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """A database for several threads: the one of the tests, or a file in place of SQLite's in memory."""
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()
    with sqlite3.connect(tmp_path / "db.sqlite3") as file:
        connection.connection.backup(file)
        # While threads open a file for the first time, only one of them could change its journal.
        file.execute("PRAGMA journal_mode=WAL")
    in_memory = connections["default"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(connections.settings, "default", in_memory.settings_dict | {"NAME": str(tmp_path / "db.sqlite3")})
        del connections["default"]
        yield
        connections["default"].close()
    connections["default"] = in_memory

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import connection, connections
from hypothesis import settings as hypothesis_settings

pytest_plugins = ["oidc.testing.fixtures"]

# Without deadlines and chance, so that a loaded machine and a second run see the same.
hypothesis_settings.register_profile("promises", max_examples=25, deadline=None, derandomize=True, database=None)
hypothesis_settings.load_profile("promises")


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    """What one test has made the site remember of an OP is gone in the next."""
    cache.clear()


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

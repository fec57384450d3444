import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from django.db import connection, connections
from hypothesis import settings as hypothesis_settings

from oidc.testing.op import private_key
from tests.relying_party.hostile import TRIED

pytest_plugins = ["oidc.testing.fixtures"]

# Without deadlines and chance, so that a loaded machine and a second run see the same. FUZZ=40 tries 40 times as many
# inputs, by chance.
FUZZ = int(os.environ.get("FUZZ", "1"))
same = {"deadline": None, "derandomize": FUZZ == 1, "database": None}
hypothesis_settings.register_profile("promises", max_examples=25 * FUZZ, **same)
hypothesis_settings.load_profile("promises")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many inputs were tried, where one process ran the tests (-n0)."""
    if TRIED:
        terminalreporter.write_line(f"{TRIED.total()} inputs tried in {len(TRIED)} tests: {dict(TRIED)}")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that lets time pass, for the site and for the OP in the same process: `later(minutes=10)`."""

    def pass_time(**units: float) -> None:
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + timedelta(**units).total_seconds())

    return pass_time


@pytest.fixture(scope="session")
def certificate() -> x509.Certificate:
    """A certificate for 127.0.0.1 that `private_key("P-256", 1)` has signed itself."""
    key, name, now = private_key("P-256", 1), x509.Name([]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    return builder.add_extension(names, critical=True).sign(key, SHA256())


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


class BrokenCache:
    """A cache server that is down."""

    def __init__(self, *args: Any) -> None: ...

    def get(self, *args: Any) -> None:
        raise ConnectionError

    add = set = incr = get_many = get

    def close(self) -> None: ...


@pytest.fixture
def broken_cache(settings) -> None:
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.BrokenCache"}}

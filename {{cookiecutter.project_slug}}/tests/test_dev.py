"""`manage.py dev`: what it says when something stands in its way."""

import socket

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection


@pytest.fixture
def development(settings, unused_port: int):
    settings.DEBUG = True
    settings.SITE_URL = f"http://localhost:{unused_port}"
    settings.OIDC_OP_ISSUER = "http://localhost:1/a-real-op-on-this-machine"
    return settings


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_it_is_not_for_production(development) -> None:
    development.DEBUG = False
    with pytest.raises(CommandError, match="set DEBUG=true in"):
        call_command("dev")


def test_it_serves_plain_http_only(development) -> None:
    development.SITE_URL = "https://app.example.org"
    with pytest.raises(CommandError, match="set SITE_URL=http://localhost:8000"):
        call_command("dev")


@pytest.mark.parametrize("name", ["SITE_URL", "OIDC_OP_ISSUER"])
def test_it_says_which_port_is_taken(development, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        setattr(development, name, f"http://localhost:{port}")
        with pytest.raises(CommandError, match=f"Port {port} of {name} cannot be used"):
            call_command("dev")


def test_it_says_which_database_is_missing(development, monkeypatch) -> None:
    def fail() -> None:
        raise OperationalError("unable to open database file")

    monkeypatch.setattr(connection, "ensure_connection", fail)
    with pytest.raises(CommandError, match=r"No database at .* \(unable to open database file\)"):
        call_command("dev")

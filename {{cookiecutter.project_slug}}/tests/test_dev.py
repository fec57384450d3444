"""`manage.py dev`: the `.env` that it makes, who can log in, and what it says when something is in its way."""

import os
import re
import socket
from pathlib import Path
from unittest.mock import Mock

import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from dev.environment import make_env
from dev.management.commands.dev import Command, development_op
from oidc.testing.browser import Browser


@pytest.fixture
def development(settings):
    """Settings of a site on a free port, with a provider that `dev` does not start."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.SITE_URL = f"http://localhost:{server.getsockname()[1]}"
    settings.OIDC_OP_ISSUER = "http://localhost:1/a-real-provider-on-this-machine"
    return settings


def made_env(folder: Path, issuer: str) -> dict[str, str]:
    """Return the variables that `make_env` writes for an issuer."""
    example = (settings.BASE_DIR / ".env.example").read_text(encoding="utf-8")
    example = re.sub("(?m)^OIDC_OP_ISSUER=.*", f"OIDC_OP_ISSUER={issuer}", example)
    (folder / ".env.example").write_text(example, encoding="utf-8")
    assert make_env(folder)
    return dict(re.findall("(?m)^([A-Z_]+)=(.*)", (folder / ".env").read_text(encoding="utf-8")))


def test_a_fresh_clone_gets_an_env_with_secrets_of_its_own(tmp_path: Path) -> None:
    env = made_env(tmp_path, "http://localhost:9400")
    assert (env["DEBUG"], env["OIDC_RP_CLIENT_ID"], env["OIDC_STAFF_GROUPS"]) == ("true", "development", "staff")
    assert min(len(env["SECRET_KEY"]), len(env["OIDC_RP_CLIENT_SECRET"])) >= 32
    assert os.name != "posix" or (tmp_path / ".env").stat().st_mode & 0o077 == 0
    assert not make_env(tmp_path)


def test_the_client_at_a_real_provider_is_left_to_the_developer(tmp_path: Path) -> None:
    env = made_env(tmp_path, "https://op.example.org")
    assert env["SECRET_KEY"]
    assert env["OIDC_RP_CLIENT_ID"] == env["OIDC_RP_CLIENT_SECRET"] == env["OIDC_STAFF_GROUPS"] == ""


def test_everybody_in_users_json_can_log_in(development, db) -> None:
    cache.clear()
    development.AUTHENTICATION_BACKENDS = ["oidc.backends.OIDCAuthenticationBackend"]
    development.OIDC_CREATE_USER = True
    development.OIDC_OP_ISSUER = development.SITE_URL
    with development_op(development.OIDC_OP_ISSUER) as op:
        for person in op.users():
            browser = Browser(op)
            browser.log_in(person["sub"])
            assert browser.user.identities.get().subject == person["sub"]


def test_it_serves_plain_http_only(development) -> None:
    development.SITE_URL = "https://app.example.org"
    with pytest.raises(CommandError, match="set SITE_URL=http://localhost:8000"):
        call_command(Command())


@pytest.mark.parametrize("name", ["SITE_URL", "OIDC_OP_ISSUER"])
def test_it_says_which_port_is_taken(development, name: str, monkeypatch) -> None:
    monkeypatch.setattr(Command, "_migrate", lambda self: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        setattr(development, name, f"http://localhost:{port}")
        with pytest.raises(CommandError, match=f"Port {port} of {name} cannot be used"):
            call_command(Command())


def test_it_says_which_database_is_missing(development, monkeypatch) -> None:
    error = OperationalError("unable to open database file")
    monkeypatch.setattr(connection, "ensure_connection", Mock(side_effect=error))
    with pytest.raises(CommandError, match=r"No database at .* \(unable to open database file\)"):
        call_command(Command())

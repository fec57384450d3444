"""The `.env` that `manage.py dev` makes."""

import os
import re
from pathlib import Path

from django.conf import settings

from dev.environment import make_env


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

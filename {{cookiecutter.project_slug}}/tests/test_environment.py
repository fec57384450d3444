"""The environment: what an operator sets, and what the site says when it is wrong."""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config.environment import Environment

PRODUCTION = {
    "SITE_URL": "https://app.example.org",
    "DATABASE_URL": "postgres://site:unused@db.example.org/site",
    "CACHE_URL": "rediss://cache.example.org:6379/0",
    "OIDC_OP_ISSUER": "https://op.example.org",
    "OIDC_RP_CLIENT_ID": "site",
}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with nothing but `environment`."""
    inherited = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env=inherited | {"ENV_FILE": os.devnull} | environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def env(tmp_path: Path, monkeypatch) -> Environment:
    for name, value in {
        "FLAG": "maybe", "NUMBER": "-1", "URL": "http://op.example.org", "CHOICE": "c", "DATABASE": "nonsense://x",
        "CACHE": "nonsense://x", "KEY": "no key", "EMPTY": "", "TEXT_FILE": str(tmp_path / "text"),
        "LOST_FILE": str(tmp_path / "lost"), "LOOPBACK": "http://localhost:9400",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    (tmp_path / "text").write_text("from a file\n")
    return Environment(Path(os.devnull))


def test_production_environment_passes_the_deployment_checks_with_op_and_database_down(tmp_path: Path) -> None:
    secret = tmp_path / "client_secret"
    secret.write_text(secrets.token_urlsafe(32))
    environment = PRODUCTION | {"SECRET_KEY": secrets.token_urlsafe(50), "OIDC_RP_CLIENT_SECRET_FILE": str(secret)}
    result = manage("check", "--deploy", "--fail-level", "WARNING", **environment)
    assert (result.returncode, result.stderr) == (0, "")


def test_all_problems_are_reported_at_once_without_a_traceback() -> None:
    wrong = {"OIDC_OP_CA_BUNDLE": "lost.pem", "OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS": "soon"}
    result = manage("check", SITE_URL="https://app.example.org/app", **wrong)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    named = [line.split()[1] for line in result.stderr.splitlines() if line.startswith("  - ")]
    assert named == [
        "SECRET_KEY",
        "SITE_URL",
        "OIDC_OP_ISSUER",
        "OIDC_OP_CA_BUNDLE",
        "OIDC_RP_CLIENT_ID",
        "OIDC_RP_CLIENT_SECRET",
        "OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS",
    ]


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        (lambda env: env.flag("FLAG", default=False), "FLAG is wrong: must be true or false."),
        (lambda env: env.number("NUMBER", default=5), "NUMBER is wrong: must be a whole number from 0 up."),
        (lambda env: env.url("URL"), "URL is wrong: must begin with https:// (http is for this machine only)."),
        (lambda env: env.choice("CHOICE", ["a", "b"], default="a"), "CHOICE is wrong: must be one of a, b."),
        (lambda env: env.database("DATABASE", default={}), "DATABASE is wrong: "),
        (lambda env: env.cache("CACHE", default="locmemcache://"), "CACHE is wrong: "),
        (lambda env: env.key("KEY"), "KEY is wrong: "),
        (lambda env: env.text("EMPTY", default=None, mend="Get one."), "EMPTY is not set. Get one."),
        (lambda env: env.text("LOST"), "LOST cannot be read from "),
    ],
)
def test_a_wrong_value_is_reported_with_its_mend(env: Environment, read, problem: str) -> None:
    read(env)
    with pytest.raises(ImproperlyConfigured) as raised:
        env.check()
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"A_SECRET = topsecret", ".env line 1 is not NAME=value"),
        ("SITE_URL=https://example.org".encode("utf-16"), "cannot be read (UnicodeDecodeError)"),
        (None, "ENV_FILE names"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_without_its_secrets(
    tmp_path: Path, monkeypatch, capfd, content: bytes | None, problem: str
) -> None:
    file = tmp_path / ".env"
    monkeypatch.setenv("ENV_FILE", str(file))
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ImproperlyConfigured) as raised:
        Environment(file).check()
    assert problem in str(raised.value)
    assert "topsecret" not in str(raised.value) + "".join(capfd.readouterr())


@pytest.mark.parametrize("secret", ["$HOME#x", "#a", "a b", "é'\"", "$"])
def test_secrets_may_hold_any_character(tmp_path: Path, monkeypatch, secret: str) -> None:
    monkeypatch.setenv("A_SECRET", secret)
    assert Environment(tmp_path / "none").text("A_SECRET") == secret


@pytest.mark.parametrize("url", ["HTTPS://a.example", "https://*.example", "https://:p@a.example", "https://a b"])
def test_urls_that_would_mean_something_else_are_refused(tmp_path: Path, monkeypatch, url: str) -> None:
    monkeypatch.setenv("A_URL", url)
    env = Environment(tmp_path / "none")
    env.url("A_URL")
    with pytest.raises(ImproperlyConfigured, match="A_URL is wrong: must be an absolute URL"):
        env.check()


def test_a_wrong_database_url_keeps_its_password_to_itself(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("A_DATABASE", "postgres://site:pass/word@db.example.org/site")
    env = Environment(tmp_path / "none")
    env.database("A_DATABASE", default={})
    with pytest.raises(ImproperlyConfigured) as raised:
        env.check()
    assert "pass" not in str(raised.value).replace("password", "")


def test_good_values_make_no_problem(env: Environment) -> None:
    assert env.text("TEXT") == "from a file"
    assert env.url("LOOPBACK") == "http://localhost:9400"
    assert env.text("EMPTY", default="default") == "default"
    env.check()


def test_every_variable_that_is_read_is_documented() -> None:
    source = (settings.BASE_DIR / "config" / "settings.py").read_text()
    example = (settings.BASE_DIR / ".env.example").read_text()
    assert set(re.findall(r'env\.\w+\(\s*"(\w+)"', source)) == set(re.findall(r"^(\w+)=", example, re.MULTILINE))

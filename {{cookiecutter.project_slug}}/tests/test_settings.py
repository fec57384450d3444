"""The environment: what an operator sets, what the site says when it is wrong, and what load balancers ask."""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from config.environment import Environment

PRODUCTION = {
    "SECRET_KEY": secrets.token_urlsafe(50),
    "SITE_URL": "https://app.example.org",
    "DATABASE_URL": "postgres://site:unused@db.example.org/site",
    "CACHE_URL": "rediss://cache.example.org:6379/0",
    "FORWARDED_ALLOW_IPS": "10.0.0.0/8",
    "OIDC_OP_ISSUER": "https://op.example.org",
    "OIDC_RP_CLIENT_ID": "site",
    "OIDC_RP_CLIENT_SECRET": secrets.token_urlsafe(32),
}


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the site's folder with nothing but `environment`."""
    inherited = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    env, command = {**inherited, "ENV_FILE": os.devnull, **environment}, [sys.executable, *arguments]
    return subprocess.run(command, cwd=settings.BASE_DIR, env=env, capture_output=True, text=True)


def problems(env: Environment) -> str:
    with pytest.raises(ImproperlyConfigured) as raised:
        env.check()
    return str(raised.value)


@pytest.fixture
def env() -> Iterator[Environment]:
    """An environment without the variables of the tests, which are back afterwards."""
    with mock.patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("OIDC_")]:
            del os.environ[name]
        yield Environment(Path(os.devnull))


def test_production_passes_the_deployment_checks_with_everything_else_down() -> None:
    result = python("manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert (result.returncode, result.stderr) == (0, "")


def test_production_loads_nothing_that_is_for_development_and_tests() -> None:
    code = "import config.wsgi, sys; print([name for name in sys.modules if name.startswith(('dev', 'oidc.testing'))])"
    assert python("-c", code, **PRODUCTION).stdout == "[]\n"


def test_production_has_no_dev_command_and_says_why() -> None:
    result = python("manage.py", "dev", **PRODUCTION)
    assert result.returncode == 1
    assert "set DEBUG=true in .env" in result.stderr


def test_all_problems_are_reported_at_once_without_a_traceback() -> None:
    wrong = {"OIDC_OP_CA_BUNDLE": "lost.pem", "OIDC_RENEWAL": "never", "OIDC_STAFF_GROUP": "staff"}
    wrong["OIDC_OP_ISSUER"] = "https://op.example.org/.well-known/openid-configuration"
    result = python("manage.py", "check", SITE_URL="https://app.example.org/app", **wrong)
    assert (result.returncode, "Traceback" in result.stderr) == (1, False)
    assert "OIDC_OP_ISSUER is the address of the discovery document" in result.stderr
    named = "SECRET_KEY SITE_URL OIDC_OP_ISSUER OIDC_OP_CA_BUNDLE OIDC_RP_CLIENT_ID OIDC_RP_CLIENT_SECRET"
    assert re.findall(r"(?m)^  - (\w+)", result.stderr) == [*named.split(), "OIDC_RENEWAL", "OIDC_STAFF_GROUP"]
    result = python("manage.py", "check", OIDC_OP_ISSUER="https://op.example.org/?tenant=a")
    assert "OIDC_OP_ISSUER has a query, which an issuer never has" in result.stderr


@pytest.mark.parametrize("name", ["OIDC_STAFF_GROUP", "OIDC_STAFFGROUPS_FILE"])
def test_an_unknown_variable_is_a_problem_that_names_the_nearest_one(env, monkeypatch, name: str) -> None:
    monkeypatch.setenv(name, "staff")
    env.words("OIDC_STAFF_GROUPS")
    env.words("OIDC_SUPERUSER_GROUPS")
    assert "is not a variable of this site. The nearest one is OIDC_STAFF_GROUPS." in problems(env)


def test_a_plain_setting_is_not_taken_for_a_variable(env, monkeypatch) -> None:
    monkeypatch.setenv("OIDC_TIMEOUT", "10")
    env.words("OIDC_STAFF_GROUPS")
    plain = "OIDC_TIMEOUT is not a variable of this site. It is a plain setting: set it in config/settings.py."
    assert plain in problems(env)


def test_the_doctor_alone_goes_on_without_an_environment_and_reports_it() -> None:
    result = python("manage.py", "oidc_doctor", DATABASE_URL="sqlite://:memory:", OIDC_STAFF_GROUP="staff")
    assert (result.returncode, result.stderr) == (1, "")
    assert "SITE_URL is not set." in result.stdout
    assert "OIDC_STAFF_GROUP is not a variable of this site." in result.stdout


@pytest.mark.parametrize(
    ("value", "read", "problem"),
    [
        ("maybe", lambda env: env.flag("X", default=False), "X is wrong: must be one of true, "),
        ("-1", lambda env: env.number("X", default=5), "X is wrong: must be a whole number from 0 up."),
        ("http://op.example.org", lambda env: env.url("X"), "X is wrong: must begin with https://"),
        ("https://:p@a.example", lambda env: env.url("X"), "X is wrong: must be an absolute URL"),
        ("postgres://site:top/secret@db/site", lambda env: env.database("X", default={}), "X is wrong: must be a URL"),
        ('"postgres://site:secret@db/site"', lambda env: env.database("X", default={}), "X is wrong: must be a URL"),
        ("no key", lambda env: env.key("X"), "X is wrong: "),
        ("", lambda env: env.text("X", hint="Get one."), "X is not set. Get one."),
    ],
)
def test_a_wrong_value_is_reported_with_a_hint_and_no_secret(env, monkeypatch, recwarn, value, read, problem) -> None:
    monkeypatch.setenv("X", value)
    read(env)
    assert problem in problems(env)
    assert "secret" not in problems(env) + "".join(str(warning.message) for warning in recwarn)


def test_a_variable_can_be_a_file(env, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    monkeypatch.setenv("X_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("Y_FILE", str(tmp_path / "lost"))
    assert (env.text("X"), env.text("Y")) == ("from a file", "")
    assert "Y_FILE cannot be read from " in problems(env)


@pytest.mark.parametrize("content", [b"A_SECRET = topsecret", "A_SECRET=topsecret".encode("utf-16"), None])
def test_a_file_that_cannot_be_read_is_named_without_its_secrets(tmp_path: Path, content, env, capfd) -> None:
    file = tmp_path / ".env"
    if content is not None:
        file.write_bytes(content)
    text = problems(Environment(file))
    assert ".env" in text
    assert "topsecret" not in text + "".join(capfd.readouterr())


def test_secrets_may_have_any_character(tmp_path: Path, env) -> None:
    os.environ["C"] = "$HOME#x"
    (tmp_path / ".env").write_text("A='#$a b'\nB=é\"'\n", encoding="utf-8")
    env = Environment(tmp_path / ".env")
    assert [env.text(name) for name in "ABC"] == ["#$a b", "é\"'", "$HOME#x"]


def test_every_variable_that_is_read_is_in_the_example() -> None:
    source = Path(settings.BASE_DIR, "config", "settings.py").read_text(encoding="utf-8")
    example = Path(settings.BASE_DIR, ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r'env\.\w+\(\s*"(\w+)"', source)) == set(re.findall(r"(?m)^(\w+)=", example))


def test_every_change_of_a_model_has_a_migration(db) -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("url", ["/healthz", "/readyz"])
def test_a_probe_may_use_http_and_any_host_and_needs_no_sign_in_service(client, db, settings, url: str) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.OIDC_OP_ISSUER = "http://localhost:1"
    assert client.get(url, headers={"host": "10.1.2.3:8000"}).content == b"ok\n"


def test_a_cache_that_is_down_is_named_and_makes_nothing_unready(client, db, settings) -> None:
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "redis://localhost:1"}}
    response = client.get("/readyz")
    assert (response.status_code, response.content) == (200, b"ok\ncache: not working\n")

"""Rendered sites, installed for real: their own checks and tests pass, and so do the tests of the relying party."""

import re
import subprocess
import sys

import pytest

from tests.rendering import REPOSITORY
from tests.sites.site import Site

KINDS = [
    {},
    {"template_engine": "jinja2", "user_matching": "verified_email", "oidc_provider": "entra_multi"},
    {
        "django_version": "6.1",
        "oidc_provider": "cognito",
        "oidc_rp_sign_algo": "ES256",
        "user_matching": "email",
        "create_users": False,
        "username": "hash",
        "session_renewal_seconds": 0,
    },
]
PRODUCTION = {
    "DEBUG": "false",
    "SECRET_KEY": "of-this-test-only-and-as-long-as-the-checks-of-django-want-it-to-be",
    "SITE_URL": "https://www.example.org",
    "OIDC_OP_ISSUER": "https://op.example.org",
    "OIDC_RP_CLIENT_ID": "site",
    "OIDC_RP_CLIENT_SECRET": "longer-than-thirty-two-bytes-for-every-algorithm",
}
LOADED = """
import sys
from config.wsgi import application
from django.core import checks
from django.urls import get_resolver
get_resolver().url_patterns
checks.run_checks()
print(sorted(name for name in sys.modules if name == "dev" or name.startswith(("dev.", "oidc.testing"))))
"""


@pytest.fixture(scope="module", params=KINDS, ids=["default", "jinja2", "django 6.1"])
def site(request, installed) -> Site:
    return installed(**request.param)


def test_django_is_the_one_that_was_chosen(site: Site) -> None:
    wanted = re.search(r"django~=(\d\.\d)", (site.folder / "pyproject.toml").read_text())[1]
    assert site.run("uv", "run", "python", "-m", "django", "--version").startswith(wanted)


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports"]],
    ids=lambda words: " ".join(words[:2]),
)
def test_the_sites_own_checks_pass(site: Site, command: list[str]) -> None:
    site.run("uv", "run", *command)


@pytest.mark.parametrize("arguments", [["makemigrations", "--check"], ["migrate"]], ids=lambda words: words[0])
def test_migrations_are_complete_and_run_while_the_op_is_down(site: Site, arguments: list[str]) -> None:
    client = {"OIDC_RP_CLIENT_ID": "site", "OIDC_RP_CLIENT_SECRET": "unused"}
    site.run("uv", "run", "manage.py", *arguments, OIDC_OP_ISSUER="http://localhost:1", **client)


def test_the_sites_own_tests_pass_and_are_at_most_60(site: Site) -> None:
    output = site.run("uv", "run", "pytest", "-q", "--color=no")
    assert int(re.search(r"(\d+) passed", output)[1]) <= 60, output


def test_production_has_no_warning_and_loads_nothing_of_development(site: Site) -> None:
    check = ["check", "--deploy", "--fail-level", "WARNING"]
    site.run("uv", "run", "manage.py", *check, **PRODUCTION)
    assert site.run("uv", "run", "python", "-c", LOADED, **PRODUCTION).strip() == "[]"


def test_the_relying_party_passes_its_tests_with_the_packages_of_the_site(site: Site) -> None:
    command = [sys.executable, "-m", "tests.relying_party", str(site.folder), "--", "--color=no"]
    options = {"cwd": REPOSITORY, "env": site.environment(), "capture_output": True, "text": True, "timeout": 900}
    result = subprocess.run(command, **options)
    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr
    places = re.findall(r"^(relying party: oidc|Django|mozilla-django-oidc|PyJWT) \S+ from (.+)$", result.stdout, re.M)
    assert len(places) == 4
    assert all(place.startswith(str(site.folder)) for _, place in places), places

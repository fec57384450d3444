"""Rendered sites, installed for real: their own checks and tests pass."""

import re

import pytest

from tests.sites import Site

KINDS = [
    {},
    {"template_engine": "jinja2", "user_matching": "verified_email"},
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


@pytest.fixture(scope="module", params=KINDS, ids=["default", "jinja2", "django 6.1"])
def site(request, installed) -> Site:
    return installed(**request.param)


def test_django_is_the_one_that_was_chosen(site: Site) -> None:
    wanted = re.search(r"django~=(\d\.\d)", (site.folder / "pyproject.toml").read_text())[1]
    assert site.run("uv", "run", "python", "-m", "django", "--version").startswith(wanted)


def test_the_site_is_linted_and_formatted(site: Site) -> None:
    site.run("uv", "run", "ruff", "check", ".")
    site.run("uv", "run", "ruff", "format", "--check", ".")


@pytest.mark.parametrize("arguments", [["makemigrations", "--check"], ["migrate"]], ids=lambda words: words[0])
def test_migrations_are_complete_and_run_while_the_op_is_down(site: Site, arguments: list[str]) -> None:
    client = {"OIDC_RP_CLIENT_ID": "site", "OIDC_RP_CLIENT_SECRET": "unused"}
    site.run("uv", "run", "manage.py", *arguments, OIDC_OP_ISSUER="http://localhost:1", **client)


@pytest.mark.parametrize("group", [[], ["-m", "slow"]], ids=["usual", "slow"])
def test_the_sites_own_tests_pass(site: Site, group: list[str]) -> None:
    assert re.search(r"\d+ passed", site.run("uv", "run", "pytest", "-q", *group))

"""The doctor of rendered sites, with real OPs: the kit's own, the certified one of npm, and a Keycloak."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.rendering import render
from tests.sites.keycloak import Keycloak, sign_in
from tests.sites.npm_op import npm_op
from tests.sites.site import Site, free_port

DOCTOR = ("uv", "run", "manage.py", "oidc_doctor")


@pytest.fixture
def doctor(installed, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """A function that runs the doctor of the default site with variables, and returns the lines that do not pass.

    The value is the level by the line's name; the exit code agrees with it.
    """
    site: Site = installed()
    database = {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    site.run("uv", "run", "manage.py", "migrate", **database)

    def examine(**variables: str) -> dict[str, str]:
        result = site.try_to_run(*DOCTOR, "--json", **database, **variables)
        assert "Traceback" not in result.stdout + result.stderr
        lines = json.loads(result.stdout)["lines"]
        secret = variables.get("OIDC_RP_CLIENT_SECRET", "")
        assert not secret or secret not in result.stdout + result.stderr
        print(*(line for line in lines if line["level"] != "pass"), sep="\n")
        found = {line["name"]: line["level"] for line in lines if line["level"] != "pass"}
        assert result.returncode == int("fail" in found.values())
        return found

    return examine


def free_url() -> str:
    return f"http://localhost:{free_port()}"


# The kit's OP


def test_everything_passes_at_the_development_op(doctor, installed, tmp_path: Path) -> None:
    urls = {"SITE_URL": free_url(), "OIDC_OP_ISSUER": free_url()}
    database = {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    with installed().running("uv", "run", "manage.py", "dev", url=urls["SITE_URL"], **urls, **database):
        assert doctor(**urls) == {}
        assert doctor(**urls | {"OIDC_RP_CLIENT_SECRET": "wrong"}) == {"client": "fail"}
        assert doctor(**urls | {"SITE_URL": free_url()}) == {"redirect": "fail"}
    assert doctor(**urls) == {"discovery": "fail"}


# npm's oidc-provider


@pytest.fixture(scope="module")
def npm(installed, require) -> Iterator[dict[str, str]]:
    """The variables of a site that is registered at npm's OP."""
    url = free_url()
    with npm_op(require, installed().python, url) as client:
        yield {**client, "SITE_URL": url}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, {}),
        ({"OIDC_RP_CLIENT_SECRET": "wrong"}, {"client": "fail"}),
        ({"OIDC_RP_CLIENT_ID": "unknown"}, {"client": "fail", "redirect": "fail"}),
        ({"SITE_URL": "http://localhost:1"}, {"redirect": "fail"}),
        ({"OIDC_RP_SIGN_ALGO": "ES512"}, {"algorithm": "fail", "keys": "fail"}),
        # Without openid it objects to the nonce.
        ({"OIDC_RP_SCOPES": "email"}, {"scopes": "fail", "request": "warn"}),
        ({"OIDC_GROUPS_CLAIM": "teams"}, {"groups": "warn"}),
    ],
    ids=str,
)
def test_what_is_wrong_at_npms_op_is_found_and_nothing_else(doctor, npm, changes, found) -> None:
    assert doctor(**npm | changes) == found


# Keycloak


@pytest.fixture(scope="module")
def realm(keycloak: Keycloak) -> dict[str, str]:
    """The variables of a site that is registered in a realm."""
    url = free_url()
    return {**keycloak.realm_for(url), "SITE_URL": url}


# Keycloak lists no claim of a mapper, and sends no header Date.
USUAL = {"groups": "warn", "clock": "warn"}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, {}),
        ({"OIDC_RP_CLIENT_SECRET": "wrong"}, {"client": "fail"}),
        ({"OIDC_RP_CLIENT_ID": "unknown"}, {"client": "fail", "redirect": "fail"}),
        ({"SITE_URL": "http://localhost:1"}, {"redirect": "fail"}),
        ({"OIDC_RP_SCOPES": "openid email nonsense"}, {"scopes": "warn", "request": "fail"}),
        ({"OIDC_RP_SIGN_ALGO": "ES256"}, {"keys": "fail"}),
        ({"OIDC_RP_SIGN_ALGO": "RS512", "OIDC_RENEWAL": "refresh_token"}, {"keys": "fail", "scopes": "warn"}),
    ],
    ids=str,
)
def test_what_is_wrong_at_keycloak_is_found_and_nothing_else(doctor, realm, changes, found) -> None:
    assert doctor(**realm | changes) == USUAL | found


@pytest.mark.parametrize("wrong", ["slash", "realm", "well-known", "port"])
def test_a_wrong_issuer_at_keycloak_is_found(doctor, realm, wrong: str) -> None:
    issuer = realm["OIDC_OP_ISSUER"]
    issuers = {"slash": f"{issuer}/", "realm": f"{issuer}x", "port": "http://localhost:1"}
    issuers["well-known"] = f"{issuer}/.well-known/openid-configuration"
    found = doctor(**realm | {"OIDC_OP_ISSUER": issuers[wrong]})
    assert {name for name, level in found.items() if level == "fail"} & {"issuer", "discovery"}


def test_a_client_that_keycloak_has_switched_off_is_found(doctor, keycloak: Keycloak) -> None:
    url = free_url()
    assert "client" in doctor(**keycloak.realm_for(url, enabled=False), SITE_URL=url)


def test_endpoints_are_written_and_still_pass(installed, realm, tmp_path: Path) -> None:
    file = tmp_path / "site.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in {**realm, "SECRET_KEY": "x" * 50}.items()))
    database = {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    installed().run("uv", "run", "manage.py", "migrate", ENV_FILE=str(file), **database)
    for arguments in ("--write", "--json"):
        installed().run(*DOCTOR, arguments, ENV_FILE=str(file), **database)
    assert re.findall(r"(?m)^OIDC_OP_(\w+)_ENDPOINT=http://localhost", file.read_text()) == [
        "AUTHORIZATION", "TOKEN", "USER", "JWKS", "END_SESSION",
    ]  # fmt: skip


def test_from_a_fresh_site_to_a_login_at_keycloak(installed, keycloak: Keycloak, page: Any, tmp_path: Path) -> None:
    python, url = installed().python, free_url()
    client = keycloak.realm_for(url)
    began, steps = time.monotonic(), []
    site = Site(render(tmp_path, oidc_provider="other", oidc_op_issuer=client["OIDC_OP_ISSUER"]), python)
    steps.append("render")
    set_variables(site.folder / ".env", SITE_URL=url)
    first = site.try_to_run(*DOCTOR)
    steps.append("doctor: what to register")
    assert first.returncode == 1
    assert f"redirect URI             {url}/oidc/callback/" in first.stdout
    assert re.findall(r"(?m)^fail  (\S+)", first.stdout) == ["environment", "environment", "client"]
    set_variables(site.folder / ".env", **client, OIDC_STAFF_GROUPS="staff", OIDC_SUPERUSER_GROUPS="administrators")
    steps.append("client id and secret into .env")
    second = site.try_to_run(*DOCTOR)
    steps.append("doctor: all is well")
    assert (second.returncode, "0 failed" in second.stdout) == (0, True), second.stdout
    with site.running("uv", "run", "manage.py", "dev", url=url) as server:
        steps.append("dev")
        page.goto(f"{url}/admin/")
        sign_in(page, "ada")
        page.wait_for_url(f"{url}/admin/")
        steps.append("login")
        print(f"{len(steps)} steps, {time.monotonic() - began:.1f} s: {', '.join(steps)}")
        assert page.get_by_role("link", name="Users").is_visible()
        assert "Traceback" not in server.log.read_text()
        # A logout at Keycloak reaches the site over the back channel.
        name = client["OIDC_OP_ISSUER"].rpartition("/")[2]
        (person,) = keycloak.admin("GET", f"/{name}/users?username=ada").json()
        keycloak.admin("POST", f"/{name}/users/{person['id']}/logout")
        page.goto(url)
        assert page.get_by_role("link", name="Log in").is_visible()


def set_variables(file: Path, **values: str) -> None:
    """Fill in variables of a `.env`, as a person does."""
    text = file.read_text()
    for name, value in values.items():
        text, number = re.subn(rf"(?m)^{name}=.*$", f"{name}={value}", text)
        assert number == 1, name
    file.write_text(text)


# Nothing is configured


def test_a_site_without_an_environment_is_told_what_it_lacks(installed, tmp_path: Path) -> None:
    nothing = {"ENV_FILE": "/dev/null", "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    result = installed().try_to_run(*DOCTOR, **nothing)
    assert (result.returncode, result.stderr) == (1, "")
    missing = re.findall(r"(?m)^fail  environment   (\w+) is not set", result.stdout)
    assert missing == ["SECRET_KEY", "SITE_URL", "OIDC_OP_ISSUER", "OIDC_RP_CLIENT_ID", "OIDC_RP_CLIENT_SECRET"]
    for command in (["check"], ["migrate"], ["runserver"], ["clean_up"]):
        refused = installed().try_to_run("uv", "run", "manage.py", *command, **nothing)
        assert refused.returncode == 1
        assert "SECRET_KEY is not set" in refused.stderr


@pytest.mark.parametrize("url", ["postgres://site:topsecret@localhost:1/site", "postgres:/topsecret"])
def test_a_database_that_is_not_there_is_a_line_and_no_traceback(installed, url: str) -> None:
    result = installed().try_to_run(*DOCTOR, DATABASE_URL=url)
    assert result.returncode == 1
    assert re.search(r"(?m)^fail  (database|environment) ", result.stdout)
    assert "Traceback" not in result.stdout + result.stderr
    assert "topsecret" not in result.stdout + result.stderr


def test_keycloak_is_there_for_others_too(keycloak: Keycloak) -> None:
    realms = [keycloak.realm_for(free_url())["OIDC_OP_ISSUER"] for _ in range(2)]
    assert len({requests.get(f"{url}/.well-known/openid-configuration").json()["issuer"] for url in realms}) == 2

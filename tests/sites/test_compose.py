"""compose.yaml of a site: it is valid, and what it describes works, with people at a real Keycloak."""

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.rendering import render
from tests.sites.keycloak import sign_in
from tests.sites.site import Site
from tests.sites.stack import Stack, compose, running

RENEWAL = 2


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    """A site with its secrets made, which nothing else uses."""
    site = Site(render(tmp_path_factory.mktemp("compose")), sys.executable)
    site.run("sh", "deploy/make-secrets.sh")
    return site


def problems(site: Site, described: dict[str, Any], tmp_path: Path) -> str:
    """Return what the compose specification says against a compose file, "" if nothing."""
    file = tmp_path / "compose.json"
    file.write_text(json.dumps(described))
    script = f"from compose_spec import PyCompose; PyCompose.from_json(open({str(file)!r}).read())"
    return site.try_to_run("uv", "run", "--no-project", "--with", "compose-spec~=0.2.1", "python", "-c", script).stderr


def test_the_file_keeps_the_compose_specification(site: Site, tmp_path: Path) -> None:
    described = compose(site)
    assert "Error" not in problems(site, described, tmp_path)
    described["services"]["site-1"]["read_onyl"] = True
    assert "read_onyl" in problems(site, described, tmp_path)


def test_every_name_and_file_in_it_exists(site: Site) -> None:
    described = compose(site)
    services, made = described["services"], {}
    for name, secret in described["secrets"].items():
        assert (site.folder / secret["file"]).is_file(), secret
        made[f"/run/secrets/{name}"] = name
    for name, service in services.items():
        assert set(service.get("secrets", [])) <= described["secrets"].keys(), name
        assert set(service.get("networks", [])) <= described["networks"].keys(), name
        assert set(service.get("depends_on", [])) <= services.keys(), name
        for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
            assert source in described["volumes"] or (site.folder / source).is_file(), source
        text = json.dumps([service.get("environment", {}), service.get("command", "")])
        used = {made[path] for path in re.findall(r"/run/secrets/\w+", text)}
        assert used == set(service.get("secrets", [])), name
        hosts = set(re.findall(r"\b(site-1|site-2|keycloak|database|cache):\d+", text))
        assert all(set(services[host]["networks"]) & set(service["networks"]) for host in hosts), name
    proxy = services["proxy"]["environment"]
    template = (site.folder / "deploy" / "nginx.conf").read_text()
    assert set(re.findall(r"\$\{([A-Z_0-9]+)\}", template)) == proxy.keys()
    assert {"site-1", "site-2"} == set(re.findall(r"server (site-\d):8000;", proxy["SITE_SERVERS"]))


def test_secrets_are_made_once_and_git_ignores_them(site: Site) -> None:
    assert "/deploy/secrets/" in (site.folder / ".gitignore").read_text().splitlines()
    folder = site.folder / "deploy" / "secrets"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert len({*before.values()}) == len(before) == 7
    assert folder.stat().st_mode & 0o777 == 0o700
    site.run("sh", "deploy/make-secrets.sh")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.fixture(scope="module", params=["redirect", "refresh_token"])
def stack(request, installed, require) -> Iterator[Stack]:
    renewal = {"OIDC_RENEWAL": request.param, "OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS": str(RENEWAL)}
    with running(installed(), require, **renewal) as stack:
        yield stack


@pytest.fixture
def person(stack: Stack, chromium) -> Iterator[Callable]:
    """A function that logs a person in, in a browser of their own, and returns the page."""
    contexts = []

    def log_in(name: str, path: str = "/profile/") -> Any:
        contexts.append(chromium.new_context(ignore_https_errors=True))
        page = contexts[-1].new_page()
        page.goto(stack.url + path)
        assert page.url.startswith(stack.login_url)
        sign_in(page, name)
        return page

    yield log_in
    for context in contexts:
        context.close()


def user_id(stack: Stack, name: str) -> str:
    [user] = stack.admin("GET", f"/users?exact=true&username={name}")
    return user["id"]


def is_signed_in(stack: Stack, page: Any) -> bool:
    page.goto(stack.url)
    return page.get_by_role("button", name="Log out").is_visible()


@pytest.mark.parametrize(
    ("name", "sees"),
    [
        ("olivia", "refused"),
        ("uma", "refused"),
        ("sam", "an empty admin"),
        ("ada", "users"),
    ],
)
def test_people_of_the_realm_are_who_the_policy_makes_them(stack: Stack, person, name: str, sees: str) -> None:
    page = person(name)
    page.wait_for_url(f"{stack.url}/profile/")
    assert f"{name}@example.org" in page.inner_text("main")
    status = page.goto(f"{stack.url}/admin/").status
    users = page.locator("a[href='/admin/accounts/user/']").count()
    assert (status, users > 0) == {"refused": (403, False), "an empty admin": (200, False), "users": (200, True)}[sees]


def test_whom_keycloak_has_disabled_does_not_get_in(stack: Stack, person) -> None:
    page = person("dora")
    assert "disabled" in page.inner_text("body")
    assert not is_signed_in(stack, page)


def test_a_logout_here_is_a_logout_there(stack: Stack, person) -> None:
    page = person("sam")
    page.wait_for_url(f"{stack.url}/profile/")
    page.goto(stack.url)
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{stack.url}/**")
    page.goto(f"{stack.url}/profile/")
    assert page.locator("input[name=password]").is_visible()


def test_a_logout_there_is_a_logout_here(stack: Stack, person) -> None:
    page = person("sam")
    page.wait_for_url(f"{stack.url}/profile/")
    before = stack.logs().count("logout by the OP")
    stack.admin("POST", f"/users/{user_id(stack, 'sam')}/logout")
    assert stack.logs().count("logout by the OP") == before + 1
    assert not is_signed_in(stack, page)


def test_a_session_is_renewed_until_keycloak_disables_its_user(stack: Stack, person) -> None:
    page = person("olivia")
    page.wait_for_url(f"{stack.url}/profile/")
    before = stack.logs().count("login renewed")
    time.sleep(RENEWAL + 0.5)
    page.goto(f"{stack.url}/profile/")
    assert "olivia@example.org" in page.inner_text("main")
    assert stack.logs().count("login renewed") > before
    stack.admin("PUT", f"/users/{user_id(stack, 'olivia')}", {"enabled": False})
    try:
        time.sleep(RENEWAL + 0.5)
        page.goto(f"{stack.url}/profile/")
        assert "olivia@example.org" not in page.inner_text("body")
        assert not is_signed_in(stack, page)
    finally:
        stack.admin("PUT", f"/users/{user_id(stack, 'olivia')}", {"enabled": True})


def test_logins_are_limited_for_each_client_and_pages_are_not(stack: Stack) -> None:
    code = "a-code-that-must-not-be-logged"
    with ThreadPoolExecutor(8) as threads:
        statuses = Counter(
            threads.map(lambda _: stack.get(f"/oidc/callback/?code={code}&state=x").status_code, range(80))
        )
        assert statuses.keys() == {400, 429}
        assert 40 <= statuses[400] <= 60
        pages = Counter(threads.map(lambda _: stack.get("/").status_code, range(80)))
    assert pages == {200: 80}
    written = stack.proxy_log.read_text() + (stack.proxy_log.parent / "error.log").read_text() + stack.logs()
    assert '"GET /oidc/callback/" 429' in written
    assert code not in written
    # Whoever waits gets in again, and others never noticed: the limit is for each address of this site.
    assert stack.get("/oidc/authenticate/", allow_redirects=False).status_code == 302


def test_the_proxy_ends_tls_and_is_believed_in_what_it_says(stack: Stack) -> None:
    response = stack.get("/", headers={"X-Forwarded-Proto": "http", "X-Forwarded-For": "203.0.113.1"})
    assert (response.status_code, response.url) == (200, f"{stack.url}/")
    assert response.headers["Strict-Transport-Security"].startswith("max-age=300")


def test_one_replica_can_be_replaced_while_people_use_the_site(stack: Stack) -> None:
    with ThreadPoolExecutor(4) as threads:
        pages = [threads.submit(lambda: stack.get("/").status_code) for _ in range(200)]
        while sum(page.done() for page in pages) < 40:
            time.sleep(0.02)
        stack.replicas[1].process.terminate()
        assert Counter(page.result(30) for page in pages) == {200: 200}
    assert stack.replicas[1].process.wait(30) == 0

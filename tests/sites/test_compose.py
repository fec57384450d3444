"""compose.yaml of a site: it is valid, and what it describes works, with people at a real Keycloak."""

import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.rendering import render
from tests.sites.keycloak import sign_in
from tests.sites.site import Site
from tests.sites.stack import Serving, Stack, compose, running

RENEWAL = 2
# All processes are started once for each of these; where renewal is not what matters, once is enough.
once = pytest.mark.parametrize("serving", ["redirect"], indirect=True)
each_renewal = pytest.mark.parametrize("serving", ["redirect", "refresh_token"], indirect=True)


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


def test_no_part_can_get_the_fixed_address_of_another(site: Site) -> None:
    """The parts of a network get addresses in any order, so what nginx has looked up would lead elsewhere."""
    described = compose(site)
    [network] = described["networks"]["front"]["ipam"]["config"]
    of_others = ip_network(network["ip_range"])
    attached = [part["networks"] for part in described["services"].values() if "front" in part["networks"]]
    fixed = [ip_address(networks["front"]["ipv4_address"]) for networks in attached if isinstance(networks, dict)]
    # What runs once, migrate, needs none.
    assert len(attached) == len(fixed) + 1
    assert len(fixed) == len(set(fixed))
    assert all(address in ip_network(network["subnet"]) and address not in of_others for address in fixed)


def test_secrets_are_made_once_and_git_ignores_them(site: Site) -> None:
    assert "/deploy/secrets/" in (site.folder / ".gitignore").read_text().splitlines()
    folder = site.folder / "deploy" / "secrets"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert len({*before.values()}) == len(before) == 7
    assert folder.stat().st_mode & 0o777 == 0o700
    site.run("sh", "deploy/make-secrets.sh")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.fixture(scope="module")
def parts(installed, keycloak_home: Path, require) -> Iterator[Stack]:
    with running(installed(), keycloak_home, require) as stack:
        yield stack


@pytest.fixture(scope="module")
def serving(request, parts: Stack) -> Iterator[Serving]:
    renewal = {"OIDC_RENEWAL": request.param, "OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS": str(RENEWAL)}
    with parts.serving(**renewal) as serving:
        yield serving


@pytest.fixture
def person(serving: Serving, chromium) -> Iterator[Callable]:
    """A function that logs a person in, in a browser of their own, and returns the page."""
    contexts = []

    def log_in(name: str, path: str = "/profile/") -> Any:
        contexts.append(chromium.new_context(ignore_https_errors=True))
        page = contexts[-1].new_page()
        page.goto(serving.url + path)
        assert page.url.startswith(serving.stack.login_url)
        sign_in(page, name)
        return page

    yield log_in
    for context in contexts:
        context.close()


def user_id(serving: Serving, name: str) -> str:
    [user] = serving.admin("GET", f"/users?exact=true&username={name}")
    return user["id"]


def is_signed_in(serving: Serving, page: Any) -> bool:
    page.goto(serving.url)
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
@once
def test_people_of_the_realm_are_who_the_policy_makes_them(serving: Serving, person, name: str, sees: str) -> None:
    page = person(name)
    page.wait_for_url(f"{serving.url}/profile/")
    assert f"{name}@example.org" in page.inner_text("main")
    status = page.goto(f"{serving.url}/admin/").status
    users = page.locator("a[href='/admin/accounts/user/']").count()
    assert (status, users > 0) == {"refused": (403, False), "an empty admin": (200, False), "users": (200, True)}[sees]


@once
def test_whom_keycloak_has_disabled_does_not_get_in(serving: Serving, person) -> None:
    page = person("dora")
    assert "disabled" in page.inner_text("body")
    assert not is_signed_in(serving, page)


@once
def test_a_logout_here_is_a_logout_there(serving: Serving, person) -> None:
    page = person("sam")
    page.wait_for_url(f"{serving.url}/profile/")
    page.goto(serving.url)
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{serving.url}/**")
    page.goto(f"{serving.url}/profile/")
    assert page.locator("input[name=password]").is_visible()


@once
def test_a_logout_there_is_a_logout_here(serving: Serving, person) -> None:
    page = person("sam")
    page.wait_for_url(f"{serving.url}/profile/")
    before = serving.logs().count("logout by the OP")
    serving.admin("POST", f"/users/{user_id(serving, 'sam')}/logout")
    assert serving.logs().count("logout by the OP") > before
    assert not is_signed_in(serving, page)


@each_renewal
def test_a_session_is_renewed(serving: Serving, person) -> None:
    page = person("sam")
    page.wait_for_url(f"{serving.url}/profile/")
    before = serving.logs().count("login renewed")
    time.sleep(RENEWAL)
    page.goto(f"{serving.url}/profile/")
    assert "sam@example.org" in page.inner_text("main")
    assert serving.logs().count("login renewed") == before + 1


@each_renewal
def test_whom_keycloak_disables_is_out_at_the_next_renewal(serving: Serving, person) -> None:
    page = person("olivia")
    page.wait_for_url(f"{serving.url}/profile/")
    user = f"/users/{user_id(serving, 'olivia')}"
    serving.admin("PUT", user, {"enabled": False})
    try:
        time.sleep(RENEWAL)
        page.goto(f"{serving.url}/profile/")
        assert "olivia@example.org" not in page.inner_text("body")
        assert not is_signed_in(serving, page)
    finally:
        serving.admin("PUT", user, {"enabled": True})


@once
def test_keycloak_changes_its_key_and_nobody_notices(serving: Serving, person) -> None:
    realm = serving.admin("GET", "")["id"]
    provider = {"providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider", "parentId": realm}
    serving.admin("POST", "/components", {"name": "new", "config": {"priority": ["200"]}, **provider})
    page = person("sam")
    page.wait_for_url(f"{serving.url}/profile/")
    assert "sam@example.org" in page.inner_text("main")


@once
def test_a_new_client_secret_comes_with_a_reload_and_sessions_go_on(serving: Serving, person) -> None:
    """As the runbook says, of a provider that has one secret only: logins fail in between, and nothing else does."""
    before = person("sam")
    before.wait_for_url(f"{serving.url}/profile/")
    [client] = serving.admin("GET", "/clients?clientId=site")
    secret = serving.admin("POST", f"/clients/{client['id']}/client-secret")["value"]
    assert "Login failed" in person("ada").inner_text("main")
    assert "reason=client_refused" in serving.logs()
    (serving.stack.here.secrets / "client_secret").write_text(secret)
    booted = serving.logs().count("Booting worker")
    for replica in serving.replicas:
        os.kill(replica.process.pid, signal.SIGHUP)
    while serving.logs().count("Booting worker") < booted + len(serving.replicas):
        time.sleep(0.1)
    person("ada").wait_for_url(f"{serving.url}/profile/")
    assert is_signed_in(serving, before)


@once
def test_logins_are_limited_for_each_client_and_pages_are_not(serving: Serving) -> None:
    code = "a-code-that-must-not-be-logged"
    before, began = serving.logs().count('"GET /oidc/callback/"'), time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        path = f"/oidc/callback/?code={code}&state=x"
        assert 429 in set(threads.map(lambda _: serving.get(path).status_code, range(120)))
        passed = serving.logs().count('"GET /oidc/callback/"') - before
        assert passed <= 1 + 40 + 2 * (time.monotonic() - began) < 120
        pages = Counter(threads.map(lambda _: serving.get("/").status_code, range(80)))
    assert pages == {200: 80}
    log = serving.stack.proxy_log
    of_image = log.with_name("of_image.log").read_text()
    written = log.read_text() + log.with_name("error.log").read_text() + of_image + serving.logs()
    assert '"GET /oidc/callback/" 429' in written
    assert code not in written
    # Whoever waits gets in again, and others never noticed: the limit is for each address of this site.
    assert serving.get("/oidc/authenticate/", allow_redirects=False).status_code == 302


@once
def test_the_proxy_ends_tls_and_is_believed_in_what_it_says(serving: Serving) -> None:
    response = serving.get("/", headers={"X-Forwarded-Proto": "http", "X-Forwarded-For": "203.0.113.1"})
    assert (response.status_code, response.url) == (200, f"{serving.url}/")
    assert response.headers["Strict-Transport-Security"].startswith("max-age=300")


@once
def test_one_replica_can_be_replaced_while_people_use_the_site(serving: Serving) -> None:
    with ThreadPoolExecutor(4) as threads:
        pages = [threads.submit(lambda: serving.get("/").status_code) for _ in range(200)]
        while sum(page.done() for page in pages) < 40:
            time.sleep(0.02)
        serving.replicas[1].process.terminate()
        assert Counter(page.result(30) for page in pages) == {200: 200}
    assert serving.replicas[1].process.wait(30) == 0

"""A real Keycloak, the one that runs most often behind sites like ours, as Maven Central has it."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.sites.services import running, temporary_folder
from tests.sites.site import free_port

VERSION = "26.7.3"
JAVA = 17
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cookiecutter-django-oidc" / "maven"
ARCHIVE = CACHE / f"org/keycloak/keycloak-quarkus-dist/{VERSION}/keycloak-quarkus-dist-{VERSION}.tar.gz"
# Their passwords are their names.
USERS = {"kim": [], "sam": ["staff"], "ada": ["staff", "administrators"]}


@dataclass(frozen=True)
class Keycloak:
    """A running Keycloak, in which each site gets a realm of its own."""

    url: str
    password: str

    def realm_for(self, site_url: str, **client: Any) -> dict[str, str]:
        """Make a realm with `USERS` and a client for the site; return the variables that connect the site to it.

        `client` are changes to the client's representation in Keycloak's admin API.
        """
        name, secret = f"site-{secrets.token_hex(4)}", secrets.token_urlsafe(32)
        self.admin("POST", "", realm(name, site_url, {"secret": secret, **client}))
        return {
            "OIDC_OP_ISSUER": f"{self.url}/realms/{name}",
            "OIDC_RP_CLIENT_ID": "site",
            "OIDC_RP_CLIENT_SECRET": secret,
        }

    def admin(self, method: str, path: str, body: object = None) -> requests.Response:
        """Send a request to the admin API below /admin/realms as its administrator."""
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": self.password}
        token = requests.post(f"{self.url}/realms/master/protocol/openid-connect/token", form, timeout=60).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        response = requests.request(method, f"{self.url}/admin/realms{path}", json=body, headers=headers, timeout=60)
        response.raise_for_status()
        return response


def realm(name: str, site_url: str, client: dict[str, Any]) -> dict[str, Any]:
    """Return a realm in Keycloak's representation: people, groups in the claim `groups`, and one client."""
    claim = {"claim.name": "groups", "full.path": "false", "id.token.claim": "true", "userinfo.token.claim": "true"}
    mapper = {"name": "groups", "protocol": "openid-connect", "protocolMapper": "oidc-group-membership-mapper"}
    attributes = {
        "post.logout.redirect.uris": f"{site_url}/",
        "backchannel.logout.url": f"{site_url}/oidc/backchannel-logout/",
        "backchannel.logout.session.required": "true",
        "pkce.code.challenge.method": "S256",
    }
    registered = {
        "clientId": "site",
        "redirectUris": [f"{site_url}/oidc/callback/"],
        "publicClient": False,
        "attributes": attributes,
        "protocolMappers": [mapper | {"config": claim}],
    }
    users = [
        {
            "username": person,
            "enabled": True,
            "email": f"{person}@example.org",
            "emailVerified": True,
            "firstName": person.capitalize(),
            "lastName": "Keycloak",
            "credentials": [{"type": "password", "value": person}],
            "groups": groups,
        }
        for person, groups in USERS.items()
    ]
    groups = [{"name": group} for group in ("staff", "administrators")]
    return {"realm": name, "enabled": True, "groups": groups, "users": users, "clients": [registered | client]}


def sign_in(page: Any, person: str) -> None:
    """Fill in Keycloak's login page in the browser."""
    page.fill("input[name=username]", person)
    page.fill("input[name=password]", person)
    page.locator("#kc-login").click()


@contextmanager
def keycloak(home: Path) -> Iterator[Keycloak]:
    """Run the Keycloak in `home` with an administrator of its own."""
    port, password = free_port(), secrets.token_urlsafe(16)
    url = f"http://localhost:{port}"

    def is_ready() -> bool:
        return requests.get(f"{url}/realms/master", timeout=10).status_code == 200

    with served(home, port, is_ready, KC_BOOTSTRAP_ADMIN_USERNAME="admin", KC_BOOTSTRAP_ADMIN_PASSWORD=password):
        yield Keycloak(url, password)


@contextmanager
def unpacked(require: Callable[[object, str], None]) -> Iterator[Path]:
    """Unpack Keycloak and return its folder; the first time, Maven fetches it into the cache of this account."""
    require(_java() >= JAVA, f"no Java {JAVA} or newer on the PATH, which Keycloak needs")
    if not ARCHIVE.exists():
        require(shutil.which("mvn"), "no Maven on the PATH, which fetches Keycloak")
        _fetch(require)
    with temporary_folder() as folder:
        # Not by Python, whose early releases of 3.11 cannot refuse what would land elsewhere.
        subprocess.run(["tar", "--extract", "--file", ARCHIVE, "--directory", folder], check=True)
        yield folder / f"keycloak-{VERSION}"


@contextmanager
def served(home: Path, port: int, is_ready: Callable[[], bool], *options: str, **variables: str) -> Iterator[None]:
    """Run `start-dev` on `port` of loopback with a database in memory.

    What the first start builds in `home` is there for the next one.
    """
    command = [str(home / "bin" / "kc.sh"), "start-dev", "--db", "dev-mem", *options]
    command += ["--http-host", "127.0.0.1", "--http-port", str(port)]
    # Without the optimising compiler it starts in half of the time; it does not live long enough to pay that back.
    java = {"JAVA_OPTS_KC_HEAP": "-Xms128m -Xmx512m", "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1"}
    environment = os.environ | java | variables
    with temporary_folder() as folder, running(command, folder, is_ready, seconds=300, env=environment):
        yield


def _java() -> int:
    """Return the major version of Java on the PATH, 0 if there is none."""
    if not (java := shutil.which("java")):
        return 0
    said = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
    return int(said.partition('"')[2].partition(".")[0].partition('"')[0] or 0)


def _fetch(require: Callable[[object, str], None]) -> None:
    artifact = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:tar.gz"
    get = ["mvn", "-B", "-q", "dependency:get", "-Dtransitive=false", f"-Dartifact={artifact}"]
    fetched = subprocess.run([*get, f"-Dmaven.repo.local={CACHE}"], capture_output=True, text=True, timeout=900)
    require(fetched.returncode == 0 and ARCHIVE.exists(), f"Maven does not fetch {artifact}: {fetched.stdout[-500:]}")

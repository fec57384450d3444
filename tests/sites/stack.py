"""The parts of a site's compose.yaml, run from their packages with the very same configuration files.

No engine for containers is needed. Host names, ports and the folder of secrets are translated to those of this machine;
everything else comes from compose.yaml, deploy/nginx.conf and deploy/keycloak-realm.json as they are.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.sites import keycloak, services
from tests.sites.site import Running, Site, free_port

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{}}
http {{
  # As nginx's image has it: with the query, and so with codes.
  access_log {folder}/of_image.log combined;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include {folder}/site.conf;
}}
"""

READ_BY_KEYCLOAK = {"CLIENT_SECRET": "client_secret", "KC_BOOTSTRAP_ADMIN_PASSWORD": "keycloak_admin"}


@dataclass(frozen=True)
class Here:
    """Where on this machine is what compose.yaml names: the port of each service, the secrets, the cache."""

    services: dict[str, Any]
    ports: dict[str, int]
    secrets: Path
    cache_url: str

    def environment(self, service: str) -> dict[str, str]:
        """Return the environment that compose.yaml gives a service, translated to this machine."""
        return {name: self.translated(str(value)) for name, value in self.services[service]["environment"].items()}

    def translated(self, text: str) -> str:
        text = re.sub(r"(site|login)\.localhost:8443", lambda found: f"localhost:{self.ports[found[1]]}", text)
        text = re.sub(r"\b(site-1|site-2|keycloak):\d+", lambda found: f"127.0.0.1:{self.ports[found[1]]}", text)
        text = re.sub(r"\b(site|login)\.localhost\b", "localhost", text.replace("/run/secrets", str(self.secrets)))
        return text.replace("valkey://cache:6379/0", self.cache_url).replace("172.30.94.2", "127.0.0.1")

    def secret(self, name: str) -> str:
        return (self.secrets / name).read_text().strip()


@dataclass(frozen=True)
class Stack:
    """All parts but the site itself: nginx with TLS before Keycloak and the site, PostgreSQL and Redis."""

    site: Site
    here: Here
    proxy_log: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.here.ports['site']}"

    @property
    def login_url(self) -> str:
        return f"https://localhost:{self.here.ports['login']}"

    @contextmanager
    def serving(self, **changes: str) -> Iterator["Serving"]:
        """Migrate and run the site twice; `changes` are environment variables beside those of compose.yaml."""
        own = self.here.environment("site-1") | {"ENV_FILE": os.devnull, "WEB_CONCURRENCY": "1", **changes}
        self.site.run("uv", "run", *self.here.services["migrate"]["command"], **own)
        self.site.run("uv", "run", "manage.py", "collectstatic", "--no-input", **own)
        gunicorn = (str(self.site.folder / ".venv" / "bin" / "gunicorn"), "config.wsgi")
        with ExitStack() as stack:
            binds = [f"127.0.0.1:{self.here.ports[name]}" for name in ("site-1", "site-2")]
            running = [self.site.running(*gunicorn, url=f"http://{bind}/healthz", BIND=bind, **own) for bind in binds]
            yield Serving(self, [stack.enter_context(replica) for replica in running])


@dataclass(frozen=True)
class Serving:
    """All parts, running."""

    stack: Stack
    replicas: list[Running]

    @property
    def url(self) -> str:
        return self.stack.url

    def logs(self) -> str:
        return "".join(replica.log.read_text() for replica in self.replicas)

    def get(self, path: str, **options: Any) -> requests.Response:
        """Send a request to the site through nginx, whose certificate is verified."""
        return requests.get(self.url + path, verify=self.stack.here.secrets / "tls_certificate", timeout=30, **options)

    def admin(self, method: str, path: str, body: object = None) -> Any:
        """Send a request to Keycloak's admin API about the realm of the site, through nginx."""
        url, here = self.stack.login_url, self.stack.here
        options: dict[str, Any] = {"verify": here.secrets / "tls_certificate", "timeout": 60}
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin"}
        form["password"] = here.secret("keycloak_admin")
        token = requests.post(f"{url}/realms/master/protocol/openid-connect/token", form, **options).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        response = requests.request(method, f"{url}/admin/realms/site{path}", json=body, headers=headers, **options)
        response.raise_for_status()
        return response.json() if response.content else None


def compose(site: Site) -> dict[str, Any]:
    return yaml.safe_load((site.folder / "compose.yaml").read_text())


@contextmanager
def running(site: Site, keycloak_home: Path, require: Callable[[object, str], None]) -> Iterator[Stack]:
    """Run all parts but the site itself."""
    for program in ("postgres", "redis-server", "nginx"):
        require(services.find(program), f"no {program}")
    ports = {name: free_port() for name in ("site", "login", "site-1", "site-2", "keycloak")}
    with services.temporary_folder() as folder, services.postgresql() as database_url, services.redis() as cache_url:
        here = Here(compose(site)["services"], ports, make_secrets(site, folder), cache_url)
        (here.secrets / "database_url").write_text(database_url)
        with keycloak_of(site, keycloak_home, here), nginx_of(site, here, folder) as log:
            yield Stack(site, here, log)


def make_secrets(site: Site, folder: Path) -> Path:
    """Run the script of the site in a folder of its own and return the folder with the secrets."""
    script = folder / "make-secrets.sh"
    script.write_bytes((site.folder / "deploy" / "make-secrets.sh").read_bytes())
    site.run("sh", str(script))
    return folder / "secrets"


@contextmanager
def keycloak_of(site: Site, home: Path, here: Here) -> Iterator[None]:
    realm = home / "data" / "import" / "realm.json"
    realm.parent.mkdir(parents=True, exist_ok=True)
    realm.write_bytes((site.folder / "deploy" / "keycloak-realm.json").read_bytes())
    port = here.ports["keycloak"]
    metadata = f"http://127.0.0.1:{port}/realms/site/.well-known/openid-configuration"

    def is_ready() -> bool:
        # As nginx asks; the first response takes longer than the site would wait.
        return requests.get(metadata, headers={"X-Forwarded-Proto": "https"}, timeout=60).status_code == 200

    # Its entry point in compose.yaml reads these from files.
    read = {name: here.secret(file) for name, file in READ_BY_KEYCLOAK.items()}
    with keycloak.served(home, port, is_ready, "--import-realm", **here.environment("keycloak"), **read):
        yield


@contextmanager
def nginx_of(site: Site, here: Here, folder: Path) -> Iterator[Path]:
    """Put the environment into the template, as the script of nginx's image does, and run it; the value is its log."""
    environment = here.environment("proxy")
    environment |= {f"{name}_PORT": f"127.0.0.1:{here.ports[name.lower()]}" for name in ("SITE", "LOGIN")}
    template = (site.folder / "deploy" / "nginx.conf").read_text()
    own = folder / "nginx"
    own.mkdir()
    (own / "site.conf").write_text(re.sub(r"\$\{([A-Z_0-9]+)\}", lambda name: environment[name[1]], template))
    (own / "nginx.conf").write_text(NGINX.format(folder=own))
    server = [services.find("nginx"), "-p", str(own), "-c", str(own / "nginx.conf"), "-e", str(own / "error.log")]
    metadata = f"https://localhost:{here.ports['login']}/realms/site/.well-known/openid-configuration"

    def is_ready() -> bool:
        return requests.get(metadata, verify=here.secrets / "tls_certificate", timeout=60).status_code == 200

    with services.running(server, own, is_ready):
        yield own / "server.log"

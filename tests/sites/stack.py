"""The parts of a site's compose.yaml, run from their packages with the very same configuration files.

No engine for containers is needed. Host names, ports and the folder of secrets are translated to those of this machine;
everything else comes from compose.yaml, deploy/nginx.conf and deploy/keycloak-realm.json as they are.
"""

import os
import re
import shutil
import tarfile
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
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include {folder}/site.conf;
}}
"""


@dataclass(frozen=True)
class Stack:
    """All parts, running: the site at `url` and Keycloak at `login_url`, both behind nginx with TLS."""

    site: Site
    url: str
    login_url: str
    replicas: tuple[Running, Running]
    proxy_log: Path
    certificate: str
    keycloak_password: str

    def logs(self) -> str:
        return "".join(replica.log.read_text() for replica in self.replicas)

    def get(self, path: str, **options: Any) -> requests.Response:
        """Send a request to the site through nginx."""
        return requests.get(self.url + path, verify=self.certificate, timeout=30, **options)

    def admin(self, method: str, path: str, body: object = None) -> Any:
        """Send a request to Keycloak's admin API about the realm of the site, through nginx."""
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin"}
        form["password"] = self.keycloak_password
        options: dict[str, Any] = {"verify": self.certificate, "timeout": 60}
        token = requests.post(f"{self.login_url}/realms/master/protocol/openid-connect/token", form, **options).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        url = f"{self.login_url}/admin/realms/site{path}"
        response = requests.request(method, url, json=body, headers=headers, **options)
        response.raise_for_status()
        return response.json() if response.content else None


def compose(site: Site) -> dict[str, Any]:
    return yaml.safe_load((site.folder / "compose.yaml").read_text())


@contextmanager
def running(site: Site, require: Callable[[object, str], None], **changes: str) -> Iterator[Stack]:
    """Run everything; `changes` are environment variables of the site."""
    if not keycloak.ARCHIVE.exists():
        require(shutil.which("mvn"), "no Maven on the PATH, which fetches Keycloak")
        keycloak._fetch(require)
    require(keycloak._java() >= keycloak.JAVA, f"no Java {keycloak.JAVA} or newer on the PATH, which Keycloak needs")
    for program in ("postgres", "redis-server", "nginx"):
        require(services.find(program), f"no {program}")
    described = compose(site)["services"]
    ports = {name: free_port() for name in ("site", "login", "site-1", "site-2", "keycloak")}
    with ExitStack() as stack:
        folder = stack.enter_context(services.temporary_folder())
        made = make_secrets(site, folder)
        (made / "database_url").write_text(stack.enter_context(services.postgresql()))
        cache_url = stack.enter_context(services.redis())

        def here(text: str) -> str:
            """Translate a value of compose.yaml to this machine."""
            text = re.sub(r"(site|login)\.localhost:8443", lambda found: f"localhost:{ports[found[1]]}", text)
            text = re.sub(r"\b(site-1|site-2|keycloak):\d+", lambda found: f"127.0.0.1:{ports[found[1]]}", text)
            text = text.replace("valkey://cache:6379/0", cache_url).replace("172.30.94.2", "127.0.0.1")
            return re.sub(r"\b(site|login)\.localhost\b", "localhost", text.replace("/run/secrets", str(made)))

        def environment(name: str) -> dict[str, str]:
            return {key: here(str(value)) for key, value in described[name]["environment"].items()}

        def secret(name: str) -> str:
            return (made / name).read_text().strip()

        # Its entry point in compose.yaml reads these from files.
        read = {"CLIENT_SECRET": secret("client_secret"), "KC_BOOTSTRAP_ADMIN_PASSWORD": secret("keycloak_admin")}
        start_keycloak(stack, site, folder, environment("keycloak") | read, ports["keycloak"])
        log = start_nginx(stack, site, folder, environment("proxy"), ports)
        own = environment("site-1") | {"ENV_FILE": "/dev/null", "WEB_CONCURRENCY": "1", **changes}
        program, script, *arguments = described["migrate"]["command"]
        site.run("uv", "run", program, script, *arguments, **own)
        site.run("uv", "run", "manage.py", "collectstatic", "--no-input", **own)
        gunicorn = str(site.folder / ".venv" / "bin" / "gunicorn")
        replicas = []
        for name in ("site-1", "site-2"):
            bind = f"127.0.0.1:{ports[name]}"
            command = (gunicorn, "config.wsgi")
            replicas.append(
                stack.enter_context(site.running(*command, url=f"http://{bind}/healthz", BIND=bind, **own))
            )
        yield Stack(
            site,
            own["SITE_URL"],
            f"https://localhost:{ports['login']}",
            (replicas[0], replicas[1]),
            log,
            str(made / "tls_certificate"),
            secret("keycloak_admin"),
        )


def make_secrets(site: Site, folder: Path) -> Path:
    """Run the script of the site in a folder of its own and return the folder with the secrets."""
    script = folder / "make-secrets.sh"
    script.write_bytes((site.folder / "deploy" / "make-secrets.sh").read_bytes())
    site.run("sh", str(script))
    return folder / "secrets"


def start_keycloak(stack: ExitStack, site: Site, folder: Path, environment: dict[str, str], port: int) -> None:
    with tarfile.open(keycloak.ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    home = folder / f"keycloak-{keycloak.VERSION}"
    realms = home / "data" / "import"
    realms.mkdir(parents=True)
    (realms / "realm.json").write_bytes((site.folder / "deploy" / "keycloak-realm.json").read_bytes())
    command = [str(home / "bin" / "kc.sh"), "start-dev", "--import-realm", "--db", "dev-mem"]
    command += ["--http-host", "127.0.0.1", "--http-port", str(port)]

    def is_ready() -> bool:
        # Over plain http the realm refuses, but it is there.
        return requests.get(f"http://127.0.0.1:{port}/realms/site", timeout=10).status_code in (200, 403)

    environment = {**os.environ, **environment, "JAVA_OPTS_KC_HEAP": "-Xms128m -Xmx512m"}
    stack.enter_context(services.running(command, folder, is_ready, seconds=300, env=environment))


def start_nginx(
    stack: ExitStack, site: Site, folder: Path, environment: dict[str, str], ports: dict[str, int]
) -> Path:
    """Put the environment into the template, as the script of nginx's image does, and run it; return its log."""
    environment |= {"SITE_PORT": f"127.0.0.1:{ports['site']}", "LOGIN_PORT": f"127.0.0.1:{ports['login']}"}
    template = (site.folder / "deploy" / "nginx.conf").read_text()
    filled = re.sub(r"\$\{([A-Z_0-9]+)\}", lambda name: environment[name[1]], template)
    own = folder / "nginx"
    own.mkdir()
    (own / "site.conf").write_text(filled)
    (own / "nginx.conf").write_text(NGINX.format(folder=own))
    server = [services.find("nginx"), "-p", str(own), "-c", str(own / "nginx.conf"), "-e", str(own / "error.log")]

    def is_ready() -> bool:
        return requests.get(f"https://localhost:{ports['site']}/", verify=False, timeout=5).status_code > 0  # noqa: S501

    stack.enter_context(services.running(server, own, is_ready))
    return own / "server.log"

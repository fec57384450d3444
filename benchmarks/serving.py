"""Rendered sites, and projects to compare them with, under gunicorn beside an OP: what every measurement needs."""

import json
import os
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode

import certifi

from benchmarks import CLIENT
from tests.rendering import REPOSITORY, SITE, run_cookiecutter
from tests.sites import services
from tests.sites.site import Site, free_port

PROJECTS = Path(__file__).parent / "projects"

# What the plots and tables are about: the rendered site, and its peers under projects/.
SITE_NAME = "rendered site"
PEERS = {
    "mozilla-django-oidc": "stock",
    "django-allauth": "with_allauth",
    "social-auth-app-django": "with_social_auth",
    "Authlib": "with_authlib",
    "pooled client (the floor)": "pooled",
}
# Projects under projects/, served with the packages of the rendered site: name -> package and its environment.
OTHER_PROJECTS: dict[str, tuple[str, dict[str, str]]] = {
    **{name: (package, {}) for name, package in PEERS.items()},
    "its pages without the relying party": ("without", {}),
    "bare Django": ("plain", {"MIDDLEWARE": "needed", "CONN_MAX_AGE": "0"}),
    "bare Django, connections kept": ("plain", {"MIDDLEWARE": "needed"}),
    "startproject, connections kept": ("plain", {}),
}
PACKAGES_OF_PEERS = ["authlib", "django-allauth[socialaccount]", "social-auth-app-django"]


@dataclass(frozen=True)
class OP:
    """An OP in another process, and how to trust it."""

    issuer: str
    tls: ssl.SSLContext

    def counts(self) -> dict[str, int]:
        """Return how many requests and connections it had from its site so far."""
        result: dict[str, int] = json.loads(self._get("/counts"))
        return result

    def be(self, *, hanging: str = "", latency: float = 0.0, capacity: int = 0) -> None:
        """Take `latency` seconds for each response, and `capacity` token requests a second (0: any number).

        `hanging` is a path that never responds, "*" for every path.
        """
        self._get(f"/be?{urlencode({'hanging': hanging, 'latency': latency, 'capacity': capacity})}")

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.issuer + path, timeout=30, context=self.tls) as response:
            return bytes(response.read())


@dataclass(frozen=True)
class Project:
    """A project that is served, its OP, the session of its gunicorn's processes, and how long it took to start."""

    name: str
    port: int
    op: OP
    group: int
    start_seconds: float


def end_as_by_ctrl_c() -> None:
    """Let SIGTERM end a measurement as Ctrl-C does, so that no server outlives it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))


@contextmanager
def running_ops(folder: Path, delay: float, ports: list[int]) -> Iterator[list[OP]]:
    """Run an OP for the site at each of `ports`, all in a process of their own."""
    command = [sys.executable, "-m", "benchmarks.op", str(folder), *(f"http://127.0.0.1:{port}" for port in ports)]
    path = os.pathsep.join([str(REPOSITORY), str(SITE)])
    environment = os.environ | {"LATENCY": str(delay), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            issuers = [process.stdout.readline().strip() for _ in ports]
            tls = ssl.create_default_context(cafile=folder / "ca.pem")
            yield [OP(issuer, tls) for issuer in issuers]
        finally:
            process.terminate()


@contextmanager
def one_site(delay: float = 0) -> Iterator[tuple[Path, int, OP, Site]]:
    """Install the site beside an OP that takes `delay` seconds: a folder, the site's port, the OP and the site."""
    with tempfile.TemporaryDirectory() as name, running_ops(folder := Path(name), delay, [port := free_port()]) as ops:
        yield folder, port, ops[0], installed_site(folder)


def installed_site(folder: Path, *packages: str) -> Site:
    """Render the default site into `folder` and install its packages, and `packages` beside them."""
    say("rendering and installing the site")
    run_cookiecutter(folder).check_returncode()
    site = Site(folder / "my_site", sys.executable)
    site.run("uv", "sync", "--quiet", "--no-dev", "--compile-bytecode")
    if packages:
        python = str(site.folder / ".venv/bin/python")
        site.run("uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *packages)
    return site


@contextmanager
def running_project(
    name: str, port: int, site: Site, folder: Path, op: OP, *arguments: str, database: str = "sqlite"
) -> Iterator[Project]:
    """Serve the rendered site, or another project, with the site's packages and gunicorn settings and `arguments`."""
    package, further = OTHER_PROJECTS.get(name, ("", {}))
    is_other = bool(package)
    # Both read the list of public authorities as they would in production, and the OP's authority with it.
    bundle = folder / f"{name}.pem"
    bundle.write_text(Path(certifi.where()).read_text() + (folder / "ca.pem").read_text())
    environment = {
        "DEBUG": "false",
        "SITE_URL": f"http://127.0.0.1:{port}",
        "BIND": f"127.0.0.1:{port}",
        "OIDC_OP_ISSUER": op.issuer,
        "OIDC_RP_CLIENT_ID": CLIENT[0],
        "OIDC_RP_CLIENT_SECRET": CLIENT[1],
        "REQUESTS_CA_BUNDLE" if is_other else "OIDC_OP_CA_BUNDLE": str(bundle),
    }
    if is_other:
        environment |= {
            "PYTHONPATH": str(PROJECTS),
            "DJANGO_SETTINGS_MODULE": f"{package}.settings",
            **further,
        }
    with ExitStack() as stack:
        if database == "postgresql":
            environment["DATABASE_URL"] = stack.enter_context(services.postgresql())
            environment["CACHE_URL"] = stack.enter_context(services.redis())
        else:
            environment["DATABASE_URL"] = f"sqlite:///{folder / name.split()[0]}.sqlite3"
        python = str(site.folder / ".venv/bin/python")
        site.run(python, *(["-m", "django"] if is_other else ["manage.py"]), "migrate", **environment)
        if package in ("", "without"):
            site.run(python, "manage.py", "collectstatic", "--no-input", **environment)
        command = [python, "-m", "gunicorn", f"{package}.wsgi" if is_other else "config.wsgi", *arguments]
        command += ["--config", str(PROJECTS / "gunicorn.conf.py")] if is_other else []
        # A worker that is replaced in the middle of a measurement is another one's doing.
        command += ["--max-requests", "0"]
        with ThreadPoolExecutor(1) as waiting:
            came, began = waiting.submit(first_page, port), time.monotonic()
            server = stack.enter_context(site.running(*command, url=f"http://127.0.0.1:{port}", **environment))
            seconds = came.result() - began
        yield Project(name, port, op, server.process.pid, seconds)
        # Not by Ctrl-C or SIGTERM: gunicorn's threaded worker waits for threads that an OP keeps waiting.
        server.end(signal.SIGKILL)


def first_page(port: int) -> float:
    """Wait for a server that is being started, and return when it has given its first page."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            request(connection, "GET", "/")
            return time.monotonic()
        except OSError:
            time.sleep(0.005)
        finally:
            connection.close()
    raise RuntimeError("the server does not start")


def request(connection: HTTPConnection, *arguments: str, **options: dict[str, str]) -> HTTPResponse:
    """Send a request and return its response, read."""
    connection.request(*arguments, **options)
    response = connection.getresponse()
    response.read()
    return response


def cpu_seconds(group: int) -> float:
    """Return the CPU time that the processes of a session have used so far (proc(5))."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_of_workers(group: int) -> list[float]:
    """Return how much memory each worker of a gunicorn has, in MiB; what processes share is divided among them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == group:
                pss = next(line for line in (folder / "smaps_rollup").read_text().splitlines() if line[:4] == "Pss:")
                found.append(int(pss.split()[1]) / 1024)
        except OSError:
            continue
    return found


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def spread(values: list[float]) -> str:
    return " / ".join(f"{number:.3g}" for number in (min(values), statistics.median(values), max(values)))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

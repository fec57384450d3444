"""Measures whole logins of new people: what they cost the rendered site and a stock mozilla-django-oidc.

    python -m benchmarks.login

`benchmarks/README.md` says what is measured and how.
"""

import argparse
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import certifi

from benchmarks.op import CLIENT
from tests.rendering import REPOSITORY, SITE, run_cookiecutter
from tests.sites import services
from tests.sites.site import Site, free_port


@dataclass(frozen=True)
class Project:
    """A project that is served, its OP, and the session of its gunicorn's processes."""

    name: str
    port: int
    op: "OP"
    group: int


@dataclass(frozen=True)
class OP:
    """An OP in another process, and how to trust it."""

    issuer: str
    tls: ssl.SSLContext

    def counts(self) -> dict[str, int]:
        """Return how many requests and connections it had from its site so far."""
        with urllib.request.urlopen(f"{self.issuer}/counts", timeout=30, context=self.tls) as response:
            return json.load(response)


@dataclass(frozen=True)
class Run:
    """What one project did in one run."""

    logins: int
    failed: int
    seconds: float
    cpu_seconds: float
    op_requests: int
    op_connections: int


def main() -> None:
    options = arguments()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = {"rendered site": free_port(), "stock": free_port()}
        ops = stack.enter_context(running_ops(folder, options.delay / 1000, list(ports.values())))
        say("rendering and installing the site")
        run_cookiecutter(folder).check_returncode()
        site = Site(folder / "my_site", sys.executable)
        site.run("uv", "sync", "--quiet", "--no-dev")
        projects = [
            stack.enter_context(running_project(name, port, site, folder, op, options.database))
            for (name, port), op in zip(ports.items(), ops, strict=True)
        ]
        for project in projects:
            measure(project, options.browsers, 2)
        runs: dict[str, list[Run]] = {project.name: [] for project in projects}
        for number in range(options.runs):
            say(f"run {number + 1} of {options.runs}")
            # In turn, so that whatever else the machine does meets both.
            for project in projects:
                runs[project.name].append(measure(project, options.browsers, options.seconds))
    print(f"{options.browsers} browsers, OP {options.delay} ms away, {options.database}, {os.cpu_count()} cores\n")
    print(table(runs))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure logins; prints min, median and max of several runs.")
    parser.add_argument("--browsers", type=int, default=8, help="logins under way at once (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="measurements of each project (%(default)s)")
    parser.add_argument("--seconds", type=float, default=6, help="length of each (%(default)s)")
    parser.add_argument("--delay", type=float, default=0, help="how far away the OP is, in ms (%(default)s)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite", help="(%(default)s)")
    return parser.parse_args()


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
def running_project(name: str, port: int, site: Site, folder: Path, op: OP, database: str) -> Iterator[Project]:
    """Serve the rendered site, or the stock project, with the site's gunicorn settings and packages."""
    is_stock = name == "stock"
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
        "REQUESTS_CA_BUNDLE" if is_stock else "OIDC_OP_CA_BUNDLE": str(bundle),
    }
    if is_stock:
        environment |= {"PYTHONPATH": str(Path(__file__).parent), "DJANGO_SETTINGS_MODULE": "stock.settings"}
    with ExitStack() as stack:
        if database == "postgresql":
            environment["DATABASE_URL"] = stack.enter_context(services.postgresql())
            environment["CACHE_URL"] = stack.enter_context(services.redis())
        else:
            environment["DATABASE_URL"] = f"sqlite:///{folder / name.split()[0]}.sqlite3"
        if is_stock:
            site.run("uv", "run", "--no-dev", "python", "-m", "django", "migrate", **environment)
        else:
            site.run("uv", "run", "--no-dev", "manage.py", "migrate", **environment)
            site.run("uv", "run", "--no-dev", "manage.py", "collectstatic", "--no-input", **environment)
        command = ["uv", "run", "--no-dev", "gunicorn", "stock.wsgi" if is_stock else "config.wsgi"]
        server = stack.enter_context(site.running(*command, url=f"http://127.0.0.1:{port}", **environment))
        yield Project(name, port, op, server.process.pid)
        # Not by Ctrl-C: gunicorn's threaded worker then often hangs until its master kills it.
        server.end()


def measure(project: Project, browsers: int, seconds: float) -> Run:
    """Let `browsers` people log in, and others after them, for `seconds`."""
    asked, used, began = project.op.counts(), cpu_seconds(project.group), time.perf_counter()

    def log_in_again_and_again(_: int) -> tuple[int, int]:
        done = failed = 0
        at_op = HTTPSConnection(urlsplit(project.op.issuer).netloc, timeout=60, context=project.op.tls)
        while time.perf_counter() - began < seconds:
            if log_in(project.port, at_op):
                done += 1
            else:
                failed += 1
        at_op.close()
        return done, failed

    with ThreadPoolExecutor(browsers) as threads:
        results = list(threads.map(log_in_again_and_again, range(browsers)))
    elapsed = time.perf_counter() - began
    cpu = cpu_seconds(project.group) - used
    difference = {name: number - asked[name] for name, number in project.op.counts().items()}
    done, failed = (sum(column) for column in zip(*results, strict=True))
    return Run(done, failed, elapsed, cpu, difference["requests"], difference["connections"])


def log_in(port: int, at_op: HTTPSConnection) -> bool:
    """Go through a login as a new person with a new browser; tell whether it succeeded."""
    connection, sub = HTTPConnection("127.0.0.1", port, timeout=60), uuid.uuid4().hex
    try:
        leaving = request(connection, "GET", "/oidc/authenticate/")
        cookies = "; ".join(line.partition(";")[0] for line in leaving.headers.get_all("Set-Cookie"))
        authorization = urlsplit(leaving.headers["Location"])
        person = urlencode({"typed": json.dumps({"sub": sub, "email": f"{sub}@example.org", "email_verified": True})})
        consent = request(at_op, "POST", f"{authorization.path}?{authorization.query}", person)
        callback = urlsplit(consent.headers["Location"])
        home = request(connection, "GET", f"{callback.path}?{callback.query}", headers={"Cookie": cookies})
        return home.status == 302 and home.headers["Location"] == "/"
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


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


def table(runs: dict[str, list[Run]]) -> str:
    """Return the runs as a Markdown table of min / median / max."""
    columns: dict[str, Callable[[Run], float]] = {
        "logins/s": lambda run: run.logins / run.seconds,
        "CPU ms/login": lambda run: 1000 * run.cpu_seconds / max(run.logins, 1),
        "OP requests/login": lambda run: run.op_requests / max(run.logins, 1),
        "OP connections/login": lambda run: run.op_connections / max(run.logins, 1),
        "failed logins": lambda run: run.failed,
    }
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    for name, measured in runs.items():
        lines.append([name, *(spread([value(run) for run in measured]) for value in columns.values())])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: list[float]) -> str:
    return " / ".join(f"{number:.3g}" for number in (min(values), statistics.median(values), max(values)))


def say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()

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
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import certifi

from benchmarks.op import CLIENT_ID, CLIENT_SECRET, code_for
from tests.rendering import REPOSITORY, run_cookiecutter
from tests.sites import services
from tests.sites.site import Site, free_port


@dataclass(frozen=True)
class Project:
    """A project that is served; `group` is the session of its gunicorn's processes."""

    name: str
    port: int
    group: int


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
        issuer, counts = stack.enter_context(running_op(folder, options.delay / 1000))
        say("rendering and installing the site")
        run_cookiecutter(folder).check_returncode()
        site = Site(folder / "my_site", sys.executable)
        site.run("uv", "sync", "--quiet", "--no-dev")
        projects = [
            stack.enter_context(running_project(name, site, folder, issuer, options.database))
            for name in ("rendered site", "stock")
        ]
        for project in projects:
            measure(project, options.browsers, 2, counts)
        runs: dict[str, list[Run]] = {project.name: [] for project in projects}
        for number in range(options.runs):
            say(f"run {number + 1} of {options.runs}")
            # In turn, so that whatever else the machine does meets both.
            for project in projects:
                runs[project.name].append(measure(project, options.browsers, options.seconds, counts))
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
def running_op(folder: Path, delay: float) -> Iterator[tuple[str, Callable[[], dict[str, int]]]]:
    """Run the OP in a process of its own; the value is its issuer, and a function that returns its counts."""
    command = [sys.executable, "-m", "benchmarks.op", str(folder), str(delay)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            issuer = process.stdout.readline().strip()
            context = ssl.create_default_context(cafile=folder / "ca.pem")

            def counts() -> dict[str, int]:
                with urllib.request.urlopen(f"{issuer}/counts", timeout=30, context=context) as answer:
                    return json.load(answer)

            yield issuer, counts
        finally:
            process.terminate()


@contextmanager
def running_project(name: str, site: Site, folder: Path, issuer: str, database: str) -> Iterator[Project]:
    """Serve the rendered site, or the stock project, with the site's gunicorn settings and packages."""
    is_stock, port = name == "stock", free_port()
    # Both read the list of public authorities as they would in production, and the OP's authority with it.
    bundle = folder / f"{name}.pem"
    bundle.write_text(Path(certifi.where()).read_text() + (folder / "ca.pem").read_text())
    environment = {
        "DEBUG": "false",
        "SITE_URL": f"http://127.0.0.1:{port}",
        "BIND": f"127.0.0.1:{port}",
        "STATIC_ROOT": str(folder / "static"),
        "OIDC_OP_ISSUER": issuer,
        "OIDC_RP_CLIENT_ID": CLIENT_ID,
        "OIDC_RP_CLIENT_SECRET": CLIENT_SECRET,
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
        yield Project(name, port, server.process.pid)
        # Not by Ctrl-C: gunicorn's threaded worker then often hangs until its master kills it.
        server.end()


def measure(project: Project, browsers: int, seconds: float, counts: Callable[[], dict[str, int]]) -> Run:
    """Let `browsers` people log in, and others after them, for `seconds`."""
    asked, used, began = counts(), cpu_seconds(project.group), time.perf_counter()

    def log_in_again_and_again(_: int) -> tuple[int, int]:
        done = failed = 0
        while time.perf_counter() - began < seconds:
            if log_in(project.port):
                done += 1
            else:
                failed += 1
        return done, failed

    with ThreadPoolExecutor(browsers) as threads:
        results = list(threads.map(log_in_again_and_again, range(browsers)))
    elapsed = time.perf_counter() - began
    cpu = cpu_seconds(project.group) - used
    difference = {name: number - asked.get(name, 0) for name, number in counts().items()}
    done, failed = (sum(column) for column in zip(*results, strict=True))
    # Asking for the counts takes a connection too.
    return Run(done, failed, elapsed, cpu, difference.get("requests", 0), difference["connections"] - 1)


def log_in(port: int) -> bool:
    """Go through a login as a new person with a new browser; tell whether it succeeded."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/oidc/authenticate/")
        answer = connection.getresponse()
        answer.read()
        sent = parse_qs(urlsplit(answer.headers["Location"]).query)
        cookies = "; ".join(line.partition(";")[0] for line in answer.headers.get_all("Set-Cookie"))
        code = code_for(uuid.uuid4().hex, sent["nonce"][0])
        callback = "/oidc/callback/?" + urlencode({"code": code, "state": sent["state"][0]})
        connection.request("GET", callback, headers={"Cookie": cookies})
        answer = connection.getresponse()
        answer.read()
        return answer.status == 302 and answer.headers["Location"] == "/"
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


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

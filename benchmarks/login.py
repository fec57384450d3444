"""Measures whole logins of new people: what they cost the rendered site and a stock mozilla-django-oidc.

    python -m benchmarks.login

`benchmarks/README.md` says what is measured and how.
"""

import argparse
import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from benchmarks.serving import (
    OP,
    Project,
    cpu_seconds,
    end_as_by_ctrl_c,
    installed_site,
    request,
    running_ops,
    running_project,
    say,
    spread,
    table,
)
from tests.sites.site import free_port


@dataclass(frozen=True)
class Run:
    """What one project did in one run."""

    logins: int
    failed: int
    seconds: float
    cpu_seconds: float
    op_requests: int
    op_connections: int


COLUMNS: dict[str, Callable[[Run], float]] = {
    "logins/s": lambda run: run.logins / run.seconds,
    "CPU ms/login": lambda run: 1000 * run.cpu_seconds / max(run.logins, 1),
    "OP requests/login": lambda run: run.op_requests / max(run.logins, 1),
    "OP connections/login": lambda run: run.op_connections / max(run.logins, 1),
    "failed logins": lambda run: run.failed,
}


def main() -> None:
    options = arguments()
    end_as_by_ctrl_c()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = {"rendered site": free_port(), "stock": free_port()}
        ops = stack.enter_context(running_ops(folder, options.delay / 1000, list(ports.values())))
        site = installed_site(folder)
        projects = [
            stack.enter_context(running_project(name, port, site, folder, op, database=options.database))
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
    rows = [[name, *(spread([value(run) for run in of]) for value in COLUMNS.values())] for name, of in runs.items()]
    print(table(["", *COLUMNS], rows))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure logins; prints min, median and max of several runs.")
    parser.add_argument("--browsers", type=int, default=8, help="logins under way at once (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="measurements of each project (%(default)s)")
    parser.add_argument("--seconds", type=float, default=6, help="length of each (%(default)s)")
    parser.add_argument("--delay", type=float, default=0, help="how far away the OP is, in ms (%(default)s)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite", help="(%(default)s)")
    return parser.parse_args()


def measure(project: Project, browsers: int, seconds: float) -> Run:
    """Let `browsers` people log in, and others after them, for `seconds`."""
    asked, used, began = project.op.counts(), cpu_seconds(project.group), time.perf_counter()

    def log_in_again_and_again(_: int) -> tuple[int, int]:
        done = failed = 0
        at_op = connection_to(project.op)
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


def connection_to(op: OP) -> HTTPSConnection:
    return HTTPSConnection(urlsplit(op.issuer).netloc, timeout=60, context=op.tls)


def log_in(
    port: int, at_op: HTTPSConnection, at_callback: Callable[[], object] = lambda: None, address: str = "127.0.0.1"
) -> str:
    """Go through a login as a new person with a new browser; return the cookies of the session, "" if it failed.

    `at_callback` is called before the browser goes back to the site, `address` is one of this machine.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=60, source_address=(address, 0))
    sub = uuid.uuid4().hex
    try:
        leaving = request(connection, "GET", "/oidc/authenticate/")
        cookies = cookies_of(leaving.headers.get_all("Set-Cookie"))
        authorization = urlsplit(leaving.headers["Location"])
        person = urlencode({"typed": json.dumps({"sub": sub, "email": f"{sub}@example.org", "email_verified": True})})
        consent = request(at_op, "POST", f"{authorization.path}?{authorization.query}", person)
        callback = urlsplit(consent.headers["Location"])
        at_callback()
        home = request(connection, "GET", f"{callback.path}?{callback.query}", headers={"Cookie": cookies})
        is_in = home.status == 302 and home.headers["Location"] == "/"
        return cookies_of(home.headers.get_all("Set-Cookie")) if is_in else ""
    except (OSError, HTTPException):
        return ""
    finally:
        connection.close()


def cookies_of(lines: list[str] | None) -> str:
    """Return the header Cookie for the cookies that a response sets; those it deletes are of no use, and left out."""
    pairs = (line.partition(";")[0] for line in lines or [])
    return "; ".join(pair for pair in pairs if not pair.endswith(('=""', "=")))


if __name__ == "__main__":
    main()

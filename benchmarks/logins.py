"""Whole logins of new people, by browsers without a screen, and what they cost a project."""

import json
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlencode, urlsplit

from benchmarks.serving import OP, Project, cpu_seconds, request


@dataclass(frozen=True)
class Run:
    """What one project did in one run; `waits` are the seconds that each login has waited for its two responses."""

    waits: list[float]
    failed: int
    seconds: float
    cpu_seconds: float
    op_requests: int
    op_connections: int


def measure(project: Project, browsers: int, seconds: float) -> Run:
    """Let `browsers` people log in, and others after them, for `seconds`."""
    asked, used, began = project.op.counts(), cpu_seconds(project.group), time.perf_counter()

    def log_in_again_and_again(_: int) -> tuple[list[float], int]:
        waits: list[float] = []
        failed = 0
        at_op = connection_to(project.op)
        while time.perf_counter() - began < seconds:
            if not log_in(project.port, at_op, waits=waits):
                failed += 1
        at_op.close()
        return waits, failed

    with ThreadPoolExecutor(browsers) as threads:
        results = list(threads.map(log_in_again_and_again, range(browsers)))
    elapsed = time.perf_counter() - began
    cpu = cpu_seconds(project.group) - used
    difference = {name: number - asked[name] for name, number in project.op.counts().items()}
    waits = [wait for of_browser, _ in results for wait in of_browser]
    failed = sum(failed for _, failed in results)
    return Run(waits, failed, elapsed, cpu, difference["requests"], difference["connections"])


def connection_to(op: OP) -> HTTPSConnection:
    return HTTPSConnection(urlsplit(op.issuer).netloc, timeout=60, context=op.tls)


def log_in(
    port: int,
    at_op: HTTPSConnection,
    at_callback: Callable[[], object] = lambda: None,
    waits: list[float] | None = None,
    address: str = "127.0.0.1",
) -> str:
    """Go through a login as a new person with a new browser; return the cookies of the session, "" if it failed.

    `at_callback` is called before the browser goes back to the site. If the login succeeds, the seconds that it has
    waited for the site are added to `waits`. `address` is one of this machine.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=60, source_address=(address, 0))
    sub = uuid.uuid4().hex
    try:
        began = time.perf_counter()
        leaving = request(connection, "GET", "/oidc/authenticate/")
        waited = time.perf_counter() - began
        cookies = cookies_of(leaving.headers.get_all("Set-Cookie"))
        authorization = urlsplit(leaving.headers["Location"])
        person = urlencode({"typed": json.dumps({"sub": sub, "email": f"{sub}@example.org", "email_verified": True})})
        consent = request(at_op, "POST", f"{authorization.path}?{authorization.query}", person)
        callback = urlsplit(consent.headers["Location"])
        at_callback()
        began = time.perf_counter()
        home = request(connection, "GET", f"{callback.path}?{callback.query}", headers={"Cookie": cookies})
        waited += time.perf_counter() - began
        is_in = home.status == 302 and home.headers["Location"] == "/"
        if is_in and waits is not None:
            waits.append(waited)
        return cookies_of(home.headers.get_all("Set-Cookie")) if is_in else ""
    except (OSError, HTTPException):
        return ""
    finally:
        connection.close()


def after_first_page(port: int, cookie: str) -> str:
    """Load the home page of somebody who is logged in; return `cookie` with the CSRF cookie that the page sets."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/", headers={"Cookie": cookie})
    response = connection.getresponse()
    page = response.read().decode()
    assert "Current user:" in page, page
    return "; ".join(filter(None, [cookie, cookies_of(response.headers.get_all("Set-Cookie"))]))


def cookies_of(lines: list[str] | None) -> str:
    """Return the header Cookie for the cookies that a response sets; those it deletes are of no use, and left out."""
    pairs = (line.partition(";")[0] for line in lines or [])
    return "; ".join(pair for pair in pairs if not pair.endswith(('=""', "=")))

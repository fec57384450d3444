"""Load on a site of this machine, made in processes of their own; it ends by itself.

Times are those of `time.monotonic`, which all processes of a machine share.
"""

import random
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from multiprocessing import get_context
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from benchmarks import MADE_UP
from benchmarks.serving import request

LONGEST_SECONDS = 120.0


@dataclass(frozen=True)
class Told:
    """What a person who tries to log in was told by the site: when, after how many seconds, and with which status."""

    at: float
    seconds: float
    status: int


@contextmanager
def process() -> Iterator[Callable[..., Future[Any]]]:
    """Give a function that runs another one, with its arguments, in a process beside this one."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        yield processes.submit


@dataclass(frozen=True)
class Visits:
    """When each page had come, sorted, and for how many seconds somebody has waited for one at most."""

    came: list[float]
    longest_wait: float


def visit_home(port: int, visitors: int, seconds: float, cookie: str = "") -> Visits:
    """Let `visitors` load the home page again and again for `seconds`."""
    ends = time.monotonic() + min(seconds, LONGEST_SECONDS)
    headers = f"Host: 127.0.0.1:{port}\r\n" + (f"Cookie: {cookie}\r\n" if cookie else "")
    message = f"GET / HTTP/1.1\r\n{headers}\r\n".encode()

    def visit(_: int) -> Visits:
        came: list[float] = []
        asked, longest = time.monotonic(), 0.0
        while time.monotonic() < ends:
            try:
                # Sync workers close the connection after each page.
                with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                    while time.monotonic() < ends and (goes_on := fetch(connection, message)) is not None:
                        came.append(time.monotonic())
                        asked, longest = came[-1], max(longest, came[-1] - asked)
                        if not goes_on:
                            break
            except OSError:
                continue
        return Visits(came, max(longest, time.monotonic() - asked))

    with ThreadPoolExecutor(visitors) as threads:
        all_visits = list(threads.map(visit, range(visitors)))
    longest = max(visits.longest_wait for visits in all_visits)
    return Visits(sorted(at for visits in all_visits for at in visits.came), longest)


def fetch(connection: socket.socket, message: bytes) -> bool | None:
    """Send a request for a page and read it; tell whether the connection goes on, None if the page did not come."""
    connection.sendall(message)
    received = b""
    while b"\r\n\r\n" not in received:
        if not (part := connection.recv(65536)):
            return None
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    length, had = int(fields[b"content-length"]), len(body)
    while had < length:
        if not (part := connection.recv(65536)):
            return None
        had += len(part)
    if head[9:12] != b"200":
        raise RuntimeError(f"the page is no page: {head.decode()}")
    return fields.get(b"connection") != b"close"


@dataclass(frozen=True)
class Leaving:
    """Somebody who has left for the OP: the state of the request, and the header Cookie."""

    state: str
    cookies: str


def leave(port: int, people: int) -> list[Leaving]:
    """Let `people` leave for the OP, one after the other."""
    left = [_leave(HTTPConnection("127.0.0.1", port, timeout=60)) for _ in range(people)]
    return [one for one in left if isinstance(one, Leaving)]


def try_to_log_in(port: int, issuer: str, people: list[Leaving | None], seconds: float, pause: float) -> list[Told]:
    """Let people come back from the OP with a code, and try again `pause` seconds after they were refused.

    All begin at once, those who are None with leaving for the OP. Nobody asks the OP for the code, which may hang: it
    is as good as another one that never comes to be looked at. Once the OP is back it is refused.
    """
    ends = time.monotonic() + min(seconds, LONGEST_SECONDS)

    def insist(number: int, one: Leaving | None) -> list[Told]:
        # From addresses of their own: a site asks no OP about one bad code after the other from one address.
        address = f"127.1.{number // 250}.{number % 250 + 1}"
        told = []
        while time.monotonic() < ends:
            told += come_back(port, issuer, one, ends + 1 - time.monotonic(), address)
            one = None
            time.sleep(max(0, min(pause * random.uniform(0.5, 1.5), ends - time.monotonic())))
        return told

    with ThreadPoolExecutor(len(people)) as threads:
        return [one for told in threads.map(insist, range(len(people)), people) for one in told]


def come_back(
    port: int, issuer: str, one: Leaving | None, patience: float = 60, address: str = "127.0.0.1"
) -> list[Told]:
    """Finish a login with a made-up code, begin it if need be; return what the last response was.

    There is none if a response takes longer than `patience`, in seconds. `address` is one of this machine.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=patience, source_address=(address, 0))
    began = time.monotonic()
    try:
        response: HTTPResponse | Leaving = one or _leave(connection)
        if isinstance(response, Leaving):
            query = urlencode({"code": MADE_UP, "state": response.state, "iss": issuer})
            headers = {"Cookie": response.cookies}
            began = time.monotonic()
            response = request(connection, "GET", f"/oidc/callback/?{query}", headers=headers)
    except (OSError, HTTPException):
        return []
    finally:
        connection.close()
    now = time.monotonic()
    return [Told(now, now - began, response.status)]


def _leave(connection: HTTPConnection) -> Leaving | HTTPResponse:
    """Begin a login; return how it can be finished, or the response that refuses it."""
    response = request(connection, "GET", "/oidc/authenticate/")
    if response.status != 302:
        return response
    cookies = "; ".join(line.partition(";")[0] for line in response.headers.get_all("Set-Cookie") or [])
    return Leaving(parse_qs(urlsplit(response.headers["Location"]).query)["state"][0], cookies)

"""The one HTTP client of this process for talking to the OP.

Connections are kept, because building a TLS context costs more than all the rest of a login.
Requests run in a few threads of their own: that bounds the time of a request whatever the OP does,
and it bounds how many threads of the server wait for a slow OP, so that the site stays up.
"""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ReadTimeoutError

from oidc import errors
from oidc.errors import LoginError, shorten
from oidc.internal.conf import conf
from oidc.internal.token_rules import json_object

MAX_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Response:
    """What the OP sent: `endpoint` asked, HTTP `status`, media type in lower case, `body`."""

    endpoint: str
    status: int
    content_type: str
    body: bytes

    def json_object(self) -> dict[str, Any]:
        """Return the JSON object of the body; raises `LoginError` (OP_RESPONSE) if there is none."""
        try:
            return json_object(self.body)
        except ValueError as error:
            raise self.unusable(f"{error} ({self.content_type or 'no content type'})") from error

    def unusable(self, detail: str) -> LoginError:
        """Return the error for a response that cannot be used, with `detail` for the log."""
        return LoginError(errors.OP_RESPONSE, f"HTTP {self.status}, {detail}", endpoint=self.endpoint)


def request(method: str, endpoint: str, **options: Any) -> Response:
    """Send one request and return the whole response, within OIDC_TIMEOUT seconds.

    `options` are those of `requests`. Redirects are not followed: an OP's endpoint that redirects
    would carry codes and secrets to an address nobody configured.
    Raises `LoginError`: OP_UNREACHABLE, OP_TIMEOUT, OP_BUSY, or OP_RESPONSE for more than 512 KiB or a redirect.
    """
    client = _client()
    # A burst of logins passes; while the OP hangs, those behind it learn so in a tenth of the time.
    if not client.free.acquire(timeout=conf.OIDC_TIMEOUT / 10):
        raise LoginError(errors.OP_BUSY, f"{conf.OIDC_OP_MAX_WAITING} requests are waiting", endpoint=endpoint)
    deadline = time.monotonic() + conf.OIDC_TIMEOUT
    try:
        future = client.threads.submit(client.send, method, endpoint, deadline, options)
    except BaseException:
        client.free.release()
        raise
    # The place is free when the OP has let go of the thread, however early the caller gave up.
    future.add_done_callback(lambda _: client.free.release())
    try:
        return future.result(conf.OIDC_TIMEOUT + 0.5)
    except FutureTimeoutError as error:
        raise LoginError(errors.OP_TIMEOUT, f"no response in {conf.OIDC_TIMEOUT} s", endpoint=endpoint) from error


def get_json(url: str) -> dict[str, Any]:
    """Return the JSON object at `url`; raises `LoginError`: OP_RESPONSE, or that of `request`."""
    response = request("GET", url)
    if response.status != 200:
        raise response.unusable("not a document")
    return response.json_object()


class _Client:
    """A pooled session and its threads; one for each process and configuration."""

    def __init__(self, waiting: int) -> None:
        self.free = threading.BoundedSemaphore(waiting)
        self.threads = ThreadPoolExecutor(waiting, thread_name_prefix="oidc-http")
        self.session = requests.Session()
        # ~/.netrc and HTTP_PROXY of the machine must not change who this site authenticates as, or where.
        self.session.trust_env = False
        # A cookie from the OP would carry something of one person's login into the next one's.
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.session.verify = conf.OIDC_OP_CA_BUNDLE or True
        self.session.proxies = dict(conf.OIDC_PROXY or {})
        self.session.headers["Accept"] = "application/json, application/jwt"
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, HTTPAdapter(pool_maxsize=waiting))

    def send(self, method: str, endpoint: str, deadline: float, options: dict[str, Any]) -> Response:
        timeout = conf.OIDC_TIMEOUT
        try:
            with self.session.request(
                method, endpoint, timeout=timeout, stream=True, allow_redirects=False, **options
            ) as response:
                if 300 <= response.status_code < 400:
                    raise LoginError(errors.OP_RESPONSE, f"HTTP {response.status_code}, a redirect", endpoint=endpoint)
                body = b""
                # read1 returns what has come so far: also a body that drips is held against the deadline.
                while part := response.raw.read1(8192, decode_content=True):
                    body += part
                    if len(body) > MAX_BYTES:
                        raise LoginError(errors.OP_RESPONSE, f"more than {MAX_BYTES} bytes", endpoint=endpoint)
                    if time.monotonic() > deadline:
                        raise LoginError(errors.OP_TIMEOUT, f"body took over {timeout} s", endpoint=endpoint)
        except (requests.Timeout, ReadTimeoutError) as error:
            raise LoginError(errors.OP_TIMEOUT, type(error).__name__, endpoint=endpoint) from error
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise LoginError(errors.OP_UNREACHABLE, shorten(_cause(error)), endpoint=endpoint) from error
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Response(endpoint, response.status_code, media_type, body)


_clients: dict[tuple[object, ...], _Client] = {}
_lock = threading.Lock()


def _client() -> _Client:
    # A forked process must not share sockets with its parent, so the process id is part of the key.
    key = (os.getpid(), conf.OIDC_OP_CA_BUNDLE, repr(conf.OIDC_PROXY), conf.OIDC_OP_MAX_WAITING)
    with _lock:
        if key not in _clients:
            _clients[key] = _Client(conf.OIDC_OP_MAX_WAITING)
        return _clients[key]


def _cause(error: BaseException) -> str:
    """Return the innermost message of a chain of exceptions, e.g. why a certificate was refused."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}"

"""The one HTTP client of this process for talking to the OP.

Connections are kept, because building a TLS context costs more than all the rest of a login. Requests run in threads of
their own, so that a caller can leave one that takes too long, and close its socket.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import lru_cache, partial
from http.client import RemoteDisconnected
from ssl import SSLContext
from typing import Any
from urllib.parse import urlencode

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, default_user_agent
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, ProxyError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout
from urllib3.util.ssl_ import create_urllib3_context

from oidc import errors, threads
from oidc.errors import LoginError, Reason, shorten
from oidc.internal.breaker import Breaker
from oidc.internal.conf import conf
from oidc.internal.token_rules import json_object
from oidc.signals import op_asked, op_changed

MAX_BYTES = 512 * 1024
# More than wait at the same time: those that are left alone by their callers take a moment to end.
MAX_THREADS = 2 * threads.MOST_WAITING
# A firewall may have forgotten a connection after a while without telling anybody.
MAX_IDLE_SECONDS = 20.0
HEADERS = {
    "User-Agent": default_user_agent(),
    "Accept": "application/json, application/jwt",
    "Accept-Encoding": "identity",  # unpacking could take any time and space
}
# What a gateway says of an OP that is down. Some firewalls say so of a code that they do not like, so that no login may
# be judged by it, but what this site asks by itself.
OF_GATEWAYS = {502, 503, 504}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# Nothing has come back, not even the head of a response.
_NO_RESPONSE = (NewConnectionError, ProtocolError, ProxyError, SSLError)


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

    @property
    def reason(self) -> Reason:
        """What it is to a login that cannot use it."""
        return errors.OP_UNAVAILABLE if self.status >= 500 else errors.OP_RESPONSE

    def unusable(self, detail: str) -> LoginError:
        """Return the error for a response that cannot be used, with `detail` for the log."""
        return LoginError(self.reason, f"HTTP {self.status}, {detail}", endpoint=self.endpoint)


@dataclass(frozen=True, slots=True)
class Look:
    """How the OP responded: HTTP `status`, `headers`, when it was `asked` and they `came`, the peer's `certificate`."""

    status: int
    headers: Mapping[str, str]
    asked: float
    came: float
    certificate: Mapping[str, Any]


def request(method: str, endpoint: str, *, is_expendable: bool = True, **options: Any) -> Response:
    """Send one request and return the whole response, within OIDC_TIMEOUT seconds.

    `options` are those of `Client.send`. Redirects are not followed: an OP's endpoint that redirects would carry codes
    and secrets to an address nobody configured. One that `is_expendable` may be sent in the background though it is
    refused here, to see whether the endpoint responds again. Raises `LoginError`: OP_UNREACHABLE, OP_TIMEOUT (at once
    if the endpoint is known not to respond), or OP_RESPONSE for more than 512 KiB, compression or a redirect.
    """
    breaker = breaker_of(endpoint)
    call = Call(client(), method, endpoint, options, conf.OIDC_TIMEOUT)
    breaker.check(partial(_is_there, call) if is_expendable else None)
    started, outcome = time.monotonic(), "responded"
    try:
        response = call.result(breaker.wait)
    except LoginError as error:
        outcome = error.reason.code
        if error.reason in (errors.OP_UNREACHABLE, errors.OP_TIMEOUT):
            breaker.failed(error, started)
        else:
            breaker.heard()
        raise
    finally:
        seconds = time.monotonic() - started
        op_asked.send_robust(sender=Response, endpoint=endpoint, seconds=seconds, outcome=outcome)
    breaker.heard(seconds)
    if response.status in OF_GATEWAYS:
        breaker.ask()
    return response


def get_json(url: str) -> dict[str, Any]:
    """Return the JSON object at `url`; raises `LoginError`: OP_RESPONSE, or that of `request`."""
    response = request("GET", url)
    if response.status != 200:
        raise response.unusable("not a document")
    return response.json_object()


def check_responds(endpoint: str) -> None:
    """Raise the `LoginError` of an endpoint that is known not to respond, before somebody leaves who will need it.

    Where only a login can tell whether it responds again, a few may begin: see `Breaker.check_beginning`.
    """
    breaker_of(endpoint).check_beginning()


def look(url: str) -> Look:
    """Send a GET past the breaker and return what comes, a redirect too, within OIDC_TIMEOUT seconds.

    Raises `LoginError`: OP_UNREACHABLE or OP_TIMEOUT.
    """
    seen: list[Look] = []

    def remember(response: BaseHTTPResponse) -> None:
        certificate = call.peer.getpeercert() if hasattr(call.peer, "getpeercert") else None
        seen.append(Look(response.status, response.headers, started, time.time(), certificate or {}))

    started = time.time()
    call = Call(client(), "GET", url, {}, conf.OIDC_TIMEOUT)
    call.at_headers = remember
    try:
        call.result(Future.result)
    except LoginError:
        if not seen:  # else only its body is of no use
            raise
    return seen[0]


def op_is_up(endpoint: str) -> bool:
    """Tell whether an endpoint responds, as this process has known for a few seconds, or can know in one."""
    return breaker_of(endpoint).is_up(5)


class Call:
    """One request, sent in a thread of its own; its caller leaves it when the time is over."""

    def __init__(self, client: "Client", method: str, endpoint: str, options: Any, seconds: float) -> None:
        self.client, self.method, self.endpoint, self.seconds = client, method, endpoint, seconds
        self.options = options
        self.at_headers: Callable[[BaseHTTPResponse], object] = lambda response: None
        self.connection: Any = None
        self.peer: Any = None  # the socket, if TLS is spoken
        self.is_kept = self.wants_new = False
        self.future: Future[Response] = Future()

    def result(self, wait: Callable[[Future[Response], float], Response]) -> Response:
        """Return the response that `wait` waits for, and give thread and socket back; raises `LoginError`."""
        began = time.monotonic()
        # With its context, in which the id of a request is, and a trace that a site may have.
        _threads(os.getpid()).submit(copy_context().run, self._run)
        try:
            with threads.waiting():
                return wait(self.future, self.seconds)
        except TimeoutError as error:
            detail = f"no response in {time.monotonic() - began:.1f} s"
            raise LoginError(errors.OP_TIMEOUT, detail, endpoint=self.endpoint) from error
        finally:
            if self.future.cancel() or self.future.exception():
                self._hang_up()

    def check_wanted(self) -> None:
        """Raise `ConnectionAbortedError` if the caller is gone: it has not seen a socket that is newer than that."""
        if self.future.done():
            raise ConnectionAbortedError("nobody waits for the response")

    def _run(self) -> None:
        _current.call = self
        with suppress(InvalidStateError):  # the caller is gone
            try:
                self.future.set_result(self._send_again_if_forgotten())
            except LoginError as error:
                self.future.set_exception(error)
            except Exception as error:  # noqa: BLE001 - a broken response leads http.client to whatever it comes to
                self.future.set_exception(self._unreachable(error))

    def _send_again_if_forgotten(self) -> Response:
        """Send the request; once more on a new connection if the kept one turned out to be closed."""
        try:
            return self._send()
        except _NO_RESPONSE as error:
            # A clean end may have come after the OP has taken the code; a reset comes from who never saw it.
            was_lost = isinstance(cause := _cause(error), ConnectionError) and not isinstance(cause, RemoteDisconnected)
            if not self.is_kept or self.future.done() or not (was_lost or self.method == "GET"):
                raise self._unreachable(error) from error
        self.wants_new = True
        try:
            return self._send()
        except _NO_RESPONSE as error:
            raise self._unreachable(error) from error

    def _send(self) -> Response:
        """Return the response; raises `LoginError`, or one of `_NO_RESPONSE`."""
        response = None
        try:
            response = self.client.send(self.method, self.endpoint, self.seconds, **self.options)
            self.at_headers(response)
            body = self._read(response)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            if response is None and isinstance(error, _NO_RESPONSE):
                raise
            raise self._timed_out_or_unreachable(error) from error
        finally:
            if response is not None:
                # The connection is kept if all was read.
                response.close()
                response.release_conn()
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Response(self.endpoint, response.status, media_type, body)

    def _read(self, response: BaseHTTPResponse) -> bytes:
        if 300 <= response.status < 400:
            raise self._unusable(f"HTTP {response.status}, a redirect")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._unusable("compressed, though not asked for")
        body = b""
        while part := response.read1(8192, decode_content=False):
            body += part
            if len(body) > MAX_BYTES or self.future.done():
                raise self._unusable(f"more than {MAX_BYTES} bytes")
        return body

    def _hang_up(self) -> None:
        """Close the socket under the thread that waits for it, which ends the thread's waiting."""
        if sock := getattr(self.connection, "sock", None):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _unusable(self, detail: str) -> LoginError:
        return LoginError(errors.OP_RESPONSE, detail, endpoint=self.endpoint)

    def _timed_out_or_unreachable(self, error: Exception) -> LoginError:
        if isinstance(error, HTTPTimeoutError):
            return LoginError(errors.OP_TIMEOUT, type(error).__name__, endpoint=self.endpoint)
        return self._unreachable(error)

    def _unreachable(self, error: BaseException) -> LoginError:
        cause = _cause(error)
        return LoginError(errors.OP_UNREACHABLE, shorten(f"{type(cause).__name__}: {cause}"), endpoint=self.endpoint)


def _cause(error: BaseException) -> BaseException:
    """Return the innermost of a chain of exceptions, e.g. why a certificate was refused."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


_current = threading.local()


class _Connection:
    """Goes on only if the caller of this thread's call is still there when it is connected."""

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # of urllib3's connection
        _current.call.check_wanted()


class _HTTPConnection(_Connection, HTTPConnection):
    pass


class _HTTPSConnection(_Connection, HTTPSConnection):
    pass


class _Pool:
    """Tells the call of this thread which connection it has, and keeps none that a firewall may have forgotten."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]  # of urllib3's pool
        call, idle = _current.call, time.monotonic() - getattr(connection, "used_at", 0.0)
        if call.wants_new or idle > MAX_IDLE_SECONDS:
            connection.close()
        call.connection, call.is_kept = connection, connection.sock is not None
        call.check_wanted()
        return connection

    def _put_conn(self, connection: Any) -> None:
        if connection is not None:
            connection.used_at = time.monotonic()
        super()._put_conn(connection)  # type: ignore[misc]


class _HTTPPool(_Pool, HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection

    def _validate_conn(self, conn: Any) -> None:
        super()._validate_conn(conn)
        _current.call.peer = conn.sock


class _Adapter(HTTPAdapter):
    """Makes pools of ours, whose connections share one list of authorities: reading it costs more than all the rest."""

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        place, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        bundle = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
        context = _tls(bundle, os.stat(bundle).st_mtime)
        return place, {"ssl_context": context, "cert_reqs": "CERT_REQUIRED"}

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        return manager


# A forked process must not share sockets and threads with its parent, so the process id is part of each key.
@lru_cache
def _threads(process: int) -> ThreadPoolExecutor:
    """Return the threads that send requests."""
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="oidc-http")


@lru_cache(maxsize=4)
def _tls(bundle: str, modified: float) -> SSLContext:
    """Return the context that trusts the authorities of a file or folder."""
    context = create_urllib3_context()
    context.load_verify_locations(**{"capath" if os.path.isdir(bundle) else "cafile": bundle})
    return context


class Client:
    """Sends requests over the pools of `requests`; the rest of that library takes as long as all else of a request.

    So ~/.netrc and HTTP_PROXY of the machine do not change who this site authenticates as, or where, and no cookie of
    the OP carries something of one person's login into the next one's.
    """

    def __init__(self, process: int, bundle: str, proxies: tuple[tuple[str, str], ...]) -> None:
        self._verify, self._proxies = bundle or True, dict(proxies)
        self._pools = _Adapter(pool_maxsize=MAX_THREADS)

    def send(self, method: str, endpoint: str, seconds: float, data: Any = None, headers: Any = None) -> Any:
        """Send a request with the form `data`, and return urllib3's response when its headers have come.

        Raises exceptions of urllib3, `requests.RequestException` for an unusable address, or `ValueError`.
        """
        target = _target(endpoint)
        pool: Any = self._pools.get_connection_with_tls_context(target, self._verify, self._proxies)
        return pool.urlopen(
            method,
            self._pools.request_url(target, self._proxies),
            body=urlencode(data) if data else None,
            headers={**HEADERS, **(FORM if data else {}), **(headers or {})},
            timeout=Timeout(connect=seconds, read=seconds),
            # As it comes: no redirect, nothing read or unpacked, and each error where it happens.
            **dict.fromkeys(("retries", "redirect", "assert_same_host", "preload_content", "decode_content"), False),
        )


@lru_cache(maxsize=64)
def _target(url: str) -> requests.PreparedRequest:
    target = requests.PreparedRequest()
    target.prepare_url(url, None)
    return target


_client = lru_cache(Client)


def client() -> Client:
    """Return the client of this process and these settings."""
    return _client(os.getpid(), conf.OIDC_OP_CA_BUNDLE, tuple((conf.OIDC_PROXY or {}).items()))


def _is_there(call: Call) -> Response | None:
    """Send a request whose response matters little, and return it if it could be read.

    Raises `LoginError` if there is none.
    """
    try:
        return call.result(Future.result)
    except LoginError as error:
        if error.reason is not errors.OP_RESPONSE:
            raise
        return None


_breakers: dict[tuple[int, str], Breaker] = {}


def breaker_of(endpoint: str) -> Breaker:
    """Return what this process knows of an endpoint."""

    def probe(seconds: float) -> None:
        response = _is_there(Call(client(), "GET", endpoint, {}, seconds))
        if response and response.status in OF_GATEWAYS:
            raise response.unusable("as a gateway says of an OP that is down")

    def tell(is_up: bool) -> None:
        op_changed.send_robust(sender=Breaker, endpoint=endpoint, is_up=is_up)

    return _breakers.setdefault((os.getpid(), endpoint), Breaker(probe, tell))


def silent_endpoints() -> list[str]:
    """Return the endpoints that respond to this process no more, as far as it knows without asking."""
    ours = {endpoint: it for (process, endpoint), it in list(_breakers.items()) if process == os.getpid()}
    return [endpoint for endpoint, it in ours.items() if it.is_open]


def forget_breakers() -> None:
    """Know nothing of any endpoint, as after a start: for the doctor, and for tests in which OPs come and go."""
    for breaker in _breakers.values():
        breaker.stop()
    _breakers.clear()

"""The OP's HTTP: requests as they come in, responses and refusals as they go out, and faults in their place."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from oidc.testing.pages import Page

if TYPE_CHECKING:
    from oidc.testing.op import OP

# What an endpoint returns: JSON, a signed document, or a page.
Response = dict[str, Any] | str | Page


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that the OP received; `cookie` is that of the browser's session there."""

    path: str
    query: dict[str, str]
    form: dict[str, str]
    cookie: str
    headers: Message = field(default_factory=Message)
    connection: tuple[str, int] = ("", 0)


class OAuthError(Exception):
    """A refusal with an error code of RFC 6749 or OpenID Connect Core 3.1.2.6."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        self.status, self.parameters = status, {"error": code, "error_description": description}


def check(is_kept: bool, code: str, rule: str, status: int = 400) -> None:
    """Raise `OAuthError` unless a rule is kept."""
    if not is_kept:
        raise OAuthError(code, rule, status)


class Server(ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 128
    op: "OP"

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.op.tls:
            # The handshake comes with the first read, which is in the connection's own thread.
            connection = self.op.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        # The site may hang up: that is often what a test is about.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        op, url, cookies = self.server.op, urlsplit(self.path), SimpleCookie(self.headers.get("Cookie", ""))
        form = dict(parse_qsl(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()))
        cookie = cookies["op_session"].value if "op_session" in cookies else ""
        asked = Asked(url.path, dict(parse_qsl(url.query)), form, cookie, self.headers, self.client_address)
        op.requests.append(asked)
        time.sleep(op.latency)
        if fault := op.faults.get(url.path):
            return fault(self)
        try:
            check(url.path in op.endpoints, "not_found", url.path, 404)
            response, status = op.endpoints[url.path](asked), 200
        except OAuthError as error:
            response, status = error.parameters, error.status
        if isinstance(response, Page):
            html = response.html.encode(errors="replace")
            self.reply(html, "text/html; charset=utf-8", response.status, **response.headers)
        elif isinstance(response, str):
            self.reply(response.encode(), "application/jwt")
        else:
            self.reply(json.dumps(response).encode(), "application/json", status)

    do_POST = do_GET  # noqa: N815 - http.server wants this name

    def reply(self, body: bytes, content_type: str, status: int = 200, **headers: str) -> None:
        """Send a response; an underscore in the name of a header becomes a hyphen."""
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing: tests read `OP.requests`."""


Fault = Callable[[Handler], None]


def responds(body: Any, content_type: str = "application/json", status: int = 200, **headers: str) -> Fault:
    """Return a fault that responds with `body`: bytes as they are, anything else as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda handler: handler.reply(data, content_type, status, **headers)


def dead(handler: Handler) -> None:
    """Hang up without a word."""
    handler.close_connection = True


def slow(handler: Handler) -> None:
    """Take the request and never respond."""
    handler.server.op.closed.wait(60)
    handler.close_connection = True

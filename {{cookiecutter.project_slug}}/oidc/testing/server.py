"""How the OP speaks HTTP, and how it misbehaves there: faults for `OP.faults`."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from oidc.testing.pages import Page

if TYPE_CHECKING:
    from oidc.testing.op import OP


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that the OP received; `cookie` is that of the browser's session there."""

    path: str
    query: dict[str, str]
    form: dict[str, str]
    cookie: str
    headers: Message
    connection: tuple[str, int]


class Server(ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, op: "OP") -> None:
        self.op = op
        super().__init__((op.host, op.port), Handler)

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
        form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        cookie = cookies["op_session"].value if "op_session" in cookies else ""
        query, connection = dict(parse_qsl(url.query)), self.client_address
        asked = Asked(url.path, query, dict(parse_qsl(form)), cookie, self.headers, connection)
        op.requests.append(asked)
        time.sleep(op.latency)
        if fault := op.faults.get(asked.path):
            fault(self)
        elif isinstance(response := op.respond(asked), Page):
            self.reply(response.html.encode(), "text/html; charset=utf-8", response.status, **response.headers)
        elif isinstance(response, str):
            self.reply(response.encode(), "application/jwt")
        else:
            status, document = response if isinstance(response, tuple) else (200, response)
            self.reply(json.dumps(document).encode(), "application/json", status)

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


def raw(data: bytes) -> Fault:
    """Return a fault that writes bytes where an HTTP response should be, and hangs up."""

    def write(handler: Handler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return write


def slow(handler: Handler) -> None:
    """Take the request and never respond."""
    handler.server.op.closed.wait(60)
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """Respond a byte at a time, each of them well within a time limit for reading."""
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not handler.server.op.closed.wait(0.05):
        handler.wfile.write(b" ")


dead = raw(b"")

"""An OP inside the test process that does what a test tells it to, faults included.

It has no login page: `grant` answers an authorization request at once. Everything else goes over HTTP.
"""

import hashlib
import json
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ABSENT = object()
CLIENT = ("site-under-test", "s3cret: 100% of it + é, longer than 32 bytes")
CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "secp256k1": ec.SECP256K1}
KINDS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "Ed25519",
}
DISCOVERY = "/.well-known/openid-configuration"


@cache
def private_key(kind: str, number: int) -> Any:
    """Return the `number`th private key of a kind: "RSA", "Ed25519" or a name of `CURVES`."""
    if kind == "RSA":
        return rsa.generate_private_key(65537, 2048)
    return ed25519.Ed25519PrivateKey.generate() if kind == "Ed25519" else ec.generate_private_key(CURVES[kind]())


def jwk(kind: str, number: int = 1, **members: Any) -> dict[str, Any]:
    """Return the public half of a key as a JSON Web Key with further `members`."""
    algorithm = {"RSA": "RS256", "Ed25519": "EdDSA"}.get(kind, "ES256")
    public = jwt.get_algorithm_by_name(algorithm).to_jwk(private_key(kind, number).public_key(), as_dict=True)
    return {name: value for name, value in public.items() if name != "key_ops"} | members


def crowd(**members: Any) -> list[dict[str, Any]]:
    """Return the key set of the OpenID Foundation's suite, all without `alg`, with some broken members."""
    kinds = [("RSA", 1), ("RSA", 2), ("P-256", 1), ("P-256", 2), ("secp256k1", 1), ("Ed25519", 1)]
    return [
        *({**jwk(*kind, use="sig", kid="-".join(map(str, kind))), **members} for kind in kinds),
        jwk("RSA", 3, use="enc", kid="RSA-1"),
        jwk("P-256", 3, use="enc", kid="P-256-1"),
        {"kty": "RSA", "kid": "RSA-1", "n": "!", "e": None},
        {"kty": "AKP", "kid": "RSA-1"},
    ]


def changed(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `values` with `changes`; ABSENT removes one."""
    return {name: value for name, value in (values | changes).items() if value is not ABSENT}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that the OP received."""

    path: str
    headers: HTTPMessage
    form: dict[str, str]
    connection: tuple[str, int]


class OP:
    """The OP. Tests change its attributes: what it says (`claims`, `metadata`, ...) and how (`faults`)."""

    def __init__(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.op = self
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.closed = threading.Event()
        self.requests: list[Asked] = []
        self.grants: dict[str, dict[str, str]] = {}
        # The refresh token that is good next; the OP gives another one each time.
        self.refresh_token = "refresh-token-1"
        # Changes to what a faultless OP would say.
        self.metadata: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.token_response: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.userinfo_is_signed = False
        # Path -> what happens there instead of an answer.
        self.faults: dict[str, Callable[[Handler], None]] = {}
        self.auth_methods = ["client_secret_basic", "client_secret_post"]
        self.answers = {
            DISCOVERY: self._discovery,
            "/jwks": lambda asked: {"keys": self.jwks},
            "/token": self._token,
            "/userinfo": self._userinfo,
        }
        self.sign_with("RS256")
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.closed.set()
        self.server.shutdown()
        self.server.server_close()

    def sign_with(self, algorithm: str, number: int = 1, **members: Any) -> None:
        """Publish one key with further JWK `members` and sign with it from now on."""
        self.algorithm, self.header = algorithm, {"kid": f"key-{number}"}
        if algorithm == "HS256":
            self.key, self.jwks = CLIENT[1].encode(), []
        else:
            self.key = private_key(KINDS[algorithm], number)
            self.jwks = [jwk(KINDS[algorithm], number, **{"kid": f"key-{number}", "use": "sig"} | members)]

    def sign(self, claims: dict[str, Any]) -> str:
        return jwt.PyJWS().encode(json.dumps(claims).encode(), self.key, self.algorithm, self.header)

    def asked(self, path: str) -> list[Asked]:
        """Return the requests for a path so far."""
        return [asked for asked in self.requests if asked.path == path]

    def grant(self, authorization_url: str) -> dict[str, str]:
        """Return the parameters of the callback for a person who said yes."""
        query = dict(parse_qsl(urlsplit(authorization_url).query))
        code = f"code-{len(self.grants)}-{query['state'][:8]}"
        self.grants[code] = query
        return {"code": code, "state": query["state"], "iss": self.issuer}

    def _discovery(self, asked: Asked) -> dict[str, Any]:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint_auth_methods_supported": self.auth_methods,
            "end_session_endpoint": f"{self.issuer}/end-session",
            "authorization_response_iss_parameter_supported": True,
        }
        return changed(document, self.metadata)

    def _token(self, asked: Asked) -> dict[str, Any] | tuple[int, dict[str, Any]]:
        if not self._client_is_known(asked):
            return 401, {"error": "invalid_client"}
        if asked.form.get("grant_type") == "refresh_token":
            return self._refreshed(asked)
        query = self.grants.pop(asked.form.get("code", ""), {})
        digest = hashlib.sha256(asked.form.get("code_verifier", "").encode()).digest()
        if query.get("code_challenge") != urlsafe_b64encode(digest).rstrip(b"=").decode():
            return 400, {"error": "invalid_grant", "error_description": "PKCE"}
        if query["redirect_uri"] != asked.form.get("redirect_uri"):
            return 400, {"error": "invalid_grant", "error_description": "redirect_uri"}
        return self._tokens(nonce=query["nonce"])

    def _refreshed(self, asked: Asked) -> dict[str, Any] | tuple[int, dict[str, Any]]:
        if asked.form["refresh_token"] != self.refresh_token:
            return 400, {"error": "invalid_grant", "error_description": asked.form["refresh_token"]}
        self.refresh_token += "+"
        return self._tokens()

    def _tokens(self, **claims: str) -> dict[str, Any]:
        now = int(time.time())
        claims |= {"iss": self.issuer, "sub": "person-1", "aud": CLIENT[0], "iat": now, "exp": now + 300}
        response = {
            "access_token": "access-token-1",
            "token_type": "Bearer",
            "refresh_token": self.refresh_token,
            "id_token": self.sign(changed(claims, self.claims)),
        }
        return changed(response, self.token_response)

    def _client_is_known(self, asked: Asked) -> bool:
        if basic := asked.headers.get("Authorization"):
            method, pair = "client_secret_basic", b64decode(basic.removeprefix("Basic ")).decode().split(":")
            given = tuple(map(unquote_plus, pair))
        elif "client_secret" in asked.form:
            method, given = "client_secret_post", (asked.form.get("client_id"), asked.form["client_secret"])
        else:
            method, given = "none", (asked.form.get("client_id"), CLIENT[1])
        return method in self.auth_methods and given == CLIENT

    def _userinfo(self, asked: Asked) -> dict[str, Any] | str | tuple[int, dict[str, Any]]:
        if asked.headers.get("Authorization") != "Bearer access-token-1":
            return 401, {"error": "invalid_token"}
        claims = {"sub": "person-1", "email": "person@example.org", "email_verified": True}
        if self.userinfo_is_signed:
            return self.sign(changed(claims | {"iss": self.issuer, "aud": CLIENT[0]}, self.userinfo))
        return changed(claims, self.userinfo)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        # The site may hang up: that is often what the test is about.
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        op: OP = self.server.op
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(urlsplit(self.path).path, self.headers, dict(parse_qsl(body.decode())), self.client_address)
        op.requests.append(asked)
        if fault := op.faults.get(asked.path):
            fault(self)
            return
        answer = op.answers[asked.path](asked)
        status, answer = answer if isinstance(answer, tuple) else (200, answer)
        if isinstance(answer, str):
            self.reply(answer.encode(), "application/jwt", status)
        else:
            self.reply(json.dumps(answer).encode(), "application/json", status)

    do_POST = do_GET  # noqa: N815 - http.server wants this name

    def reply(self, body: bytes, content_type: str, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing: the tests read `OP.requests`."""


def answers(body: Any, content_type: str = "application/json", status: int = 200, **headers: str) -> Callable:
    """Return a fault that answers with `body`: bytes as they are, anything else as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda handler: handler.reply(data, content_type, status, **headers)


def raw(data: bytes) -> Callable:
    """Return a fault that writes bytes where an HTTP response should be, and hangs up."""

    def write(handler: Handler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return write


def slow(handler: Handler) -> None:
    """Accept the request and never answer."""
    handler.server.op.closed.wait(60)
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """Answer a byte at a time, each of them well within a time limit for reading."""
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not handler.server.op.closed.wait(0.05):
        handler.wfile.write(b" ")


dead = raw(b"")

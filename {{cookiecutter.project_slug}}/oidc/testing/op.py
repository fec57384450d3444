"""An OpenID Provider inside another process: a real one in development, a hostile one on demand in tests.

It checks what a real OP checks: client, redirect URI, PKCE, codes and refresh tokens that are good once. It has
pages and sessions of its own, so `prompt=none` and logout are real too. It needs PyJWT, and nothing of Django.
"""

import hashlib
import json
import secrets
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from email.message import Message
from functools import cache
from ssl import SSLContext
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit
from urllib.request import ProxyHandler, build_opener

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from oidc.testing import pages
from oidc.testing.pages import Page
from oidc.testing.server import Asked, Fault, Server, dead, drip, raw, responds, slow  # noqa: F401 - for tests

ABSENT = object()
CLIENT = ("site-under-test", "s3cret: 100% of it + é, longer than 32 bytes")
PERSON = {"sub": "person-1", "email": "person@example.org", "email_verified": True}
DISCOVERY = "/.well-known/openid-configuration"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
CODE_SECONDS, TOKEN_SECONDS, REMEMBERED_SECONDS = 60, 300, 30 * 24 * 60 * 60
CURVES: dict[str, Any] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
    "secp256k1": ec.SECP256K1,
}
KINDS = dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA")
KINDS |= {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}

Claims = dict[str, Any]
# What an endpoint returns: JSON, a status with JSON, a signed document, or a page.
Response = Claims | tuple[int, Claims] | str | Page


@cache
def private_key(kind: str, number: int) -> Any:
    """Return the `number`th private key of a kind: "RSA", "Ed25519" or a name of `CURVES`."""
    if kind == "RSA":
        return rsa.generate_private_key(65537, 2048)
    return ed25519.Ed25519PrivateKey.generate() if kind == "Ed25519" else ec.generate_private_key(CURVES[kind]())


def jwk(kind: str, number: int = 1, **members: Any) -> Claims:
    """Return the public half of a key as a JSON Web Key with further `members`."""
    algorithm = {"RSA": "RS256", "Ed25519": "EdDSA"}.get(kind, "ES256")
    public = jwt.get_algorithm_by_name(algorithm).to_jwk(private_key(kind, number).public_key(), as_dict=True)
    return {name: value for name, value in public.items() if name != "key_ops"} | members


def crowd(**members: Any) -> list[Claims]:
    """Return the key set of the OpenID Foundation's suite, all without `alg`, with some broken members."""
    kinds = [("RSA", 1), ("RSA", 2), ("P-256", 1), ("P-256", 2), ("secp256k1", 1), ("Ed25519", 1)]
    good = [{**jwk(*kind, use="sig", kid="-".join(map(str, kind))), **members} for kind in kinds]
    other = [jwk(kind, 3, use="enc", kid=f"{kind}-1") for kind in ("RSA", "P-256")]
    return [*good, *other, {"kty": "RSA", "kid": "RSA-1", "n": "!", "e": None}, {"kty": "AKP", "kid": "RSA-1"}]


def changed(values: Claims, changes: Claims) -> Claims:
    """Return `values` with `changes`; ABSENT removes one."""
    return {name: value for name, value in (values | changes).items() if value is not ABSENT}


def digest(text: str, bits: int = 256, octets: int | None = None) -> str:
    """Return the first `octets` of a SHA-2 hash as base64url, like `code_challenge` and `at_hash`."""
    return urlsafe_b64encode(hashlib.new(f"sha{bits}", text.encode()).digest()[:octets]).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in at the OP; `typed` are the claims of a person who is not one of its users."""

    cookie: str
    sub: str
    typed: Claims | None
    auth_time: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code or a token stands for: a session at the OP, and the authorization request."""

    session: Session
    request: dict[str, str]
    made: float = field(default_factory=time.time)


class OAuthError(Exception):
    """A request that the OP refuses, with an error code of RFC 6749 or OpenID Connect Core 3.1.2.6."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        self.status, self.parameters = status, {"error": code, "error_description": description}


def check(is_kept: bool, code: str, rule: str) -> None:
    """Raise `OAuthError` unless a rule is kept."""
    if not is_kept:
        raise OAuthError(code, rule)


@dataclass(kw_only=True, eq=False)
class OP(AbstractContextManager["OP"]):
    """The OP. Tests change its attributes: what it says (`claims`, `metadata`, ...) and how (`faults`)."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: a free one
    tls: SSLContext | None = None
    latency: float = 0.0  # seconds before each response
    # Its one client (id, secret), the site, and the people who can log in: read for every request.
    client: tuple[str, str] = CLIENT
    site_url: str = "http://localhost"
    users: Callable[[], list[Claims]] = lambda: [PERSON]
    # What it can do, and whether it tells the site of sessions that end here.
    auth_methods: list[str] = field(default_factory=lambda: ["client_secret_basic", "client_secret_post"])
    acr_values: list[str] = field(default_factory=list)
    backchannel: bool = False
    # Changes to what a faultless OP would say; path -> what happens there instead of a response.
    metadata: Claims = field(default_factory=dict)
    claims: Claims = field(default_factory=dict)
    token_response: Claims = field(default_factory=dict)
    userinfo: Claims = field(default_factory=dict)
    userinfo_is_signed: bool = False
    faults: dict[str, Fault] = field(default_factory=dict)
    # What has happened: requests, sessions by cookie, codes and tokens that are good now, by kind and text.
    requests: list[Asked] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    grants: dict[tuple[str, str], Grant] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.endpoints: dict[str, Callable[[Asked], Response]] = {
            DISCOVERY: self._discovery,
            "/jwks": lambda asked: {"keys": self.jwks},
            "/authorize": self._authorize,
            "/token": self._token,
            "/userinfo": self._userinfo,
            "/end-session": self._end_session,
        }
        self.sign_with("RS256")
        self.closed, self.server = threading.Event(), Server(self)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.closed.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def issuer(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.server.server_address[1]}"

    def asked(self, path: str) -> list[Asked]:
        """Return the requests for a path so far."""
        return [asked for asked in self.requests if asked.path == path]

    def sign_with(self, algorithm: str, number: int = 1, **members: Any) -> None:
        """Publish one key with further JWK `members` and sign with it from now on."""
        self.algorithm, self.number, self.header = algorithm, number, {"kid": f"key-{number}"}
        self.key: Any = self.client[1].encode()
        self.jwks: list[Claims] = []
        if algorithm != "HS256":
            self.key = private_key(KINDS[algorithm], number)
            self.jwks = [jwk(KINDS[algorithm], number, **{"kid": f"key-{number}", "use": "sig"} | members)]

    def rotate_keys(self) -> None:
        """Sign with a new key from now on; those before stay published."""
        before = self.jwks
        self.sign_with(self.algorithm, self.number + 1)
        self.jwks += before

    def sign(self, claims: Claims, header: Claims | None = None) -> str:
        return jwt.PyJWS().encode(json.dumps(claims).encode(), self.key, self.algorithm, self.header | (header or {}))

    def grant(self, authorization_url: str, sub: str | None = None) -> dict[str, str]:
        """Return the parameters of the callback for a person who says yes: the first user, or anybody by `sub`.

        It does what the pages do, without HTTP. With `prompt=none` it takes the person's newest session.
        """
        request = dict(parse_qsl(urlsplit(authorization_url).query)) | {"response_mode": "query"}
        subs = [user["sub"] for user in self.users()]
        sub = sub or subs[0]
        form, cookie = {"sub": sub}, ""
        if sub not in subs:
            form = {"typed": json.dumps(PERSON | {"sub": sub, "email": f"{sub}@example.org"})}
        if request.get("prompt") == "none":
            form, cookie = {}, next((c for c, s in reversed(self.sessions.items()) if s.sub == sub), "")
        page = self._authorize(Asked("/authorize", request, form, cookie, Message(), ("", 0)))
        assert page.status == 302, f"The OP shows a page instead of going back to the site: {page.html}"
        return dict(parse_qsl(urlsplit(page.headers["Location"]).query))

    def logout_token(self, header: Claims | None = None, **changes: Any) -> str:
        """Return a logout token for the first user with `changes` to its claims (Back-Channel Logout 1.0, 2.4)."""
        now, sub = int(time.time()), self.users()[0]["sub"]
        claims = {"iss": self.issuer, "aud": self.client[0], "sub": sub, "iat": now, "exp": now + 120}
        claims |= {"jti": secrets.token_urlsafe(16), "events": {LOGOUT_EVENT: {}}}
        return self.sign(changed(claims, changes), {"typ": "logout+jwt"} | (header or {}))

    def disable(self, sub: str) -> None:
        """Close an account: nobody logs in with it, and its tokens are void."""
        self.disabled.add(sub)

    def end_sessions(self, sub: str) -> None:
        """End the sessions of a person here, which voids their tokens; the site is not told."""
        self.sessions = {cookie: session for cookie, session in self.sessions.items() if session.sub != sub}

    def log_out_everywhere(self, sub: str) -> int:
        """End the sessions of a person here and, by a logout token, at the site; return the site's HTTP status."""
        self.end_sessions(sub)
        return self._send(self.logout_token(sub=sub))

    def _send(self, logout_token: str) -> int:
        url, form = f"{self.site_url}/oidc/backchannel-logout/", urlencode({"logout_token": logout_token})
        try:
            with build_opener(ProxyHandler({})).open(url, form.encode(), timeout=10) as response:
                return int(response.status)
        except HTTPError as error:
            return error.code

    def respond(self, asked: Asked) -> Response:
        """Return the response of the endpoint that was asked."""
        endpoint = self.endpoints.get(asked.path)
        try:
            return endpoint(asked) if endpoint else pages.page("Nothing here", status=404)
        except OAuthError as error:
            return error.status, error.parameters

    def _discovery(self, asked: Asked) -> Claims:
        paths = {"authorization": "authorize", "token": "token", "userinfo": "userinfo", "end_session": "end-session"}
        endpoints = {f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in paths.items()}
        lists = {"response_types": ["code"], "response_modes": ["query", "form_post"], "subject_types": ["public"]}
        lists |= {"grant_types": ["authorization_code", "refresh_token"], "code_challenge_methods": ["S256"]}
        lists |= {"scopes": ["openid", "email", "profile"], "claims": [*{c for user in self.users() for c in user}]}
        lists |= {"token_endpoint_auth_methods": self.auth_methods, "id_token_signing_alg_values": [self.algorithm]}
        lists |= {"acr_values": self.acr_values} if self.acr_values else {}
        flags = ("authorization_response_iss_parameter", "backchannel_logout", "backchannel_logout_session")
        supported = {f"{name}_supported": value for name, value in (lists | dict.fromkeys(flags, True)).items()}
        document = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks", **endpoints, **supported}
        return changed(document, self.metadata)

    def _authorize(self, asked: Asked) -> Page:
        """Core 3.1.2, with PKCE (RFC 7636), `iss` (RFC 9207) and form_post."""
        # The login page has four fields; whatever else is posted is the authorization request.
        request = asked.query | {k: v for k, v in asked.form.items() if k not in ("sub", "typed", "deny", "remember")}
        redirect_uri, cookie = f"{self.site_url}/oidc/callback/", ""
        if (request.get("client_id"), request.get("redirect_uri")) != (self.client[0], redirect_uri):
            return pages.page(f"Expected client_id {self.client[0]} and redirect_uri {redirect_uri}", status=400)
        try:
            self._check_request(request)
            cookie = self._log_in(asked.form)
            session = self.sessions[cookie] if cookie else self._remembered(asked.cookie, request)
            if session is None:
                check(request.get("prompt") != "none", "login_required", "nobody is logged in")
                return pages.choose(self.users(), request, self.site_url)
            result = {"code": self._issue("code", Grant(session, request))}
        except OAuthError as error:
            result = error.parameters
        except ValueError as error:
            return pages.choose(self.users(), request, self.site_url, str(error))
        result |= {"state": request.get("state", ""), "iss": self.issuer}
        is_form = request.get("response_mode") == "form_post"
        page = pages.form_post(redirect_uri, result, self.site_url) if is_form else pages.redirect(redirect_uri, result)
        attributes = f"Path=/; HttpOnly; SameSite=Lax{'; Secure' if self.tls else ''}"
        attributes += f"; Max-Age={REMEMBERED_SECONDS}" if "remember" in asked.form else ""
        cookies = {"Set-Cookie": f"op_session={cookie}; {attributes}"} if cookie else {}
        return replace(page, headers={**page.headers, **cookies})

    def _check_request(self, request: dict[str, str]) -> None:
        prompts, modes = request.get("prompt", "").split(), ("query", "form_post")
        has_pkce = len(request.get("code_challenge", "")) == 43 and request.get("code_challenge_method") == "S256"
        check(request.get("response_type") == "code", "unsupported_response_type", "response_type has to be code")
        check("openid" in request.get("scope", "").split(), "invalid_scope", "scope has to contain openid")
        check("state" in request, "invalid_request", "state is missing")
        check(has_pkce, "invalid_request", "PKCE with S256 is missing")
        check(request.get("response_mode", "query") in modes, "invalid_request", "unknown response_mode")
        check(prompts == ["none"] or "none" not in prompts, "invalid_request", "prompt=none excludes others")
        check(request.get("max_age", "0").isdecimal(), "invalid_request", "max_age is not a number")

    def _log_in(self, form: dict[str, str]) -> str:
        """Begin a session for the person chosen on the login page and return its cookie, "" if nobody was.

        Raises `OAuthError` if the person must not log in or said no, `ValueError` if the choice means nobody.
        """
        check("deny" not in form, "access_denied", "the person said no")
        if not form.keys() & {"sub", "typed"}:
            return ""
        typed = None if "sub" in form else json.loads(form["typed"])
        sub = typed.get("sub") if isinstance(typed, dict) else form.get("sub")
        if not isinstance(sub, str) or not (typed or any(user["sub"] == sub for user in self.users())):
            raise ValueError("Choose somebody, or type a JSON object with a sub.")
        check(sub not in self.disabled, "access_denied", "the account is disabled")
        cookie = secrets.token_urlsafe(32)
        self.sessions[cookie] = Session(cookie, sub, typed, int(time.time()))
        return cookie

    def _remembered(self, cookie: str, request: dict[str, str]) -> Session | None:
        """Return the session of a browser if it will do for `request`."""
        session = self.sessions.get(cookie)
        if session is None or self._person(session) is None or request.get("prompt") in ("login", "select_account"):
            return None
        age = time.time() - session.auth_time
        return session if age <= int(request.get("max_age", age + 1)) else None

    def _person(self, session: Session) -> Claims | None:
        """Return the claims of the person of a session, None if it has ended or the account is closed."""
        if session.cookie not in self.sessions or session.sub in self.disabled:
            return None
        return session.typed or next((user for user in self.users() if user["sub"] == session.sub), None)

    def _issue(self, kind: str, grant: Grant) -> str:
        text = secrets.token_urlsafe(32)
        self.grants[kind, text] = grant
        return text

    def _token(self, asked: Asked) -> Claims:
        """Core 3.1.3 and 12, RFC 7636 4.6."""
        if not self._client_is_known(asked):
            raise OAuthError("invalid_client", "unknown client, wrong secret, or a method that is not supported", 401)
        kind = {"authorization_code": "code"}.get(grant_type := asked.form.get("grant_type", ""), grant_type)
        check(kind in ("code", "refresh_token"), "unsupported_grant_type", "neither a code nor a refresh token")
        # Whatever happens next, it was good once.
        grant = self.grants.pop((kind, asked.form.get(kind, "")), None)
        if grant is None or self._person(grant.session) is None:
            raise OAuthError("invalid_grant", f"the {kind} is unknown or used, or the session has ended")
        if kind == "code":
            challenge, uri = digest(asked.form.get("code_verifier", "")), asked.form.get("redirect_uri")
            check(time.time() - grant.made <= CODE_SECONDS, "invalid_grant", "the code has expired")
            check(challenge == grant.request["code_challenge"], "invalid_grant", "wrong code_verifier (PKCE)")
            check(uri == grant.request["redirect_uri"], "invalid_grant", "another redirect_uri")
        return self._tokens(grant)

    def _client_is_known(self, asked: Asked) -> bool:
        scheme, _, basic = asked.headers.get("Authorization", "").partition(" ")
        method, given = "none", (asked.form.get("client_id"), self.client[1])
        if scheme == "Basic":
            # Both halves are form-encoded, or a colon would end the id (RFC 6749 2.3.1).
            pair = b64decode(basic).decode().partition(":")
            method, given = "client_secret_basic", (unquote_plus(pair[0]), unquote_plus(pair[2]))
        elif "client_secret" in asked.form:
            method, given = "client_secret_post", (asked.form.get("client_id"), asked.form["client_secret"])
        return method in self.auth_methods and given == self.client

    def _tokens(self, grant: Grant) -> Claims:
        session, request, now = grant.session, grant.request, int(time.time())
        # A refreshed ID Token has no nonce (Core 12.2).
        kept = replace(grant, request={name: value for name, value in request.items() if name != "nonce"})
        access_token, refresh_token = self._issue("access_token", kept), self._issue("refresh_token", kept)
        bits = {"256": 256, "384": 384}.get(self.algorithm[-3:], 512)
        claims = {"iss": self.issuer, "sub": session.sub, "aud": self.client[0], "iat": now, "exp": now + TOKEN_SECONDS}
        claims |= {"auth_time": session.auth_time, "sid": digest(session.cookie)}
        claims |= {"at_hash": digest(str(self.token_response.get("access_token", access_token)), bits, bits // 16)}
        claims |= {"nonce": request["nonce"]} if "nonce" in request else {}
        acr = [value for value in request.get("acr_values", "").split() if value in self.acr_values]
        claims |= {"acr": acr[0]} if acr else {}
        id_token = self.sign(changed(claims, self.claims))
        self.grants["id_token", id_token] = kept
        tokens = {"access_token": access_token, "refresh_token": refresh_token, "id_token": id_token}
        return changed({**tokens, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}, self.token_response)

    def _userinfo(self, asked: Asked) -> Response:
        """Core 5.3."""
        bearer = asked.headers.get("Authorization", "").removeprefix("Bearer ")
        grant = self.grants.get(("access_token", bearer))
        claims = self._person(grant.session) if grant else None
        if claims is None:
            raise OAuthError("invalid_token", "unknown access token, or the session has ended", 401)
        if self.userinfo_is_signed:
            return self.sign(changed({**claims, "iss": self.issuer, "aud": self.client[0]}, self.userinfo))
        return changed(claims, self.userinfo)

    def _end_session(self, asked: Asked) -> Page:
        """RP-Initiated Logout 1.0, section 2; an `id_token_hint` that is not of this OP counts as none."""
        request = asked.query | asked.form
        hinted = self.grants.get(("id_token", request.get("id_token_hint", "")))
        is_client = request.get("client_id", hinted and self.client[0]) == self.client[0]
        target = request.get("post_logout_redirect_uri", "")
        is_registered = target.startswith(f"{self.site_url}/") and target.isascii() and target.isprintable()
        if target and not (is_client and is_registered):
            return pages.page(f"Expected a post_logout_redirect_uri under {self.site_url}/", status=400)
        if not hinted and "confirm" not in asked.form:
            return pages.confirm(request, self.site_url)
        session = self.sessions.pop(hinted.session.cookie if hinted else asked.cookie, None)
        if session and self.backchannel:
            with suppress(OSError):  # the site may be down
                self._send(self.logout_token(sub=session.sub, sid=digest(session.cookie)))
        state = {"state": request["state"]} if "state" in request else {}
        return pages.redirect(target, state) if target else pages.page("You are logged out")

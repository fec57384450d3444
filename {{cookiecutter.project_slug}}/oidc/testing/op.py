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
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache
from html import escape
from ssl import SSLContext
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit
from urllib.request import ProxyHandler, build_opener

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from oidc.testing import pages
from oidc.testing.pages import Page
from oidc.testing.server import Asked, Fault, Handler, OAuthError, Response, Server, check, dead, responds, slow

# What tests may import from here.
__all__ = ["ABSENT", "CLIENT", "DISCOVERY", "KINDS", "LOGOUT_EVENT", "OP", "PERSON", "Asked", "Claims", "Fault"]
__all__ += ["Handler", "OAuthError", "changed", "dead", "digest", "jwk", "private_key", "responds", "slow"]

ABSENT = object()
CLIENT = ("site-under-test", "s3cret: 100% of it + é, longer than 32 bytes")
PERSON = {"sub": "person-1", "email": "person@example.org", "email_verified": True}
ABOUT = "about"  # what a user stands for, on the login page; it is no claim
DISCOVERY = "/.well-known/openid-configuration"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
CODE_SECONDS, TOKEN_SECONDS, REMEMBERED_SECONDS = 60, 300, 30 * 24 * 60 * 60
# What tokens say about themselves and the login: nobody types it.
OWN_CLAIMS = {"iss", "aud", "azp", "exp", "iat", "nonce", "auth_time", "acr", "amr", "sid", "at_hash"}

CURVES: dict[str, Any] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
# The kind of key that an algorithm signs with; HS256 needs none.
KINDS = dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA")
KINDS |= {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}

Claims = dict[str, Any]


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


def changed(values: Claims, changes: Claims) -> Claims:
    """Return `values` with `changes`; ABSENT removes one."""
    return {name: value for name, value in (values | changes).items() if value is not ABSENT}


def digest(text: str, bits: int = 256, octets: int | None = None) -> str:
    """Return the first `octets` of a SHA-2 hash as base64url, like `code_challenge` and `at_hash`."""
    hashed = hashlib.new(f"sha{bits}", text.encode(errors="surrogatepass")).digest()
    return urlsafe_b64encode(hashed[:octets]).rstrip(b"=").decode()


def read_claims(text: str) -> Claims:
    """Return the claims that somebody has typed, without OWN_CLAIMS; raises `ValueError` that says what is wrong."""
    try:
        claims = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"This is not JSON: {error}") from None
    if not isinstance(claims, dict) or not isinstance(claims.get("sub"), str):
        raise ValueError('Claims are a JSON object with a text "sub", such as {"sub": "somebody"}.')
    return {name: value for name, value in claims.items() if name not in OWN_CLAIMS}


@dataclass(slots=True)
class Session:
    """Somebody who is logged in at the OP; `typed` are the claims of a person who is not one of its users."""

    sub: str
    typed: Claims | None
    auth_time: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code or a token stands for: a session by its cookie, and the authorization request."""

    cookie: str
    request: dict[str, str]
    made: float = field(default_factory=lambda: time.time())


@dataclass(kw_only=True, eq=False, repr=False)
class OP(AbstractContextManager["OP"]):
    """The OP. Tests change its attributes: what it says (`claims`, `metadata`, ...) and how (`faults`)."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: a free one
    tls: SSLContext | None = None
    latency: float = 0.0  # seconds before each response
    # Its one client (id, secret), where that is, and the people who can log in: called for every request.
    client: tuple[str, str] = CLIENT
    site_url: str = "http://localhost"
    users: Callable[[], list[Claims]] = lambda: [PERSON]
    users_file: str = ""  # where people read and change who they are, and what is wrong with it
    users_problem: str = ""
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
    error: str = ""  # what the site gets in place of a code, such as "access_denied"
    disabled: set[str] = field(default_factory=set)  # subjects whose account is closed
    mishap: str | None = None  # what the bench has switched on, for the pages; None: there is no bench
    # What it remembers: requests, sessions by cookie, codes and tokens by kind and text.
    requests: list[Asked] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    grants: dict[tuple[str, str], Grant] = field(default_factory=dict)

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
        self.closed, self.server = threading.Event(), Server((self.host, self.port), Handler)
        self.server.op = self
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self, *exception: object) -> None:
        self.closed.set()
        self.server.shutdown()
        self.server.server_close()

    __exit__ = close

    @property
    def issuer(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.server.server_address[1]}"

    def asked(self, path: str) -> list[Asked]:
        """Return the requests for a path so far."""
        return [asked for asked in self.requests if asked.path == path]

    def sign_with(self, algorithm: str, number: int = 1, **members: Any) -> None:
        """Publish one key with further JWK `members` and sign with it from now on."""
        self.algorithm, self.number, self.header = algorithm, number, {"kid": f"key-{number}"}
        kind, members = KINDS.get(algorithm), {"kid": f"key-{number}", "use": "sig"} | members
        self.key: Any = private_key(kind, number) if kind else self.client[1].encode()
        self.jwks = [jwk(kind, number, **members)] if kind else []

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
        sub = sub or self.users()[0]["sub"]
        typed = json.dumps(PERSON | {"sub": sub, "email": f"{sub}@example.org"})
        form, cookie = {"sub": sub} if self._user(sub) else {"typed": typed}, ""
        if request.get("prompt") == "none":
            form, cookie = {}, next((c for c, s in reversed(self.sessions.items()) if s.sub == sub), "")
        page = self._authorize(Asked("/authorize", request, form, cookie))
        assert page.status == 302, f"The OP shows a page instead of going back to the site: {page.html}"
        return dict(parse_qsl(urlsplit(page.headers["Location"]).query))

    def logout_token(self, header: Claims | None = None, **changes: Any) -> str:
        """Return a logout token for the first user with `changes` to its claims (Back-Channel Logout 1.0, 2.4)."""
        now, sub = int(time.time()), changes.get("sub") or self.users()[0]["sub"]
        claims = {"iss": self.issuer, "aud": self.client[0], "sub": sub, "iat": now, "exp": now + 120}
        claims |= {"jti": secrets.token_urlsafe(16), "events": {LOGOUT_EVENT: {}}}
        return self.sign(changed(claims, changes), {"typ": "logout+jwt"} | (header or {}))

    def end_sessions(self, sub: str) -> None:
        """End the sessions of a person here, which voids their tokens, without telling the site."""
        self.sessions = {cookie: session for cookie, session in self.sessions.items() if session.sub != sub}

    def send_logout(self, **claims: str) -> int:
        """Tell the site that a person's sessions have ended (Back-Channel Logout 1.0, 2.5); return its status or 0."""
        form = urlencode({"logout_token": self.logout_token(None, **claims)}).encode()
        try:
            with build_opener(ProxyHandler({})).open(f"{self.site_url}/oidc/backchannel-logout/", form, 10) as response:
                return int(response.status)
        except OSError as error:  # the site is down, or urllib makes an error of a status
            return getattr(error, "code", 0)

    def _user(self, sub: object) -> Claims | None:
        user = next((user for user in self.users() if user["sub"] == sub), None)
        return user and changed(user, {ABOUT: ABSENT})

    def _discovery(self, asked: Asked) -> Claims:
        paths = {"authorization": "authorize", "token": "token", "userinfo": "userinfo", "end_session": "end-session"}
        endpoints = {f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in paths.items()}
        lists = {"response_types": ["code"], "response_modes": ["query", "form_post"], "subject_types": ["public"]}
        lists |= {"grant_types": ["authorization_code", "refresh_token"], "code_challenge_methods": ["S256"]}
        lists |= {"scopes": ["openid", "email", "profile"], "claims": [*{c for u in self.users() for c in u} - {ABOUT}]}
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
        redirect_uri, chosen = f"{self.site_url}/oidc/callback/", ""
        if (request.get("client_id"), request.get("redirect_uri")) != (self.client[0], redirect_uri):
            expected = f"Expected was client_id {self.client[0]} and redirect_uri {redirect_uri}"
            came = f"{expected}, but what came was {request.get('client_id')} and {request.get('redirect_uri')}."
            return self._page("This site is not registered here", escape(came), status=400)
        try:
            self._check_request(request)
            chosen = self._log_in(asked.form)
            if not chosen and not self._will_do(asked.cookie, request):
                check(request.get("prompt") != "none", "login_required", "nobody is logged in")
                return self._login_page(asked, request)
            check(not self.error, self.error, "on purpose")
            result = {"code": self._issue("code", Grant(chosen or asked.cookie, request))}
        except OAuthError as error:
            result = error.parameters
        except ValueError as error:
            return self._login_page(asked, request, str(error))
        result |= {"state": request.get("state", ""), "iss": self.issuer}
        go_back = pages.form_post if request.get("response_mode") == "form_post" else pages.redirect
        page, lifetime = go_back(redirect_uri, result), f"; Max-Age={REMEMBERED_SECONDS}" * ("remember" in asked.form)
        cookie = f"op_session={chosen}; Path=/; HttpOnly; SameSite=Lax{'; Secure' if self.tls else ''}{lifetime}"
        return replace(page, headers={**page.headers, "Set-Cookie": cookie}) if chosen else page

    def _login_page(self, asked: Asked, request: dict[str, str], problem: str = "") -> Page:
        here, users = self.person(asked.cookie), self.users()
        marks = dict.fromkeys(self.disabled, "disabled") | ({here["sub"]: "logged in here"} if here else {})
        cards = [pages.card(user, request.get("login_hint"), marks.get(user["sub"])) for user in users]
        content = pages.login(cards, asked.form, problem or self.users_problem, self.users_file)
        status, action = 400 if problem else 200, f"?{urlencode(request)}"
        return self._page(f"Log in to {urlsplit(self.site_url).netloc}", content, status=status, action=action)

    def _page(self, heading: str, *content: str, **options: Any) -> Page:
        return pages.page(heading, *content, site_url=self.site_url, mishap=self.mishap, **options)

    def _check_request(self, request: dict[str, str]) -> None:
        prompts, scopes = request.get("prompt", "").split(), request.get("scope", "").split()
        has_pkce = len(request.get("code_challenge", "")) == 43 and request.get("code_challenge_method") == "S256"
        is_mode = request.get("response_mode", "query") in ("query", "form_post")
        check(request.get("response_type") == "code", "unsupported_response_type", "response_type has to be code")
        check("openid" in scopes, "invalid_scope", "scope has to contain openid")
        check("state" in request and has_pkce, "invalid_request", "state, or PKCE with S256, is missing")
        check(is_mode, "invalid_request", "unknown response_mode")
        check(prompts == ["none"] or "none" not in prompts, "invalid_request", "prompt=none excludes others")
        check(request.get("max_age", "0").isdecimal(), "invalid_request", "max_age is not a number")

    def _log_in(self, form: dict[str, str]) -> str:
        """Begin a session for the person chosen on the login page and return its cookie, "" if nobody was.

        Raises `OAuthError` if the person said no, `ValueError` if the choice means nobody.
        """
        check("deny" not in form, "access_denied", "the person said no")
        if not form.keys() & {"sub", "typed"}:
            return ""
        typed = None if "sub" in form else read_claims(form["typed"])
        sub = typed["sub"] if typed else form["sub"]
        if not typed and not self._user(sub):
            raise ValueError("Nobody has this sub any more. Choose somebody else.")
        check(sub not in self.disabled, "access_denied", "the account is closed")
        self.sessions[cookie := secrets.token_urlsafe(32)] = Session(sub, typed, int(time.time()))
        return cookie

    def _will_do(self, cookie: str, request: dict[str, str]) -> bool:
        """Tell whether the session of a browser is good enough for `request`."""
        prompts = set(request.get("prompt", "").split())
        # While something goes wrong on purpose, the login page says so, and how to end it.
        is_shown = prompts & {"login", "select_account"} or (self.mishap and "none" not in prompts)
        if is_shown or self.person(cookie) is None:
            return False
        return "max_age" not in request or time.time() - self.sessions[cookie].auth_time <= int(request["max_age"])

    def person(self, cookie: str) -> Claims | None:
        """Return the claims of the person of a session, None if it has ended or the account is gone."""
        session = self.sessions.get(cookie)
        return (session.typed or self._user(session.sub)) if session and session.sub not in self.disabled else None

    def _issue(self, kind: str, grant: Grant) -> str:
        self.grants[kind, text := secrets.token_urlsafe(32)] = grant
        return text

    def _token(self, asked: Asked) -> Claims:
        """Core 3.1.3 and 12, RFC 7636 4.6."""
        check(self._client_is_known(asked), "invalid_client", "wrong id, secret or method of authentication", 401)
        kind = {"authorization_code": "code"}.get(grant_type := asked.form.get("grant_type", ""), grant_type)
        check(kind in ("code", "refresh_token"), "unsupported_grant_type", "neither a code nor a refresh token")
        # Whatever happens next, it was good once.
        grant = self.grants.pop((kind, asked.form.get(kind, "")), None)
        if grant is None or self.person(grant.cookie) is None:
            raise OAuthError("invalid_grant", f"the {kind} is unknown or used, or the session has ended")
        if kind == "code":
            challenge, uri = digest(asked.form.get("code_verifier", "")), asked.form.get("redirect_uri")
            check(time.time() - grant.made <= CODE_SECONDS, "invalid_grant", "the code has expired")
            check(challenge == grant.request["code_challenge"], "invalid_grant", "wrong code_verifier (PKCE)")
            check(uri == grant.request["redirect_uri"], "invalid_grant", "another redirect_uri")
        return self._tokens(grant)

    def _client_is_known(self, asked: Asked) -> bool:
        header, form = asked.headers.get("Authorization", ""), asked.form
        if header.startswith("Basic "):
            # Both halves are form-encoded, or a colon would end the id (RFC 6749 2.3.1).
            pair = b64decode(header.removeprefix("Basic ")).decode().partition(":")
            method, given = "client_secret_basic", (unquote_plus(pair[0]), unquote_plus(pair[2]))
        else:
            method = "client_secret_post" if "client_secret" in form else "none"
            given = form.get("client_id", ""), form.get("client_secret", self.client[1])
        return method in self.auth_methods and given == self.client

    def _tokens(self, grant: Grant) -> Claims:
        session, request, now = self.sessions[grant.cookie], grant.request, int(time.time())
        # A refreshed ID Token has no nonce (Core 12.2).
        kept = replace(grant, request={name: value for name, value in request.items() if name != "nonce"})
        tokens = {kind: self._issue(kind, kept) for kind in ("access_token", "refresh_token")}
        bits = {"256": 256, "384": 384}.get(self.algorithm[-3:], 512)
        hashed = str(self.token_response.get("access_token", tokens["access_token"]))
        claims = {"iss": self.issuer, "sub": session.sub, "aud": self.client[0], "iat": now, "exp": now + TOKEN_SECONDS}
        claims |= {"auth_time": session.auth_time, "sid": digest(grant.cookie)}
        claims |= {"at_hash": digest(hashed, bits, bits // 16)}
        claims |= {"nonce": request["nonce"]} if "nonce" in request else {}
        acr = [value for value in request.get("acr_values", "").split() if value in self.acr_values]
        claims |= {"acr": acr[0]} if acr else {}
        tokens["id_token"] = self.sign(changed(claims, self.claims))
        self.grants["id_token", tokens["id_token"]] = kept
        return changed({**tokens, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}, self.token_response)

    def _userinfo(self, asked: Asked) -> Response:
        """Core 5.3."""
        grant = self.grants.get(("access_token", asked.headers.get("Authorization", "").removeprefix("Bearer ")))
        claims = self.person(grant.cookie) if grant else None
        if claims is None:
            raise OAuthError("invalid_token", "unknown access token, or the session has ended", 401)
        if self.userinfo_is_signed:
            return self.sign(changed({**claims, "iss": self.issuer, "aud": self.client[0]}, self.userinfo))
        return changed(claims, self.userinfo)

    def _end_session(self, asked: Asked) -> Page:
        """RP-Initiated Logout 1.0, section 2; an unknown `id_token_hint` counts as none."""
        request = asked.query | asked.form
        hint, target = request.get("id_token_hint", ""), request.get("post_logout_redirect_uri", "")
        hinted = self.grants.get(("id_token", hint))
        is_client = request.get("client_id", hinted and self.client[0]) == self.client[0]
        is_registered = target.startswith(f"{self.site_url}/") and target.isascii() and target.isprintable()
        if target and not (is_client and is_registered):
            came = f"Expected was a post_logout_redirect_uri under {self.site_url}/, but what came was {target}."
            return self._page("This site is not registered here", escape(came), status=400)
        cookie = hinted.cookie if hinted else asked.cookie
        if not hinted and "confirm" not in asked.form:
            name, button = pages.full_name(self.person(cookie)), '<button name="confirm" value="1">Log out</button>'
            return self._page(f"Log out {name}?", button, action=f"?{urlencode(request)}")
        session = self.sessions.pop(cookie, None)
        if session and self.backchannel:
            self.send_logout(sub=session.sub, sid=digest(cookie))
        state = {"state": request["state"]} if "state" in request else {}
        return pages.redirect(target, state) if target else self._page("You are logged out")

"""What happened in the last logins of a browser, step by step, for developers: `/oidc/logins/` shows it.

This module alone owns the record, which exists while DEBUG is on; no other setting opens it. The walk of a login calls
`step` where something is sent, comes or is decided, and without DEBUG every function here returns at once. Steps become
text when they are noted, without codes, tokens and secrets, and stay in the memory of this process.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from threading import Lock
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

import jwt
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from oidc.internal.conf import conf
from oidc.logs import WithoutSecrets

F = TypeVar("F", bound=Callable[..., Any])
Claims = Mapping[str, Any]

MAX_BROWSERS = 20
MAX_LOGINS = 10
MAX_CHARACTERS = 1000
COOKIE = "oidc_trace"
# Whatever has such a name is cut.
SECRET = re.compile("token(?!_type$|_endpoint)|secret|verifier|assertion|^(code|state|nonce|authorization)$", re.I)
TIMES = {"iat", "exp", "nbf", "auth_time"}
# What the rules for tokens and sessions read, whatever the policy does.
OF_PROTOCOL = TIMES | {"iss", "sub", "aud", "azp", "nonce", "acr", "at_hash", "sid"}


class Step(NamedTuple):
    """One thing that was sent, came or was decided; `facts` and `settings` are names with values."""

    title: str
    facts: list[tuple[str, str]]
    settings: list[tuple[str, str]]


class Login(NamedTuple):
    """One login or renewal, and the time at which it began; its last step says how it ended."""

    began: str
    steps: list[Step]


@dataclass(slots=True)
class _Recording:
    attempt: str = field(default_factory=lambda: secrets.token_hex(8))
    steps: list[tuple[str, Step]] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)


_current: ContextVar[_Recording | None] = ContextVar("oidc_trace", default=None)
# The browsers that came last, with their logins by attempt.
_kept: dict[str, dict[str, Login]] = {}
_lock = Lock()


def recorded(function: F) -> F:
    """Decorate a function whose steps belong to the browser of its request; one within another adds to its steps."""

    @wraps(function)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not conf.DEBUG or _current.get():
            return function(request, *args, **kwargs)
        token, result = _current.set(recording := _Recording()), None
        try:
            result = function(request, *args, **kwargs)
        finally:
            _current.reset(token)
            _keep(request, result, recording.steps)
        return result

    return cast(F, wrapper)


def go_on(state: str) -> None:
    """Let the steps that follow belong to the attempt with this `state`."""
    if recording := _current.get():
        recording.attempt = hashlib.sha256(state.encode(errors="surrogatepass")).hexdigest()


def step(title: str, facts: Mapping[str, object] | None = None, *names: str, url: str = "") -> None:
    """Note a step: its `facts`, those in the query of a `url`, and the settings that mattered, by their `names`."""
    if recording := _current.get():
        of_url = {"address": url.partition("?")[0], **dict(parse_qsl(urlsplit(url).query))}
        told = {name: value for name, value in {**of_url, **(facts or {})}.items() if value != ""}
        mattered = {name: getattr(conf, name) for name in names}
        lines = [(name, _text(name, value, recording.cut)) for name, value in told.items()]
        # No secret is among those that are named, while OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS looks like one.
        of_settings = [(name, _text("", value, recording.cut)) for name, value in mattered.items()]
        recording.steps.append((recording.attempt, Step(title, lines, of_settings)))


def token(text: object) -> None:
    """Note what a token says, before anything of it is checked."""
    if _current.get():
        try:
            decoded = jwt.decode_complete(str(text), options={"verify_signature": False})
            step("A token came; nothing of it is believed yet", {"header": decoded["header"], **decoded["payload"]})
        except (jwt.PyJWTError, ValueError, RecursionError):
            step("A token came that is not a readable JWT")


@contextmanager
def reading(claims: Claims) -> Iterator[Claims]:
    """Give the claims to the user policy, and note in the end which of them it has read."""
    if not _current.get():
        yield claims
        return
    watched = Watched(claims)
    try:
        yield watched
    finally:
        came, read = set(claims), watched.read
        names = {"read": read & came, "asked for, but not there": read - came}
        step("Which claims the user policy read", names | {"used by nobody": came - read - OF_PROTOCOL})


def logins_of(request: HttpRequest) -> list[Login]:
    """Return the last logins of the browser, the newest first."""
    return list(_kept.get(request.get_signed_cookie(COOKIE, "") or "", {}).values())[::-1]


def _noting(method: str) -> Any:
    """Return a method of `dict` that notes the claim which it is asked for, or all if it goes through them."""

    def read(self: "Watched", *arguments: Any) -> Any:
        self.read |= set(arguments[:1]) or set(dict.keys(self))
        return getattr(dict, method)(self, *arguments)

    return read


class Watched(dict[str, Any]):
    """Claims that note which of them are read. A `dict`, so that a policy does the same as without DEBUG."""

    def __init__(self, claims: Claims) -> None:
        super().__init__(claims)
        self.read: set[str] = set()

    __getitem__, get, __contains__ = map(_noting, ("__getitem__", "get", "__contains__"))
    __iter__, keys, values, items = map(_noting, ("__iter__", "keys", "values", "items"))


def _keep(request: HttpRequest, result: object, steps: Iterable[tuple[str, Step]]) -> None:
    """Add steps to what is known of a browser; an unknown one gets its cookie with `result`, if that is a response."""
    browser = request.get_signed_cookie(COOKIE, "")
    if not browser and isinstance(result, HttpResponse):
        browser = secrets.token_urlsafe(16)
        flags = {"secure": True, "samesite": "None"} if conf.OIDC_RESPONSE_MODE == "form_post" else {"samesite": "Lax"}
        result.set_signed_cookie(COOKIE, browser, httponly=True, **flags)
    if not browser:
        return
    with _lock:
        logins = _kept.pop(browser, {})
        for attempt, noted in steps:
            logins.setdefault(attempt, Login(f"{timezone.localtime():%H:%M:%S}", [])).steps.append(noted)
        _kept[browser] = dict(list(logins.items())[-MAX_LOGINS:])
        for oldest in list(_kept)[:-MAX_BROWSERS]:
            del _kept[oldest]


def _text(name: str, value: object, cut: set[str]) -> str:
    """Return a value as it is shown, without what is secret by its name, here or in an earlier step (`cut`)."""
    match value:
        case set() | list() | tuple() if all(isinstance(item, str) for item in value):
            text = ", ".join(sorted(value) if isinstance(value, set) else value)
        case int() if name in TIMES and abs(value) < 10**11:
            text = f"{value} ({timezone.localtime(datetime.fromtimestamp(value, UTC)):%d %B %Y %H:%M:%S})"
        case dict() | list() | bool() | None:
            text = json.dumps(value, ensure_ascii=False, default=str)
        case _:
            text = str(value)
    if text and SECRET.search(name):
        cut |= {part for part in text.split() if len(part) >= 8}
        return f"[cut: {len(text)} characters]"
    text = WithoutSecrets().clean(text)
    for secret in cut:
        text = text.replace(secret, "[cut]")
    return (text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}… ({len(text)} characters)") or "–"

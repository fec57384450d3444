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
from typing import Any, Concatenate, Literal, NamedTuple, ParamSpec, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

import jwt
from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from oidc.internal.conf import conf
from oidc.logs import WithoutSecrets

P = ParamSpec("P")
R = TypeVar("R")
View = Callable[Concatenate[HttpRequest, P], R]
Claims = Mapping[str, Any]

MAX_BROWSERS = 20
MAX_LOGINS = 10
MAX_CHARACTERS = 1000
COOKIE = "oidc_trace"
# Whatever has such a name is cut.
SECRET = re.compile("token(?!_type$|_endpoint)|secret|verifier|assertion|^(code|state|nonce|authorization)$", re.I)
# What the rules for tokens and sessions read, whatever the policy does.
OF_PROTOCOL = {"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "auth_time", "acr", "at_hash", "sid"}

TIMES = ("iat", "exp", "nbf", "auth_time")


class Step(NamedTuple):
    """One thing that was sent, came or was decided; `facts` and `settings` are names with values."""

    title: str
    facts: list[tuple[str, str]]
    settings: list[tuple[str, str]]


class Login(NamedTuple):
    """The steps of one login or renewal, and the time of the first."""

    began: str
    steps: list[Step]

    @property
    def outcome(self) -> str:
        return self.steps[-1].title


@dataclass(slots=True)
class _Recording:
    attempt: str = field(default_factory=lambda: secrets.token_hex(8))
    steps: list[tuple[str, Step]] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)


_current: ContextVar[_Recording | None] = ContextVar("oidc_trace", default=None)
# The browsers that came last, with their logins by attempt.
_kept: dict[str, dict[str, Login]] = {}


def recorded(function: View[P, R]) -> View[P, R]:
    """Decorate a function whose steps belong to the browser of its request; one within another adds to its steps."""

    @wraps(function)
    def wrapper(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> R:
        if not conf.DEBUG or _current.get():
            return function(request, *args, **kwargs)
        token, result = _current.set(recording := _Recording()), None
        try:
            result = function(request, *args, **kwargs)
        finally:
            _current.reset(token)
            _keep(request, result, recording.steps)
        return result

    return cast(View[P, R], wrapper)


def go_on(state: str) -> None:
    """Let the steps that follow belong to the attempt with this `state`."""
    if recording := _current.get():
        recording.attempt = hashlib.sha256(state.encode(errors="surrogatepass")).hexdigest()


def step(title: str, facts: Mapping[str, object] | None = None, *names: str, url: str = "") -> None:
    """Note a step: its `facts`, those in the query of a `url`, and the settings that mattered, by their `names`."""
    if not (recording := _current.get()):
        return
    of_url = {"address": url.partition("?")[0], **dict(parse_qsl(urlsplit(url).query))} if url else {}
    known = {name: getattr(conf, name, getattr(settings, name, None)) for name in names}
    sent_or_came = {name: value for name, value in {**of_url, **(facts or {})}.items() if value != ""}
    told = [(name, _text(name, value, recording.cut)) for name, value in sent_or_came.items()]
    mattered = [(name, _text("", value, recording.cut)) for name, value in known.items()]
    recording.steps.append((recording.attempt, Step(title, told, mattered)))


def token(text: object) -> None:
    """Note what a token says, before anything of it is checked."""
    if not _current.get():
        return
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
        names = {
            "read": watched.read & watched.came,
            "asked for, but not there": watched.read - watched.came,
            "used by nobody": watched.came - watched.read - OF_PROTOCOL,
        }
        step("Which claims the user policy read", names)


def logins_of(request: HttpRequest) -> list[Login]:
    """Return the last logins of the browser, the newest first."""
    return list(_kept.get(_browser_of(request), {}).values())[::-1]


class Watched(dict[str, Any]):
    """Claims that note which of them are read; whoever goes through all has read all. As a `dict` they act as ever."""

    def __init__(self, claims: Claims) -> None:
        super().__init__(claims)
        self.came, self.read = set(claims), set[str]()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name))
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> Any:
        return self._read_all().keys()

    def values(self) -> Any:
        return self._read_all().values()

    def items(self) -> Any:
        return self._read_all().items()

    def _read_all(self) -> Any:
        self.read |= self.came
        return super()


def _keep(request: HttpRequest, result: object, steps: Iterable[tuple[str, Step]]) -> None:
    """Add steps to what is known of a browser; an unknown one gets its cookie with `result`, if that is a response."""
    browser = _browser_of(request)
    if not browser and isinstance(result, HttpResponse):
        browser = secrets.token_urlsafe(16)
        crosses_sites = conf.OIDC_RESPONSE_MODE == "form_post"
        samesite: Literal["None", "Lax"] = "None" if crosses_sites else "Lax"
        value = signing.dumps(browser, salt=COOKIE)
        result.set_cookie(COOKIE, value, httponly=True, secure=crosses_sites, samesite=samesite)
    if browser:
        logins = _kept.pop(browser, {})
        for attempt, noted in steps:
            logins.setdefault(attempt, Login(f"{timezone.localtime():%H:%M:%S}", [])).steps.append(noted)
        _kept[browser] = dict(list(logins.items())[-MAX_LOGINS:])
        for oldest in list(_kept)[:-MAX_BROWSERS]:
            _kept.pop(oldest, None)


def _browser_of(request: HttpRequest) -> str:
    try:
        return str(signing.loads(request.COOKIES.get(COOKIE, ""), salt=COOKIE))
    except signing.BadSignature:
        return ""


def _text(name: str, value: object, cut: set[str]) -> str:
    """Return a value as it is shown, without what is secret by its name, here or in an earlier step (`cut`)."""
    match value:
        case str():
            text = value
        case type():
            text = f"{value.__module__}.{value.__qualname__}"
        case set() | list() | tuple() if all(isinstance(item, str) for item in value):
            text = ", ".join(sorted(value) if isinstance(value, set) else value)
        case int() if name in TIMES and abs(value) < 10**11:
            text = f"{value} ({timezone.localtime(datetime.fromtimestamp(value, UTC)):%d %B %Y %H:%M:%S})"
        case dict() if not value:
            text = ""
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

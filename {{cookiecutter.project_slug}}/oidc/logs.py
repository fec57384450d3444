"""What the log looks like: without secrets, whoever writes it; in production as JSON, with the id of the request."""

import json
import logging
import re
from base64 import b64encode
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite
from typing import Any
from urllib.parse import quote, quote_plus
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from oidc.internal.conf import conf

LONG = "code_verifier|(?:id|access|refresh|logout)_token(?:_hint)?|client_(?:secret|assertion)"
NAMES = f"code|state|nonce|{LONG}"
# What opens something; of each the first group, what stands before it, stays.
SECRETS = [
    # name=value of a query, name='value' of a form or an object, and a query within a query.
    rf"""((?<![\w-])(?:(?:{NAMES})=|(?:{LONG})\s*=\s*)["']?)(?!\[\.)[^\s&"'<>,;()\]}}]+""",
    rf"((?:(?<![\w-])|(?<=%3F)|(?<=%26))(?:{NAMES})%3D)(?:(?!%26)[^\s&\"'<>])+",
    # A member of JSON or of a dict, perhaps quoted once more within JSON: text, or a list.
    rf"""((\\?["'])(?:{NAMES})\2\s*:\s*\[)[^\]]+""",
    rf"""((\\?["'])(?:{NAMES})\2\s*:\s*b?(\\?["']))(?:(?!\3)(?:\\.|[^\\\n]))+""",
    # A header; its credentials where they stand alone, if they look like some.
    r"""(\bAuthorization["']?\s*[:=]\s*["']?(?:Basic|Bearer)\s+)[^\s"',;]+""",
    r"(\b(?:Basic|Bearer)\s+)(?=[\w.~+/-]*(?:\d|(?-i:[a-z][A-Z])|=(?![\w\"'])))[\w.~+/-]{8,}=*",
    # A JWT, signed or encrypted.
    r"(\b)(?-i:eyJ)[\w-]+\.[\w-]+(?:\.[\w-]*){1,3}",
]
PATTERNS = [re.compile(secret, re.IGNORECASE) for secret in SECRETS]
# One of them is in whatever a pattern matches; most lines have none, and looking for them costs next to nothing.
MARKS = ("code", "state", "nonce", "_token", "client_", "authorization", "basic", "bearer", "eyj")
NAMED = re.compile(f"{NAMES}|authorization", re.IGNORECASE)
# What proxies call a request: UUIDs and the like, nothing that could be mistaken for more of a line.
REQUEST_ID = re.compile(r"[\w.=+/@-]{8,64}", re.ASCII)
# What every record has; all else came with a log call, as its `extra`.
MEMBERS = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}

# Whoever serves requests one after another in one thread forgets it: gunicorn.conf.py.
request_id: ContextVar[str] = ContextVar("request_id", default="")


class RequestIds:
    """Middleware that gives each request its id: the proxy's X-Request-ID if that looks like one, else one of its own.

    The lines of the request have it, those of other threads that work for it too, and so has the response.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response, with the id in its header."""
        sent = request.headers.get("X-Request-ID", "")
        request_id.set(known := sent if REQUEST_ID.fullmatch(sent) else uuid4().hex)
        response = self.get_response(request)
        response.headers["X-Request-ID"] = known
        return response


class JSONFormatter(logging.Formatter):
    """Writes a record as one line: an object with what it says, the request's id, and the `extra` of the log call."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a filter, `WithoutSecrets`, has cleaned `record` before."""
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
            "exception": record.exc_text or (self.formatException(record.exc_info) if record.exc_info else ""),
            "stack": record.stack_info or "",
        }
        return json.dumps({name: value for name, value in (told | _extra(record) | told).items() if value != ""})


class WithoutSecrets(logging.Filter):
    """Cuts codes, tokens and the client secret out of a record: of its message, its arguments and its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean `record`. Its arguments stay, each clean, as formatters like that of uvicorn's access log need them."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - what a log call got wrong must not become an error of whoever logs
            message = f"{record.msg!r} {record.args!r}"
            record.msg, record.args = message, ()
        if (cleaned := self.clean(message)) != message:
            record.msg, record.args = self._part(record.msg), self._parts(record.args)
            if record.getMessage() != cleaned:  # a secret that is no single text
                record.msg, record.args = cleaned, ()
        if record.exc_info and not record.exc_text:
            trace = logging.Formatter().formatException(record.exc_info)
            record.exc_text = cleaned if (cleaned := self.clean(trace)) != trace else None
        for name in ("exc_text", "stack_info"):
            if text := getattr(record, name):
                setattr(record, name, self.clean(text))
        for name, value in _extra(record).items():
            setattr(record, name, "[...]" if NAMED.fullmatch(name) else self._part(value))
        return True

    def clean(self, text: str) -> str:
        """Return `text` with [...] in place of every secret."""
        # gunicorn logs before Django knows its settings.
        for secret in _forms(conf.OIDC_RP_CLIENT_ID, conf.OIDC_RP_CLIENT_SECRET or "") if settings.configured else ():
            text = text.replace(secret, "[...]")
        lowered = text.lower()
        # Beyond ASCII there are letters that are alike only to a pattern that ignores case.
        if text.isascii() and not any(mark in lowered for mark in MARKS):
            return text
        for pattern in PATTERNS:
            text = pattern.sub(r"\1[...]", text)
        return text

    def _part(self, value: Any) -> Any:
        return self.clean(value) if isinstance(value, str) else value

    def _parts(self, values: Any) -> Any:
        if isinstance(values, dict):
            return {name: self._part(value) for name, value in values.items()}
        return tuple(map(self._part, values or ()))


def _extra(record: logging.LogRecord) -> dict[str, object]:
    """Return the text and numbers that came with a log call; a request, say, has no place in a line."""
    more = {name: value for name, value in vars(record).items() if name not in MEMBERS}
    return {n: v for n, v in more.items() if isinstance(v, str | int) or (isinstance(v, float) and isfinite(v))}


@lru_cache(maxsize=4)
def _forms(client_id: str, secret: str) -> list[str]:
    """Return the client secret as it is, encoded for a URL, in JSON, and in a Basic header; the longest first."""
    if not secret:
        return []
    forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    forms |= {repr(secret)[1:-1], ascii(secret)[1:-1]}
    pairs = (f"{client_id}:{secret}", f"{quote_plus(client_id)}:{quote_plus(secret)}")
    return sorted({*forms, *(b64encode(pair.encode()).decode() for pair in pairs)}, key=len, reverse=True)

"""A filter for every log handler: what must never be written is cut out, whoever writes it."""

import json
import logging
import re
from base64 import b64encode
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

from django.conf import settings

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


@lru_cache(maxsize=4)
def _forms(client_id: str, secret: str) -> list[str]:
    """Return the client secret as it is, encoded for a URL, in JSON, and in a Basic header; the longest first."""
    if not secret:
        return []
    forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    forms |= {repr(secret)[1:-1], ascii(secret)[1:-1]}
    pairs = (f"{client_id}:{secret}", f"{quote_plus(client_id)}:{quote_plus(secret)}")
    return sorted({*forms, *(b64encode(pair.encode()).decode() for pair in pairs)}, key=len, reverse=True)

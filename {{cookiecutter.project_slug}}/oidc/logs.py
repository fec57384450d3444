"""A filter for every log handler: what must never be written is cut out, whoever writes it."""

import logging
import re

from oidc.internal.conf import conf

# Parameters of requests and responses, and headers, whose values open something.
SECRET = re.compile(
    r"(?P<name>\b(?:code|state|code_verifier|id_token|id_token_hint|access_token|refresh_token|logout_token|"
    r"client_secret|nonce)[\"']?\s*[=:]\s*[\"']?|\b(?:Bearer|Basic)\s+)(?P<value>[^\s&\"',;)}\]]+)",
    re.IGNORECASE,
)
JWT = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")


class WithoutSecrets(logging.Filter):
    """Cuts codes, tokens and the client secret out of a record: of its message, its arguments and its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - what a log call got wrong must not become an error of whoever logs
            message = f"{record.msg!r} {record.args!r}"
        record.msg, record.args = self.clean(message), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self.clean(record.exc_text)
        return True

    def clean(self, text: str) -> str:
        """Return `text` with [...] in place of every secret."""
        if conf.OIDC_RP_CLIENT_SECRET:
            text = text.replace(conf.OIDC_RP_CLIENT_SECRET, "[...]")
        return JWT.sub("[...]", SECRET.sub(r"\g<name>[...]", text))

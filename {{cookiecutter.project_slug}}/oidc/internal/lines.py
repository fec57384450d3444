"""What the doctor says: lines that pass, warn or fail."""

from dataclasses import dataclass
from typing import Literal

from django.core.checks import ERROR, CheckMessage

from oidc.errors import LoginError

Level = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class Line:
    """One finding: of what (`name`), how it is, how to mend it, and where TROUBLESHOOTING.md says more (`anchor`)."""

    level: Level
    name: str
    text: str
    hint: str = ""
    anchor: str = ""


# With what a login would end, where a line warns of that: the manual explains it there. Others have their own name.
LEADS_TO = {
    "discovery": "op_response", "endpoints": "op_response", "algorithm": "id_token_algorithm", "keys": "id_token_key",
    "scopes": "scope_refused", "groups": "groups_missing", "client": "client_refused", "redirect": "op_error",
    "request": "op_error", "clock": "id_token_time", "tls": "op_unreachable",
}  # fmt: skip


def judge(name: str, is_fine: bool, text: str, hint: str = "", otherwise: Level = "warn") -> Line:
    """Return the line for a fact, which passes if that is fine."""
    return Line("pass", name, text) if is_fine else Line(otherwise, name, text, hint, LEADS_TO.get(name, name))


def of_error(name: str, error: LoginError) -> Line:
    """Return the line for what would make every login fail."""
    text = f"{error.reason.explanation} {error.op_error} {error.detail} {error.endpoint}"
    return Line("fail", name, " ".join(text.split()), error.hint, error.reason.code)


def of_check(name: str, message: CheckMessage) -> Line:
    """Return the line for what a system check has found."""
    return Line("fail" if message.level >= ERROR else "warn", name, message.msg, message.hint or "", message.id or "")

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


def judge(name: str, is_fine: bool, text: str, hint: str = "", otherwise: Level = "warn") -> Line:
    """Return the line for a fact, which passes if that is fine."""
    return Line("pass", name, text) if is_fine else Line(otherwise, name, text, hint, name)


def of_error(name: str, error: LoginError) -> Line:
    """Return the line for what would make every login fail."""
    parts = (str(error.reason.explanation), error.op_error, error.detail, error.endpoint and f"({error.endpoint})")
    return Line("fail", name, " ".join(filter(None, parts)), error.hint, error.reason.code)


def of_check(name: str, message: CheckMessage) -> Line:
    """Return the line for what a system check has found."""
    return Line("fail" if message.level >= ERROR else "warn", name, message.msg, message.hint or "", message.id or "")

"""The `.env` of a developer's machine. Only the standard library: it is made before anything is installed."""

import os
import secrets
import time
from pathlib import Path
from urllib.parse import urlsplit

# The environment as it was before the settings put `.env` into it.
INHERITED = dict(os.environ)


def make_env(folder: Path) -> bool:
    """Make `.env` from `.env.example`, readable by its owner only; return False if there is one already."""
    text = (folder / ".env.example").read_text(encoding="utf-8")
    values = {"SECRET_KEY": secrets.token_urlsafe(50), "DEBUG": "true"}
    if is_development_op(text.partition("\nOIDC_OP_ISSUER=")[2].partition("\n")[0]):
        values |= {"OIDC_RP_CLIENT_ID": "development", "OIDC_RP_CLIENT_SECRET": secrets.token_urlsafe(32)}
        # The people of users.json can log in at once, and these are their groups.
        values |= {"OIDC_CREATE_USER": "true", "OIDC_STAFF_GROUPS": "staff", "OIDC_SUPERUSER_GROUPS": "administrators"}
    for name, value in values.items():
        text = text.replace(f"\n{name}=\n", f"\n{name}={value}\n")
    try:
        descriptor = os.open(folder / ".env", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return True


def is_development_op(issuer: str) -> bool:
    """Tell whether `manage.py dev` itself serves this issuer: plain http on a port of this machine, without a path."""
    parts = urlsplit(issuer)
    is_here = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1")
    return is_here and parts.port is not None and not parts.path


def end_with_parent() -> None:
    """End this process when the one that started it is gone, even if that was killed."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)

"""Writes `.env` with fresh secrets and says what to do next."""

import os
import secrets
from pathlib import Path

LOCAL = {{ (cookiecutter.oidc_provider == "local") | string }}
FOLDER = {{ cookiecutter | folder_to_enter | quoted("python") }}


def write_env() -> None:
    """Make `.env` from `.env.example`, readable by its owner only; one that is there stays as it is."""
    values = {"SECRET_KEY": secrets.token_urlsafe(50), "DEBUG": "true"}
    if LOCAL:
        # The development OP takes any client; the groups are those of its users.
        values |= {"OIDC_RP_CLIENT_ID": "development", "OIDC_RP_CLIENT_SECRET": secrets.token_urlsafe(32)}
        values |= {"OIDC_STAFF_GROUPS": "staff", "OIDC_SUPERUSER_GROUPS": "administrators"}
    text = Path(".env.example").read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"\n{name}=\n", f"\n{name}={value}\n")
    try:
        descriptor = os.open(".env", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def next_commands() -> str:
    """Return the commands that lead to the first login."""
    steps = [f'cd "{FOLDER}"' if " " in FOLDER else f"cd {FOLDER}"]
    if not LOCAL:
        steps += [
            "# register http://localhost:8000/oidc/callback/ at the OP as a redirect URI",
            "# put its issuer, the client id and the client secret into .env",
        ]
    steps.append("uv run manage.py dev")
    return "\n".join(["", "Next:", "", *(f"  {step}" for step in steps), ""])


write_env()
print(next_commands())

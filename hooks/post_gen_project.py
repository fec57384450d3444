"""Writes `.env` with fresh secrets and says what to do next."""

import shutil
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, "")

from dev.environment import is_development_op, make_env  # noqa: E402 - the rendered site's own

ISSUER = {{ cookiecutter.oidc_op_issuer | quoted("python") }}
FOLDER = {{ cookiecutter | folder_to_enter | quoted("python") }}


def next_commands() -> str:
    """Return the commands that lead to the first login."""
    steps = [f'cd "{FOLDER}"' if " " in FOLDER else f"cd {FOLDER}"]
    if not is_development_op(ISSUER):
        steps += [
            "# register http://localhost:8000/oidc/callback/ at the provider as a redirect URI",
            "# put its issuer, the client id and the client secret into .env",
        ]
    steps.append("uv run manage.py dev")
    return "\n".join(["", "Next:", "", *(f"  {step}" for step in steps), ""])


# The template's own tests run the relying party where it is, which leaves compiled files there.
for cache in Path("oidc").rglob("__pycache__"):
    shutil.rmtree(cache)
make_env(Path())
print(next_commands())

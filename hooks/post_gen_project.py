"""Writes `.env` with fresh secrets, and says what was decided and what to do next."""

import shutil
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, "")

from dev.environment import make_env  # noqa: E402 - the rendered site's own

CLOSING_WORDS = {{ cookiecutter | closing_words | quoted("python") }}

# The template's own tests run the relying party where it is, which leaves compiled files there.
for cache in Path("oidc").rglob("__pycache__"):
    shutil.rmtree(cache)
make_env(Path())
print(CLOSING_WORDS)

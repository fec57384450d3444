"""Attacks a rendered site from outside, whatever its policy and its pages are.

    python -m tests.attacks SITE
    python -m tests.attacks SITE --claims '{"groups": ["staff"]}'      for a policy that admits only such people

Start it in a clone of the template's repository. SITE is the folder of a rendered site that has an environment, as
`uv sync` makes it. A copy of it is started under gunicorn on this machine, with the settings of production and an OP
that lies; the folder stays as it is. The exit code is 0 if the site has withstood every attack.
"""

import argparse
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.attacks.arena import SITE_URL, Arena, ForgingOP, NobodyAdmittedError
from tests.attacks.table import ATTACKS, Attack, Must
from tests.sites.site import Site, free_port

SECONDS = 60
LEFT_BEHIND = (".venv", ".git", ".env", "node_modules", "staticfiles", "*.sqlite3*", "__pycache__", ".*_cache")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.attacks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("site", metavar="SITE", type=Path, help="the folder of a rendered site, with an environment")
    parser.add_argument("--claims", metavar="JSON", type=json.loads, default={}, help="what the OP says of everybody")
    options = parser.parse_args()
    python = options.site.resolve() / os.environ.get("UV_PROJECT_ENVIRONMENT", ".venv") / "bin" / "python"
    if not python.exists():
        parser.error(f"there is no {python}: run `uv sync` in the site's folder")
    with attacked(options.site, str(python), options.claims) as arena:
        failed = sum(not is_withstood(arena, *row) for row in ATTACKS)
    print(f"{len(ATTACKS) - failed} passed, {failed} failed")
    return int(failed > 0)


def is_withstood(arena: Arena, name: str, attack: Attack, must: Must) -> bool:
    """Run one attack and print a line about it."""
    verdict = "ok    "
    try:
        assert time.monotonic() - arena.started < SECONDS, "there was no time left for it"
        arena.run(attack, must)
    except NobodyAdmittedError:
        name += " (not tried: the site's policy admits nobody; see --claims)"
    except Exception as failure:  # noqa: BLE001 - whatever it is, the other attacks go on
        verdict, name = "FAILED", f"{name}: {failure or type(failure).__name__}"
    print(verdict, name, flush=True)
    return verdict != "FAILED"


@contextmanager
def attacked(folder: Path, python: str, claims: dict[str, object]) -> Iterator[Arena]:
    """Start a copy of the site as in production, behind a proxy that ends TLS, and yield what attacks it."""
    op = ForgingOP(site_url=SITE_URL, claims_of_everybody=claims)
    with tempfile.TemporaryDirectory() as scratch, op:
        site, env_file, port = Site(Path(scratch, "site"), python), Path(scratch, "env"), free_port()
        shutil.copytree(folder, site.folder, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
        env_file.touch()
        environment = {"ENV_FILE": str(env_file), "DATABASE_URL": f"sqlite:///{scratch}/db.sqlite3"}
        environment |= {"DEBUG": "false", "LOG_LEVEL": "DEBUG", "SECRET_KEY": secrets.token_urlsafe(50)}
        environment |= {"SITE_URL": SITE_URL, "ALLOWED_HOSTS": ""}
        # The second name is the one of sites that were rendered by 0.1.
        environment |= {"FORWARDED_ALLOW_IPS": "127.0.0.1", "TRUST_PROXY_HEADERS": "true"}
        environment |= {"CACHE_URL": "", "BREAK_GLASS_LOGIN": "", "BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "1"}
        client = {"OIDC_OP_ISSUER": op.issuer, "OIDC_RP_CLIENT_ID": op.client[0], "OIDC_RP_CLIENT_SECRET": op.client[1]}
        client |= {"OIDC_RP_SIGN_ALGO": op.algorithm, "OIDC_CREATE_USER": "true", "OIDC_RENEWAL": "redirect"}
        client |= {"OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS": "1"}
        for name in [name for name in os.environ if name.startswith("OIDC_")]:
            del os.environ[name]
        # A site refuses to start with a variable of logins that it does not read.
        known = (site.folder / "config" / "settings.py").read_text()
        environment |= {name: value for name, value in client.items() if name in known}
        for command in (["migrate"], ["collectstatic", "--no-input"]):
            site.run(python, "manage.py", *command, **environment)
        address = f"http://127.0.0.1:{port}"
        with site.running(python, "-m", "gunicorn", "config.wsgi", url=f"{address}/healthz", **environment) as server:
            try:
                yield Arena(op, address, server.log, environment["SECRET_KEY"])
            finally:
                # Ctrl-C, which comes next, would let gunicorn's threads hang for a while.
                if server.process.poll() is None:
                    server.end()


if __name__ == "__main__":
    sys.exit(main())

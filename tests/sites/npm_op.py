"""The certified oidc-provider of npm as a second, independent OP."""

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.sites.site import Site, free_port

INTEROP = Path(__file__).parent / "interop"
MODULES = INTEROP / "node_modules"
INSTALL = "npm install --no-package-lock --prefix tests/sites/interop"


@contextmanager
def npm_op(require: Callable[[object, str], None], python: str, site_url: str) -> Iterator[dict[str, str]]:
    """Run the OP for the site at `site_url`; the value are the variables that connect the site to it."""
    node = shutil.which("node")
    require(node, "no node on the PATH")
    require((MODULES / "oidc-provider").is_dir(), f"oidc-provider is not there: {INSTALL}")
    port, client_id, client_secret = free_port(), "site", secrets.token_urlsafe(32)
    issuer = f"http://localhost:{port}"
    with Site(INTEROP, python).running(node, "provider.mjs", str(port), site_url, client_id, client_secret, url=issuer):
        yield {"OIDC_OP_ISSUER": issuer, "OIDC_RP_CLIENT_ID": client_id, "OIDC_RP_CLIENT_SECRET": client_secret}


def sign_in(page, person: str) -> None:
    """Fill in the OP's pages in the browser as `person`, whom they did not know before."""
    page.fill("input[name=login]", person)
    page.fill("input[name=password]", "any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()

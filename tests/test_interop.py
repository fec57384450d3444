"""The site with a second, independent OP: the certified oidc-provider of npm."""

import secrets
import shutil
from collections.abc import Iterator

import pytest

from tests.rendering import REPOSITORY, render
from tests.sites import Running, Site, free_port

INTEROP = REPOSITORY / "tests" / "interop"


@pytest.fixture(scope="module")
def site(tmp_path_factory, installed, require) -> Iterator[tuple[str, Running]]:
    """Run the OP, and a site that was rendered for it with nothing but its issuer; the value is the site's URL."""
    node = shutil.which("node")
    require(node, "no node on the PATH")
    require((INTEROP / "node_modules").is_dir(), "oidc-provider is not there: npm install --prefix tests/interop")
    op_port, site_port, secret = free_port(), free_port(), secrets.token_urlsafe(32)
    issuer, url = f"http://localhost:{op_port}", f"http://localhost:{site_port}"
    folder = tmp_path_factory.mktemp("interop")
    op = Site(INTEROP, installed().python)
    with op.running(node, "provider.mjs", str(op_port), url, "site", secret, url=issuer):
        rendered = render(folder, oidc_provider="other", oidc_op_issuer=issuer)
        env = rendered / ".env"
        values = {"OIDC_RP_CLIENT_ID": "site", "OIDC_RP_CLIENT_SECRET": secret}
        text = env.read_text().replace("SITE_URL=http://localhost:8000", f"SITE_URL={url}")
        for name, value in values.items():
            text = text.replace(f"\n{name}=\n", f"\n{name}={value}\n")
        env.write_text(text)
        site = Site(rendered, installed().python)
        with site.running("uv", "run", "manage.py", "dev", url=url) as server:
            yield url, server


def test_login_and_logout(site, page) -> None:
    url, server = site
    page.goto(f"{url}/profile/")
    page.fill("input[name=login]", "nora")
    page.fill("input[name=password]", "any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(f"{url}/profile/")
    assert "nora@example.org" in page.inner_text("main")
    page.goto(url)
    page.get_by_role("button", name="Logout").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    page.wait_for_url(f"{url}/**")
    assert page.get_by_role("link", name="Login").is_visible()
    page.goto(f"{url}/profile/")
    assert page.locator("input[name=login]").is_visible()
    assert "Traceback" not in server.log.read_text()

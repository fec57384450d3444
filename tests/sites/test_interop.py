"""The site with a second, independent OP: the certified oidc-provider of npm."""

import re
from collections.abc import Iterator

import pytest

from tests.rendering import render
from tests.sites.npm_op import npm_op, sign_in
from tests.sites.site import Running, Site, free_port


@pytest.fixture(scope="module")
def site(tmp_path_factory, installed, require) -> Iterator[tuple[str, Running]]:
    """Run the OP, and a site that was rendered for it with nothing but its issuer; the value is the site's URL."""
    url = f"http://localhost:{free_port()}"
    folder = tmp_path_factory.mktemp("interop")
    with npm_op(require, installed().python, url) as client:
        rendered = render(folder, oidc_provider="other", oidc_op_issuer=client["OIDC_OP_ISSUER"])
        env = rendered / ".env"
        text = env.read_text()
        for name, value in {**client, "SITE_URL": url}.items():
            text = re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        env.write_text(text)
        site = Site(rendered, installed().python)
        with site.running("uv", "run", "manage.py", "dev", url=url) as server:
            yield url, server


def test_login_and_logout(site, page) -> None:
    url, server = site
    page.goto(f"{url}/profile/")
    sign_in(page, "nora")
    page.wait_for_url(f"{url}/profile/")
    assert "nora@example.org" in page.inner_text("main")
    page.goto(url)
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    page.wait_for_url(f"{url}/**")
    assert page.get_by_role("link", name="Log in").is_visible()
    page.goto(f"{url}/profile/")
    assert page.locator("input[name=login]").is_visible()
    assert "Traceback" not in server.log.read_text()


def test_a_logout_at_the_op_ends_the_session_here_over_the_back_channel(site, page) -> None:
    url, server = site
    page.goto(f"{url}/profile/")
    issuer = re.match(r"http://localhost:\d+", page.url)[0]
    sign_in(page, "nora")
    page.wait_for_url(f"{url}/profile/")
    tab = page.context.new_page()
    tab.goto(f"{issuer}/session/end")
    tab.get_by_role("button", name="Yes, sign me out").click()
    tab.wait_for_url(f"{issuer}/session/end/success**")
    # The OP has sent the logout token before it answered, and the browser still has the site's cookie.
    assert "sessionid" in {cookie["name"] for cookie in page.context.cookies(url)}
    page.goto(url)
    assert page.get_by_role("link", name="Log in").is_visible()
    assert re.search(r"logout.* sessions=1 ", server.log.read_text())


def test_a_logout_at_the_op_leaves_the_sessions_of_other_browsers_alone(site, page, chromium) -> None:
    url, _ = site
    elsewhere = chromium.new_context().new_page()
    for tab in (page, elsewhere):
        tab.goto(f"{url}/profile/")
        sign_in(tab, "nora")
        tab.wait_for_url(f"{url}/profile/")
    page.goto(url)
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    page.wait_for_url(f"{url}/**")
    elsewhere.reload()
    assert "nora@example.org" in elsewhere.inner_text("main")
    elsewhere.context.close()

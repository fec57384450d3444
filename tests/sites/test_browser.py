"""What people do: start the site as its README says, log in and out in a real browser, press Ctrl-C."""

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests import pythons
from tests.rendering import REPOSITORY
from tests.sites.site import Running, Site, free_port, is_free

DEV_COMMAND = "uv run manage.py dev"
LOG_IN = "Log in"


@dataclass(frozen=True)
class Development:
    """A site that `manage.py dev` runs together with its sign-in service, both on ports of their own."""

    site: Site
    server: Running
    url: str
    op_url: str

    @property
    def ports(self) -> list[int]:
        return [int(url.rpartition(":")[2]) for url in (self.url, self.op_url)]


def readme_command(readme: Path) -> list[str]:
    """Return the first command of a README's first code block."""
    command = re.search(r"```\n(.+?)\n", readme.read_text())[1]
    assert command == DEV_COMMAND
    return command.split()


def free_urls() -> dict[str, str]:
    """Return the variables that move a site and its sign-in service to free ports, whatever else runs here."""
    return {"SITE_URL": f"http://localhost:{free_port()}", "OIDC_OP_ISSUER": f"http://localhost:{free_port()}"}


@pytest.fixture(scope="module", params=["django", "jinja2"])
def dev(request, installed) -> Iterator[Development]:
    site = installed() if request.param == "django" else installed(template_engine="jinja2")
    urls = free_urls()
    with site.running(*readme_command(site.folder / "README.md"), url=urls["SITE_URL"], **urls) as server:
        yield Development(site, server, urls["SITE_URL"], urls["OIDC_OP_ISSUER"])


def log_in(dev: Development, page, sub: str) -> None:
    page.goto(dev.url)
    page.get_by_role("link", name=LOG_IN).click()
    page.wait_for_url(f"{dev.op_url}/**")
    page.locator(f"button[name=sub][value='{sub}']").click()
    page.wait_for_url(f"{dev.url}/**")


def test_a_person_logs_in_sees_the_profile_and_logs_out(dev: Development, page) -> None:
    errors = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    log_in(dev, page, "staff")
    assert "Current user: sam@example.org" in page.inner_text("main")
    page.goto(f"{dev.url}/profile/")
    assert "Sam Staff" in page.inner_text("main")
    page.goto(f"{dev.url}/admin/")
    assert page.url == f"{dev.url}/admin/"
    page.goto(dev.url)
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{dev.url}/**")
    assert page.get_by_role("link", name=LOG_IN).is_visible()
    # The sign-in service was told too: it asks again.
    page.get_by_role("link", name=LOG_IN).click()
    assert page.locator("button[name=sub]").first.is_visible()
    assert errors == []


def test_the_sign_in_service_knows_who_is_logged_in_and_asks_nothing(dev: Development, page) -> None:
    log_in(dev, page, "staff")
    page.context.clear_cookies(name="sessionid")
    page.goto(f"{dev.url}/profile/")
    assert page.url == f"{dev.url}/profile/"


def test_pages_work_by_keyboard_and_keep_within_a_phone(dev: Development, page) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(dev.url)
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to content"
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_a_failed_login_is_explained_to_people_and_developers(dev: Development, page) -> None:
    page.goto(f"{dev.url}/oidc/callback/?code=x&state=y")
    assert page.get_by_role("heading", level=1).is_visible()
    assert "attempt_unknown" in page.inner_text("main")
    page.get_by_role("link", name="Try again").click()
    page.wait_for_url(f"{dev.op_url}/**")


def test_a_change_is_served_without_a_restart(dev: Development) -> None:
    views = dev.site.folder / "pages" / "views.py"
    before = views.read_text()
    views.write_text(before + '\nhome = lambda request: HttpResponse("changed")\n')
    try:
        assert any(home_page(dev.url) == "changed" for _ in range(150))
    finally:
        views.write_text(before)


def home_page(url: str) -> str:
    """Return the home page, "" while the server restarts; a moment later in any case."""
    time.sleep(0.2)
    try:
        return requests.get(url, timeout=5).text
    except requests.ConnectionError:
        return ""


def test_ctrl_c_ends_site_and_op(dev: Development) -> None:
    assert dev.server.interrupt() == 0
    assert "Traceback" not in dev.server.log.read_text()
    assert all(map(is_free, dev.ports))


def test_the_log_of_a_login_holds_no_code_and_no_secret(dev: Development) -> None:
    log = dev.server.log.read_text()
    assert "GET /oidc/callback/" in log
    assert not re.search(r"code=(?!\[\.\.\.\])", log)
    secrets = [line.split("=")[1] for line in (dev.site.folder / ".env").read_text().splitlines() if "SECRET" in line]
    assert not any(secret and secret in log for secret in secrets)


def test_make_demo_renders_installs_and_starts_the_default_site_and_keeps_edits(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], check=True)
    demo = Site(clone, pythons.at_least((3, 11)))
    urls = free_urls()
    command = ["make", "demo", f"PYTHON={demo.python}"]
    with demo.running(*command, url=urls["SITE_URL"], **urls):
        assert re.search(LOG_IN, requests.get(urls["SITE_URL"], timeout=5).text)
    page = next((clone / "demo" / "my_site" / "templates").glob("home.html"))
    page.write_text("Edited")
    with demo.running(*command, url=urls["SITE_URL"], **urls) as again:
        assert requests.get(urls["SITE_URL"], timeout=5).text == "Edited"
    assert "is kept as it is" in again.log.read_text()

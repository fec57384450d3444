"""What people do: start the site as its README says, log in and out in a real browser, press Ctrl-C."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.rendering import REPOSITORY
from tests.sites import Running, Site, interpreter, is_free

SITE_URL = "http://localhost:8000"
DEV_COMMAND = "uv run manage.py dev"


def readme_command(readme: Path) -> list[str]:
    """Return the first command of a README's first code block."""
    command = re.search(r"```\n(.+?)\n", readme.read_text())[1]
    assert command == DEV_COMMAND
    return command.split()


@pytest.fixture(scope="module", params=["django", "jinja2"])
def dev(request, installed, require) -> Iterator[tuple[Site, Running]]:
    require(is_free(8000) and is_free(9400), "port 8000 or 9400 is taken")
    site = installed() if request.param == "django" else installed(template_engine="jinja2")
    with site.running(*readme_command(site.folder / "README.md"), url=SITE_URL) as server:
        yield site, server


def log_in(page, sub: str) -> None:
    page.goto(SITE_URL)
    page.get_by_role("link", name="Login").click()
    page.wait_for_url("http://localhost:9400/**")
    page.locator(f"button[name=sub][value='{sub}']").click()
    page.wait_for_url(f"{SITE_URL}/**")


def test_a_person_logs_in_sees_the_profile_and_logs_out(dev, page) -> None:
    errors = []
    page.on("console", lambda message: errors.append(message) if message.type == "error" else None)
    log_in(page, "staff")
    assert "Current user: sam@example.org" in page.inner_text("main")
    page.get_by_role("link", name="Profile").click()
    assert "Sam Staff" in page.inner_text("main")
    page.get_by_role("link", name="Admin").click()
    assert page.url == f"{SITE_URL}/admin/"
    page.goto(SITE_URL)
    page.get_by_role("button", name="Logout").click()
    leave_op(page)
    page.wait_for_url(f"{SITE_URL}/**")
    assert page.get_by_role("link", name="Login").is_visible()
    # The development OP's page loads a stylesheet from elsewhere; ours may not.
    assert [error.text for error in errors if error.location["url"].startswith(SITE_URL)] == []


def leave_op(page) -> None:
    """Confirm the logout at the OP where it asks."""
    if page.url.startswith("http://localhost:9400/"):
        page.locator("button").first.click()


def test_pages_work_by_keyboard_and_keep_within_a_phone(dev, page) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(SITE_URL)
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to content"
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(dev, page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(SITE_URL)
    colours = "element => [getComputedStyle(element).color, getComputedStyle(element).backgroundColor]"
    for selector in ("body", ".button"):
        assert contrast(*page.locator(selector).first.evaluate(colours)) >= 4.5


def contrast(*colours: str) -> float:
    """Return the contrast ratio of two CSS colours (WCAG 2.2, 1.4.3)."""

    def luminance(colour: str) -> float:
        channels = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted(map(luminance, colours))
    return (lighter + 0.05) / (darker + 0.05)


def test_a_failed_login_is_explained_to_people_and_developers(dev, page) -> None:
    page.goto(f"{SITE_URL}/oidc/callback/?code=x&state=y")
    assert page.get_by_role("heading", level=1).inner_text() == "Sign-in failed"
    assert "attempt_unknown" in page.inner_text("main")
    page.get_by_role("link", name="Try again").click()
    page.wait_for_url("http://localhost:9400/**")


def test_a_change_is_served_without_a_restart(dev, page) -> None:
    site, _ = dev
    views = site.folder / "pages" / "views.py"
    before = views.read_text()
    views.write_text(before + '\nhome = lambda request: HttpResponse("changed")\n')
    try:
        assert any(home_page() == "changed" for _ in range(150))
    finally:
        views.write_text(before)


def home_page() -> str:
    """Return the home page, "" while the server restarts; a moment later in any case."""
    time.sleep(0.2)
    try:
        return requests.get(SITE_URL, timeout=5).text
    except requests.ConnectionError:
        return ""


def test_ctrl_c_ends_site_and_op(dev) -> None:
    _, server = dev
    assert server.interrupt() == 0
    assert "Traceback" not in server.log.read_text()
    assert is_free(8000)
    assert is_free(9400)


def test_the_log_of_a_login_holds_no_code_and_no_secret(dev) -> None:
    site, server = dev
    log = server.log.read_text()
    assert "GET /oidc/callback/" in log
    assert "code=" not in log
    secrets = [line.split("=")[1] for line in (site.folder / ".env").read_text().splitlines() if "SECRET" in line]
    assert not any(secret and secret in log for secret in secrets)


def test_make_demo_renders_installs_and_starts_the_default_site(require, tmp_path: Path) -> None:
    require(is_free(8000) and is_free(9400), "port 8000 or 9400 is taken")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], check=True)
    demo = Site(clone, interpreter((3, 11)))
    with demo.running("make", "demo", f"PYTHON={demo.python}", url=SITE_URL):
        assert "Login" in requests.get(SITE_URL, timeout=5).text
    assert is_free(8000)

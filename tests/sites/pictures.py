"""`python -m tests.sites.pictures` takes the pictures of README.md and docs/ from a default site that runs."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.rendering import REPOSITORY, render
from tests.sites.site import Site, free_port

FOLDER = REPOSITORY / "docs" / "pictures"
SIZE = {"width": 800, "height": 680}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Render and start a site, and write one PNG file for each page."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not executable:
        sys.exit(f"No browser on the PATH: install one of {', '.join(BROWSERS)}.")
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = Site(render(Path(folder)), sys.executable)
        urls = {"SITE_URL": f"http://localhost:{free_port()}", "OIDC_OP_ISSUER": f"http://localhost:{free_port()}"}
        with site.running("uv", "run", "manage.py", "dev", url=urls["SITE_URL"], **urls):
            browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
            take(browser.new_page(viewport=SIZE, color_scheme="light"), urls["SITE_URL"])
            browser.close()


def take(page: Any, url: str) -> None:
    """Walk through a site that `manage.py dev` runs at `url` as a newcomer does."""
    page.goto(url)
    save(page, "start")
    page.get_by_role("link", name="Log in").click()
    page.locator("button[name=sub]").first.wait_for()
    save(page, "login")
    page.locator("button[name=sub][value='staff']").click()
    page.wait_for_url(f"{url}/**")
    page.goto(f"{url}/oidc/logins/")
    # A login is longer than a picture; this is where claims become rights.
    page.get_by_role("heading", name="verify_claims lets the person in").evaluate("heading => heading.scrollIntoView()")
    save(page, "inspector")
    page.get_by_role("button", name="Log out").click()
    page.goto(f"{url}/oidc/callback/?code=forged&state=forged")
    save(page, "failed")


def save(page: Any, name: str) -> None:
    page.screenshot(path=FOLDER / f"{name}.png")
    print(f"docs/pictures/{name}.png")


if __name__ == "__main__":
    main()

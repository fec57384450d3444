import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rendering import render
from tests.sites import Site, interpreter


@pytest.fixture(scope="session")
def require() -> Callable[[object, str], None]:
    """Skip where something is missing on a developer's machine; in CI that is a failure."""

    def check(found: object, missing: str) -> None:
        if not found:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)

    return check


@pytest.fixture(scope="session")
def installed(tmp_path_factory, require) -> Callable[..., Site]:
    """Return a function that renders and installs a site, once per set of answers."""
    sites: dict[tuple, Site] = {}

    def install(**answers: object) -> Site:
        key = tuple(sorted(answers.items()))
        if key not in sites:
            newest = (3, 12) if answers.get("django_version") == "6.1" else (3, 11)
            python = interpreter(newest)
            require(python, f"no Python {newest[0]}.{newest[1]} or newer")
            site = Site(render(tmp_path_factory.mktemp("site"), **answers), python)
            site.run("uv", "sync", "--quiet")
            sites[key] = site
        return sites[key]

    return install


@pytest.fixture(scope="session")
def chromium(require) -> Iterator:
    """A headless Chromium, driven by Playwright."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    require(executable, "no Chromium on the PATH")
    from playwright.sync_api import sync_playwright

    flags = [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ]  # fmt: skip
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium) -> Iterator:
    """A page in a browser profile of its own."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def git_repository(tmp_path_factory) -> Callable[[Path], None]:
    """Return a function that makes a folder a git repository with everything staged."""

    def make(folder: Path) -> None:
        for command in (["init", "--quiet"], ["add", "-A"]):
            subprocess.run(["git", *command], cwd=folder, check=True)

    return make

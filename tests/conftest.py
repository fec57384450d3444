import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import pythons
from tests.rendering import SITE, render
from tests.sites.keycloak import Keycloak, unpacked
from tests.sites.keycloak import keycloak as run_keycloak
from tests.sites.site import Site
from tests.untested import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

# Whatever lies in the site's source is rendered, and tests import its relying party from there.
sys.dont_write_bytecode = True


def pytest_sessionstart() -> None:
    """Remove what tools have left in the site's source."""
    for name in ("__pycache__", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"):
        for folder in SITE.rglob(name):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def require() -> Callable[[object, str], None]:
    """Skip where something is missing on a developer's machine; in CI that is a failure."""

    def check(found: object, missing: str) -> None:
        if not found:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)

    return check


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, require: Callable[[object, str], None]) -> Callable[..., Site]:
    """Return a function that renders and installs a site, once per set of answers; tests leave it as it is."""
    sites: dict[tuple[tuple[str, object], ...], Site] = {}

    def install(**answers: object) -> Site:
        key = tuple(sorted(answers.items()))
        if key not in sites:
            oldest = (3, 12) if answers.get("django_version") == "6.1" else (3, 11)
            python = pythons.at_least(oldest)
            require(python, f"no Python {oldest[0]}.{oldest[1]} or newer")
            site = Site(render(tmp_path_factory.mktemp("site"), **answers), str(python))
            site.run("uv", "sync", "--quiet", "--compile-bytecode")
            sites[key] = site
        return sites[key]

    return install


@pytest.fixture(scope="session")
def keycloak_home(require: Callable[[object, str], None]) -> Iterator[Path]:
    """The folder of a Keycloak that is ready to run."""
    with unpacked(require) as home:
        yield home


@pytest.fixture(scope="session")
def keycloak(keycloak_home: Path) -> Iterator[Keycloak]:
    """A real Keycloak, the same for all tests: `keycloak.realm_for(site_url)` makes a realm with a client."""
    with run_keycloak(keycloak_home) as running:
        yield running


@pytest.fixture(scope="session")
def chromium(require: Callable[[object, str], None]) -> Iterator:
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
def git_repository() -> Callable[..., None]:
    """Return a function that commits everything in a folder, which becomes a git repository if it is none."""

    def commit(folder: Path, message: str = "first") -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        if not (folder / ".git").exists():
            subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
        subprocess.run(["git", *identity, "commit", "--quiet", "-m", message], cwd=folder, check=True)

    return commit

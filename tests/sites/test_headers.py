"""The headers of each kind of page in production, and a nonce that lets one script run and no other."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sites.site import Site
from tests.sites.test_sites import PRODUCTION

INSIDE = Path(__file__).with_name("headers_of_pages.py")


@pytest.mark.parametrize("answers", [{}, {"django_version": "6.1"}], ids=["django 5.2", "django 6.1"])
def test_headers_and_nonces(installed: Callable[..., Site], answers: dict[str, str], tmp_path: Path, page) -> None:
    site, written = installed(**answers), tmp_path / "page.json"
    environment = PRODUCTION | {"NONCE_PAGE": str(written), "FORWARDED_ALLOW_IPS": "10.0.0.1"}
    environment |= {"ENV_FILE": "/dev/null", "DJANGO_SETTINGS_MODULE": "config.settings"}
    inside = Path(shutil.copy(INSIDE, tmp_path))
    options = ["-q", "--color=no", "-p", "no:cacheprovider", f"--rootdir={site.folder}"]
    site.run("uv", "run", "manage.py", "collectstatic", "--no-input", **environment)
    command = ["uv", "run", "python", "-m", "pytest", "-c", "pyproject.toml", *options, str(inside)]
    assert int(re.search(r"(\d+) passed", site.run(*command, **environment))[1]) == 24
    # The browser itself judges the page.
    made = json.loads(written.read_text())
    headers = {"Content-Security-Policy": made["policy"], "Content-Type": "text/html"}
    page.route("**/*", lambda route: route.fulfill(body=made["html"], headers=headers))
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto("http://localhost:1/")
    assert page.title() == "yes"
    assert "Content Security Policy" in "".join(said)

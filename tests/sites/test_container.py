"""The image of a site: small, without privilege, and ready for production."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.sites import images
from tests.sites.images import confined, podman
from tests.sites.site import free_port
from tests.sites.test_sites import PRODUCTION

# What a Django site has at least, in one stage: the measure for the size of ours.
PLAIN = """
ARG BASE
FROM ${BASE}
RUN python3 -m venv /app && /app/bin/pip install --no-cache-dir django gunicorn "psycopg[binary]"
CMD ["/app/bin/gunicorn"]
"""
BUILD_TOOLS = ("cc", "gcc", "git", "make", "uv", "curl", "apt-get")
PROGRAMS = "for program in {}; do command -v $program; done; true"


@dataclass(frozen=True)
class Image:
    name: str
    base: str
    plain: str

    def run(self, *command: str, options: tuple[str, ...] = (), **changes: str) -> str:
        """Run a command in the confined image and return its output."""
        return podman(*confined(self.name, PRODUCTION | changes, "--rm", *options), *command)


@pytest.fixture(scope="module")
def image(installed, tmp_path_factory, require) -> Iterator[Image]:
    folder = tmp_path_factory.mktemp("plain")
    (folder / "Dockerfile").write_text(PLAIN)
    with images.removed_at_the_end() as built:
        base = images.base_image(require)
        built.append(base)
        for place, name in ((folder, "plain"), (installed().folder, "site")):
            built.append(
                images.build(place, f"localhost/{name}-of-tests:{os.getpid()}", base, "--build-arg=VERSION=1.2.3")
            )
        yield Image(built[2], base, built[1])


@pytest.fixture
def database(tmp_path: Path) -> tuple[str, ...]:
    """The options that give a container a folder to keep a database in."""
    tmp_path.chmod(0o777)
    return (f"--volume={tmp_path}:/database", "--env=DATABASE_URL=sqlite:////database/db.sqlite3")


def test_production_has_no_warning_in_the_image(image: Image) -> None:
    image.run("python", "manage.py", "check", "--deploy", "--fail-level", "WARNING")


def test_it_runs_without_root_and_has_no_build_tools(image: Image) -> None:
    assert image.run("id", "-u") == "10001"
    assert image.run("sh", "-c", PROGRAMS.format(" ".join(BUILD_TOOLS))) == ""
    assert "Read-only" in image.run("sh", "-c", "touch /app/x /tmp/x 2>&1 || true")
    # Even where the file system could be written to, the code is not the site's own to change.
    assert image.run("find", "/app", "/opt", "-writable", "-not", "-type", "l") == ""


def test_it_has_what_a_site_in_production_runs_and_no_more(image: Image) -> None:
    files = set(image.run("ls", "-A", "/app", "/app/oidc").split())
    assert {"accounts", "config", "oidc", "gunicorn.conf.py", "manage.py", "staticfiles"} < files
    assert not files & {".env", ".env.example", ".git", "dev", "deploy", "tests", "testing", "Dockerfile"}
    packages = image.run("python", "-c", "import importlib.metadata as m; print(*(d.name for d in m.distributions()))")
    assert "gunicorn" in packages
    assert not {"pytest", "mypy", "ruff", "uv"} & set(packages.split())


def test_static_files_are_there_with_a_compressed_copy_of_each_stylesheet(image: Image) -> None:
    files = image.run("find", "/app/staticfiles", "-type", "f").splitlines()
    styles = [file for file in files if file.endswith(".css")]
    assert len(styles) > 10
    assert {f"{file}.gz" for file in styles} <= set(files)


def test_it_says_what_it_is(image: Image) -> None:
    config = json.loads(podman("image", "inspect", image.name))[0]["Config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "my_site"
    assert labels["org.opencontainers.image.version"] == "1.2.3"
    assert not [word for word in config["Env"] if word.startswith(("SECRET_KEY", "OIDC_"))]


def test_it_migrates_serves_says_that_it_is_healthy_and_stops_at_once(image: Image, database) -> None:
    image.run("python", "manage.py", "migrate", "--no-input", options=database)
    url = f"http://127.0.0.1:{free_port()}"
    bind = {"BIND": url.removeprefix("http://")}
    container = podman(*confined(image.name, PRODUCTION | bind, "--detach", *database, "--tmpfs=/tmp")).splitlines()[-1]
    try:
        for _ in range(100):
            try:
                ready = requests.get(f"{url}/readyz", timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.2)
        assert ready.text == "ok\n"
        podman("healthcheck", "run", container)
        assert (
            requests.get(url, headers={"Host": "www.example.org"}, allow_redirects=False, timeout=5).status_code == 301
        )
        before = time.monotonic()
        podman("stop", "--time", "60", container)
        assert time.monotonic() - before < 15
        assert podman("inspect", "--format", "{{ .State.ExitCode }}", container) == "0"
        log = podman("logs", container)
    finally:
        podman("rm", "--force", container)
    assert "Traceback" not in log


def test_the_image_is_hardly_larger_than_the_least_that_django_needs(image: Image, record_property) -> None:
    sizes = {name: images.size(getattr(image, name)) / 1e6 for name in ("base", "plain", "name")}
    for name, megabytes in sizes.items():
        record_property(f"{name}_megabytes", round(megabytes))
    print({name: f"{megabytes:.0f} MB" for name, megabytes in sizes.items()})
    assert sizes["name"] - sizes["base"] < 1.5 * (sizes["plain"] - sizes["base"]), sizes

"""The site as production serves it: gunicorn with gunicorn.conf.py, WhiteNoise with compressed files."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from django.conf import settings

pytestmark = pytest.mark.slow
GUNICORN = [sys.executable, "-m", "gunicorn", "config.wsgi"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Start gunicorn; the value is its URL and its log."""
    pytest.importorskip("gunicorn", reason="gunicorn does not run on Windows")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "SITE_URL": f"http://localhost:{port}",
        "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
        "STATIC_ROOT": str(tmp_path / "static"),
        "BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": "1",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    run = {"cwd": settings.BASE_DIR, "env": environment}
    for command in ("migrate", "collectstatic"):
        subprocess.run([sys.executable, "manage.py", command, "--no-input", "-v0"], check=True, **run)
    log = tmp_path / "log"
    with log.open("w") as output:
        server = subprocess.Popen(GUNICORN, stdout=output, stderr=output, **run)
        try:
            wait_for(f"http://localhost:{port}/healthz", log)
            yield f"http://localhost:{port}", log
        finally:
            server.terminate()
            server.wait(20)


def wait_for(url: str, log: Path) -> None:
    for _ in range(200):
        try:
            requests.get(url, timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(log.read_text())


def is_logged(text: str, log: Path) -> bool:
    """Tell whether a text comes into the log; gunicorn writes a request's line after its answer."""
    for _ in range(50):
        if text in log.read_text():
            return True
        time.sleep(0.1)
    return False


def test_gunicorn_serves_pages_static_files_and_no_query_in_its_log(served: tuple[str, Path]) -> None:
    url, log = served
    page = requests.get(url, headers={"Accept-Encoding": "gzip"}, timeout=5)
    assert page.status_code == 200
    stylesheet = page.text.split('rel="stylesheet" href="')[1].split('"')[0]
    static = requests.get(url + stylesheet, headers={"Accept-Encoding": "gzip"}, timeout=5)
    assert static.headers["Content-Encoding"] == "gzip"
    assert "immutable" in static.headers["Cache-Control"]
    assert requests.get(f"{url}/oidc/callback/?code=a-code&state=a-state", timeout=5).status_code == 400
    assert is_logged('"GET /oidc/callback/"', log)
    assert "a-code" not in log.read_text()


def test_nobody_can_write_lines_of_the_access_log(served: tuple[str, Path]) -> None:
    url, log = served
    requests.get(f"{url}/x%22%0Aforged%1B", timeout=5)
    assert is_logged("/x%22%0Aforged%1B", log)
    assert not [line for line in log.read_text().splitlines() if line.startswith("forged")]


def test_gunicorn_says_what_is_wrong_with_the_environment() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OIDC_")}
    environment |= {"DJANGO_SETTINGS_MODULE": "config.settings", "ENV_FILE": os.devnull}
    result = subprocess.run(GUNICORN, cwd=settings.BASE_DIR, env=environment, capture_output=True, timeout=30)
    assert result.returncode != 0
    assert b"OIDC_OP_ISSUER is not set" in result.stderr
    assert b"Traceback" not in result.stderr

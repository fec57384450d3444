"""`response_mode=form_post` with the OP on another site, in a real browser: its cookies are what this is about.

To Chromium http://localhost and http://127.0.0.1 are two sites, and it keeps Secure cookies of both.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from oidc.testing.op import OP, PERSON
from tests.sites.site import Site, free_port

SETTINGS = """
from config.settings import *

OIDC_RESPONSE_MODE = "form_post"
OIDC_RENEWAL_GRACE_SECONDS = 0
"""


@contextmanager
def running(site: Site, folder, seconds: int) -> Iterator[OP]:
    """Run the site with sessions that have to be renewed after `seconds`; the value is its OP, on another site."""
    (folder / "form_post.py").write_text(SETTINGS)
    url = f"http://localhost:{(port := free_port())}"
    with OP(site_url=url) as op:
        environment = {
            "SITE_URL": url,
            "BIND": f"127.0.0.1:{port}",
            "WEB_CONCURRENCY": "1",
            "DEBUG": "true",
            "SECRET_KEY": "of-this-test-only",
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "OIDC_OP_ISSUER": op.issuer,
            "OIDC_RP_CLIENT_ID": op.client[0],
            "OIDC_RP_CLIENT_SECRET": op.client[1],
            "OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS": str(seconds),
            "PYTHONPATH": str(folder),
            "DJANGO_SETTINGS_MODULE": "form_post",
        }
        site.run("uv", "run", "manage.py", "migrate", **environment)
        with site.running("uv", "run", "gunicorn", "config.wsgi", url=url, **environment) as server:
            yield op
            # Not by Ctrl-C: gunicorn's threaded worker then often hangs until its master kills it.
            server.end()


@pytest.fixture(scope="module")
def op(tmp_path_factory, installed) -> Iterator[OP]:
    with running(installed(), tmp_path_factory.mktemp("form_post"), seconds=3) as op:
        yield op


def log_in(page, op: OP) -> None:
    page.goto(f"{op.site_url}/oidc/authenticate/?next=/profile/")
    page.locator(f"button[name=sub][value='{PERSON['sub']}']").click()
    page.wait_for_url(f"{op.site_url}/profile/")


def test_a_login_comes_back_by_a_form_of_another_site(op: OP, page) -> None:
    posts = []
    page.on("request", lambda request: request.method == "POST" and posts.append(request.url))
    log_in(page, op)
    assert urlsplit(op.issuer).hostname != urlsplit(op.site_url).hostname
    assert f"{op.site_url}/oidc/callback/" in posts
    assert PERSON["email"] in page.inner_text("main")


def test_a_silent_renewal_comes_back_to_its_page_and_does_not_loop(op: OP, page) -> None:
    log_in(page, op)
    visited = []
    page.on("request", lambda request: visited.append(request))
    for _ in range(2):
        page.wait_for_timeout(3100)
        visited.clear()
        page.goto(f"{op.site_url}/profile/?tab=groups")
        assert page.url == f"{op.site_url}/profile/?tab=groups"
        assert PERSON["email"] in page.inner_text("main")
        silent = [request.url for request in visited if "prompt=none" in request.url]
        callbacks = [request.method for request in visited if "/oidc/callback/" in request.url]
        assert (len(silent), callbacks) == (1, ["GET"])


def test_a_person_who_is_logged_out_at_the_op_logs_in_again_by_a_form(op: OP, page) -> None:
    log_in(page, op)
    op.end_sessions(PERSON["sub"])
    page.wait_for_timeout(3100)
    page.goto(f"{op.site_url}/profile/?tab=groups")
    page.locator(f"button[name=sub][value='{PERSON['sub']}']").click()
    page.wait_for_url(f"{op.site_url}/profile/?tab=groups")
    assert PERSON["email"] in page.inner_text("main")

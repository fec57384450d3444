"""A site in production whose PostgreSQL restarts, and whose Redis restarts, is gone, or hangs."""

import os
import re
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest
import requests

from oidc.testing.browser import Browser
from oidc.testing.op import OP, slow
from tests.sites import services
from tests.sites.site import Site, free_port

PEOPLE = 24


@dataclass
class Part:
    """A server that can be stopped, and started again on the same port."""

    run: Callable[[], AbstractContextManager[str]]
    stack: ExitStack = field(default_factory=ExitStack)
    url: str = ""

    def start(self) -> None:
        self.url = self.stack.enter_context(self.run())

    def stop(self) -> None:
        self.stack.close()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.stop()
        yield
        self.start()


@dataclass(frozen=True)
class Running:
    """The site, its parts and its OP."""

    database: Part
    cache: Part
    op: OP
    site: Site
    environment: dict[str, str]

    def browser(self, sid: str = "") -> Browser:
        """Return the browser of a person who is logged in, with a name for the session at the OP if there is one."""
        self.op.claims.update({"sid": sid} if sid else {})
        browser = Browser(self.op, url=self.op.site_url)
        browser.log_in()
        self.op.claims.clear()
        assert browser.is_signed_in
        return browser

    def send_logout_token(self, **names: str) -> int:
        form = {"logout_token": self.op.logout_token(**names)}
        return requests.post(f"{self.op.site_url}/oidc/backchannel-logout/", form, timeout=30).status_code


@pytest.fixture(scope="module")
def running(installed, require) -> Iterator[Running]:
    for program in ("postgres", "redis-server"):
        require(services.find(program), f"no {program}")
    site: Site = installed()
    url, database_port, cache_port = f"http://localhost:{(port := free_port())}", free_port(), free_port()
    with ExitStack() as stack:
        files = stack.enter_context(services.cluster())
        database = Part(lambda: services.postgresql(files, database_port))
        cache = Part(lambda: services.redis(cache_port))
        for part in (database, cache):
            stack.callback(part.stop)
            part.start()
        op = stack.enter_context(OP(site_url=url))
        environment = {
            "DEBUG": "false",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "SITE_URL": url,
            "BIND": f"127.0.0.1:{port}",
            "WEB_CONCURRENCY": "1",
            "DATABASE_URL": database.url,
            "CACHE_URL": f"{cache.url}?max_connections=50",  # in addition to the limits of the site
            "OIDC_OP_ISSUER": op.issuer,
            "OIDC_RP_CLIENT_ID": op.client[0],
            "OIDC_RP_CLIENT_SECRET": op.client[1],
        }
        for command in (["migrate"], ["collectstatic", "--no-input"]):
            site.run("uv", "run", "manage.py", *command, **environment)
        server = stack.enter_context(site.running("uv", "run", "gunicorn", "config.wsgi", url=url, **environment))
        yield Running(database, cache, op, site, environment)
        # Not by Ctrl-C: gunicorn's threaded worker then often hangs until its master kills it.
        server.end()


def statuses(browser: Browser, pages: int = 16) -> set[int]:
    """Return the statuses of pages that are loaded at once, so that many threads have a connection each."""
    headers = {"Cookie": "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.at_site.cookies)}
    url = f"{browser.url}/profile/"

    def load(_: int) -> int:
        return requests.get(url, headers=headers, allow_redirects=False, timeout=60).status_code

    with ThreadPoolExecutor(pages) as threads:
        return set(threads.map(load, range(pages)))


def test_no_page_and_no_login_fails_after_a_restart_of_the_database(running: Running) -> None:
    browser = running.browser()
    assert statuses(browser) == {200}
    with running.database.stopped():
        pass
    assert statuses(browser) == {200}
    assert running.browser().is_signed_in


def test_a_site_that_was_asked_while_the_database_was_down_is_back_with_it(running: Running) -> None:
    browser = running.browser()
    with running.database.stopped():
        assert statuses(browser, 2) == {500}
        migrated = running.site.try_to_run("uv", "run", "manage.py", "migrate", **running.environment)
        assert migrated.returncode == 1
        assert "DATABASE_URL" in migrated.stderr.splitlines()[-1]
        assert "Traceback" not in migrated.stderr
        assert requests.get(f"{browser.url}/readyz", timeout=30).status_code == 503
    deadline = time.monotonic() + 60
    while requests.get(f"{browser.url}/readyz", timeout=30).status_code != 200:
        assert time.monotonic() < deadline, "the pool does not connect again"
    assert statuses(browser) == {200}


def test_more_renewals_wait_for_the_op_than_there_are_connections_and_the_database_responds(running: Running) -> None:
    """The pool of a process has 16 of them: who waits gives its own back, and its thread to another request."""
    url = f"http://localhost:{(port := free_port())}"
    with OP(site_url=url) as op, ThreadPoolExecutor(PEOPLE) as threads:
        renewal = {"OIDC_RENEWAL": "refresh_token", "OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS": "1"}
        renewal["OIDC_RP_SCOPES"] = "openid email profile offline_access"
        here = {"SITE_URL": url, "BIND": f"127.0.0.1:{port}", "OIDC_OP_ISSUER": op.issuer, **renewal}
        command = ("uv", "run", "gunicorn", "config.wsgi")
        with running.site.running(*command, url=url, **running.environment | here) as server:
            people = [Browser(op, url=url) for _ in range(PEOPLE)]
            for person in people:
                assert person.come_back(op.grant(person.leave("/profile/").headers["Location"])).status_code == 302
            time.sleep(1)
            op.faults["/token"] = slow
            pages = [threads.submit(person.request, "get", "/profile/") for person in people]
            while len(op.asked("/token")) < 2 * PEOPLE and not all(page.done() for page in pages):
                time.sleep(0.01)
            ready = requests.get(f"{url}/readyz", timeout=30)
            assert (len(op.asked("/token")), ready.status_code) == (2 * PEOPLE, 200)
            assert {page.result(60).status_code for page in pages} == {200}
            server.end()


def test_sessions_and_attempts_survive_a_restart_of_the_cache_that_empties_it(running: Running) -> None:
    browser, other = running.browser(), Browser(running.op, url=running.op.site_url)
    callback = running.op.grant(other.leave("/profile/").headers["Location"])
    with running.cache.stopped():
        pass
    assert statuses(browser) == {200}
    assert other.come_back(callback).headers["Location"] == "/profile/"


def test_pages_logins_and_logouts_go_on_without_the_cache(running: Running) -> None:
    browser = running.browser("sid-without")
    with running.cache.stopped():
        assert statuses(browser) == {200}
        assert running.browser().is_signed_in
        assert requests.get(f"{browser.url}/readyz", timeout=30).text == "ok\ncache: not working\n"
        assert running.send_logout_token(sid="sid-without") == 200
        assert not browser.is_signed_in
    assert not browser.is_signed_in
    assert requests.get(f"{browser.url}/readyz", timeout=30).text == "ok\n"


def test_a_cache_that_hangs_slows_down_a_few_requests_and_a_session_that_ends_meanwhile_stays_ended(
    running: Running,
) -> None:
    browser, ended = running.browser(), running.browser("sid-hanging")
    process = process_of_redis(running.cache.url)
    os.kill(process, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert {browser.get("/profile/").status_code for _ in range(20)} == {200}
        # One that is waited for twice a page takes twenty seconds.
        assert time.monotonic() - began < 10
        assert running.send_logout_token(sid="sid-hanging") == 200
        assert not ended.is_signed_in
    finally:
        os.kill(process, signal.SIGCONT)
    time.sleep(6)  # for so long the cache is left alone
    assert not ended.is_signed_in
    assert statuses(browser) == {200}


def process_of_redis(url: str) -> int:
    with socket.create_connection(("127.0.0.1", int(re.search(r":(\d+)/", url)[1])), 5) as connection:
        connection.sendall(b"INFO server\r\n")
        return int(re.search(rb"process_id:(\d+)", connection.recv(4096))[1])

"""What gunicorn.conf.py promises: no request fails while processes come and go, and Ctrl-C ends them at once."""

import os
import re
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from oidc.testing.browser import Browser
from oidc.testing.op import OP
from tests.sites.site import Running, Site, free_port


@pytest.fixture(scope="module")
def serving(installed, tmp_path_factory) -> Callable:
    """Return a function that runs the default site under gunicorn at `url` until the context ends."""
    site: Site = installed()
    environment = {
        "DEBUG": "false",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('gunicorn')}/db.sqlite3",
        "OIDC_OP_ISSUER": "http://localhost:1",
        "OIDC_RP_CLIENT_ID": "site",
        "OIDC_RP_CLIENT_SECRET": "unused",
    }
    site.run("uv", "run", "manage.py", "migrate", **environment)
    site.run("uv", "run", "manage.py", "collectstatic", "--no-input", **environment)
    gunicorn = str(site.folder / ".venv" / "bin" / "gunicorn")

    @contextmanager
    def run(url: str, *options: str, **changes: str) -> Iterator[Running]:
        bind = {"SITE_URL": url, "BIND": url.replace("http://localhost", "127.0.0.1")}
        with site.running(gunicorn, "config.wsgi", *options, url=url, **{**environment, **bind, **changes}) as server:
            yield server

    return run


def free_url() -> str:
    return f"http://localhost:{free_port()}"


@contextmanager
def load(url: str) -> Iterator[list[int | str]]:
    """Open pages all the time, some on connections that are kept; the value are the statuses and failures so far."""
    seen: list[int | str] = []
    ended = threading.Event()

    def open_pages(is_kept: bool) -> None:
        session = requests.Session()
        while not ended.is_set():
            try:
                seen.append((session if is_kept else requests).get(url, timeout=30).status_code)
            except requests.RequestException as error:
                seen.append(repr(error))

    with ThreadPoolExecutor(4) as threads:
        people = [threads.submit(open_pages, is_kept) for is_kept in (True, False, True, False)]
        try:
            yield seen
        finally:
            ended.set()
            for person in people:
                person.result(60)


def workers(server: Running) -> set[str]:
    return set(re.findall(r"Booting worker with pid: (\d+)", server.log.read_text()))


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it does not come true")


def test_a_reload_under_load_fails_no_request(serving) -> None:
    url = free_url()
    with serving(url) as server, load(url) as seen:
        for turn in (2, 3):
            os.kill(server.process.pid, signal.SIGHUP)
            wait_until(lambda turn=turn: len(workers(server)) >= 2 * turn)
            before = len(seen)
            wait_until(lambda before=before: len(seen) > before + 50)
    assert set(seen) == {200}
    assert len(seen) > 100


def test_a_reload_brings_new_code(serving, installed) -> None:
    views = installed().folder / "pages" / "views.py"
    former, url = views.read_text(), free_url()
    formatter = installed().folder / "oidc" / "logs.py"
    of_formatter = formatter.read_text()
    assert '"level": record.levelname' in of_formatter
    with serving(url) as server:
        assert requests.get(url, timeout=10).status_code == 200
        try:
            views.write_text(
                former + "\n\nfrom django.http import HttpResponse\n\n\n"
                "def home(request):\n    return HttpResponse('new')\n"
            )
            formatter.write_text(of_formatter.replace('"level": record.levelname', '"new": record.levelname'))
            os.kill(server.process.pid, signal.SIGHUP)
            wait_until(lambda: requests.get(url, timeout=10).text == "new")
            wait_until(lambda: '"new": "INFO", "logger": "gunicorn.access"' in server.log.read_text())
        finally:
            views.write_text(former)
            formatter.write_text(of_formatter)


def test_what_is_advised_for_production_is_in_the_log_of_each_start(serving) -> None:
    with serving(free_url()) as server:
        assert re.search(r'"level": "WARNING".*\(oidc\.I001\) CACHE_URL is not set', server.log.read_text())


def test_a_reload_with_a_fault_changes_nothing_and_the_next_one_works(serving, installed) -> None:
    views = installed().folder / "pages" / "views.py"
    former, url = views.read_text(), free_url()
    # One process, which has loaded the site when it serves a page: a second one might load it later.
    with serving(url, "--workers", "1") as server:
        try:
            views.write_text(former + "\nimport a_module_that_is_not_there\n")
            before = set(workers(server))
            os.kill(server.process.pid, signal.SIGHUP)
            wait_until(lambda: "not reloaded" in server.log.read_text())
            assert "a_module_that_is_not_there" in server.log.read_text()
            assert requests.get(url, timeout=10).status_code == 200
            assert set(workers(server)) == before
        finally:
            views.write_text(former)
        os.kill(server.process.pid, signal.SIGHUP)
        wait_until(lambda: set(workers(server)) > before)
        assert requests.get(url, timeout=10).status_code == 200


def test_processes_that_are_recycled_under_load_fail_no_request(serving) -> None:
    url = free_url()
    with serving(url, "--max-requests", "60", "--max-requests-jitter", "0") as server, load(url) as seen:
        wait_until(lambda: len(workers(server)) >= 5)
    assert set(seen) == {200}


def test_a_login_that_waits_for_the_op_is_finished_before_the_process_ends(serving) -> None:
    url = free_url()
    with OP(site_url=url) as op:
        client = {"OIDC_OP_ISSUER": op.issuer, "OIDC_RP_CLIENT_ID": op.client[0], "OIDC_RP_CLIENT_SECRET": op.client[1]}
        with serving(url, **client) as server, ThreadPoolExecutor(1) as elsewhere:
            browser = Browser(op, url=url)
            parameters = op.grant(browser.leave("/profile/").headers["Location"])
            op.latency = 1
            callback = elsewhere.submit(browser.come_back, parameters)
            wait_until(lambda: bool(op.asked("/token")))
            os.kill(server.process.pid, signal.SIGTERM)
            assert callback.result(30).headers["Location"] == "/profile/"
            assert server.process.wait(30) == 0


def test_pages_come_while_more_logins_wait_for_the_op_than_there_are_threads(serving) -> None:
    url = free_url()
    with OP(site_url=url) as op, ThreadPoolExecutor(6) as elsewhere:
        client = {"OIDC_OP_ISSUER": op.issuer, "OIDC_RP_CLIENT_ID": op.client[0], "OIDC_RP_CLIENT_SECRET": op.client[1]}
        with serving(url, "--workers", "1", "--threads", "2", **client):
            people = [Browser(op, url=url) for _ in range(6)]
            parameters = [op.grant(person.leave("/profile/").headers["Location"]) for person in people]
            op.latency = 1
            callbacks = [elsewhere.submit(one.come_back, sent) for one, sent in zip(people, parameters, strict=True)]
            wait_until(lambda: len(op.asked("/token")) == len(people))
            assert [requests.get(url, timeout=30).status_code for _ in range(5)] == [200] * 5
            assert not any(callback.done() for callback in callbacks)
            assert {callback.result(30).headers["Location"] for callback in callbacks} == {"/profile/"}


def test_ctrl_c_ends_it_at_once_under_load_too(serving) -> None:
    for _ in range(4):
        url = free_url()
        with serving(url) as server, load(url) as seen:
            wait_until(lambda seen=seen: len(seen) > 20)
            before = time.monotonic()
            server.interrupt()
            assert time.monotonic() - before < 5
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    ("proxies", "is_believed"),
    [("10.0.0.1, 127.0.0.0/8", True), ("10.0.0.0/8", False), ("", False)],
)
def test_forwarded_headers_count_only_from_the_named_proxies(serving, proxies: str, is_believed: bool) -> None:
    local = free_url()
    with serving(local, SITE_URL="https://www.example.org", FORWARDED_ALLOW_IPS=proxies):
        headers = {"Host": "www.example.org", "X-Forwarded-Proto": "https", "X-Request-ID": "id-of-a-proxy"}
        response = requests.get(local, headers=headers, allow_redirects=False, timeout=10)
    assert response.status_code == (200 if is_believed else 301)
    assert (response.headers["X-Request-ID"] == "id-of-a-proxy") is is_believed


def test_a_proxy_that_is_no_address_is_refused(serving, installed) -> None:
    server = serving(free_url(), FORWARDED_ALLOW_IPS="proxy")
    with pytest.raises(AssertionError, match="'proxy' does not appear to be an IPv4 or IPv6 network") as error, server:
        pass
    assert "Traceback" not in str(error.value)
    result = installed().try_to_run("uv", "run", "manage.py", "check", FORWARDED_ALLOW_IPS="proxy")
    assert "FORWARDED_ALLOW_IPS is wrong: must be addresses or networks" in result.stderr


def test_it_keeps_no_file_in_the_folder_of_the_site(serving, installed, tmp_path: Path) -> None:
    """A read-only root file system, and a home that cannot be written to."""
    home = tmp_path / "home"
    home.mkdir()
    with serving(free_url(), HOME=str(home), XDG_RUNTIME_DIR=str(home)):
        assert list(home.iterdir()) == []

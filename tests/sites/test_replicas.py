"""Two processes of the site behind nginx, with PostgreSQL and Redis: to people and to the OP they are one site."""

import secrets
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Barrier

import pytest
import requests

from oidc.testing.browser import Browser
from oidc.testing.op import DISCOVERY, OP
from tests.sites import services
from tests.sites.site import Running, Site, free_port


@dataclass(frozen=True)
class Replica:
    """One gunicorn with one worker, reached past the proxy."""

    port: int
    server: Running

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Replicas:
    """The site as a whole: its public port, its processes and its OP, which counts what it is asked."""

    port: int
    both: tuple[Replica, Replica]
    op: OP

    def browser(self, at: Replica | None = None) -> Browser:
        """Return the browser of a person whose requests go to one process, or to nginx."""
        return Browser(self.op, url=at.address if at else f"http://127.0.0.1:{self.port}")

    def send_logout_token(self, replica: Replica, token: str) -> int:
        """Send what the OP sends, to one process; return the status."""
        return requests.post(
            f"{replica.address}/oidc/backchannel-logout/",
            data={"logout_token": token},
            headers={"Host": self.op.site_url.removeprefix("http://")},
            timeout=30,
        ).status_code


@pytest.fixture(scope="module")
def site(installed) -> Site:
    return installed()


@pytest.fixture(scope="module")
def database_url(require) -> Iterator[str]:
    require(services.find("postgres"), "no PostgreSQL server")
    with services.postgresql() as url:
        yield url


@pytest.fixture(scope="module")
def production(site: Site, require, database_url: str) -> Iterator[dict[str, str]]:
    """The environment of production, on this machine, with a database that is migrated."""
    require(services.find("redis-server"), "no Redis server")
    require(services.find("nginx"), "no nginx")
    with services.redis() as cache_url:
        environment = {
            "DEBUG": "false",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DATABASE_URL": database_url,
            "CACHE_URL": cache_url,
            "FORWARDED_ALLOW_IPS": "127.0.0.1",
            "WEB_CONCURRENCY": "1",
        }
        for command in (["migrate"], ["collectstatic", "--no-input"]):
            site.run("uv", "run", "manage.py", *command, **environment)
        yield environment


@contextmanager
def running_replicas(site: Site, production: dict[str, str]) -> Iterator[Replicas]:
    port = free_port()
    url = f"http://localhost:{port}"

    @contextmanager
    def replica(port: int, **environment: str) -> Iterator[Replica]:
        command = ("uv", "run", "gunicorn", "config.wsgi")
        with site.running(*command, url=f"http://127.0.0.1:{port}", BIND=f"127.0.0.1:{port}", **environment) as server:
            yield Replica(port, server)
            # Not by Ctrl-C: gunicorn's threaded worker then often hangs until its master kills it.
            if server.process.poll() is None:
                server.end()

    with ExitStack() as stack:
        op = stack.enter_context(OP(site_url=url))
        client = {"OIDC_OP_ISSUER": op.issuer, "OIDC_RP_CLIENT_ID": op.client[0], "OIDC_RP_CLIENT_SECRET": op.client[1]}
        ports = free_port(), free_port()
        first, second = (stack.enter_context(replica(own, **production, **client, SITE_URL=url)) for own in ports)
        stack.enter_context(services.nginx(port, ports))
        yield Replicas(port, (first, second), op)


@pytest.fixture(scope="module")
def running(site: Site, production: dict[str, str]) -> Iterator[Replicas]:
    with running_replicas(site, production) as replicas:
        yield replicas


@pytest.fixture
def replicas(running: Replicas) -> Replicas:
    """Both processes, with an OP that says what it says by itself."""
    running.op.claims.clear()
    return running


@pytest.fixture
def short_lived_replicas(site: Site, production: dict[str, str]) -> Iterator[Replicas]:
    with running_replicas(site, production) as replicas:
        yield replicas


def leave(browser: Browser) -> dict[str, str]:
    """Begin a login and return what the OP sends the browser back with."""
    response = browser.leave("/profile/")
    assert response.status_code == 302, response.text
    return browser.op.grant(response.headers["Location"])


def come_back(browser: Browser, parameters: dict[str, str]) -> None:
    response = browser.come_back(parameters)
    assert (response.status_code, response.headers.get("Location")) == (302, "/profile/"), response.text


def log_in(browser: Browser) -> Browser:
    come_back(browser, leave(browser))
    return browser


def is_signed_in(browser: Browser, at: Replica) -> bool:
    browser.url = at.address
    return browser.is_signed_in


def test_an_attempt_that_starts_on_one_finishes_on_the_other(replicas: Replicas) -> None:
    first, second = replicas.both
    browser = replicas.browser(first)
    parameters = leave(browser)
    browser.url = second.address
    come_back(browser, parameters)


def test_a_callback_is_taken_once_by_both_together(replicas: Replicas) -> None:
    first, second = replicas.both
    browser, thief = replicas.browser(first), replicas.browser(second)
    parameters = leave(browser)
    thief.at_site.cookies.update(browser.at_site.cookies)
    come_back(browser, parameters)
    assert thief.come_back(parameters).status_code == 400


def test_a_session_is_known_to_both(replicas: Replicas) -> None:
    browser = log_in(replicas.browser(replicas.both[0]))
    assert [is_signed_in(browser, replica) for replica in replicas.both] == [True, True]


def test_a_login_through_the_proxy_reaches_both_and_comes_back_to_the_public_address(replicas: Replicas) -> None:
    browser = log_in(replicas.browser())
    assert browser.is_signed_in
    assert replicas.op.asked("/token")[-1].form["redirect_uri"] == f"{replicas.op.site_url}/oidc/callback/"
    assert all('"GET /' in replica.server.log.read_text() for replica in replicas.both)


def test_keys_and_metadata_are_fetched_once_for_both(replicas: Replicas) -> None:
    for replica in replicas.both:
        log_in(replicas.browser(replica))
    # Since they started, whatever tests came before.
    assert [len(replicas.op.asked(path)) for path in (DISCOVERY, "/jwks")] == [1, 1]


def test_a_logout_token_received_by_one_ends_the_session_on_the_other(replicas: Replicas) -> None:
    first, second = replicas.both
    replicas.op.claims["sid"] = "session-1"
    browser = log_in(replicas.browser(first))
    replicas.op.claims["sid"] = "session-2"
    elsewhere = log_in(replicas.browser(first))
    assert replicas.send_logout_token(second, replicas.op.logout_token(sid="session-1")) == 200
    assert not browser.is_signed_in
    assert elsewhere.is_signed_in


def test_a_logout_token_is_obeyed_once_by_both_together(replicas: Replicas) -> None:
    token = replicas.op.logout_token()
    together = Barrier(2)

    def send(replica: Replica) -> int:
        together.wait(30)
        return replicas.send_logout_token(replica, token)

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(send, replicas.both)) == [200, 400]
    assert [replicas.send_logout_token(replica, token) for replica in replicas.both] == [400, 400]


def test_killing_one_between_the_legs_loses_no_login_and_no_session(short_lived_replicas: Replicas) -> None:
    replicas = short_lived_replicas
    doomed, other = replicas.both
    member = log_in(replicas.browser(doomed))
    people = [replicas.browser(doomed) for _ in range(6)]
    callbacks = [leave(person) for person in people]
    doomed.server.end(signal.SIGKILL)
    for person, parameters in zip(people, callbacks, strict=True):
        person.url = replicas.browser().url
        come_back(person, parameters)
    assert all(is_signed_in(person, other) for person in [member, *people])


def test_both_are_ready_with_postgresql_and_redis(replicas: Replicas) -> None:
    assert [replicas.browser(replica).get("/readyz").text for replica in replicas.both] == ["ok\n", "ok\n"]

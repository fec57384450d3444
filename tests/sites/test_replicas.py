"""Two processes of the site behind nginx, with PostgreSQL and Redis: to people and to the OP they are one site."""

import importlib.util
import re
import secrets
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Barrier
from types import ModuleType
from urllib.parse import urlencode

import pytest
import requests

from tests.sites import services
from tests.sites.site import Running, Site, free_port

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


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
    """The site as a whole: its public address, its processes and its OP, which counts what it is asked."""

    url: str
    both: tuple[Replica, Replica]
    op: object

    def send_logout_token(self, replica: Replica, token: str) -> int:
        """Send what the OP sends, to one process; return the status."""
        return requests.post(
            f"{replica.address}/oidc/backchannel-logout/",
            data={"logout_token": token},
            headers={"Host": self.url.removeprefix("http://")},
            timeout=30,
        ).status_code


@dataclass
class Browser:
    """A person with cookies, whose requests go to the process that the test says, or to nginx."""

    site: Replicas
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, at: Replica | None = None) -> requests.Response:
        host = {"Host": self.site.url.removeprefix("http://")}
        address = at.address if at else self.site.url
        return self.session.get(address + path, headers=host, allow_redirects=False, timeout=30)

    def leave(self, at: Replica | None = None) -> str:
        """Begin a login and return the path of the callback to which the OP sends the browser."""
        answer = self.get("/oidc/authenticate/?next=/profile/", at)
        assert answer.status_code == 302, answer.text
        return f"/oidc/callback/?{urlencode(self.site.op.grant(answer.headers['Location']))}"

    def is_signed_in(self, at: Replica | None = None) -> bool:
        return self.get("/profile/", at).status_code == 200


@pytest.fixture(scope="module")
def site(installed) -> Site:
    return installed()


@pytest.fixture(scope="module")
def op_module(site: Site) -> ModuleType:
    """The OP of the site's own tests."""
    spec = importlib.util.spec_from_file_location("site_op", site.folder / "oidc" / "tests" / "op.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def database_url(require) -> Iterator[str]:
    require(services.find("postgres"), "no PostgreSQL server")
    with services.postgresql() as url:
        yield url


@pytest.fixture(scope="module")
def production(site: Site, require, database_url: str, tmp_path_factory) -> Iterator[dict[str, str]]:
    """The environment of production, on this machine, with a database that is migrated."""
    require(services.find("redis-server"), "no Redis server")
    require(services.find("nginx"), "no nginx")
    with services.redis() as cache_url:
        environment = {
            "DEBUG": "false",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DATABASE_URL": database_url,
            "CACHE_URL": cache_url,
            "STATIC_ROOT": str(tmp_path_factory.mktemp("static")),
            "TRUST_PROXY_HEADERS": "true",
            "WEB_CONCURRENCY": "1",
        }
        for command in (["migrate"], ["collectstatic", "--no-input"]):
            site.run("uv", "run", "manage.py", *command, **environment)
        yield environment


@contextmanager
def running_replicas(site: Site, op_module: ModuleType, production: dict[str, str]) -> Iterator[Replicas]:
    op = op_module.OP()
    client_id, client_secret = op_module.CLIENT
    port = free_port()
    url = f"http://localhost:{port}"
    client = {"OIDC_OP_ISSUER": op.issuer, "OIDC_RP_CLIENT_ID": client_id, "OIDC_RP_CLIENT_SECRET": client_secret}

    @contextmanager
    def replica(port: int) -> Iterator[Replica]:
        environment = {**production, **client, "SITE_URL": url, "BIND": f"127.0.0.1:{port}"}
        command = ("uv", "run", "gunicorn", "config.wsgi")
        with site.running(*command, url=f"http://127.0.0.1:{port}", **environment) as server:
            yield Replica(port, server)
            # Not by Ctrl-C: gunicorn's threaded worker then often hangs until its master kills it.
            if server.process.poll() is None:
                server.end()

    with ExitStack() as stack:
        stack.callback(op.close)
        ports = free_port(), free_port()
        first, second = (stack.enter_context(replica(port)) for port in ports)
        stack.enter_context(services.nginx(port, ports))
        yield Replicas(url, (first, second), op)


@pytest.fixture(scope="module")
def running(site: Site, op_module: ModuleType, production: dict[str, str]) -> Iterator[Replicas]:
    with running_replicas(site, op_module, production) as replicas:
        yield replicas


@pytest.fixture
def replicas(running: Replicas) -> Replicas:
    """Both processes, with an OP that says what it says by itself."""
    running.op.claims.clear()
    return running


@pytest.fixture
def short_lived_replicas(site: Site, op_module: ModuleType, production: dict[str, str]) -> Iterator[Replicas]:
    with running_replicas(site, op_module, production) as replicas:
        yield replicas


@pytest.fixture
def browser(replicas: Replicas) -> Browser:
    return Browser(replicas)


def log_in(browser: Browser, at: Replica | None = None) -> None:
    answer = browser.get(browser.leave(at), at)
    assert (answer.status_code, answer.headers.get("Location")) == (302, "/profile/"), answer.text


def logout_token(op, **members: object) -> str:
    """Return a logout token for the OP's person with further `members`."""
    now = int(time.time())
    claims = {
        "iss": op.issuer,
        "aud": "site-under-test",
        "iat": now,
        "exp": now + 120,
        "jti": secrets.token_urlsafe(16),
        "events": {LOGOUT_EVENT: {}},
        "sub": "person-1",
    }
    return op.sign(claims | members)


def test_an_attempt_that_starts_on_one_finishes_on_the_other(replicas: Replicas, browser: Browser) -> None:
    first, second = replicas.both
    answer = browser.get(browser.leave(first), second)
    assert (answer.status_code, answer.headers.get("Location")) == (302, "/profile/"), answer.text


def test_a_callback_is_taken_once_by_both_together(replicas: Replicas, browser: Browser) -> None:
    first, second = replicas.both
    callback = browser.leave(first)
    thief = Browser(replicas)
    thief.session.cookies.update(browser.session.cookies)
    assert browser.get(callback, first).status_code == 302
    assert thief.get(callback, second).status_code == 400


def test_a_session_is_known_to_both(replicas: Replicas, browser: Browser) -> None:
    log_in(browser, at=replicas.both[0])
    assert [browser.is_signed_in(replica) for replica in replicas.both] == [True, True]


def test_a_login_through_the_proxy_reaches_both_and_comes_back_to_the_public_address(
    replicas: Replicas, browser: Browser
) -> None:
    log_in(browser)
    assert browser.is_signed_in()
    assert replicas.op.asked("/token")[-1].form["redirect_uri"] == f"{replicas.url}/oidc/callback/"
    assert all('"GET /' in replica.server.log.read_text() for replica in replicas.both)


def test_keys_and_metadata_are_fetched_once_for_both(replicas: Replicas) -> None:
    for replica in replicas.both:
        log_in(Browser(replicas), at=replica)
    # Since they started, whatever tests came before.
    assert [len(replicas.op.asked(path)) for path in ("/.well-known/openid-configuration", "/jwks")] == [1, 1]


def test_a_logout_token_received_by_one_ends_the_session_on_the_other(replicas: Replicas, browser: Browser) -> None:
    first, second = replicas.both
    replicas.op.claims["sid"] = "session-1"
    log_in(browser, at=first)
    replicas.op.claims["sid"] = "session-2"
    log_in(elsewhere := Browser(replicas), at=first)
    assert replicas.send_logout_token(second, logout_token(replicas.op, sid="session-1")) == 200
    assert not browser.is_signed_in(first)
    assert elsewhere.is_signed_in(first)


def test_a_logout_token_is_obeyed_once_by_both_together(replicas: Replicas) -> None:
    token = logout_token(replicas.op)
    together = Barrier(2)

    def send(replica: Replica) -> int:
        together.wait(30)
        return replicas.send_logout_token(replica, token)

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(send, replicas.both)) == [200, 400]
    assert [replicas.send_logout_token(replica, token) for replica in replicas.both] == [400, 400]


def test_killing_one_between_the_legs_loses_no_login_and_no_session(short_lived_replicas: Replicas) -> None:
    replicas = short_lived_replicas
    doomed = replicas.both[0]
    log_in(member := Browser(replicas), at=doomed)
    people = [Browser(replicas) for _ in range(6)]
    callbacks = [person.leave(at=doomed) for person in people]
    doomed.server.end(signal.SIGKILL)
    for person, callback in zip(people, callbacks, strict=True):
        assert person.get(callback).headers.get("Location") == "/profile/"
    assert all(person.is_signed_in() for person in [member, *people])


def test_both_are_ready_with_postgresql_and_redis(replicas: Replicas) -> None:
    assert [Browser(replicas).get("/readyz", replica).text for replica in replicas.both] == ["ok\n", "ok\n"]


def test_the_sites_race_tests_pass_on_postgresql(site: Site, database_url: str) -> None:
    files = ["oidc/tests/test_concurrency.py", "tests/test_races.py"]
    output = site.run("uv", "run", "pytest", "-q", "-m", "slow", *files, DATABASE_URL=database_url)
    assert re.search(r"\d+ passed", output)
    assert "skipped" not in output

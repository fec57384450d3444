"""An OP that hangs costs a moment, and after that nobody waits for it; nobody has to ask whether it is back."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from oidc import errors
from oidc.errors import LoginError
from oidc.internal import breaker, transport
from oidc.internal.breaker import Breaker
from oidc.testing.browser import Browser
from oidc.testing.op import DISCOVERY, OP, Handler, dead, responds, slow

DOWN = LoginError(errors.OP_TIMEOUT, "no response", endpoint="https://op.example.org/token")


class Endpoint:
    """An endpoint that responds, or does not, and counts who asks."""

    def __init__(self) -> None:
        self.is_up, self.asked = True, 0

    def probe(self, seconds: float) -> None:
        self.asked += 1
        if not self.is_up:
            raise DOWN


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    for name, seconds in {
        "INTERVAL": 0.02,
        "IDLE_INTERVAL": 0.2,
        "SHORTEST_PATIENCE": 0.05,
        "FIRST_LATENCY": 0.01,
    }.items():
        monkeypatch.setattr(breaker, name, seconds)
    return Endpoint()


@pytest.fixture
def closed(endpoint: Endpoint) -> Iterator[Breaker]:
    """A breaker that lets requests through."""
    made = Breaker(endpoint.probe)
    yield made
    made.stop()


@pytest.fixture
def opened(closed: Breaker, endpoint: Endpoint) -> Breaker:
    """A breaker of an endpoint that does not respond."""
    endpoint.is_up = False
    closed.failed(DOWN, time.monotonic())
    return closed


def in_time(condition: Callable[[], bool], seconds: float = 3) -> bool:
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.01)
    return condition()


def is_open(checked: Breaker) -> bool:
    try:
        checked.check()
    except LoginError:
        return True
    return False


def test_while_the_endpoint_is_down_a_request_is_refused_at_once_and_says_why(opened: Breaker) -> None:
    started = time.monotonic()
    with pytest.raises(LoginError, match="op_timeout: no response; the site asks again by itself") as caught:
        opened.check()
    assert time.monotonic() - started < 0.05
    assert caught.value.endpoint == DOWN.endpoint


def test_the_endpoint_is_asked_again_by_itself_until_it_is_back(opened: Breaker, endpoint: Endpoint) -> None:
    assert in_time(lambda: endpoint.asked >= 3)
    assert is_open(opened)
    endpoint.is_up = True
    assert in_time(lambda: not is_open(opened))


def test_an_endpoint_that_responds_is_asked_no_more(opened: Breaker, endpoint: Endpoint) -> None:
    endpoint.is_up = True
    assert in_time(lambda: not is_open(opened))
    asked = endpoint.asked
    time.sleep(0.2)
    assert endpoint.asked == asked


def test_an_endpoint_that_nobody_wants_is_asked_seldom(
    opened: Breaker, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "WANTED", 0.0)
    monkeypatch.setattr(breaker, "IDLE_INTERVAL", 5.0)
    time.sleep(0.3)
    assert endpoint.asked <= 3
    endpoint.is_up = True
    assert is_open(opened)  # whoever wants it wakes the thread that asks
    assert in_time(lambda: not is_open(opened), 1)


def test_those_who_wait_are_released_when_the_endpoint_is_found_to_hang(closed: Breaker, endpoint: Endpoint) -> None:
    endpoint.is_up = False
    started = time.monotonic()
    with pytest.raises(LoginError, match="no response"):
        closed.wait(Future(), 30)
    assert time.monotonic() - started < 5


def test_a_slow_response_is_waited_for_while_the_endpoint_responds_to_others(closed: Breaker) -> None:
    response: Future[str] = Future()
    with ThreadPoolExecutor() as people:
        waiting = people.submit(closed.wait, response, 30)
        time.sleep(0.2)
        response.set_result("late")
        assert waiting.result() == "late"


def test_patience_grows_with_the_latency_that_was_seen(closed: Breaker) -> None:
    before = closed.patience
    for _ in range(20):
        closed.heard(2.0)
    assert closed.patience > 3 > before


@pytest.mark.parametrize("is_up", [True, False])
def test_whether_an_endpoint_is_up_is_known_without_waiting_for_long(
    closed: Breaker, endpoint: Endpoint, is_up: bool
) -> None:
    endpoint.is_up = is_up
    assert [closed.is_up(30), closed.is_up(30)] == [is_up, is_up]


def test_a_hanging_op_holds_nobody_up_for_long_and_the_first_login_after_it_succeeds(
    browser: Browser, op: OP, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "SHORTEST_PATIENCE", 0.3)
    monkeypatch.setattr(breaker, "FIRST_LATENCY", 0.01)
    settings.OIDC_TIMEOUT, op.faults["/token"] = 30, slow
    started = time.monotonic()
    assert browser.outcome() == "op_timeout"
    assert time.monotonic() - started < 5
    started = time.monotonic()
    assert browser.outcome() == "op_timeout"
    assert time.monotonic() - started < 1
    op.faults.clear()
    assert in_time(lambda: browser.outcome() == "signed_in", 3)


def test_the_endpoints_of_an_op_are_told_apart(op: OP) -> None:
    op.faults["/jwks"] = dead
    with pytest.raises(LoginError, match="op_unreachable"):
        transport.get_json(f"{op.issuer}/jwks")
    assert transport.get_json(op.issuer + DISCOVERY)["issuer"] == op.issuer


def test_an_endpoint_that_swallows_only_requests_is_not_taken_for_one_that_is_back(
    browser: Browser, op: OP, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swallow_posts(handler: Handler) -> None:
        (slow if handler.command == "POST" else responds({}, status=405))(handler)

    monkeypatch.setattr(breaker, "SHORTEST_PATIENCE", 0.1)
    monkeypatch.setattr(breaker, "FIRST_LATENCY", 0.01)
    settings.OIDC_TIMEOUT, op.faults["/token"] = 1, swallow_posts
    assert browser.outcome() == "op_timeout"
    for _ in range(3):
        started = time.monotonic()
        assert browser.outcome() == "op_timeout"
        assert time.monotonic() - started < 0.5
        time.sleep(0.1)
    op.faults.clear()
    assert in_time(lambda: browser.outcome() == "signed_in", 3)


def test_an_endpoint_that_has_become_slow_is_found_out_to_respond(closed: Breaker) -> None:
    def slow_probe(seconds: float) -> None:
        time.sleep(min(seconds, 0.5))
        if seconds < 0.5:
            raise DOWN

    closed._probe = slow_probe
    closed.failed(DOWN, time.monotonic())
    assert is_open(closed)
    assert in_time(lambda: not is_open(closed))
    assert closed.patience > 0.3

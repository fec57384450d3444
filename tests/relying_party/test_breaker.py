"""An OP that hangs costs a moment, and after that nobody waits for it; nobody has to ask whether it is back."""

import threading
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
    # A probe that responds at once would look as if it were requests that are swallowed.
    assert in_time(lambda: endpoint.asked > 0)
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


def seconds_of(waiting: Callable[[], object]) -> float:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        waiting()
    return time.monotonic() - started


def test_the_more_wait_the_sooner_an_endpoint_counts_as_one_that_hangs(closed: Breaker) -> None:
    alone = seconds_of(lambda: closed.wait(Future(), 1.0))
    with ThreadPoolExecutor(8) as people:
        crowded = list(people.map(lambda _: seconds_of(lambda: closed.wait(Future(), 1.0)), range(8)))
    assert alone >= 1.0
    assert min(crowded) < 0.6


def test_those_who_wait_are_released_when_another_request_has_got_no_response(closed: Breaker) -> None:
    with ThreadPoolExecutor() as people:
        started = time.monotonic()
        waiting = people.submit(closed.wait, Future(), 30)
        time.sleep(0.1)
        closed.failed(DOWN, started)
        with pytest.raises(LoginError, match="no response"):
            waiting.result(10)


def test_a_slow_response_is_waited_for_while_others_are_heard(closed: Breaker) -> None:
    responses: list[Future[str]] = [Future() for _ in range(8)]
    with ThreadPoolExecutor(8) as people:
        waiting = [people.submit(closed.wait, response, 2) for response in responses]
        for _ in range(20):
            time.sleep(0.05)
            closed.heard(0.01)
        for response in responses:
            response.set_result("late")
        assert [one.result() for one in waiting] == ["late"] * 8


def test_a_request_that_was_lost_on_its_own_opens_nothing(closed: Breaker) -> None:
    started = time.monotonic()
    closed.heard(0.01)
    closed.failed(DOWN, started)
    assert not is_open(closed)


def test_one_slow_response_is_enough_to_be_patient(closed: Breaker) -> None:
    closed.heard(2.0)
    assert closed.patience >= 6


def test_patience_goes_back_when_responses_are_quick_again(closed: Breaker) -> None:
    closed.heard(2.0)
    for _ in range(20):
        closed.heard(0.01)
    assert closed.patience < 1


def test_a_probe_that_responds_right_after_a_request_was_swallowed_says_nothing(
    closed: Breaker, endpoint: Endpoint
) -> None:
    closed.failed(DOWN, time.monotonic())
    assert in_time(lambda: closed.is_suspected)
    asked = endpoint.asked
    assert not in_time(lambda: not is_open(closed), 0.3)
    assert endpoint.asked == asked
    with pytest.raises(LoginError):
        closed.check(lambda: None)  # a request like the one that was swallowed
    assert in_time(lambda: not is_open(closed))


def test_of_those_who_begin_only_a_few_may_find_out_what_a_probe_cannot(
    closed: Breaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed.failed(DOWN, time.monotonic())
    assert in_time(lambda: closed.is_suspected)
    monkeypatch.setattr(breaker, "INTERVAL", 60.0)
    closed.check_beginning()
    for _ in range(3):
        with pytest.raises(LoginError):
            closed.check_beginning()
    monkeypatch.setattr(breaker, "INTERVAL", 0.0)
    closed.check_beginning()


@pytest.mark.parametrize("name", ["oidc-probe", "oidc-lent"])
def test_a_machine_without_another_thread_for_a_moment_keeps_it_open_no_longer(
    closed: Breaker, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    names, start = [name], threading.Thread.start

    def start_unless_named(thread: threading.Thread) -> None:
        if thread.name in names:
            names.remove(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_unless_named)
    endpoint.is_up = False
    closed.failed(DOWN, time.monotonic())
    assert in_time(lambda: not names)
    time.sleep(0.1)  # longer than a prompt response to a probe would be doubted
    endpoint.is_up = True
    assert in_time(lambda: not is_open(closed))


@pytest.mark.parametrize("is_up", [True, False])
def test_whether_an_endpoint_is_up_is_known_without_waiting_for_long(
    closed: Breaker, endpoint: Endpoint, is_up: bool
) -> None:
    endpoint.is_up = is_up
    assert [closed.is_up(30), closed.is_up(30)] == [is_up, is_up]


def test_a_hanging_op_holds_nobody_up_for_long_and_the_first_login_after_it_succeeds(
    browser: Browser, op: OP, settings
) -> None:
    settings.OIDC_TIMEOUT, op.faults["/token"] = 0.5, slow
    assert browser.outcome() == "op_timeout"
    settings.OIDC_TIMEOUT = 30
    started = time.monotonic()
    assert browser.outcome() == "op_timeout"
    assert time.monotonic() - started < 5
    op.faults.clear()
    assert in_time(lambda: browser.outcome() == "signed_in", 10)


def test_who_begins_a_login_while_none_can_be_finished_is_told_so_and_not_sent_away(
    browser: Browser, op: OP, settings
) -> None:
    settings.OIDC_TIMEOUT, op.faults["/token"] = 0.5, slow
    assert browser.outcome() == "op_timeout"
    asked_before = len(op.requests)
    assert browser.get("/oidc/authenticate/").status_code == 504
    assert [asked.path for asked in op.requests[asked_before:] if asked.path != "/token"] == []


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
    settings.OIDC_TIMEOUT = 30
    for _ in range(3):
        started = time.monotonic()
        assert browser.outcome() == "op_timeout"
        assert time.monotonic() - started < 10
        time.sleep(0.1)
    op.faults.clear()
    assert in_time(lambda: browser.outcome() == "signed_in", 10)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_that_says_that_the_op_is_down_is_believed(browser: Browser, op: OP, status: int) -> None:
    """Else a person would be sent to the gateway's page, and `/readyz` would know nothing."""
    parameters = op.grant(browser.leave().headers["Location"])
    op.faults = dict.fromkeys(op.endpoints, responds(b"<p>Bad Gateway", "text/html", status=status))
    assert browser.come_back(parameters).status_code == 503
    assert browser.refusals[-1]["reason"] is errors.OP_UNAVAILABLE
    assert in_time(lambda: transport.silent_endpoints() == [f"{op.issuer}/token"])
    assert browser.get("/oidc/authenticate/").status_code == 503
    op.faults.clear()
    assert in_time(lambda: browser.outcome() == "signed_in", 10)


def test_nobody_can_provoke_that_the_op_is_taken_for_down(browser: Browser, op: OP) -> None:
    """Some firewalls have such a response to a code that they do not like."""

    def refuse_posts(handler: Handler) -> None:
        status = 503 if handler.command == "POST" else 405
        responds(b"<p>Attack!", "text/html", status=status)(handler)

    op.faults["/token"] = refuse_posts
    for _ in range(3):
        assert browser.outcome() == "op_unavailable"
    time.sleep(1)
    assert transport.silent_endpoints() == []
    op.faults.clear()
    assert browser.outcome() == "signed_in"


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

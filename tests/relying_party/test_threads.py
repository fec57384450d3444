"""A request that waits for the OP holds neither a thread that serves pages nor a connection to the database."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest
from django.db import connection, connections

from oidc import threads
from oidc.internal import transport
from oidc.testing.op import OP
from oidc.threads import Threads

PLACES = 2


@pytest.fixture
def pool() -> Iterator[Threads]:
    """A pool with two places."""
    made = Threads(PLACES)
    yield made
    made.shutdown(cancel_futures=True)


@pytest.fixture
def op_responds() -> Iterator[threading.Event]:
    """Ends the waiting of everybody who waits for it, at the latest when the test ends."""
    event = threading.Event()
    yield event
    event.set()


def wait_for(event: threading.Event) -> str:
    with threads.waiting():
        event.wait(20)
    return "waited"


def crowd(pool: Threads, number: int, event: threading.Event) -> list[Future[Any]]:
    """Let so many wait; return when all of them do."""
    begun = threading.Semaphore(0)

    def wait() -> str:
        begun.release()
        return wait_for(event)

    waiting = [pool.submit(wait) for _ in range(number)]
    for _ in range(number):
        assert begun.acquire(timeout=20)
    return waiting


def in_time(condition: Callable[[], bool]) -> bool:
    for _ in range(1000):
        if condition():
            return True
        time.sleep(0.01)
    return False


def requests() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "request"}


def test_as_many_calls_run_at_once_as_there_are_places(pool: Threads) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(number: int, *, twice: bool) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return number * (2 if twice else 1)

    futures = [pool.submit(work, number, twice=True) for number in range(10)]
    assert [future.result(20) for future in futures] == list(range(0, 20, 2))
    assert most == PLACES


def test_calls_run_while_more_than_there_are_places_wait_for_the_op(
    pool: Threads, op_responds: threading.Event
) -> None:
    waiting = crowd(pool, 5 * PLACES, op_responds)
    assert [pool.submit(str, number).result(20) for number in range(3)] == ["0", "1", "2"]
    assert not any(future.done() for future in waiting)
    op_responds.set()
    assert {future.result(20) for future in waiting} == {"waited"}


def test_whoever_waits_in_something_that_waits_gives_up_one_place_only(
    pool: Threads, op_responds: threading.Event
) -> None:
    def wait_in_waiting() -> str:
        with threads.waiting():
            return wait_for(op_responds)

    waiting = [pool.submit(wait_in_waiting) for _ in range(3)]
    op_responds.set()
    assert [future.result(20) for future in waiting] == ["waited"] * 3
    assert in_time(lambda: pool._free == PLACES)


def test_beyond_a_number_whoever_waits_keeps_its_place(
    pool: Threads, op_responds: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process has room for only so many threads."""
    monkeypatch.setattr(threads, "MOST_WAITING", 3)
    crowd(pool, 3 + PLACES, op_responds)
    late = pool.submit(str)
    time.sleep(0.1)
    assert not late.done()
    op_responds.set()
    assert late.result(20) == ""


def test_after_a_crowd_there_are_no_more_threads_than_places(pool: Threads, op_responds: threading.Event) -> None:
    before = requests()
    waiting = crowd(pool, 10 * PLACES, op_responds)
    assert len(requests() - before) == 10 * PLACES
    op_responds.set()
    for future in waiting:
        future.result(20)
    assert in_time(lambda: len(requests() - before) <= PLACES)
    assert pool.submit(str, 1).result(20) == "1"


@pytest.mark.usefixtures("shared_database")
def test_a_thread_that_ends_closes_its_connection(pool: Threads, op_responds: threading.Event) -> None:
    """Each thread of Django has its own, and a database has only so many."""
    found: list[Any] = []

    def wait_and_ask() -> None:
        wait_for(op_responds)
        connection.ensure_connection()
        found.append(connection._connections["default"])

    begun = [pool.submit(wait_and_ask) for _ in range(3 * PLACES)]
    assert in_time(lambda: pool._waiting == len(begun))
    op_responds.set()
    for future in begun:
        future.result(20)
    assert len({id(of_thread) for of_thread in found}) == len(begun)
    assert in_time(lambda: sum(of_thread.connection is not None for of_thread in found) <= PLACES)


@pytest.mark.parametrize(
    ("vendor", "is_pooled", "state", "gives_back", "gives_up"),
    [
        pytest.param("postgresql", True, {}, True, True, id="pooled"),
        pytest.param("postgresql", True, {"in_atomic_block": True}, False, True, id="in-a-transaction"),
        pytest.param("postgresql", True, {"autocommit": False}, False, True, id="without-autocommit"),
        pytest.param("sqlite", False, {}, False, True, id="sqlite"),
        pytest.param("postgresql", False, {}, False, False, id="a-connection-for-each-thread"),
    ],
)
def test_a_connection_of_a_pool_goes_back_while_a_request_waits(
    pool: Threads, vendor: str, is_pooled: bool, state: dict[str, bool], gives_back: bool, gives_up: bool
) -> None:
    """Else few logins would take all connections while they wait, of the pool or of the server."""
    gone_back: list[str] = []

    def handle_a_request() -> int:
        own = connections["default"]
        own.__dict__ |= {"vendor": vendor, "autocommit": True, "in_atomic_block": False, **state}
        own.settings_dict = {**own.settings_dict, "OPTIONS": {"pool": True} if is_pooled else {}}
        own.close = lambda: gone_back.append("default")
        try:
            with threads.waiting(), pool._lock:
                return pool._free
        finally:
            del connections["default"]

    assert pool.submit(handle_a_request).result(20) == (PLACES if gives_up else PLACES - 1)
    assert bool(gone_back) is gives_back


def test_a_command_keeps_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be in the middle of reading rows, and takes no place of a page."""
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", True)
    monkeypatch.setattr(connections["default"], "close", pytest.fail)
    with threads.waiting():
        pass


def test_a_thread_keeps_nothing_of_what_it_has_done(pool: Threads) -> None:
    """A request and its response would stay in memory until the next one, or until garbage is looked for."""

    class Request:
        def fail(self) -> None:
            raise ValueError

        def succeed(self) -> None: ...

    kept = []
    gc.disable()
    try:
        for name in ("fail", "succeed"):
            call = getattr(Request(), name)
            kept.append(weakref.ref(call.__self__))
            pool.submit(call).exception(20)
            del call
        assert in_time(lambda: [ref() for ref in kept] == [None, None])
    finally:
        gc.enable()


def test_a_request_to_the_op_gives_up_the_place(pool: Threads, op: OP, settings: Any) -> None:
    """Whatever asks the OP goes through `transport`, so this is all of it."""
    op.latency = 2
    asking = [pool.submit(transport.get_json, f"{op.issuer}/jwks") for _ in range(PLACES)]
    assert in_time(lambda: len(op.asked("/jwks")) == PLACES)
    pool.submit(str).result(20)
    assert not any(future.done() for future in asking)
    op.latency = 0
    assert all(future.result(20)["keys"] for future in asking)


def test_what_a_call_raises_is_in_its_future(pool: Threads) -> None:
    """SystemExit, too: gunicorn raises it in the thread of a request, which goes on with others."""
    failed = [pool.submit(lambda error=error: (_ for _ in ()).throw(error)) for error in (ValueError(), SystemExit())]
    assert [type(future.exception(20)) for future in failed] == [ValueError, SystemExit]
    assert pool.submit(str, 1).result(20) == "1"


def test_a_cancelled_call_does_not_run(pool: Threads, op_responds: threading.Event) -> None:
    for _ in range(PLACES):
        pool.submit(op_responds.wait, 20)
    ran: list[int] = []
    assert pool.submit(ran.append, 1).cancel()
    last = pool.submit(ran.append, 2)
    op_responds.set()
    last.result(20)
    assert ran == [2]


def test_after_the_shutdown_running_calls_end_and_no_other_begins(pool: Threads, op_responds: threading.Event) -> None:
    running = crowd(pool, PLACES, op_responds)
    for _ in range(PLACES):
        pool.submit(op_responds.wait, 20)
    queued = pool.submit(str)
    pool.shutdown(cancel_futures=True)
    with pytest.raises(CancelledError):
        queued.result(20)
    with pytest.raises(RuntimeError, match="after the shutdown"):
        pool.submit(str)
    op_responds.set()
    assert [future.result(20) for future in running] == ["waited"] * PLACES


def test_a_call_waits_for_a_thread_where_the_machine_gives_no_more(
    pool: Threads, op_responds: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = pool.submit(op_responds.wait, 20)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    waiting = pool.submit(str, 1)
    op_responds.set()
    assert running.result(20)
    assert waiting.result(20) == "1"

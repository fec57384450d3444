"""The threads of a server that handle requests: those that wait for the OP are not counted among them.

A server with a fixed number of threads serves no page while as many logins wait for an OP that is slow or hangs. Here a
request that waits gives its place to another one meanwhile, and its connection to the database back to the pool.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any

from django.db import connections

# Whoever waits beyond them keeps its place: a process has room for only so many threads.
MOST_WAITING = 64

Job = tuple[Future[Any], Callable[[], Any]]
_this_thread = threading.local()


class Threads(Executor):
    """Runs `places` calls at the same time, and others in the places of those that wait.

    It stands in for the `ThreadPoolExecutor` of a server; gunicorn.conf.py does that.
    """

    def __init__(self, places: int) -> None:
        self._places = self._free = places
        self._waiting = 0
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        # The inboxes of threads that have nothing to do: who came last, whose memory is warm, is the first to go on.
        self._idle: list[SimpleQueue[Job | None]] = []
        self._is_over = False

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call `function` as soon as there is a place; return the future of what comes of it.

        Raises `RuntimeError` after `shutdown`.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._is_over:
                raise RuntimeError("no call is taken after the shutdown")
            self._jobs.append((future, partial(function, *args, **kwargs)))
            self._fill_places()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and let threads that have nothing to do end; the end of the process ends the others."""
        with self._lock:
            self._is_over = True
            while cancel_futures and self._jobs:
                self._jobs.popleft()[0].cancel()
            while self._idle:
                self._idle.pop().put(None)

    def give_up_place(self) -> bool:
        """Let another call have the place of this thread's; tell whether it has, and then has to `go_on`."""
        with self._lock:
            if self._waiting >= MOST_WAITING:
                return False
            self._waiting += 1
            self._free += 1
            self._fill_places()
            return True

    def go_on(self) -> None:
        """Count the call of this thread again, at once, even if that makes one too many for a moment."""
        with self._lock:
            self._waiting -= 1
            self._free -= 1

    def _fill_places(self) -> None:
        """Give jobs to threads as long as there are places; the caller has the lock."""
        while self._jobs and self._free > 0:
            job = self._jobs.popleft()
            if self._idle:
                self._idle.pop().put(job)
            else:
                # A thread keeps its arguments as long as it lives, so the job is none of them.
                inbox: SimpleQueue[Job | None] = SimpleQueue()
                inbox.put(job)
                try:
                    threading.Thread(target=self._work, args=(inbox,), name="request", daemon=True).start()
                except (RuntimeError, MemoryError):  # the machine gives no more, so it waits for one that there is
                    self._jobs.appendleft(job)
                    return
            self._free -= 1

    def _work(self, inbox: SimpleQueue[Job | None]) -> None:
        """Do one job after another, and end when there are more threads than places that have nothing to do."""
        _this_thread.pool = self
        job = inbox.get()
        while job:
            _do(*job)
            job = None  # else it would be kept until the next one comes
            with self._lock:
                self._free += 1
                if self._jobs and self._free > 0:
                    self._free -= 1
                    job = self._jobs.popleft()
                    continue
                if self._is_over or len(self._idle) >= self._places:
                    break
                self._idle.append(inbox)
            job = inbox.get()
        connections.close_all()


def _do(future: Future[Any], call: Callable[[], Any]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - as every executor does: whoever has the future gets it
            future.set_exception(error)
            del future  # whose exception has a traceback, which has this frame
        else:
            future.set_result(result)


@contextmanager
def waiting() -> Iterator[None]:
    """Let others have what this thread needs to handle a request, while it waits for the OP.

    Where a database server has a connection for each thread, the place is kept: a server takes so many and no more.
    """
    pool: Threads | None = getattr(_this_thread, "pool", None)
    for connection in connections.all() if pool else ():
        if connection.settings_dict["OPTIONS"].get("pool"):
            if connection.autocommit and not connection.in_atomic_block:
                connection.close()
        elif connection.vendor != "sqlite":
            pool = None
    if pool is None or not pool.give_up_place():
        yield
        return
    _this_thread.pool = None  # nobody gives up the same place twice
    try:
        yield
    finally:
        _this_thread.pool = pool
        pool.go_on()

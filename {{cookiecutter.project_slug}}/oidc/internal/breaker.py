"""Whether an endpoint of the OP responds: learned from requests, and asked again in the background.

A request that waits for longer than responses take here, while nobody else gets one, opens the breaker: everybody who
waits is released, and whoever comes is refused at once. The more wait, the sooner that happens, because a process has
only so many threads. None that serves pages finds out whether the endpoint is back; one of this module does, twice a
second while somebody asks.

Some endpoints respond to a GET and swallow what matters. There a request that is refused lends itself instead: it is
sent in the background, and whoever tries next is served. For that, a login may begin there now and then.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import Any

from oidc import errors, threads
from oidc.errors import LoginError

# All in seconds. An endpoint that was never asked counts as slow, so that it is not taken for one that hangs.
FIRST_LATENCY = 1.0
SHORTEST_PATIENCE = 1.5
INTERVAL, IDLE_INTERVAL = 0.5, 5.0
MOMENT = 1.0
WANTED, FORGOTTEN = 10.0, 600.0
LONGEST = 5.0  # a probe of an open breaker; it finds out an endpoint that has only become slow
SUSPECTED = 30.0


class Breaker:
    """The state of one endpoint in this process; `probe(seconds)` raises `LoginError` if it does not respond.

    `tell(is_up)` is told when that changes.
    """

    def __init__(self, probe: Callable[[float], None], tell: Callable[[bool], object] = bool) -> None:
        self._probe, self._tell = probe, tell
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_asking = self._is_stopped = False
        self._waiting: set[Future[Any]] = set()
        self._latency = FIRST_LATENCY
        self._wanted_at, self._heard_at = time.monotonic(), 0.0
        self._doubted_until = self._suspected_until = self._sent_at = self._begun_at = 0.0
        self._error: LoginError | None = None

    @property
    def patience(self) -> float:
        """How long a response may take before the endpoint is taken for one that hangs, in seconds, if many wait."""
        return max(SHORTEST_PATIENCE, 3 * self._latency)

    @property
    def is_open(self) -> bool:
        """Whether requests are refused at once, as far as is known without asking."""
        return self._error is not None

    @property
    def is_suspected(self) -> bool:
        """Whether it swallows requests while it responds to probes, which then say nothing."""
        return time.monotonic() < self._suspected_until

    def check(self, lend: Callable[[], object] | None = None) -> None:
        """Raise the `LoginError` that has opened the breaker, if it is open.

        `lend` sends the request that is refused here, if nobody needs its response.
        """
        self._wanted_at = time.monotonic()
        if error := self._error:
            self.ask()
            if lend and self.is_suspected:
                self._send(lend)
            raise LoginError(error.reason, f"{error.detail}; the site asks again by itself", endpoint=error.endpoint)

    def check_beginning(self) -> None:
        """Raise as `check` does; but where only a login finds out more, let one pass twice a second."""
        if self.is_suspected:
            with self._lock:
                if (now := time.monotonic()) - self._begun_at >= INTERVAL:
                    self._begun_at = now
                    return
        self.check()

    def wait(self, future: Future[Any], seconds: float) -> Any:
        """Return the result of a request.

        Raises `TimeoutError` when `seconds` are over, or sooner if many wait and none is heard; `LoginError` if another
        request has found out that the endpoint hangs.
        """
        started = time.monotonic()
        with self._lock:
            self._waiting.add(future)
        try:
            while True:
                silent_since = max(started, self._heard_at)
                patience = max(self.patience, seconds / max(1, len(self._waiting)))
                left = min(started + seconds, silent_since + patience) - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                with suppress(TimeoutError):
                    return future.result(left)
        finally:
            with self._lock:
                self._waiting.discard(future)

    def heard(self, seconds: float | None = None) -> None:
        """The endpoint has responded, after `seconds` where that says something about others: close the breaker."""
        if seconds is not None:
            self._latency = max(seconds, self._latency + (seconds - self._latency) / 4)
        was_open = self.is_open
        self._heard_at, self._error, self._suspected_until = time.monotonic(), None, 0.0
        if was_open:
            self._tell(True)

    def failed(self, error: LoginError, started: float) -> None:
        """A request of then got no response: open the breaker, release everybody who waits, and ask until it does."""
        if error.reason is errors.OP_TIMEOUT:
            if self._heard_at > started:
                return  # it was lost on its own
            if self._error is None:
                self._doubted_until = time.monotonic() + INTERVAL
        self._open(error)
        self.ask()

    def is_up(self, seconds: float) -> bool:
        """Tell whether the endpoint responds; it is asked, and waited for a moment, if silent for `seconds`."""
        self._wanted_at = time.monotonic()
        if self._error or self._wanted_at - self._heard_at > seconds:
            self.ask()
            with threads.waiting():
                while self._is_asking and not self._error and time.monotonic() - self._wanted_at < MOMENT:
                    time.sleep(0.01)
        return self._error is None

    def stop(self) -> None:
        """Ask no more."""
        self._is_stopped = True
        self._wake.set()

    def ask(self) -> None:
        """Let a thread of its own ask the endpoint, and go on until it responds or nobody wants it any more."""
        self._wake.set()
        with self._lock:
            if self._is_asking or self._is_stopped or self.is_suspected:
                return
            self._is_asking = True
        if not _started(self._ask_until_heard, "oidc-probe"):
            self._is_asking = False

    def _open(self, error: LoginError) -> None:
        with self._lock:
            was_open, self._error = self.is_open, error
            released, self._waiting = self._waiting, set()
        if not was_open:
            self._tell(False)
        for future in released:
            with suppress(InvalidStateError):
                future.set_exception(error)

    def _ask_until_heard(self) -> None:
        if self._error is None:
            try:
                self._probe(self.patience)
            except LoginError as error:
                self._open(error)
            else:
                self.heard()
        unwanted = 0.0
        while self._error and unwanted < FORGOTTEN and not self._is_stopped and not self.is_suspected:
            self._wake.clear()
            self._send(lambda: self._probe(LONGEST), is_probe=True)
            time.sleep(INTERVAL)
            unwanted = time.monotonic() - self._wanted_at
            if unwanted > WANTED:
                self._wake.wait(IDLE_INTERVAL - INTERVAL)
        with self._lock:
            self._is_asking = False

    def _send(self, send: Callable[[], object], *, is_probe: bool = False) -> None:
        """Send a request whose response nobody waits for: a late one shows how slow the endpoint has become."""
        with self._lock:
            if (now := time.monotonic()) - self._sent_at < INTERVAL:
                return
            self._sent_at = now
        _started(partial(self._listen, send, now, is_probe), "oidc-lent")

    def _listen(self, send: Callable[[], object], started: float, is_probe: bool) -> None:
        try:
            send()
        except (LoginError, RuntimeError):  # the latter if the process ends
            is_swallowed = self.is_suspected
        else:
            seconds = time.monotonic() - started
            # A prompt response to a probe, right after a request has got none.
            is_swallowed = is_probe and started < self._doubted_until and seconds < self.patience
            if not is_swallowed:
                self.heard(seconds)
        if is_swallowed:
            self._suspected_until = time.monotonic() + SUSPECTED


def _started(target: Callable[[], object], name: str) -> bool:
    """Run `target` in a thread of its own; tell whether the machine had one, as whoever asks next tries again."""
    try:
        threading.Thread(target=target, name=name, daemon=True).start()
    except (RuntimeError, MemoryError):
        return False
    return True

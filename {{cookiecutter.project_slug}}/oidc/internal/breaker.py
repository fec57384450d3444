"""Whether an endpoint of the OP responds: learned from time-outs, and asked again in the background.

While it does not, nobody waits for it: a request is refused at once, and those that wait already are released. No
thread that serves pages finds out whether it is back; a thread of this module does, twice a second while somebody asks.

Some endpoints respond to a GET and swallow what matters. There a login that is refused lends its request instead: it is
sent in the background, and whoever tries next is served.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

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
    """The state of one endpoint in this process; `probe(seconds)` raises `LoginError` if it does not respond."""

    def __init__(self, probe: Callable[[float], None]) -> None:
        self._probe = probe
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_probing = self._is_stopped = False
        self._waiting: set[Future[Any]] = set()
        self._latency = FIRST_LATENCY
        self._wanted_at, self._heard_at = time.monotonic(), 0.0
        self._probed_at = self._suspected_until = self._lent_at = 0.0
        self._error: LoginError | None = None

    @property
    def patience(self) -> float:
        """How long a response may take before the endpoint is suspected to hang, in seconds."""
        return max(SHORTEST_PATIENCE, 3 * self._latency)

    def check(self, lend: Callable[[], object] | None = None) -> None:
        """Raise the `LoginError` that has opened the breaker, if it is open.

        `lend` sends the request that is refused here, if nobody needs its response: it is called in the background
        where requests are swallowed though the probe is not, so only one like them tells when that is over.
        """
        self._wanted_at = time.monotonic()
        if error := self._error:
            self.ask()
            if lend and self._is_suspected():
                self._lend(lend)
            raise LoginError(error.reason, f"{error.detail}; the site asks again by itself", endpoint=error.endpoint)

    def wait(self, future: Future[Any], seconds: float) -> Any:
        """Return the result of a request; raises `TimeoutError` when `seconds` are over.

        Raises `LoginError` before that if the endpoint is found to hang.
        """
        patience = min(self.patience, seconds)
        with self._lock:
            self._waiting.add(future)
        try:
            with suppress(TimeoutError):
                return future.result(patience)
            self.ask()
            return future.result(seconds - patience)
        finally:
            with self._lock:
                self._waiting.discard(future)

    def heard(self, seconds: float | None = None) -> None:
        """The endpoint has responded, after `seconds` where that says something about others: close the breaker."""
        if seconds is not None:
            self._latency += (seconds - self._latency) / 4
        self._heard_at, self._error, self._suspected_until = time.monotonic(), None, 0.0

    def failed(self, error: LoginError, started: float) -> None:
        """A request of then got no response: open the breaker, release everybody who waits, and ask until it does."""
        if self._probed_at > started:
            self._suspected_until = time.monotonic() + SUSPECTED
        self._open(error)
        self.ask()

    def is_up(self, seconds: float) -> bool:
        """Tell whether the endpoint responds; it is asked, and waited for a moment, if silent for `seconds`."""
        self._wanted_at = time.monotonic()
        if self._error or self._wanted_at - self._heard_at > seconds:
            self.ask()
            while self._is_probing and not self._error and time.monotonic() - self._wanted_at < MOMENT:
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
            if self._is_probing or self._is_stopped or self._is_suspected():
                return
            self._is_probing = True
        threading.Thread(target=self._ask_until_heard, name="oidc-probe", daemon=True).start()

    def _is_suspected(self) -> bool:
        """Tell whether it is known to swallow requests while it responds to probes, which then say nothing."""
        return time.monotonic() < self._suspected_until

    def _lend(self, send: Callable[[], object]) -> None:
        """Send a request whose response nobody waits for: a late one shows how slow the endpoint has become."""
        with self._lock:
            if (now := time.monotonic()) - self._lent_at < INTERVAL:
                return
            self._lent_at = now
        threading.Thread(target=self._send, args=(send, now), name="oidc-lent", daemon=True).start()

    def _send(self, send: Callable[[], object], started: float) -> None:
        with suppress(LoginError):
            send()
            return self.heard(time.monotonic() - started)
        if self._is_suspected():
            self._suspected_until = time.monotonic() + SUSPECTED

    def _open(self, error: LoginError) -> None:
        with self._lock:
            self._error = error
            released, self._waiting = self._waiting, set()
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
                self._probed_at = time.monotonic()
                self.heard()
        unwanted = 0.0
        while self._error and unwanted < FORGOTTEN and not self._is_stopped and not self._is_suspected():
            self._wake.clear()
            self._lend(lambda: self._probe(LONGEST))
            time.sleep(INTERVAL)
            unwanted = time.monotonic() - self._wanted_at
            if unwanted > WANTED:
                self._wake.wait(IDLE_INTERVAL - INTERVAL)
        with self._lock:
            self._is_probing = False

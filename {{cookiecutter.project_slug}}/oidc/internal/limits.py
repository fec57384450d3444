"""How often the OP may be asked in vain: codes that fail are counted for each client, in the shared cache.

Anybody can begin a login and come back with a made-up code, which costs the OP a request. What succeeds is not counted,
so an office behind one address logs in as often as it likes. A browser that has logged in here before is a client by
itself, so neither a neighbour nor a flood from many addresses keeps it out.
"""

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv6Network, ip_address

from django.core import signing
from django.http import HttpRequest, HttpResponse

from oidc import errors
from oidc.errors import LoginError
from oidc.internal import authorization, shared_cache
from oidc.internal.conf import conf

SECONDS = 60
# All browsers together that have not logged in here before may fail as often as this many addresses.
STRANGERS = 30
COOKIE, COOKIE_SECONDS = "oidc_browser", 90 * 24 * 60 * 60
# Some proxies write a port behind an address, and brackets around one of IPv6.
PORT = re.compile(r"^\[?([\d.]+|(?<=\[)[^]]+)\]?(:\d+)?$")

# The minute in which a code last failed in this process; in any other a login need not ask the shared cache.
_last_failure = 0


@contextmanager
def exchange(request: HttpRequest) -> Iterator[None]:
    """Let a code be exchanged in this context, and count it if that fails; raises `LoginError` (TOO_MANY_FAILURES)."""
    global _last_failure
    check(request)
    try:
        yield
    except LoginError as error:
        # An OP that does not respond is left alone anyway, whatever the code.
        if error.reason not in (errors.OP_UNREACHABLE, errors.OP_TIMEOUT):
            _last_failure = _minute()
            for key in _bounds(request):
                shared_cache.cached("add", key, 0, 2 * SECONDS)
                with suppress(ValueError):  # the cache has gone down between the two
                    shared_cache.cached("incr", key)
        raise


def check(request: HttpRequest) -> None:
    """Raise `LoginError` (TOO_MANY_FAILURES) for a client that has failed as often as it may in this minute.

    Each process lets one code pass that others would refuse, as it learns from that one that something fails.
    """
    bounds = _bounds(request) if _last_failure == _minute() else {}
    counts = shared_cache.cached("get_many", bounds) if bounds else {}
    if reached := [bound for key, bound in bounds.items() if counts.get(key, 0) >= bound]:
        raise LoginError(errors.TOO_MANY_FAILURES, f"{reached[0]} in this minute, now from {address_of(request)}")


def remember(response: HttpResponse) -> None:
    """Let the browser of somebody who has logged in be known for a while, by a cookie that does not say whose it is."""
    value = signing.dumps(secrets.token_urlsafe(9), salt=COOKIE)
    authorization.set_cookie(response, authorization.cookie_name(COOKIE), value, COOKIE_SECONDS)


def address_of(request: HttpRequest) -> str:
    """Return the address of a client: the nearest address that is no proxy in FORWARDED_ALLOW_IPS, of IPv6 its /64."""
    nearest = ""
    # A Unix socket has no address, and reaches this machine only.
    chain = [*request.headers.get("X-Forwarded-For", "").split(","), request.META.get("REMOTE_ADDR") or "127.0.0.1"]
    for number, text in enumerate(reversed(chain)):
        try:
            address = ip_address(PORT.sub(r"\1", text.strip()))
        except ValueError:
            break
        address = getattr(address, "ipv4_mapped", None) or address
        name = str(IPv6Network((int(address), 64), strict=False) if address.version == 6 else address)
        if not any(address in network for network in conf.FORWARDED_ALLOW_IPS):
            return name
        # If all are proxies, it is the one that the nearest proxy names: what stands before it may be a lie.
        nearest = name if number < 2 else nearest
    return nearest


def _bounds(request: HttpRequest) -> dict[str, int]:
    """Return under which keys a client's failures are counted, and how many there may be of each."""
    prefix, limit = f"oidc:failed:{_minute()}:", conf.OIDC_FAILED_LOGINS_PER_MINUTE
    try:
        cookie = request.COOKIES.get(authorization.cookie_name(COOKIE), "")
        bounds = {prefix + str(signing.loads(cookie, salt=COOKIE, max_age=COOKIE_SECONDS)): limit}
    except signing.BadSignature:
        bounds = {prefix + address_of(request): limit, f"{prefix}all": STRANGERS * limit}
    return bounds if limit else {}


def _minute() -> int:
    return int(time.time()) // SECONDS

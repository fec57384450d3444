"""How often the OP may be asked in vain: codes that were not good for a login are counted, in the shared cache.

Anybody can begin a login and come back with a made-up code, which costs the OP a request. What is counted is what
failed, so an office behind one address logs in as often as it likes. A browser that has logged in here before is a
client by itself, so neither a neighbour nor a flood from many addresses keeps it out.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from django.core import signing
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

from oidc import errors
from oidc.errors import LoginError
from oidc.internal import authorization, documents
from oidc.internal.conf import conf

SECONDS = 60
# As many as this many addresses may, all browsers together may that have not logged in here before.
STRANGERS = 30
COOKIE, SALT, COOKIE_SECONDS = "oidc_browser", "oidc.browser", 90 * 24 * 60 * 60

_last_failure = 0  # in which minute this process saw the last one


@contextmanager
def exchange(request: HttpRequest) -> Iterator[None]:
    """Let a code be exchanged in this context, and count it if that fails; raises `LoginError` (TOO_MANY_FAILURES)."""
    check(request)
    try:
        yield
    except LoginError as error:
        # An OP that does not respond is left alone anyway, and nobody's code can change that.
        if error.reason not in (errors.OP_UNREACHABLE, errors.OP_TIMEOUT):
            _count(request)
        raise


def check(request: HttpRequest) -> None:
    """Raise `LoginError` (TOO_MANY_FAILURES) for a client that has used up what it may in this minute."""
    bounds = _bounds(request)
    counts = documents.cached(cache.get_many, [_key(who) for who in bounds], otherwise={}) if bounds else {}
    for who, bound in bounds.items():
        if counts.get(_key(who), 0) >= bound:
            raise LoginError(errors.TOO_MANY_FAILURES, f"{bound} in this minute, now from {address_of(request)}")


def check_start(request: HttpRequest) -> None:
    """Do as `check`, so that nobody goes to the OP for nothing; without a failure in this process it costs nothing."""
    if _last_failure == _minute():
        check(request)


def seconds_left() -> int:
    """Return after how many seconds everybody may begin anew."""
    return SECONDS - int(time.time()) % SECONDS


def remember(response: HttpResponse) -> None:
    """Let the browser of somebody who has logged in be known for a while; nobody can tell by this whose it is."""
    value = signing.dumps(secrets.token_urlsafe(9), salt=SALT)
    authorization.set_cookie(response, authorization.cookie_name(COOKIE), value, COOKIE_SECONDS)


def address_of(request: HttpRequest) -> str:
    """Return whence a request comes: the nearest address that is no proxy in FORWARDED_ALLOW_IPS, of IPv6 its /64."""
    # A Unix socket, which has no address, reaches this machine only.
    addresses = [request.META.get("REMOTE_ADDR") or "127.0.0.1"]
    addresses += reversed(request.headers.get("X-Forwarded-For", "").split(","))
    nearest = ""
    for number, text in enumerate(addresses):
        if (address := _address(text)) is None:
            break
        # If all are proxies, it is the one that the nearest proxy names: what stands before it may be a lie.
        nearest = _network(address) if number < 2 else nearest
        if not any(address in network for network in conf.FORWARDED_ALLOW_IPS):
            return _network(address)
    return nearest


def _count(request: HttpRequest) -> None:
    global _last_failure
    _last_failure = _minute()
    for who in _bounds(request):
        documents.cached(cache.add, _key(who), 0, 2 * SECONDS)
        documents.cached(cache.incr, _key(who))


def _bounds(request: HttpRequest) -> dict[str, int]:
    """Return as whom a client fails, and how often that may be."""
    if not (limit := conf.OIDC_FAILED_LOGINS_PER_MINUTE):
        return {}
    try:
        cookie = request.COOKIES.get(authorization.cookie_name(COOKIE), "")
        return {f"browser={signing.loads(cookie, salt=SALT, max_age=COOKIE_SECONDS)}": limit}
    except signing.BadSignature:
        return {f"address={address_of(request)}": limit, "all=": STRANGERS * limit}


def _key(who: str) -> str:
    return f"oidc:failed:{_minute()}:{who}"


def _minute() -> int:
    return int(time.time()) // SECONDS


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        # Some proxies write a port behind it.
        has_port = text.count(":") == 1 or "[" in text
        address = ip_address((urlsplit(f"//{text.strip()}").hostname or "") if has_port else text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(address: IPv4Address | IPv6Address) -> str:
    return str(IPv6Network((int(address), 64), strict=False) if address.version == 6 else address)

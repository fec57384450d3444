"""The authorization request, and what has to be remembered of it until the OP sends the browser back.

Each attempt lives in a signed cookie of its own, not in the session: parallel tabs, a session that is
flushed or two requests that save it at once cannot lose it, and any process of the site can finish it.
State, nonce and PKCE verifier (RFC 7636) belong to one attempt, ten minutes at most, and are used once
(RFC 9700 2.1.1, 4.7).
"""

import hashlib
import re
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.encoding import iri_to_uri

from oidc import errors
from oidc.errors import LoginError
from oidc.internal import discovery, redirects, shared_cache, trace
from oidc.internal.conf import conf

MAX_AGE_SECONDS = 10 * 60
# The cookie outlives the attempt, so that somebody who comes back late is told so and can go on to the page.
COOKIE_SECONDS = 60 * 60
# Servers refuse a Cookie header beyond 8 kB, so both the number of attempts and their size are bounded.
MAX_PENDING = 4
MAX_NEXT_CHARACTERS = 1000
COOKIE_PREFIX = "oidc_attempt_"
ATTEMPT = re.compile(f"{COOKIE_PREFIX}[0-9a-f]{{16}}")
SALT = "oidc.attempts"
SETTINGS = ("OIDC_OP_ISSUER", "OIDC_RP_CLIENT_ID", "SITE_URL", "OIDC_RP_SCOPES", "OIDC_AUTH_REQUEST_EXTRA_PARAMS")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login under way.

    `next` is the checked local URL to go on to, `silent` marks a renewal with prompt=none. `max_age` (seconds) and
    `acr_values` are what was asked of the OP, to be verified in the ID Token. `begun` is in seconds since the epoch.
    """

    next: str = ""
    silent: bool = False
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    code_verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    begun: float = field(default_factory=lambda: int(time.time()))

    @property
    def code_challenge(self) -> str:
        """The S256 challenge of the verifier (RFC 7636 4.2)."""
        digest = hashlib.sha256(self.code_verifier.encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

    def check_age(self, now: float) -> None:
        """Raise `LoginError` (ATTEMPT_EXPIRED) if the attempt has taken too long."""
        if now - self.begun > MAX_AGE_SECONDS:
            raise LoginError(errors.ATTEMPT_EXPIRED, f"{now - self.begun:.0f} s old")


@trace.recorded
def leave(request: HttpRequest, attempt: Attempt, extra: Mapping[str, Any] | None = None) -> HttpResponse:
    """Return the redirect to the OP for `attempt` (Core 3.1.2.1), with the attempt's cookie.

    `extra` are further parameters of the authorization request; they cannot replace those of the protocol.
    Raises `LoginError` if the OP's metadata cannot be had.
    """
    further = {**conf.OIDC_AUTH_REQUEST_EXTRA_PARAMS, **(extra or {})}
    # Percent-encoded as in a Location header: JSON would make six characters of each that is not ASCII.
    next_url = iri_to_uri(attempt.next)
    attempt = replace(_asking(attempt, further), next=next_url if len(next_url) <= MAX_NEXT_CHARACTERS else "")
    response = HttpResponseRedirect(request_url(attempt, further))
    trace.go_on(attempt.state)
    title = "The browser was sent to the sign-in service" + (", to renew without a page" if attempt.silent else "")
    trace.step(title, {"then on to": attempt.next}, *SETTINGS, url=response.url)
    _remember(request, response, attempt)
    return response


def request_url(attempt: Attempt, further: Mapping[str, Any]) -> str:
    """Return the URL of an authorization request; raises `LoginError` if the OP's metadata cannot be had."""
    endpoint = discovery.required_endpoint("authorization_endpoint")
    return redirects.with_query(endpoint, {**further, **_parameters(attempt)})


def take(request: HttpRequest, state: str) -> Attempt:
    """Return the attempt for `state`; it cannot be taken again, whatever happens next.

    Raises `LoginError` (ATTEMPT_UNKNOWN).
    """
    try:
        kept = signing.loads(request.COOKIES.get(_cookie_name(state), ""), salt=SALT, max_age=COOKIE_SECONDS)
        # During a deploy the next release may have begun it, with fields that this one does not know.
        known = {known.name: kept[known.name] for known in fields(Attempt)}
        attempt = Attempt(**{**known, "acr_values": tuple(known["acr_values"])})
    except signing.BadSignature as error:
        raise LoginError(errors.ATTEMPT_UNKNOWN, "no attempt of this browser has this state") from error
    except (TypeError, KeyError) as error:
        raise LoginError(errors.ATTEMPT_UNKNOWN, "the attempt is of another release of this site") from error
    if attempt.state != state:
        raise LoginError(errors.ATTEMPT_UNKNOWN, "the attempt has another state")
    if not shared_cache.once(f"oidc:attempt:{hashlib.sha256(state.encode()).hexdigest()}", COOKIE_SECONDS):
        raise LoginError(errors.ATTEMPT_UNKNOWN, "the attempt was used before")
    return attempt


def forget(response: HttpResponse, state: str) -> None:
    """Remove an attempt's cookie from the browser."""
    _delete(response, _cookie_name(state))


def set_cookie(response: HttpResponse, name: str, value: str, seconds: int) -> None:
    """Set a cookie that comes back with the OP's response, and that scripts cannot read."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/",
        httponly=True,
        secure=_crosses_sites() or _over_https(),
        # The OP sends the browser back by a link (Lax), with form_post by a cross-site POST.
        samesite="None" if _crosses_sites() else "Lax",
    )


def cookie_name(name: str) -> str:
    """Return the name of a cookie that no other host of the domain can plant (login CSRF), where there is https."""
    return f"__Host-{name}" if _over_https() else name


def _parameters(attempt: Attempt) -> dict[str, str]:
    """Return the parameters of the protocol; those that do not apply are left out."""
    parameters = {
        "response_type": "code",
        "scope": conf.OIDC_RP_SCOPES,
        "client_id": conf.OIDC_RP_CLIENT_ID,
        "redirect_uri": redirects.callback_url(),
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": attempt.code_challenge,
        "code_challenge_method": "S256",
        # A renewal comes back as a query: with a form from the OP's site the browser would not send the session cookie.
        "response_mode": "form_post" if _crosses_sites() and not attempt.silent else "",
        "prompt": "none" if attempt.silent else "",
        "max_age": "" if attempt.max_age is None else str(attempt.max_age),
        "acr_values": " ".join(attempt.acr_values),
    }
    return {name: value for name, value in parameters.items() if value}


def _asking(attempt: Attempt, further: Mapping[str, Any]) -> Attempt:
    """Return `attempt` with what further parameters ask of the OP, so that its response is held against that."""
    max_age, acr_values = attempt.max_age, attempt.acr_values
    if max_age is None and str(further.get("max_age", "")).isdecimal():
        max_age = int(further["max_age"])
    if not acr_values and further.get("acr_values"):
        acr_values = tuple(str(further["acr_values"]).split())
    return replace(attempt, max_age=max_age, acr_values=acr_values)


def _remember(request: HttpRequest, response: HttpResponse, attempt: Attempt) -> None:
    """Put `attempt` into the browser with `response`, and drop the oldest beyond a handful."""
    pending = [name for name in request.COOKIES if ATTEMPT.fullmatch(name.removeprefix(cookie_name("")))]
    # A signed value has its time before the signature; what is forged deletes only attempts of its own browser.
    pending.sort(key=lambda name: request.COOKIES[name].split(":")[-2:-1], reverse=True)
    for name in pending[MAX_PENDING - 1 :]:
        _delete(response, name)
    set_cookie(response, _cookie_name(attempt.state), signing.dumps(asdict(attempt), salt=SALT), COOKIE_SECONDS)


def _delete(response: HttpResponse, cookie: str) -> None:
    response.delete_cookie(cookie, path="/", samesite="None" if _crosses_sites() else "Lax")


def _cookie_name(state: str) -> str:
    return cookie_name(COOKIE_PREFIX) + hashlib.sha256(state.encode(errors="surrogatepass")).hexdigest()[:16]


def _over_https() -> bool:
    return conf.SITE_URL.startswith("https://")


def _crosses_sites() -> bool:
    return conf.OIDC_RESPONSE_MODE == "form_post"

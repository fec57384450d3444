"""A login attempt: what has to be remembered between leaving for the OP and coming back.

Each attempt lives in a signed cookie of its own, not in the session: parallel tabs, a session that is
flushed or two requests that save it at once cannot lose it, and any process of the site can finish it.
State, nonce and PKCE verifier (RFC 7636) belong to one attempt, ten minutes at most, and are used once
(RFC 9700 2.1.1, 4.7).
"""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from dataclasses import asdict, dataclass
from typing import Any

from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.encoding import iri_to_uri

from oidc import cached
from oidc.conf import conf
from oidc.errors import LoginError, Reason

MAX_AGE = 10 * 60
# Servers refuse a Cookie header beyond 8 kB, so both the number of attempts and their size are bounded.
MAX_PENDING = 4
MAX_NEXT_CHARACTERS = 1000
COOKIE_PREFIX = "oidc_attempt_"
SALT = "oidc.attempts"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login under way.

    `next` is the checked local URL to go on to, `silent` marks a renewal with prompt=none. `max_age` and
    `acr_values` are what was asked of the OP, to be verified in the ID Token.
    """

    state: str
    nonce: str
    code_verifier: str
    next: str = ""
    silent: bool = False
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()

    @property
    def code_challenge(self) -> str:
        """The S256 challenge of the verifier (RFC 7636 4.2)."""
        digest = hashlib.sha256(self.code_verifier.encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

    @property
    def cookie(self) -> str:
        return _cookie_name(self.state)


def start(next_url: str = "", **asked: Any) -> Attempt:
    """Return a fresh attempt; `asked` are the fields of `Attempt` that describe the request."""
    # Percent-encoded as in a Location header: JSON would make six characters of each that is not ASCII.
    encoded = iri_to_uri(next_url)
    kept = encoded if len(encoded) <= MAX_NEXT_CHARACTERS else ""
    return Attempt(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), kept, **asked)


def remember(request: HttpRequest, response: HttpResponse, attempt: Attempt) -> None:
    """Put `attempt` into the browser with `response`, and drop the oldest beyond a handful."""
    pending = {name: _stamp(value) for name, value in request.COOKIES.items() if name.startswith(_prefix())}
    for name in sorted(pending, key=pending.__getitem__, reverse=True)[MAX_PENDING - 1 :]:
        forget(response, name)
    response.set_cookie(
        attempt.cookie,
        signing.dumps(asdict(attempt), salt=SALT),
        max_age=MAX_AGE,
        path="/",
        httponly=True,
        secure=_cross_site() or _over_https(),
        # The OP sends the browser back by a link (Lax), with form_post by a cross-site POST.
        samesite="None" if _cross_site() else "Lax",
    )


def take(request: HttpRequest, state: str) -> Attempt:
    """Return the attempt for `state`; it cannot be taken again, whatever happens next.

    Raises `LoginError`: ATTEMPT_UNKNOWN or ATTEMPT_EXPIRED.
    """
    value = request.COOKIES.get(_cookie_name(state), "")
    try:
        fields = signing.loads(value, salt=SALT, max_age=MAX_AGE)
    except signing.SignatureExpired as error:
        raise LoginError(Reason.ATTEMPT_EXPIRED, f"older than {MAX_AGE} s") from error
    except signing.BadSignature as error:
        raise LoginError(Reason.ATTEMPT_UNKNOWN, "no attempt of this browser has this state") from error
    try:
        attempt = Attempt(**{**fields, "acr_values": tuple(fields["acr_values"])})
    except (TypeError, KeyError) as error:
        raise LoginError(Reason.ATTEMPT_UNKNOWN, "the attempt is of another release of this site") from error
    if attempt.state != state:
        raise LoginError(Reason.ATTEMPT_UNKNOWN, "the attempt has another state")
    if not cached.once(f"oidc:attempt:{hashlib.sha256(state.encode()).hexdigest()}", MAX_AGE):
        raise LoginError(Reason.ATTEMPT_UNKNOWN, "the attempt was used before")
    return attempt


def forget(response: HttpResponse, cookie: str) -> None:
    """Remove an attempt's cookie from the browser."""
    response.delete_cookie(cookie, path="/", samesite="None" if _cross_site() else "Lax")


def _stamp(value: str) -> str:
    """Return the time stamp inside a signed cookie, "" for one that is broken or too old."""
    try:
        signing.loads(value, salt=SALT, max_age=MAX_AGE)
    except signing.BadSignature:
        return ""
    return value.rsplit(":", 2)[1]


def _cookie_name(state: str) -> str:
    return _prefix() + hashlib.sha256(state.encode(errors="surrogatepass")).hexdigest()[:16]


def _prefix() -> str:
    # No other host of the domain can plant a cookie with the name __Host- (login CSRF).
    return f"__Host-{COOKIE_PREFIX}" if _over_https() else COOKIE_PREFIX


def _over_https() -> bool:
    return conf.SITE_URL.startswith("https://")


def _cross_site() -> bool:
    return conf.OIDC_RESPONSE_MODE == "form_post"

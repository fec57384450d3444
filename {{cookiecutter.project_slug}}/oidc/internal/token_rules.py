"""The rules for signed tokens, as pure functions: values come in, a `TokenError` goes out.

OpenID Connect Core 1.0 sections 2, 3.1.3.7, 3.1.3.8 and 12.2; JWT Best Current Practices (RFC 8725).
Whether a broken rule is reported as a bad ID Token, logout token or userinfo response is the caller's
business. Times are seconds since the epoch.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn, TypeGuard

import jwt

from oidc import errors
from oidc.errors import shorten

Claims = Mapping[str, Any]

LEEWAY = 60
MAX_AGE_OF_ISSUE = 60 * 60
MAX_TOKEN_CHARACTERS = 64 * 1024
MAX_SUBJECT_CHARACTERS = 255
# Claims of an ID Token that are about the authentication, not about the person (Core 2, Back-Channel Logout 2.1).
OF_AUTHENTICATION = {"acr", "amr", "at_hash", "auth_time", "azp", "nonce", "sid"}


class Rule(Enum):
    """Which rule a token breaks; the value is why a login fails whose ID Token does."""

    MALFORMED = errors.ID_TOKEN_MALFORMED
    ALGORITHM = errors.ID_TOKEN_ALGORITHM
    KEY = errors.ID_TOKEN_KEY
    KEY_PENDING = errors.KEYS_CHANGING
    SIGNATURE = errors.ID_TOKEN_SIGNATURE
    ISSUER = errors.ID_TOKEN_ISSUER
    AUDIENCE = errors.ID_TOKEN_AUDIENCE
    TIME = errors.ID_TOKEN_TIME
    SUBJECT = errors.ID_TOKEN_SUBJECT
    NONCE = errors.ID_TOKEN_NONCE
    ACCESS_TOKEN = errors.ID_TOKEN_ACCESS_TOKEN
    AUTHENTICATION_TIME = errors.AUTHENTICATION_TOO_OLD
    AUTHENTICATION_CONTEXT = errors.AUTHENTICATION_TOO_WEAK


class TokenError(Exception):
    """A token that breaks `rule`; `detail` says what was expected and what came, never the token itself."""

    def __init__(self, rule: Rule, detail: str) -> None:
        super().__init__(f"{rule.name.lower()}: {detail}")
        self.rule = rule
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID Token of one login has to say.

    `max_age` (seconds) and `acr_values` are set only where the authorization request asked for them.
    """

    issuer: str
    client_id: str
    nonce: str
    now: float
    trusted_audiences: Collection[str] = ()
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()


def read(token: object, algorithm: str, keys_for: Callable[[Claims], Iterable[Any]]) -> dict[str, Any]:
    """Return the claims of a JWT whose signature verifies.

    `algorithm` is the only one that is accepted; `keys_for` returns the keys to try for a JOSE header.
    Raises `TokenError`: MALFORMED, ALGORITHM, SIGNATURE, or whatever `keys_for` raises.
    """
    text, header = read_header(token)
    # Core 3.1.3.7 rule 7, RFC 8725 3.1: the token does not choose.
    if header.get("alg") != algorithm:
        raise TokenError(Rule.ALGORITHM, f"alg is {shorten(header.get('alg'))}, expected {algorithm}")
    payload = None
    for key in keys_for(header):
        try:
            payload = jwt.PyJWS(algorithms=[algorithm]).decode(text, key, algorithms=[algorithm])
            break
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise TokenError(Rule.SIGNATURE, shorten(str(error))) from error
    if payload is None:
        raise TokenError(Rule.SIGNATURE, "the signature does not verify")
    try:
        return json_object(payload)
    except ValueError as error:
        raise TokenError(Rule.MALFORMED, f"the payload is {error}") from error


def read_header(token: object) -> tuple[str, dict[str, Any]]:
    """Return a JWT as text and its JOSE header (RFC 7515 4); raises `TokenError` (MALFORMED)."""
    if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARACTERS:
        raise TokenError(Rule.MALFORMED, f"not text of at most {MAX_TOKEN_CHARACTERS} characters")
    if not token.isascii() or token.count(".") != 2:
        raise TokenError(Rule.MALFORMED, "not three parts of base64url")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise TokenError(Rule.MALFORMED, shorten(str(error))) from error
    if "crit" in header or "b64" in header:
        raise TokenError(Rule.MALFORMED, "critical header extensions are not supported")
    return token, header


def check_id_token(claims: Claims, expected: Expected) -> None:
    """Apply every rule that needs nothing but the claims; raises the `TokenError` of the first that is broken."""
    check_origin_and_time(claims, expected)
    check_subject(claims)
    check_nonce(claims, expected.nonce)
    check_authentication_time(claims, expected.max_age, expected.now)
    check_authentication_context(claims, expected.acr_values)


def check_refreshed_id_token(claims: Claims, first: Claims, expected: Expected) -> None:
    """Apply the rules to an ID Token that came for a refresh token (Core 12.2).

    `first` has what the ID Token of the login said: `sub` and, where they were known, `auth_time` and `nonce`.
    """
    check_origin_and_time(claims, expected)
    check_same_subject(claims, first)
    if "nonce" in claims:
        check_nonce(claims, str(first.get("nonce") or ""))
    check_authentication_time(claims, None, expected.now)
    if first.get("auth_time") is not None and claims.get("auth_time", first["auth_time"]) != first["auth_time"]:
        raise TokenError(Rule.AUTHENTICATION_TIME, "auth_time is not the one of the login")


def check_origin_and_time(claims: Claims, expected: Expected) -> None:
    """The token is the issuer's, for this client, and valid now."""
    check_issuer(claims, expected.issuer)
    check_audience(claims, expected.client_id, expected.trusted_audiences)
    check_authorized_party(claims, expected.client_id)
    check_expiry(claims, expected.now)
    check_issued_at(claims, expected.now)
    check_not_before(claims, expected.now)


def check_issuer(claims: Claims, issuer: str) -> None:
    """`iss` equals the issuer exactly (rule 2)."""
    if claims.get("iss") != issuer:
        raise TokenError(Rule.ISSUER, f"iss is {shorten(claims.get('iss'))}, expected {issuer!r}")


def check_audience(claims: Claims, client_id: str, trusted: Collection[str] = ()) -> None:
    """`aud` contains the client id and no audience that is not trusted (rule 3)."""
    audiences = claims.get("aud")
    if isinstance(audiences, str):
        audiences = [audiences]
    if not isinstance(audiences, list) or client_id not in audiences:
        raise TokenError(Rule.AUDIENCE, f"aud is {shorten(claims.get('aud'))}, expected {client_id!r}")
    if any(audience not in (client_id, *trusted) for audience in audiences):
        raise TokenError(Rule.AUDIENCE, f"aud {shorten(audiences)} has audiences that are not trusted")


def check_authorized_party(claims: Claims, client_id: str) -> None:
    """`azp` is the client id; with several audiences it has to be there (rules 4 and 5)."""
    several = isinstance(claims.get("aud"), list) and len(claims["aud"]) > 1
    if (several or "azp" in claims) and claims.get("azp") != client_id:
        raise TokenError(Rule.AUDIENCE, f"azp is {shorten(claims.get('azp'))}, expected {client_id!r}")


def check_expiry(claims: Claims, now: float) -> None:
    """`exp` is there and has not passed (rule 9)."""
    expiry = time_of(claims, "exp")
    if expiry + LEEWAY <= now:
        raise TokenError(Rule.TIME, f"expired {now - expiry:.0f} s ago")


def check_issued_at(claims: Claims, now: float) -> None:
    """`iat` is there, not in the future, and not so old that the token cannot be of this login (rule 10)."""
    issued_at = time_of(claims, "iat")
    if issued_at - LEEWAY > now:
        raise TokenError(Rule.TIME, f"issued {issued_at - now:.0f} s in the future")
    if issued_at + MAX_AGE_OF_ISSUE < now:
        raise TokenError(Rule.TIME, f"issued {now - issued_at:.0f} s ago")


def check_not_before(claims: Claims, now: float) -> None:
    """`nbf`, if there, has passed (RFC 7519 4.1.5)."""
    if "nbf" in claims and (not_before := time_of(claims, "nbf")) - LEEWAY > now:
        raise TokenError(Rule.TIME, f"not valid for another {not_before - now:.0f} s")


def check_subject(claims: Claims) -> None:
    """`sub` is there: 1 to 255 printable ASCII characters (Core 2)."""
    subject: Any = claims.get("sub")
    is_text = isinstance(subject, str) and subject.isascii() and subject.isprintable()
    if not is_text or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS:
        raise TokenError(Rule.SUBJECT, "sub is missing, empty, too long or not printable ASCII")


def check_nonce(claims: Claims, nonce: str) -> None:
    """`nonce` is there and the one that was sent (rule 11)."""
    found = claims.get("nonce")
    if not isinstance(found, str) or not _same(found, nonce):
        raise TokenError(Rule.NONCE, "nonce is missing" if found is None else "nonce differs")


def check_authentication_time(claims: Claims, max_age: int | None, now: float) -> None:
    """`auth_time` is not in the future, and within the `max_age` that was asked for (rule 13)."""
    if max_age is None and not is_time(claims.get("auth_time")):
        return
    if "auth_time" not in claims:
        raise TokenError(Rule.AUTHENTICATION_TIME, "auth_time is missing")
    since = time_of(claims, "auth_time")
    if since - LEEWAY > now:
        raise TokenError(Rule.TIME, f"auth_time is {since - now:.0f} s in the future")
    if max_age is not None and since + max_age + LEEWAY < now:
        raise TokenError(Rule.AUTHENTICATION_TIME, f"authenticated {now - since:.0f} s ago")


def check_authentication_context(claims: Claims, acr_values: tuple[str, ...]) -> None:
    """`acr` is one of those that were asked for (rule 12)."""
    if acr_values and claims.get("acr") not in acr_values:
        raise TokenError(Rule.AUTHENTICATION_CONTEXT, f"acr is {shorten(claims.get('acr'))}")


def check_access_token_hash(claims: Claims, access_token: object, algorithm: str) -> None:
    """`at_hash`, if there, is the left half of the access token's hash (Core 3.1.3.8)."""
    if "at_hash" not in claims:
        return
    # EdDSA names no hash of its own; with Ed25519 it is SHA-512 (RFC 8032 5.1).
    size = {"256": "sha256", "384": "sha384", "512": "sha512"}.get(algorithm[-3:], "sha512")
    text = access_token if isinstance(access_token, str) else ""
    digest = hashlib.new(size, text.encode(errors="surrogatepass")).digest()
    half = urlsafe_b64encode(digest[: len(digest) // 2]).decode()
    found = claims["at_hash"]
    if not isinstance(found, str) or not _same(found.rstrip("="), half.rstrip("=")):
        raise TokenError(Rule.ACCESS_TOKEN, "at_hash differs")


def check_same_subject(claims: Claims, first: Claims) -> None:
    """`sub` is there and the one of the ID Token of the login (Core 5.3.2 for userinfo, 12.2 for refreshed tokens)."""
    if claims.get("sub") != first["sub"]:
        raise TokenError(Rule.SUBJECT, "sub is missing" if "sub" not in claims else "sub is another person's")


def merge_claims(id_token_claims: Claims, userinfo: Claims) -> dict[str, Any]:
    """Return userinfo with the claims of the ID Token over it.

    `email_verified` is a statement about the address beside it, so it never comes from the other source; what is said
    of the authentication comes from the ID Token alone, which is signed.
    """
    merged = {name: value for name, value in userinfo.items() if name not in OF_AUTHENTICATION} | {**id_token_claims}
    merged.pop("email_verified", None)
    for source in (userinfo, id_token_claims):
        if "email_verified" in source and source.get("email") == merged.get("email"):
            merged["email_verified"] = source["email_verified"]
    return merged


def is_time(value: object) -> TypeGuard[float]:
    """Tell whether a claim can be a time: a number of seconds, and one that floating point can count."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53


def time_of(claims: Claims, name: str) -> float:
    """Return the time in a claim, in seconds since the epoch; raises `TokenError` (TIME) if it is not one."""
    value = claims.get(name)
    if not is_time(value):
        raise TokenError(Rule.TIME, f"{name} is missing or not a time: {shorten(value)}")
    return value


def json_object(text: bytes) -> dict[str, Any]:
    """Return the JSON object in `text`; raises `ValueError`, also for NaN and Infinity, which JSON does not have."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError("not JSON") from error
    if not isinstance(value, dict):
        raise ValueError("JSON, but not an object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _same(found: str, wanted: str) -> bool:
    return hmac.compare_digest(found.encode(errors="surrogatepass"), wanted.encode(errors="surrogatepass"))

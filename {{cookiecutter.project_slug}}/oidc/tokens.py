"""The rules for an ID Token, as pure functions: values come in, a `LoginError` goes out.

OpenID Connect Core 1.0 sections 2, 3.1.3.7 and 3.1.3.8; JWT Best Current Practices (RFC 8725).
Times are seconds since the epoch.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import jwt

from oidc.errors import LoginError, Reason, shorten

LEEWAY = 60
OLDEST = 60 * 60
MAX_TOKEN_CHARACTERS = 64 * 1024
MAX_SUBJECT_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID Token of one login has to say.

    `max_age` (seconds) and `acr_values` are set only where the authorization request asked for them.
    """

    issuer: str
    client_id: str
    nonce: str | None
    now: float
    trusted_audiences: Collection[str] = ()
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()


def read(token: object, algorithm: str, key_for: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Return the claims of a JWT whose signature verifies.

    `algorithm` is the only one that is accepted, `key_for` maps the JOSE header to the key.
    Raises `LoginError`: ID_TOKEN_MALFORMED, ID_TOKEN_ALGORITHM, ID_TOKEN_SIGNATURE, or that of `key_for`.
    """
    header = read_header(token)
    check_algorithm(header, algorithm)
    key = key_for(header)
    try:
        payload = jwt.PyJWS(algorithms=[algorithm]).decode(token, key, algorithms=[algorithm])
    except jwt.InvalidSignatureError as error:
        raise LoginError(Reason.ID_TOKEN_SIGNATURE, "the signature does not verify") from error
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise LoginError(Reason.ID_TOKEN_SIGNATURE, shorten(str(error))) from error
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise LoginError(Reason.ID_TOKEN_MALFORMED, "the payload is no JSON") from error
    if not isinstance(claims, dict):
        raise LoginError(Reason.ID_TOKEN_MALFORMED, "the payload is no JSON object")
    return claims


def read_header(token: object) -> dict[str, Any]:
    """Return the JOSE header of a JWT (RFC 7515 4); raises `LoginError` (ID_TOKEN_MALFORMED)."""
    if not isinstance(token, str):
        raise LoginError(Reason.ID_TOKEN_MALFORMED, f"a token is text, this is {type(token).__name__}")
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise LoginError(Reason.ID_TOKEN_MALFORMED, f"longer than {MAX_TOKEN_CHARACTERS} characters")
    if not token.isascii() or token.count(".") != 2:
        raise LoginError(Reason.ID_TOKEN_MALFORMED, "not three parts of base64url")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise LoginError(Reason.ID_TOKEN_MALFORMED, shorten(str(error))) from error
    if "crit" in header or "b64" in header:
        raise LoginError(Reason.ID_TOKEN_MALFORMED, "critical header extensions are not supported")
    return header


def check_algorithm(header: dict[str, Any], algorithm: str) -> None:
    """`alg` is the one that was agreed on (Core 3.1.3.7 rule 7, RFC 8725 3.1)."""
    if header.get("alg") != algorithm:
        raise LoginError(Reason.ID_TOKEN_ALGORITHM, f"alg is {shorten(header.get('alg'))}, expected {algorithm}")


def check_id_token(claims: dict[str, Any], expected: Expected) -> None:
    """Apply every rule that needs nothing but the claims; raises the `LoginError` of the first that fails."""
    check_issuer(claims, expected.issuer)
    check_audience(claims, expected.client_id, expected.trusted_audiences)
    check_authorized_party(claims, expected.client_id)
    check_expiry(claims, expected.now)
    check_issued_at(claims, expected.now)
    check_not_before(claims, expected.now)
    check_subject(claims)
    check_nonce(claims, expected.nonce)
    check_authentication_time(claims, expected.max_age, expected.now)
    check_authentication_context(claims, expected.acr_values)


def check_issuer(claims: dict[str, Any], issuer: str) -> None:
    """`iss` equals the issuer exactly (rule 2)."""
    if claims.get("iss") != issuer:
        raise LoginError(Reason.ID_TOKEN_ISSUER, f"iss is {shorten(claims.get('iss'))}, expected {issuer!r}")


def check_audience(claims: dict[str, Any], client_id: str, trusted: Collection[str] = ()) -> None:
    """`aud` contains the client id and no audience that is not trusted (rule 3)."""
    audiences = claims.get("aud")
    if isinstance(audiences, str):
        audiences = [audiences]
    if not isinstance(audiences, list) or client_id not in audiences:
        raise LoginError(Reason.ID_TOKEN_AUDIENCE, f"aud is {shorten(claims.get('aud'))}, expected {client_id!r}")
    if any(audience not in (client_id, *trusted) for audience in audiences):
        raise LoginError(Reason.ID_TOKEN_AUDIENCE, f"aud {shorten(audiences)} has audiences that are not trusted")


def check_authorized_party(claims: dict[str, Any], client_id: str) -> None:
    """`azp` is the client id; with several audiences it has to be there (rules 4 and 5)."""
    several = isinstance(claims.get("aud"), list) and len(claims["aud"]) > 1
    if (several or "azp" in claims) and claims.get("azp") != client_id:
        raise LoginError(Reason.ID_TOKEN_AUDIENCE, f"azp is {shorten(claims.get('azp'))}, expected {client_id!r}")


def check_expiry(claims: dict[str, Any], now: float) -> None:
    """`exp` is there and not over (rule 9)."""
    if _time(claims, "exp") + LEEWAY <= now:
        raise LoginError(Reason.ID_TOKEN_TIME, f"expired {now - claims['exp']:.0f} s ago")


def check_issued_at(claims: dict[str, Any], now: float) -> None:
    """`iat` is there, not in the future, and not so old that the token cannot be of this login (rule 10)."""
    issued_at = _time(claims, "iat")
    if issued_at - LEEWAY > now:
        raise LoginError(Reason.ID_TOKEN_TIME, f"issued {issued_at - now:.0f} s in the future")
    if issued_at + OLDEST < now:
        raise LoginError(Reason.ID_TOKEN_TIME, f"issued {now - issued_at:.0f} s ago")


def check_not_before(claims: dict[str, Any], now: float) -> None:
    """`nbf`, if there, is over (RFC 7519 4.1.5)."""
    if "nbf" in claims and _time(claims, "nbf") - LEEWAY > now:
        raise LoginError(Reason.ID_TOKEN_TIME, f"not valid before {claims['nbf'] - now:.0f} s from now")


def check_subject(claims: dict[str, Any]) -> None:
    """`sub` is there: 1 to 255 printable ASCII characters (Core 2)."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS:
        raise LoginError(Reason.ID_TOKEN_SUBJECT, "sub is missing, empty, too long or no text")
    if not (subject.isascii() and subject.isprintable()):
        raise LoginError(Reason.ID_TOKEN_SUBJECT, "sub has characters other than printable ASCII")


def check_nonce(claims: dict[str, Any], nonce: str | None) -> None:
    """`nonce` is there and the one that was sent (rule 11); `None` stands for a token that answers no request."""
    if nonce is None:
        return
    found = claims.get("nonce")
    if not isinstance(found, str) or not _same(found, nonce):
        raise LoginError(Reason.ID_TOKEN_NONCE, "nonce is missing" if found is None else "nonce differs")


def check_authentication_time(claims: dict[str, Any], max_age: int | None, now: float) -> None:
    """`auth_time` is within the `max_age` that was asked for (rule 13)."""
    if max_age is None:
        return
    if "auth_time" not in claims:
        raise LoginError(Reason.AUTHENTICATION_TOO_OLD, "auth_time is missing")
    if _time(claims, "auth_time") + max_age + LEEWAY < now:
        raise LoginError(Reason.AUTHENTICATION_TOO_OLD, f"authenticated {now - claims['auth_time']:.0f} s ago")


def check_authentication_context(claims: dict[str, Any], acr_values: tuple[str, ...]) -> None:
    """`acr` is one of those that were asked for (rule 12)."""
    if acr_values and claims.get("acr") not in acr_values:
        raise LoginError(Reason.AUTHENTICATION_TOO_WEAK, f"acr is {shorten(claims.get('acr'))}")


def check_access_token_hash(claims: dict[str, Any], access_token: str | None, algorithm: str) -> None:
    """`at_hash`, if there, is the left half of the access token's hash (Core 3.1.3.8)."""
    if "at_hash" not in claims:
        return
    # EdDSA names no hash of its own; with Ed25519 it is SHA-512 (RFC 8032 5.1).
    size = {"256": "sha256", "384": "sha384", "512": "sha512"}.get(algorithm[-3:], "sha512")
    digest = hashlib.new(size, (access_token or "").encode(errors="surrogatepass")).digest()
    half = urlsafe_b64encode(digest[: len(digest) // 2]).decode()
    found = claims["at_hash"]
    if not isinstance(found, str) or not _same(found.rstrip("="), half.rstrip("=")):
        raise LoginError(Reason.ID_TOKEN_ACCESS_TOKEN, "at_hash differs")


def check_same_subject(id_token_claims: dict[str, Any], userinfo: dict[str, Any]) -> None:
    """`sub` of userinfo is there and equals that of the ID Token (Core 5.3.2)."""
    if userinfo.get("sub") != id_token_claims["sub"]:
        raise LoginError(Reason.USERINFO_SUBJECT, f"sub is {'missing' if 'sub' not in userinfo else 'another'}")


def merge_claims(id_token_claims: dict[str, Any], userinfo: dict[str, Any]) -> dict[str, Any]:
    """Return userinfo with the claims of the ID Token over it.

    `email_verified` is a statement about the address beside it, so it never comes from the other source.
    """
    merged = {**userinfo, **id_token_claims}
    merged.pop("email_verified", None)
    for source in (userinfo, id_token_claims):
        if "email_verified" in source and source.get("email") == merged.get("email"):
            merged["email_verified"] = source["email_verified"]
    return merged


def _same(found: str, wanted: str) -> bool:
    return hmac.compare_digest(found.encode(errors="surrogatepass"), wanted.encode())


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise LoginError(Reason.ID_TOKEN_TIME, f"{name} is missing or no time: {shorten(value)}")
    return value

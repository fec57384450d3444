"""Which key verifies a token.

JSON Web Key (RFC 7517), OpenID Connect Core 10.1 (rotation), RFC 8725 3.1 (no confusion of key types).
"""

from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate

from oidc.errors import LoginError, shorten
from oidc.internal import discovery, documents, provider
from oidc.internal.conf import conf
from oidc.internal.token_rules import Claims, Rule, TokenError

# Algorithm -> (kty, crv) of its keys; RSA keys have no curve.
KEY_TYPES: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
SYMMETRIC = {"HS256"}
SUPPORTED = [*KEY_TYPES, *SYMMETRIC]
# RFC 7518 3.3 sets the lower limit; far beyond the upper one a single signature keeps a processor busy.
RSA_BITS = range(2048, 16 * 1024 + 1)


def verification_keys(header: Claims, scopes: Collection[str] | None = None) -> Iterator[Any]:
    """Yield the keys to try for a token with this JOSE `header`, whose `alg` has been checked: seldom more than one.

    It is the client secret for HS256, else OIDC_RP_IDP_SIGN_KEY if that is set, else the one that fits in the OP's key
    set; if that verifies nothing or none fits, keys may have changed (Core 10.1.1), so the set is fetched again.
    Raises `TokenError` (KEY, KEY_PENDING), or the `LoginError` of a set that cannot be had.
    """
    if header["alg"] in SYMMETRIC:
        if not conf.OIDC_RP_CLIENT_SECRET:
            raise TokenError(Rule.KEY, "OIDC_RP_CLIENT_SECRET is not set")
        yield conf.OIDC_RP_CLIENT_SECRET.encode()
    elif conf.OIDC_RP_IDP_SIGN_KEY:
        try:
            yield load_public_key(conf.OIDC_RP_IDP_SIGN_KEY)
        except ValueError as error:
            raise TokenError(Rule.KEY, "OIDC_RP_IDP_SIGN_KEY is not a public key") from error
    else:
        known = select(_key_set(documents.document), header, scopes)
        if len(known) == 1:
            yield known[0]
        renewed = _key_set(documents.refetched)
        found = select(renewed or [], header, scopes)
        if len(found) == 1 and found != known:
            yield found[0]
        elif len(known) != 1:
            rule, kid = Rule.KEY_PENDING if renewed is None else Rule.KEY, shorten(header.get("kid", ""))
            raise TokenError(
                rule, f"{len(found)} keys at {discovery.endpoint('jwks_uri')} fit {header['alg']}, kid {kid}"
            )


def _key_set(read: Callable[..., Any]) -> Any:
    """Return the OP's key set as `read` gets it; if it is not where it was, the metadata is read again."""
    url = discovery.required_endpoint("jwks_uri")
    try:
        return read("jwks", url, provider.fetch_jwks)
    except LoginError:
        if conf.OIDC_OP_JWKS_ENDPOINT or discovery.refetch() is None or discovery.endpoint("jwks_uri") in ("", url):
            raise
        return read("jwks", discovery.endpoint("jwks_uri"), provider.fetch_jwks)


def select(jwks: list[dict[str, Any]], header: Claims, scopes: Collection[str] | None = None) -> list[Any]:
    """Return the keys of a set that fit a JOSE header by key type, curve, `use`, `key_ops`, `alg` and `kid`.

    Where there are `scopes` (`tenants.scopes_of_keys`), its `issuer` is one of them. Keys that are broken or unknown
    are passed over. A token without kid fits every key of its type; several results would make the choice a guess.
    """
    fitting = [jwk for jwk in jwks if fits(jwk, header) and (scopes is None or jwk.get("issuer") in scopes)]
    return [key for jwk in fitting if (key := _parse(jwk, header["alg"])) is not None]


@lru_cache(maxsize=8)
def load_public_key(value: str | bytes) -> Any:
    """Return the public key of a PEM or DER key or certificate.

    Raises `ValueError` for anything else, and for RSA keys outside `RSA_BITS`.
    """
    data = value.encode() if isinstance(value, str) else value
    key: Any
    if b"-----BEGIN CERTIFICATE" in data:
        key = load_pem_x509_certificate(data).public_key()
    elif b"-----BEGIN" in data:
        key = load_pem_public_key(data)
    else:
        try:
            key = load_der_public_key(data)
        except ValueError:
            key = load_der_x509_certificate(data).public_key()
    if isinstance(key, RSAPublicKey) and key.key_size not in RSA_BITS:
        raise ValueError(f"an RSA key of {key.key_size} bits")
    return key


def fits(jwk: dict[str, Any], header: Claims) -> bool:
    """Tell whether a key is said to be for tokens with this JOSE header; it may be broken or weak all the same."""
    key_type, curve = KEY_TYPES[header["alg"]]
    operations = jwk.get("key_ops")
    return (
        jwk.get("kty") == key_type
        and curve in (None, jwk.get("crv"))
        and jwk.get("use", "sig") == "sig"
        and (not isinstance(operations, list) or "verify" in operations)
        and jwk.get("alg", header["alg"]) == header["alg"]
        and ("kid" not in header or jwk.get("kid") == header["kid"])
    )


def _parse(jwk: dict[str, Any], algorithm: str) -> Any | None:
    members = ((name, jwk[name]) for name in ("kty", "n", "e", "crv", "x", "y") if isinstance(jwk.get(name), str))
    return _parse_members(tuple(members), algorithm)


@lru_cache(maxsize=64)
def _parse_members(members: tuple[tuple[str, str], ...], algorithm: str) -> Any | None:
    """Return the key of the members of a JWK, None if it is broken or unfit; parsing costs more than verifying."""
    try:
        key = jwt.PyJWK(dict(members), algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    unfit = isinstance(key, RSAPublicKey) and key.key_size not in RSA_BITS
    return None if unfit else key

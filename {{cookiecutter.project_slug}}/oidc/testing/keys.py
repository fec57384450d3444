"""Keys of the kit, each made once in a process, and the JSON Web Keys that an OP publishes for them (RFC 7517)."""

from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

CURVES: dict[str, Any] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
# The kind of key that an algorithm signs with; HS256 needs none.
KINDS = dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA")
KINDS |= {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}


@cache
def private_key(kind: str, number: int) -> Any:
    """Return the `number`th private key of a kind: "RSA", "Ed25519" or a name of `CURVES`."""
    if kind == "RSA":
        return rsa.generate_private_key(65537, 2048)
    return ed25519.Ed25519PrivateKey.generate() if kind == "Ed25519" else ec.generate_private_key(CURVES[kind]())


def jwk(kind: str, number: int = 1, **members: Any) -> dict[str, Any]:
    """Return the public half of a key as a JSON Web Key with further `members`."""
    algorithm = {"RSA": "RS256", "Ed25519": "EdDSA"}.get(kind, "ES256")
    public = jwt.get_algorithm_by_name(algorithm).to_jwk(private_key(kind, number).public_key(), as_dict=True)
    return {name: value for name, value in public.items() if name != "key_ops"} | members

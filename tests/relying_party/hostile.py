"""What only the tests of the relying party need of an OP: strange keys and broken HTTP."""

from collections import Counter
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from oidc.testing.op import Claims, Fault, Handler, jwk

# How many inputs each test with random ones has tried in this process.
TRIED: Counter[str] = Counter()
UNSUPPORTED = ec.generate_private_key(ec.SECP256K1()).public_key()


def crowd(**members: Any) -> list[Claims]:
    """Return the key set of the OpenID Foundation's suite, all without `alg`, with some broken members."""
    kinds = [("RSA", 1), ("RSA", 2), ("P-256", 1), ("P-256", 2), ("Ed25519", 1)]
    good = [jwk(*kind, use="sig", kid="-".join(map(str, kind))) for kind in kinds]
    good.append(ECAlgorithm.to_jwk(UNSUPPORTED, as_dict=True) | {"use": "sig", "kid": "secp256k1-1"})
    other = [jwk(kind, 3, use="enc", kid=f"{kind}-1") for kind in ("RSA", "P-256")]
    broken = [{"kty": "RSA", "kid": "RSA-1", "n": "!", "e": None}, {"kty": "AKP", "kid": "RSA-1"}]
    return [*(key | members for key in good), *other, *broken]


def raw(data: bytes) -> Fault:
    """Return a fault that writes bytes where an HTTP response should be, and hangs up."""

    def write(handler: Handler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return write


def drip(handler: Handler) -> None:
    """Respond a byte at a time, each of them well within a time limit for reading."""
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not handler.server.op.closed.wait(0.05):
        handler.wfile.write(b" ")

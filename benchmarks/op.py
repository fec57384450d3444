"""The OP of the kit for measurements: HTTPS with an authority of its own, some milliseconds away.

    python -m benchmarks.op FOLDER SITE_URL [SITE_URL ...]

It prints the issuer for each site when all are ready; FOLDER holds `ca.pem` then. LATENCY in the environment is the
seconds that each response takes. /counts tells how much the OP was asked so far; /be?hanging=PATH&latency=SECONDS
changes how it behaves: "*" is every path but these two, "POST /token" is the path for that method only,
and with another word than a method nothing hangs, but is refused. With &capacity=N it takes N token requests a second.
"""

import os
import ssl
import sys
import threading
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks import CLIENT, MADE_UP
from oidc.testing.op import OP, Asked, Fault, responds, slow
from oidc.testing.server import check


def certificate(folder: Path) -> Path:
    """Make an authority, `ca.pem`, and return the file of a certificate for localhost that it has signed."""
    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "benchmark")])
    now = datetime.now(UTC)

    def signed(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(authority, SHA256()).public_bytes(Encoding.PEM)

    identifier = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    (folder / "ca.pem").write_bytes(
        signed(issuer, authority, x509.BasicConstraints(ca=True, path_length=0), identifier)
    )
    chain = signed(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")]),
        server,
        x509.SubjectAlternativeName([x509.DNSName("localhost")]),
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
    )
    file = folder / "server.pem"
    file.write_bytes(chain + server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file


def hang_at(method: str) -> Fault:
    """Return a fault that takes requests of a method, "" for any, and never responds; it refuses the others."""
    refuse = responds({"error": "invalid_request"}, status=405)
    return lambda handler: (slow if method in ("", handler.command) else refuse)(handler)


def start(folder: Path, site_url: str) -> OP:
    """Start the OP of one site."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    op = OP(
        host="localhost", client=CLIENT, site_url=site_url, tls=context, latency=float(os.environ.get("LATENCY", 0))
    )

    def counts(asked: Asked) -> dict[str, int]:
        of_site = [request for request in op.requests if request.path not in ("/authorize", "/counts", "/be")]
        connections = len({request.connection for request in of_site})
        made_up = sum(request.form.get("code") == MADE_UP for request in of_site)
        return {"requests": len(of_site), "connections": connections, "made_up": made_up}

    def be(asked: Asked) -> dict[str, str]:
        op.latency = float(asked.query["latency"])
        capacity[0] = int(asked.query.get("capacity", 0))
        method, _, hanging = asked.query.get("hanging", "").rpartition(" ")
        paths = [path for path in sites if hanging in ("*", path)]
        op.faults = dict.fromkeys(paths, hang_at(method))
        return {}

    def token(asked: Asked) -> Any:
        """Take what the capacity allows, as a hosted OP does for each client (0: anything)."""
        now = time.monotonic()
        with lock:
            while taken and taken[0] < now - 1:
                taken.popleft()
            check(not capacity[0] or len(taken) < capacity[0], "temporarily_unavailable", "too many requests", 429)
            taken.append(now)
        return take_token(asked)

    sites, take_token = list(op.endpoints), op.endpoints["/token"]
    capacity, taken, lock = [0], deque[float](), threading.Lock()
    op.endpoints |= {"/counts": counts, "/be": be, "/token": token}
    return op


def main() -> None:
    folder, *site_urls = sys.argv[1:]
    certificate(Path(folder))
    for op in [start(Path(folder), url) for url in site_urls]:
        print(op.issuer, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()

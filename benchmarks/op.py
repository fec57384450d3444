"""An OP for measurements: HTTPS with a certificate authority of its own, and no state, so that it costs little.

    python -m benchmarks.op FOLDER SECONDS

It answers after SECONDS and prints its issuer when it is ready; FOLDER holds `ca.pem` then. A login needs no
page: whoever knows `code_for` says yes for the person. /counts tells how much the OP was asked so far.
"""

import json
import ssl
import sys
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

CLIENT_ID, CLIENT_SECRET = "benchmark", "longer-than-thirty-two-bytes-and-no-secret"


def code_for(subject: str, nonce: str) -> str:
    """Return the authorization code that stands for the consent of `subject`."""
    return urlsafe_b64encode(json.dumps([subject, nonce]).encode()).decode()


class OP(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder: Path, delay: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.delay = delay
        self.issuer = f"https://localhost:{self.server_port}"
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.key = rsa.generate_private_key(65537, 2048)
        jwk = jwt.get_algorithm_by_name("RS256").to_jwk(self.key.public_key(), as_dict=True)
        self.jwks = {"keys": [{**jwk, "kid": "key-1", "use": "sig", "alg": "RS256"}]}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate(folder))
        # The handshake belongs into the connection's thread.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def answer(self, path: str, form: dict[str, str], bearer: str) -> dict[str, Any]:
        match path:
            case "/token":
                subject, nonce = json.loads(urlsafe_b64decode(form["code"]))
                now = int(time.time())
                claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce}
                id_token = jwt.encode(claims | {"sub": subject}, self.key, "RS256", {"kid": "key-1"})
                return {"access_token": subject, "token_type": "Bearer", "id_token": id_token}
            case "/userinfo":
                return {"sub": bearer, "email": f"{bearer}@example.org", "email_verified": True}
            case "/jwks":
                return self.jwks
            case "/counts":
                return dict(self.counts)
        endpoints = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            **{f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in endpoints.items()},
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            self.request.do_handshake()
            self.server.count("connections")
            super().handle()
        except OSError:
            self.close_connection = True

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if self.path != "/counts":
            self.server.count("requests")
            time.sleep(self.server.delay)
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        answer = json.dumps(self.server.answer(self.path, form, bearer)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET  # noqa: N815 - http.server wants this name

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


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


if __name__ == "__main__":
    op = OP(Path(sys.argv[1]), float(sys.argv[2]))
    print(op.issuer, flush=True)
    op.serve_forever()

"""How the site talks HTTP to the OP: whatever happens there, in a bounded time and with a bounded number of threads."""

import os
import socket
import ssl
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from oidc.errors import LoginError
from oidc.internal import breaker, transport
from oidc.internal.transport import Response
from oidc.testing.browser import Browser
from oidc.testing.op import DISCOVERY, OP, dead, private_key, responds, slow
from tests.relying_party.hostile import drip, raw

PATHS = [DISCOVERY, "/token", "/jwks", "/userinfo"]
HTML = responds(b"<!doctype html><title>Login</title>", "text/html")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param(dead, "op_unreachable", id="dead"),
        pytest.param(slow, "op_timeout", id="slow"),
        pytest.param(drip, "op_timeout", id="drip"),
        pytest.param(raw(b"SSH-2.0-OpenSSH\r\n"), "op_unreachable", id="not-http"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), "op_unreachable", id="cut-off"),
        pytest.param(responds(b"\x1f\x8b...", Content_Encoding="gzip"), "op_response", id="compressed"),
        pytest.param(responds({"padding": "x" * transport.MAX_BYTES}), "op_response", id="huge"),
        pytest.param(responds(b"{}", status=302, Location="/elsewhere"), "op_response", id="redirect"),
        pytest.param(responds(b"{}", status=307, Location="/elsewhere"), "op_response", id="redirect-with-body"),
        pytest.param(HTML, "op_response", id="html"),
        pytest.param(responds(b"", "text/plain"), "op_response", id="empty"),
        pytest.param(responds([]), "op_response", id="list"),
        pytest.param(responds(b'{"a": NaN}'), "op_response", id="not-quite-json"),
        pytest.param(responds(b"[" * 100_000), "op_response", id="deep"),
        pytest.param(responds({}, status=500), "op_unavailable", id="error-500"),
        pytest.param(responds(b"<p>Bad Gateway", "text/html", status=502), "op_unavailable", id="gateway"),
    ],
)
def test_an_op_that_fails_is_told_from_an_op_that_refuses(
    browser: Browser, op: OP, settings, path: str, fault: Callable, reason: str
) -> None:
    settings.OIDC_TIMEOUT = 0.3 if fault in (slow, drip) else 30
    op.faults[path] = fault
    started = time.monotonic()
    assert browser.outcome() == reason
    assert time.monotonic() - started < 10
    assert not op.asked("/elsewhere")


def test_an_error_names_the_endpoint_that_was_asked(op: OP) -> None:
    op.faults["/jwks"] = HTML
    with pytest.raises(LoginError, match=r"HTTP 200, not JSON \(text/html\)") as caught:
        transport.get_json(f"{op.issuer}/jwks")
    assert caught.value.endpoint == f"{op.issuer}/jwks"


def test_a_port_that_nobody_listens_on_is_unreachable(browser: Browser, op: OP) -> None:
    op.close()
    assert browser.outcome() == "op_unreachable"


def test_a_host_that_does_not_exist_is_unreachable(browser: Browser, settings) -> None:
    settings.OIDC_OP_ISSUER = "https://op.invalid"
    assert browser.outcome() == "op_unreachable"


@pytest.mark.parametrize("url", ["https://", "http://[", "gopher://op.example.org/", "http://\ud800/"])
def test_an_address_that_cannot_be_one_is_unreachable(url: str) -> None:
    with pytest.raises(LoginError, match="op_unreachable"):
        transport.request("GET", url)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_is_sent_once(op: OP, method: str) -> None:
    """A code is good once: a second attempt would only hide what happened to the first."""
    op.faults["/token"] = dead
    with pytest.raises(LoginError, match="op_unreachable"):
        transport.request(method, f"{op.issuer}/token", headers={"X-Login": "1"})
    assert len([asked for asked in op.asked("/token") if asked.headers["X-Login"]]) == 1


def test_connections_are_kept(browser: Browser, op: OP) -> None:
    for _ in range(3):
        browser.outcome()
    assert len({asked.connection for asked in op.requests}) == 1


def test_cookies_of_the_op_are_not_kept_for_the_next_person(browser: Browser, op: OP) -> None:
    document = op.endpoints[DISCOVERY](None)
    op.faults[DISCOVERY] = responds(document, Set_Cookie="session=1; Path=/")
    assert browser.outcome() == "signed_in"
    assert not op.asked("/token")[0].headers["Cookie"]


def test_a_proxy_is_used_where_one_is_set(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_PROXY = {"http": op.issuer}
    settings.OIDC_OP_ISSUER = op.metadata["issuer"] = "http://127.0.0.1:9"
    assert browser.leave().status_code == 302


def test_proxies_and_passwords_of_the_machine_are_not_used(browser: Browser, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert browser.outcome() == "signed_in"


@pytest.fixture
def behind_tls(op: OP, settings, certificate: x509.Certificate, tmp_path: Path) -> Path:
    """Put the OP behind TLS; the value is the file with its certificate."""
    pem, key = tmp_path / "op.pem", private_key("P-256", 1)
    pem.write_bytes(
        certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    op.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    op.tls.load_cert_chain(pem)
    settings.OIDC_OP_ISSUER = op.issuer
    return pem


def test_a_certificate_that_nobody_vouches_for_is_refused(browser: Browser, behind_tls: Path) -> None:
    assert browser.outcome() == "op_unreachable"


def test_the_log_says_why_a_certificate_is_refused(browser: Browser, behind_tls: Path, caplog) -> None:
    browser.outcome()
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text


def test_a_certificate_of_the_configured_authority_is_trusted(browser: Browser, behind_tls: Path, settings) -> None:
    settings.OIDC_OP_CA_BUNDLE = str(behind_tls)
    assert browser.outcome() == "signed_in"


def test_a_certificate_for_another_host_is_refused(browser: Browser, op: OP, behind_tls: Path, settings) -> None:
    settings.OIDC_OP_CA_BUNDLE = str(behind_tls)
    settings.OIDC_OP_ISSUER = op.issuer.replace("127.0.0.1", "localhost")
    assert browser.outcome() == "op_unreachable"


def test_a_ca_bundle_that_is_gone_is_an_outage_and_not_a_crash(browser: Browser, behind_tls: Path, settings) -> None:
    settings.OIDC_OP_CA_BUNDLE = str(behind_tls.with_name("gone.pem"))
    assert browser.outcome() == "op_unreachable"


def empty_blocks(handler: Any) -> None:
    """Respond with chunks that go on for ever and hold nothing but a space each."""
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not handler.server.op.closed.is_set():
        handler.wfile.write(b"1\r\n \r\n")


def drip_headers(handler: Any) -> None:
    """Respond with headers that never end."""
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.server.op.closed.wait(0.05):
        handler.wfile.write(b"X-More: to come\r\n")


def calls_under_way(op: OP) -> list[str]:
    """Return the endpoints of an OP whose requests have a thread at this moment."""
    frames = [frame for top in sys._current_frames().values() for frame, _ in traceback.walk_stack(top)]
    sending = [frame.f_locals["self"] for frame in frames if frame.f_code is transport.Call._send.__code__]
    return [call.endpoint for call in sending]


@pytest.mark.parametrize("fault", [slow, drip, drip_headers, empty_blocks])
def test_thread_and_socket_are_given_back_when_the_time_is_over(
    op: OP, settings, monkeypatch: pytest.MonkeyPatch, fault: Callable
) -> None:
    monkeypatch.setattr(breaker, "FIRST_LATENCY", 0.1)
    monkeypatch.setattr(breaker, "SHORTEST_PATIENCE", 0.1)
    settings.OIDC_TIMEOUT, op.faults["/jwks"] = 0.4, fault
    with pytest.raises(LoginError, match=r"op_(timeout|response)"):
        transport.get_json(f"{op.issuer}/jwks")
    transport.forget_breakers()
    ends = time.monotonic() + 10
    while calls_under_way(op) and time.monotonic() < ends:
        time.sleep(0.02)
    assert calls_under_way(op) == [], op.issuer


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_caller_who_is_gone_before_the_request_is_sent_costs_none(op: OP, is_kept: bool) -> None:
    if is_kept:
        transport.get_json(op.issuer + DISCOVERY)
    asked_before, op.faults["/jwks"] = len(op.requests), drip_headers
    call = transport.Call(transport.client(), "GET", f"{op.issuer}/jwks", {}, 30)
    call.future.cancel()
    call._run()
    assert len(op.requests) == asked_before


def test_a_caller_who_goes_while_the_connection_is_made_costs_no_request(
    op: OP, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = transport.HTTPConnection.connect

    def connect_late(connection: Any) -> None:
        connect(connection)
        call.future.cancel()

    monkeypatch.setattr(transport.HTTPConnection, "connect", connect_late)
    op.faults["/jwks"] = drip_headers
    call = transport.Call(transport.client(), "GET", f"{op.issuer}/jwks", {}, 30)
    call._run()
    assert op.requests == []


def test_as_many_requests_as_threads_wait_for_a_slow_op(op: OP, settings) -> None:
    op.latency = 0.3
    with ThreadPoolExecutor(16) as people:
        documents = list(people.map(lambda _: transport.get_json(op.issuer + DISCOVERY), range(16)))
    assert [document["issuer"] for document in documents] == [op.issuer] * 16


def test_a_kept_connection_that_was_closed_meanwhile_costs_no_request(op: OP) -> None:
    transport.get_json(op.issuer + DISCOVERY)
    asked_before = len(op.requests)
    closed = [True]

    def close_once(handler: Any) -> None:
        handler.close_connection = True
        if not closed.pop():
            return
        closed.append(False)
        # What a firewall that has forgotten the connection sends when it meets it again.
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        del handler.server.op.faults["/jwks"]

    op.faults["/jwks"] = close_once
    assert transport.get_json(f"{op.issuer}/jwks")["keys"]
    assert len(op.requests) == asked_before + 2


def test_a_connection_that_was_idle_for_long_is_not_used_again(op: OP, monkeypatch: pytest.MonkeyPatch) -> None:
    transport.get_json(op.issuer + DISCOVERY)
    monkeypatch.setattr(transport, "MAX_IDLE_SECONDS", 0.0)
    transport.get_json(op.issuer + DISCOVERY)
    assert len({asked.connection for asked in op.requests}) == 2


def test_a_media_type_is_read_without_its_parameters(op: OP) -> None:
    op.faults["/jwks"] = responds({}, "Application/JWT; charset=utf-8")
    assert transport.request("GET", f"{op.issuer}/jwks").content_type == "application/jwt"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'"text"', b"7", b'{"a": Infinity}', b"\xff", b"{", pytest.param(b"[" * 99_999, id="deep")],
)
def test_a_body_that_is_not_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(LoginError, match="op_response: HTTP 200"):
        Response("https://op.example.org/", 200, "application/json", body).json_object()


def test_the_list_of_authorities_is_read_once_and_again_when_it_has_changed(
    browser: Browser, behind_tls: Path, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[ssl.SSLContext] = []
    make = transport.create_urllib3_context
    monkeypatch.setattr(transport, "create_urllib3_context", lambda: read.append(make()) or read[-1])
    monkeypatch.setattr(transport, "MAX_IDLE_SECONDS", 0.0)  # each request has a connection of its own
    settings.OIDC_OP_CA_BUNDLE = str(behind_tls)
    assert [browser.outcome(), browser.outcome()] == ["signed_in"] * 2
    assert len(read) == 1
    os.utime(behind_tls, (1, 1))
    assert browser.outcome() == "signed_in"
    assert len(read) == 2


def test_a_certificate_of_a_folder_of_authorities_is_trusted(browser: Browser, behind_tls: Path, settings) -> None:
    folder = behind_tls.with_name("authorities")
    folder.mkdir()
    certificate = x509.load_pem_x509_certificate(behind_tls.read_bytes())
    named = subprocess.run(
        ["openssl", "x509", "-noout", "-hash", "-in", behind_tls], capture_output=True, text=True, check=True
    )
    (folder / f"{named.stdout.strip()}.0").write_bytes(certificate.public_bytes(Encoding.PEM))
    settings.OIDC_OP_CA_BUNDLE = str(folder)
    assert browser.outcome() == "signed_in"

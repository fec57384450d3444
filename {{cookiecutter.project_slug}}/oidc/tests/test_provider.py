"""What the OP says about itself, and how it behaves over HTTP."""

import ssl
import time
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from oidc import http, provider
from oidc.errors import LoginError
from oidc.tests.conftest import Browser
from oidc.tests.op import ABSENT, CLIENT, DISCOVERY, OP, answers, dead, drip, private_key, raw, slow

PATHS = [DISCOVERY, "/token", "/jwks", "/userinfo"]
HTML = answers(b"<!doctype html><title>Login</title>", "text/html")


def test_issuer_client_id_and_secret_are_a_complete_configuration(browser: Browser) -> None:
    assert browser.outcome() == "signed_in"


def test_nothing_is_asked_of_the_op_before_somebody_logs_in(browser: Browser, op: OP) -> None:
    assert browser.client.get("/").status_code == 200
    assert not op.requests


def test_metadata_is_fetched_once_for_many_logins(browser: Browser, op: OP) -> None:
    for _ in range(3):
        browser.log_in()
    assert len(op.asked(DISCOVERY)) == 1


def test_endpoints_that_are_set_need_no_metadata(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_OP_AUTHORIZATION_ENDPOINT = f"{op.issuer}/authorize"
    settings.OIDC_OP_TOKEN_ENDPOINT = f"{op.issuer}/token"
    settings.OIDC_OP_USER_ENDPOINT = f"{op.issuer}/userinfo"
    settings.OIDC_OP_JWKS_ENDPOINT = f"{op.issuer}/jwks"
    op.faults[DISCOVERY] = dead
    assert browser.outcome() == "signed_in"
    assert not op.asked(DISCOVERY)


def test_the_issuer_of_the_metadata_is_ours_to_the_last_character(op: OP, settings) -> None:
    """Discovery 4.3. Both spellings have one address, but the document of one is not that of the other."""
    assert provider.metadata()["issuer"] == op.issuer
    settings.OIDC_OP_ISSUER = f"{op.issuer}/"
    with pytest.raises(LoginError, match="metadata_invalid"):
        provider.metadata()


def test_an_issuer_with_a_trailing_slash_works(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_OP_ISSUER = op.issuer = f"{op.issuer}/"
    op.metadata = {
        "authorization_endpoint": f"{op.issuer}authorize",
        "token_endpoint": f"{op.issuer}token",
        "userinfo_endpoint": f"{op.issuer}userinfo",
        "jwks_uri": f"{op.issuer}jwks",
    }
    assert browser.outcome() == "signed_in"


@pytest.mark.parametrize("name", provider.ENDPOINTS)
@pytest.mark.parametrize(
    "url",
    [
        "http://op.example.org/",
        "http://127.0.0.1.example.org/",
        "ftp://op.example.org/",
        "//op.example.org/",
        "/token",
        "https://",
        "https://[/",
        "https://op.example.org/#fragment",
        "javascript:alert(1)",
        ["https://op.example.org/"],
        7,
    ],
)
def test_an_endpoint_that_is_not_https_spoils_the_metadata(name: str, url: object) -> None:
    with pytest.raises(LoginError, match="metadata_invalid"):
        provider.check_metadata({"issuer": "i", name: url}, "i")


@pytest.mark.parametrize("url", ["https://op.example.org/a?b=c", "http://localhost:1/", "http://[::1]/"])
def test_https_and_this_machine_are_safe(url: str) -> None:
    assert provider.is_safe_endpoint(url)


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
def test_metadata_without_a_needed_endpoint_is_refused(browser: Browser, op: OP, name: str) -> None:
    op.metadata[name] = ABSENT
    assert browser.outcome() == "metadata_invalid"


def test_an_op_without_userinfo_can_sign_people_in(browser: Browser, op: OP) -> None:
    op.metadata["userinfo_endpoint"] = ABSENT
    assert browser.outcome() == "signed_in"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param(dead, "op_unreachable", id="dead"),
        pytest.param(slow, "op_timeout", id="slow", marks=pytest.mark.slow),
        pytest.param(drip, "op_timeout", id="drip", marks=pytest.mark.slow),
        pytest.param(raw(b"SSH-2.0-OpenSSH\r\n"), "op_unreachable", id="no-http"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), "op_unreachable", id="cut-off"),
        pytest.param(answers({"padding": "x" * http.MAX_BYTES}), "op_answer", id="huge"),
        pytest.param(answers(b"{}", status=302, Location="/elsewhere"), "op_answer", id="redirect"),
        pytest.param(answers(b"{}", status=307, Location="/elsewhere"), "op_answer", id="redirect-with-body"),
        pytest.param(HTML, "op_answer", id="html"),
        pytest.param(answers(b"", "text/plain"), "op_answer", id="empty"),
        pytest.param(answers([]), "op_answer", id="list"),
        pytest.param(answers(b'{"a": NaN}'), "op_answer", id="not-quite-json"),
        pytest.param(answers(b"[" * 100_000), "op_answer", id="deep"),
        pytest.param(answers({}, status=500), "op_answer", id="error-500"),
    ],
)
def test_a_faulty_op_is_told_from_a_refusal(
    browser: Browser, op: OP, settings, path: str, fault: Callable, reason: str
) -> None:
    settings.OIDC_TIMEOUT = 0.3 if fault in (slow, drip) else 5
    op.faults[path] = fault
    started = time.monotonic()
    assert browser.outcome() == reason
    assert time.monotonic() - started < 5
    assert not op.asked("/elsewhere")


def test_a_port_that_nobody_listens_on_is_unreachable(browser: Browser, op: OP) -> None:
    op.close()
    assert browser.outcome() == "op_unreachable"


@pytest.mark.parametrize("keys", [ABSENT, None, {}, "keys"])
def test_a_key_set_without_a_list_of_keys_is_refused(browser: Browser, op: OP, keys: object) -> None:
    op.faults["/jwks"] = answers({} if keys is ABSENT else {"keys": keys})
    assert browser.outcome() == "op_answer"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"error": "invalid_grant"}, "code_refused"),
        ({"error": "invalid_client"}, "client_refused"),
        ({"error": "unauthorized_client"}, "client_refused"),
        ({"error": "something_else"}, "op_error"),
        ({"error": ["invalid_grant"]}, "op_answer"),
        ({"error": {}}, "op_answer"),
        ({}, "op_answer"),
    ],
)
def test_an_error_of_the_token_endpoint_has_its_reason(browser: Browser, op: OP, answer: dict, reason: str) -> None:
    """RFC 6749 5.2."""
    op.faults["/token"] = answers(answer, status=400)
    assert browser.outcome() == reason


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"id_token": ABSENT}, "id_token_missing"),
        ({"id_token": None}, "id_token_missing"),
        ({"id_token": 7}, "id_token_malformed"),
        ({"id_token": "a.b.c"}, "id_token_malformed"),
        ({"access_token": ABSENT}, "op_answer"),
        ({"access_token": ["x"]}, "op_answer"),
        ({"access_token": "a\r\nX-Injected: b"}, "op_answer"),
        ({"access_token": "é"}, "op_answer"),
    ],
)
def test_a_token_response_that_lacks_something_is_refused(
    browser: Browser, op: OP, response: dict[str, Any], reason: str
) -> None:
    op.token_response = response
    assert browser.outcome() == reason


def test_an_access_token_that_the_id_token_does_not_vouch_for_is_not_used(browser: Browser, op: OP) -> None:
    op.claims["at_hash"] = "another"
    assert browser.outcome() == "id_token_access_token"
    assert not op.asked("/userinfo")


@pytest.mark.parametrize("userinfo", [{"iss": "https://other.example.org"}, {"aud": "another"}, {"aud": ABSENT}])
def test_signed_userinfo_for_somebody_else_is_refused(browser: Browser, op: OP, userinfo: dict) -> None:
    """Core 5.3.2."""
    op.userinfo_is_signed, op.userinfo = True, userinfo
    assert browser.outcome() == "userinfo_invalid"


def test_userinfo_is_not_asked_when_the_id_token_says_enough(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_USERINFO = "when-needed"
    browser.log_in()
    op.claims["email"] = "person@example.org"
    del op.requests[:]
    assert browser.outcome() == "signed_in"
    assert [asked.path for asked in op.requests] == ["/token"]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_the_client_authenticates_as_configured(browser: Browser, op: OP, settings, method: str) -> None:
    settings.OIDC_TOKEN_ENDPOINT_AUTH_METHOD, op.auth_methods = method, [method]
    op.metadata["token_endpoint_auth_methods_supported"] = ABSENT
    assert browser.outcome() == "signed_in"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_client_authenticates_as_the_metadata_says(browser: Browser, op: OP, method: str) -> None:
    op.auth_methods = [method]
    assert browser.outcome() == "signed_in"


def test_without_a_secret_the_client_is_public(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_RP_CLIENT_SECRET, op.auth_methods = "", ["none"]
    assert browser.outcome() == "signed_in"
    assert "client_secret" not in op.asked("/token")[0].form


def test_basic_credentials_are_form_encoded(browser: Browser, op: OP) -> None:
    """RFC 6749 2.3.1: or a colon in the secret would be read as its end."""
    browser.log_in()
    pair = b64decode(op.asked("/token")[0].headers["Authorization"].removeprefix("Basic ")).decode()
    assert pair.count(":") == 1
    assert CLIENT[1] not in pair


def test_cookies_of_the_op_are_not_kept_for_the_next_person(browser: Browser, op: OP) -> None:
    op.faults[DISCOVERY] = answers(op.answers[DISCOVERY](None), Set_Cookie="session=1; Path=/")
    browser.log_in()
    assert not op.asked("/token")[0].headers["Cookie"]


@pytest.fixture
def certificate(op: OP, settings, tmp_path: Path) -> Path:
    """Put the OP behind TLS; the value is its certificate, which it has signed itself."""
    key, name, now = private_key("P-256", 1), x509.Name([]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = builder.add_extension(names, critical=True).sign(key, SHA256())
    path = tmp_path / "op.pem"
    path.write_bytes(
        signed.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    op.server.socket = context.wrap_socket(op.server.socket, server_side=True)
    settings.OIDC_OP_ISSUER = op.issuer = op.issuer.replace("http://", "https://")
    return path


def test_a_certificate_that_nobody_vouches_for_is_refused(browser: Browser, certificate: Path) -> None:
    assert browser.outcome() == "op_unreachable"


def test_a_certificate_of_the_configured_authority_is_trusted(browser: Browser, certificate: Path, settings) -> None:
    settings.OIDC_OP_CA_BUNDLE = str(certificate)
    assert browser.outcome() == "signed_in"


def test_connections_are_kept(browser: Browser, op: OP) -> None:
    for _ in range(3):
        browser.log_in()
    assert len({asked.connection for asked in op.requests}) == 1


def test_a_proxy_is_used_where_one_is_set(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_PROXY = {"http": op.issuer}
    settings.OIDC_OP_ISSUER = op.metadata["issuer"] = "http://127.0.0.1:9"
    assert browser.leave().status_code == 302


@pytest.mark.slow
@pytest.mark.parametrize("fault", [slow, drip])
def test_a_hanging_op_takes_a_bounded_number_of_threads_and_gives_them_back(op: OP, settings, fault: Callable) -> None:
    settings.OIDC_TIMEOUT, settings.OIDC_OP_MAX_WAITING = 1, 1
    op.faults["/jwks"] = fault
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(provider.fetch_jwks, f"{op.issuer}/jwks")
        while not (op.asked("/jwks") or waiting.done()):
            time.sleep(0.01)
        with pytest.raises(LoginError, match="op_busy"):
            provider.metadata()
        with pytest.raises(LoginError, match="op_timeout"):
            waiting.result()
    time.sleep(0.1)
    assert provider.metadata()["issuer"] == op.issuer


def test_proxies_and_passwords_of_the_machine_are_not_used(browser: Browser, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert browser.outcome() == "signed_in"


def test_the_access_token_is_not_kept_unless_the_site_wants_it(browser: Browser, settings) -> None:
    browser.log_in()
    assert "oidc_access_token" not in browser.client.session
    settings.OIDC_STORE_ACCESS_TOKEN = True
    browser.log_in()
    assert browser.client.session["oidc_access_token"] == "access-token-1"

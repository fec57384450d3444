"""What the site asks of the OP, how it authenticates there, and what it makes of the OP's errors."""

from base64 import b64decode
from typing import Any

import pytest

from oidc.errors import LoginError
from oidc.internal import provider
from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, CLIENT, OP, OAuthError, responds
from tests.relying_party.hostile import raw


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"error": "invalid_grant"}, "code_refused"),
        ({"error": "invalid_client"}, "client_refused"),
        ({"error": "unauthorized_client"}, "client_refused"),
        ({"error": "server_error"}, "op_unavailable"),
        ({"error": "temporarily_unavailable"}, "op_unavailable"),
        ({"error": "something_else"}, "op_error"),
        ({"error": ["invalid_grant"]}, "op_response"),
        ({"error": {}}, "op_response"),
        ({}, "op_response"),
    ],
)
def test_each_error_of_the_token_endpoint_has_its_reason(browser: Browser, op: OP, response: dict, reason: str) -> None:
    """RFC 6749 5.2."""
    op.faults["/token"] = responds(response, status=400)
    assert browser.outcome() == reason


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_what_an_op_quotes_of_a_refused_request_is_cut_out(op: OP, settings, method: str) -> None:
    """Some OPs repeat the code or the client secret in error_description, and that ends up in the log."""
    settings.OIDC_TOKEN_ENDPOINT_AUTH_METHOD = method

    def quote(asked: Any) -> None:
        credentials = asked.headers.get("Authorization", "")
        raise OAuthError("invalid_grant", f"{credentials} {list(asked.form.values())}")

    op.endpoints["/token"] = quote
    with pytest.raises(LoginError) as caught:
        provider.exchange_code("the-code", "http://localhost/oidc/callback/", "the-verifier")
    form = op.asked("/token")[0].form
    secrets = ["the-code", "the-verifier", CLIENT[1], op.asked("/token")[0].headers.get("Authorization", "Basic x")[6:]]
    assert form["code"] == "the-code"
    assert not [secret for secret in secrets if secret in caught.value.detail]
    assert "[...]" in caught.value.detail


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_the_client_authenticates_as_configured(browser: Browser, op: OP, settings, method: str) -> None:
    settings.OIDC_TOKEN_ENDPOINT_AUTH_METHOD, op.auth_methods = method, [method]
    op.metadata["token_endpoint_auth_methods_supported"] = ABSENT
    assert browser.outcome() == "signed_in"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_client_authenticates_as_the_metadata_says(browser: Browser, op: OP, method: str) -> None:
    op.auth_methods = [method]
    assert browser.outcome() == "signed_in"


@pytest.mark.parametrize("methods", [ABSENT, None, "client_secret_post", ["client_secret_post", "client_secret_basic"]])
def test_the_client_authenticates_by_a_header_where_the_metadata_leaves_it_open(op: OP, methods: object) -> None:
    """Discovery 3: basic is the default."""
    op.metadata["token_endpoint_auth_methods_supported"] = methods
    with pytest.raises(LoginError, match="code_refused"):
        provider.exchange_code("unknown", "", "")
    assert op.asked("/token")[0].headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("changes", "methods", "said"),
    [
        ({"OIDC_TOKEN_ENDPOINT_AUTH_METHOD": "client_secret_post"}, [], "client_secret_post, by OIDC_TOKEN_ENDPOINT"),
        ({"OIDC_RP_CLIENT_SECRET": ""}, [], "none, as OIDC_RP_CLIENT_SECRET is not set"),
        ({}, ["client_secret_post"], "client_secret_post, by the metadata"),
        ({}, ["client_secret_post", "client_secret_basic"], "client_secret_basic, by the metadata"),
        ({}, ABSENT, "client_secret_basic, as the metadata names no method"),
    ],
)
def test_a_refused_client_is_told_how_it_authenticated_and_by_whose_choice(
    op: OP, settings, changes: dict[str, str], methods: object, said: str
) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    op.metadata["token_endpoint_auth_methods_supported"] = methods
    op.faults["/token"] = responds({"error": "invalid_client"}, status=401)
    with pytest.raises(LoginError, match="client_refused") as caught:
        provider.exchange_code("code", "", "")
    assert f"HTTP 401 ''; sent {said}" in caught.value.detail


def test_without_a_secret_the_client_is_public(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_RP_CLIENT_SECRET, op.auth_methods = "", ["none"]
    assert browser.outcome() == "signed_in"
    assert "client_secret" not in op.asked("/token")[0].form


def test_basic_credentials_are_form_encoded(browser: Browser, op: OP) -> None:
    """RFC 6749 2.3.1: or a colon in the id would be read as its end."""
    browser.outcome()
    pair = b64decode(op.asked("/token")[0].headers["Authorization"].removeprefix("Basic ")).decode()
    assert pair.count(":") == 1
    assert CLIENT[1] not in pair


def test_the_client_authenticates_in_one_way_only(browser: Browser, op: OP) -> None:
    """RFC 6749 2.3: a client must not use more than one method."""
    browser.outcome()
    assert not {"client_id", "client_secret"} & op.asked("/token")[0].form.keys()


def test_the_access_token_travels_in_the_header(browser: Browser, op: OP) -> None:
    """RFC 6750 2.1: in a URL it would end up in logs."""
    browser.outcome()
    (asked,) = op.asked("/userinfo")
    assert asked.headers["Authorization"].startswith("Bearer ")
    assert not asked.query
    assert not asked.form


@pytest.mark.parametrize("token", [None, 7, ["x"], "a\r\nX-Injected: b", "é"])
def test_an_access_token_that_no_header_can_hold_is_not_sent(op: OP, token: object) -> None:
    with pytest.raises(LoginError, match="op_response"):
        provider.userinfo(token)
    assert not op.requests


@pytest.mark.parametrize("status", [201, 204, 401, 403, 500])
def test_userinfo_with_another_status_than_200_is_refused(browser: Browser, op: OP, status: int) -> None:
    op.faults["/userinfo"] = responds({"sub": "person-1"}, status=status)
    assert browser.outcome() == ("op_unavailable" if status >= 500 else "op_response")


@pytest.mark.parametrize("keys", [ABSENT, None, {}, "keys"])
def test_a_key_set_without_a_list_of_keys_is_refused(browser: Browser, op: OP, keys: object) -> None:
    op.faults["/jwks"] = responds({} if keys is ABSENT else {"keys": keys})
    assert browser.outcome() == "op_response"


def test_members_of_a_key_set_that_are_not_keys_are_passed_over(op: OP) -> None:
    op.faults["/jwks"] = responds({"keys": [None, "key", 7, [], {"kty": "RSA"}]})
    assert provider.fetch_jwks(f"{op.issuer}/jwks") == [{"kty": "RSA"}]


@pytest.mark.parametrize(("sent", "kept"), [("token-1", "token-1"), (ABSENT, ""), (None, ""), (7, ""), ("é", "")])
def test_a_refresh_token_that_could_not_be_sent_back_is_not_kept(op: OP, sent: object, kept: str) -> None:
    """RFC 6749 A.17: printable ASCII."""
    op.faults["/token"] = responds({"id_token": "i"} | ({} if sent is ABSENT else {"refresh_token": sent}))
    assert provider.refresh("former").refresh_token == kept


def test_tokens_stay_out_of_what_is_printed(op: OP) -> None:
    tokens = provider.Tokens("id-token-1", "access-token-1", "refresh-token-1")
    assert "token-1" not in repr(tokens)


def test_an_error_code_that_quotes_the_code_is_cut_out(op: OP) -> None:
    op.faults["/token"] = responds({"error": "no grant for THE-code"}, status=400)
    with pytest.raises(LoginError) as caught:
        provider.exchange_code("the-code", "http://localhost/oidc/callback/", "the-verifier")
    assert caught.value.op_error == "'no grant for [...]'"


def test_a_status_line_that_quotes_the_code_is_cut_out(op: OP) -> None:
    op.faults["/token"] = raw(b"HTTP/1.1 the-code the-code\r\n\r\n")
    with pytest.raises(LoginError) as caught:
        provider.exchange_code("the-code", "http://localhost/oidc/callback/", "the-verifier")
    assert "the-code" not in caught.value.detail

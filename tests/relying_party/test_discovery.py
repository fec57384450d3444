"""What the OP says about itself, and what of it is believed. Section numbers are those of Discovery 1.0."""

from typing import Any

import pytest

from oidc import errors
from oidc.errors import LoginError
from oidc.internal import discovery
from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, DISCOVERY, OP, dead, responds

LOGIN_ENDPOINTS = {
    "OIDC_OP_AUTHORIZATION_ENDPOINT": "/authorize",
    "OIDC_OP_TOKEN_ENDPOINT": "/token",
    "OIDC_OP_JWKS_ENDPOINT": "/jwks",
}


@pytest.fixture
def endpoints_by_hand(op: OP, settings) -> None:
    """The site knows every endpoint of a login without the OP's metadata."""
    for name, path in (LOGIN_ENDPOINTS | {"OIDC_OP_USER_ENDPOINT": "/userinfo"}).items():
        setattr(settings, name, op.issuer + path)


def test_issuer_client_id_and_secret_are_a_complete_configuration(browser: Browser) -> None:
    assert browser.outcome() == "signed_in"


def test_nothing_is_asked_of_the_op_before_somebody_logs_in(browser: Browser, op: OP) -> None:
    assert browser.get("/").status_code == 200
    assert not op.requests


def test_metadata_is_fetched_once_for_many_logins(browser: Browser, op: OP) -> None:
    for _ in range(3):
        browser.outcome()
    assert len(op.asked(DISCOVERY)) == 1


def test_endpoints_that_are_set_need_no_metadata(browser: Browser, op: OP, endpoints_by_hand: None) -> None:
    op.faults[DISCOVERY] = dead
    assert browser.outcome() == "signed_in"
    assert not op.asked(DISCOVERY)


def test_a_setting_wins_over_the_metadata(op: OP, settings) -> None:
    settings.OIDC_OP_TOKEN_ENDPOINT = "https://op.example.org/token"
    assert discovery.endpoint("token_endpoint") == "https://op.example.org/token"
    assert discovery.endpoint("jwks_uri") == f"{op.issuer}/jwks"


@pytest.mark.parametrize("name", LOGIN_ENDPOINTS)
def test_metadata_is_needed_as_soon_as_one_endpoint_of_the_login_is_not_set(
    settings, endpoints_by_hand: None, name: str
) -> None:
    assert not discovery.is_needed()
    setattr(settings, name, "")
    assert discovery.is_needed()


@pytest.mark.parametrize("issuer", ["https://op.example.org/realm", "https://op.example.org/realm/"])
def test_metadata_is_fetched_from_the_well_known_address_of_the_issuer(issuer: str) -> None:
    """4: a trailing slash of the issuer is not doubled."""
    assert discovery.metadata_url(issuer) == "https://op.example.org/realm/.well-known/openid-configuration"


def test_the_issuer_in_the_metadata_is_ours_to_the_last_character(op: OP, settings) -> None:
    """4.3. Both spellings have one address, but the document of one is not that of the other."""
    assert discovery.metadata()["issuer"] == op.issuer
    settings.OIDC_OP_ISSUER = f"{op.issuer}/"
    with pytest.raises(LoginError, match="metadata_invalid"):
        discovery.metadata()


@pytest.mark.parametrize("issuer", [ABSENT, None, "", 7, ["i"]])
def test_metadata_without_an_issuer_is_refused(op: OP, issuer: object) -> None:
    op.metadata["issuer"] = issuer
    with pytest.raises(LoginError, match="metadata_invalid"):
        discovery.metadata()


def test_an_issuer_with_a_trailing_slash_works(browser: Browser, op: OP, settings, monkeypatch) -> None:
    origin = op.issuer
    monkeypatch.setattr(OP, "issuer", f"{origin}/")
    settings.OIDC_OP_ISSUER = op.issuer
    names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo"}
    op.metadata = {name: f"{origin}/{path}" for name, path in (names | {"jwks_uri": "jwks"}).items()}
    assert browser.outcome() == "signed_in"


@pytest.mark.parametrize("name", discovery.ENDPOINTS)
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
        "https://user@op.example.org/",
        "https://op.example.org/#fragment",
        "https://op.example.org/a b",
        "https://op.example.org/\nforged-log-line",
        "https://öp.example.org/",
        "javascript:alert(1)",
        ["https://op.example.org/"],
        7,
        False,
    ],
)
def test_an_endpoint_that_is_not_https_spoils_the_metadata(name: str, url: object) -> None:
    with pytest.raises(LoginError, match="metadata_invalid"):
        discovery.check_metadata({"issuer": "i", name: url}, "i")


@pytest.mark.parametrize("url", ["https://op.example.org/a?b=c", "http://localhost:1/", "http://[::1]/"])
def test_https_and_this_machine_are_safe(url: str) -> None:
    assert discovery.is_safe_endpoint(url)


@pytest.mark.parametrize("name", discovery.ENDPOINTS)
@pytest.mark.parametrize("nothing", [ABSENT, None, ""])
def test_an_endpoint_may_be_missing_null_or_empty(op: OP, name: str, nothing: Any) -> None:
    op.metadata[name] = nothing
    assert discovery.endpoint(name) == ""


@pytest.mark.parametrize("nothing", [ABSENT, None, ""])
def test_people_can_log_in_at_an_op_without_userinfo_and_logout(browser: Browser, op: OP, nothing: Any) -> None:
    op.metadata |= dict.fromkeys(("userinfo_endpoint", "end_session_endpoint"), nothing)
    assert browser.outcome() == "signed_in"


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("nothing", [ABSENT, None])
def test_metadata_without_a_needed_endpoint_is_refused(browser: Browser, op: OP, name: str, nothing: Any) -> None:
    op.metadata[name] = nothing
    assert browser.outcome() == "metadata_invalid"


def test_a_needed_endpoint_that_is_missing_is_named_with_its_setting(op: OP) -> None:
    op.metadata["token_endpoint"] = ABSENT
    with pytest.raises(LoginError) as caught:
        discovery.required_endpoint("token_endpoint")
    assert caught.value.reason is errors.METADATA_INVALID
    assert caught.value.detail == "the metadata has no token_endpoint, and OIDC_OP_TOKEN_ENDPOINT is not set"


@pytest.mark.parametrize("fault", [responds({}, status=404), responds(b"<p>Hello")], ids=["404", "html"])
def test_where_there_is_no_metadata_the_hint_is_the_issuer(op: OP, fault: Any) -> None:
    op.faults[DISCOVERY] = fault
    with pytest.raises(LoginError, match="op_response") as caught:
        discovery.metadata()
    assert caught.value.hint.startswith("Check OIDC_OP_ISSUER: ")


def test_an_issuer_that_is_the_address_of_the_metadata_is_recognised(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_OP_ISSUER, settings.DEBUG = op.issuer + DISCOVERY, True
    page = browser.leave().content.decode()
    assert browser.refusals[0]["reason"] is errors.OP_RESPONSE
    assert f"Set OIDC_OP_ISSUER to {op.issuer}, or " in page


def test_an_op_that_responds_at_all_is_reachable(op: OP) -> None:
    op.faults[DISCOVERY] = responds(b"moved", status=302, Location="/elsewhere")
    assert discovery.op_is_reachable()


def test_an_op_that_is_down_is_not_reachable(op: OP) -> None:
    op.faults[DISCOVERY] = dead
    assert [discovery.op_is_reachable(), discovery.op_is_reachable()] == [False, False]


def test_an_op_without_metadata_is_looked_for_at_its_token_endpoint(op: OP, endpoints_by_hand: None) -> None:
    assert discovery.op_is_reachable()
    assert [asked.path for asked in op.requests] == ["/token"]

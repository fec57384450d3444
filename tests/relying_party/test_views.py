"""The two legs of a login: whatever the OP sends back, the person gets a page, the log one line, the site a signal."""

import logging
import re
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from oidc import errors
from oidc.errors import LoginError, Reason
from oidc.signals import login_refused
from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, CLIENT, OP, changed, dead, responds

SUSPENDED = Reason("suspended", 451, "Your account is suspended.", "Ask in room 7.")


# The order of the callback


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": ABSENT}, "attempt_unknown"),
        ({"state": ""}, "attempt_unknown"),
        ({"state": "x" * 5000}, "callback_malformed"),
        ({"state": ["a", "b"]}, "callback_malformed"),
        ({"state": "\0"}, "attempt_unknown"),
        ({"state": "forged", "iss": "https://evil.example"}, "attempt_unknown"),
        ({"iss": ABSENT}, "callback_issuer"),
        ({"iss": "https://evil.example"}, "callback_issuer"),
        ({"iss": "https://evil.example", "error": "access_denied"}, "callback_issuer"),
        ({"iss": ["a", "b"]}, "callback_malformed"),
        ({"error": "access_denied"}, "access_denied"),
        ({"error": "something_else", "error_description": "<b>x</b>"}, "op_error"),
        ({"error": "invalid_scope"}, "scope_refused"),
        ({"error": "consent_required"}, "consent_required"),
        ({"error": "unauthorized_client"}, "client_refused"),
        ({"error": "temporarily_unavailable"}, "op_unavailable"),
        ({"error": "server_error"}, "op_unavailable"),
        ({"error": "login_required"}, "login_required"),
        ({"error": ["a", "b"]}, "callback_malformed"),
        ({"code": ABSENT}, "callback_malformed"),
        ({"code": ""}, "callback_malformed"),
        ({"code": ["a", "b"]}, "callback_malformed"),
        ({"code": "unknown"}, "code_refused"),
    ],
)
def test_a_response_is_checked_state_then_issuer_then_error_then_code(
    browser: Browser, op: OP, changes: dict[str, Any], reason: str
) -> None:
    callback = changed(op.grant(browser.leave()["Location"]), changes)
    response = browser.get("/oidc/callback/", data=callback)
    assert [refusal["reason"].code for refusal in browser.refusals] == [reason]
    assert response.status_code == browser.refusals[0]["reason"].status
    assert bool(op.asked("/token")) == (reason == "code_refused")
    assert not browser.is_signed_in


@pytest.mark.parametrize("iss", [ABSENT, "ours"])
def test_iss_may_be_missing_where_the_op_does_not_announce_it(browser: Browser, op: OP, iss: object) -> None:
    """RFC 9207 2.4."""
    op.metadata["authorization_response_iss_parameter_supported"] = ABSENT
    callback = op.grant(browser.leave()["Location"])
    browser.come_back(changed(callback, {"iss": op.issuer if iss == "ours" else ABSENT}))
    assert browser.is_signed_in


def test_a_login_goes_on_to_the_page_that_needed_it(browser: Browser, op: OP) -> None:
    login = browser.get("/page/?tab=1")["Location"]
    leaving = browser.get(login)
    assert browser.come_back(op.grant(leaving["Location"]))["Location"] == "/page/?tab=1"
    assert browser.get("/page/?tab=1").status_code == 200


def test_a_forged_error_changes_nothing(browser: Browser, op: OP) -> None:
    callback = op.grant(browser.leave("/?page")["Location"])
    assert browser.come_back({"error": "access_denied", "state": "forged"}).status_code == 400
    assert browser.come_back(callback)["Location"] == "/?page"
    assert browser.come_back({"error": "access_denied"}).status_code == 302
    assert browser.is_signed_in


def test_a_replayed_callback_of_somebody_who_is_signed_in_goes_on_to_the_site(browser: Browser, op: OP) -> None:
    callback = op.grant(browser.leave()["Location"])
    browser.come_back(callback)
    assert browser.come_back(callback)["Location"] == "/"
    assert len(op.asked("/token")) == 1


def test_nothing_is_tried_again_by_itself(browser: Browser, op: OP) -> None:
    op.faults["/token"] = dead
    browser.log_in()
    assert len([asked for asked in op.asked("/token") if "code" in asked.form]) == 1


@pytest.mark.parametrize("method", ["post", "put", "head", "options"])
def test_the_callback_takes_no_other_method(browser: Browser, op: OP, method: str) -> None:
    """A link scanner's HEAD must not spend the code; POST is for form_post."""
    callback = op.grant(browser.leave()["Location"])
    assert getattr(browser.client, method)("/oidc/callback/", query_params=callback).status_code == 405
    browser.come_back(callback)
    assert browser.is_signed_in


def test_a_response_may_be_a_form_where_the_site_asks_for_one(browser: Browser, settings: Any) -> None:
    """OAuth 2.0 Form Post Response Mode, section 2."""
    settings.OIDC_RESPONSE_MODE = "form_post"
    assert browser.log_in(next_url="/?page")["Location"] == "/?page"
    assert browser.is_signed_in


def test_the_session_key_changes_at_every_login(browser: Browser) -> None:
    seen = {browser.client.session.session_key}
    for _ in range(3):
        browser.log_in()
        seen.add(browser.client.session.session_key)
    assert len(seen) == 4


def test_a_login_as_another_person_leaves_nothing_of_the_first_in_the_session(browser: Browser) -> None:
    browser.log_in()
    session = browser.client.session
    session["basket"] = "of the first person"
    session.save()
    browser.log_in({"sub": "person-2"})
    assert browser.is_signed_in
    assert "basket" not in browser.client.session


# Another account


def prompt(response: Any) -> list[str] | None:
    """Return the parameter `prompt` of a redirect to the OP."""
    return parse_qs(urlsplit(response["Location"]).query).get("prompt")


def test_whoever_is_refused_can_use_another_account(browser: Browser, op: OP, settings: Any) -> None:
    settings.OIDC_CREATE_USER = False
    page = browser.log_in(next_url="/page/?tab=1").content.decode()
    link = unescape(re.search(r'href="([^"]+)">Use another account', page)[1])
    assert link == "/oidc/authenticate/?prompt=select_account&next=%2Fpage%2F%3Ftab%3D1"
    settings.OIDC_CREATE_USER = True
    leaving = browser.get(link)
    assert prompt(leaving) == ["select_account"]
    assert browser.come_back(op.grant(leaving["Location"], "person-2"))["Location"] == "/page/?tab=1"
    assert browser.is_signed_in


def test_another_account_does_not_help_where_nobody_was_refused(browser: Browser, op: OP) -> None:
    op.faults["/token"] = dead
    assert "Use another account" not in browser.log_in().content.decode()


@pytest.mark.parametrize(
    ("asked", "supported", "sent"),
    [
        ("select_account", ABSENT, "select_account"),
        ("select_account", None, "select_account"),
        ("select_account", ["none", "login", "select_account"], "select_account"),
        ("select_account", ["none", "login", "consent"], "login"),
        ("login", ABSENT, "login"),
        ("login", ["none"], "login"),
        ("none", ABSENT, None),
        ("consent", ["consent"], None),
        ("select_account login", ABSENT, None),
        ("", ABSENT, None),
    ],
)
def test_a_link_may_ask_for_another_account_or_another_login_and_nothing_else(
    browser: Browser, op: OP, asked: str, supported: object, sent: str | None
) -> None:
    op.metadata["prompt_values_supported"] = supported
    assert prompt(browser.get("/oidc/authenticate/", {"prompt": asked})) == (sent and [sent])


def test_another_account_wins_over_the_prompt_of_the_settings(browser: Browser, settings: Any) -> None:
    settings.OIDC_AUTH_REQUEST_EXTRA_PARAMS = {"prompt": "consent"}
    assert prompt(browser.leave()) == ["consent"]
    assert prompt(browser.get("/oidc/authenticate/", {"prompt": "select_account"})) == ["select_account"]


# A login that took too long


def test_somebody_who_took_longer_than_ten_minutes_reads_so_and_finds_the_way_back(
    browser: Browser, op: OP, later: Callable[..., None]
) -> None:
    callback = op.grant(browser.leave("/page/?tab=1")["Location"])
    later(minutes=10, seconds=2)
    page = browser.come_back(callback).content.decode()
    assert browser.refusals[0]["reason"] is errors.ATTEMPT_EXPIRED
    assert "The login took longer than ten minutes." in page
    assert 'href="/oidc/authenticate/?next=%2Fpage%2F%3Ftab%3D1"' in page
    assert not op.asked("/token")


# The error boundary


@pytest.fixture
def failed(browser: Browser, op: OP, caplog: pytest.LogCaptureFixture) -> Any:
    """The page of a login that fails at the token endpoint, where the OP says more than it should."""
    description = "<script>x</script>\r\nforged line" + "y" * 500
    op.faults["/token"] = responds({"error": "out_of_luck", "error_description": description}, status=400)
    with caplog.at_level(logging.DEBUG, logger="oidc"):
        return browser.log_in(next_url="/page/?tab=1")


@pytest.fixture
def debugging(settings: Any) -> None:
    settings.DEBUG = True


def test_the_page_says_what_happened_and_what_to_do(failed: Any, browser: Browser) -> None:
    page, refusal = unescape(failed.content.decode()), browser.refusals[0]
    assert failed.status_code == refusal["reason"].status
    assert str(refusal["reason"].explanation) in page
    assert str(refusal["reason"].action) in page
    assert refusal["reference"] in page
    assert re.search(r'href="/oidc/authenticate/\?next=%2Fpage%2F%3Ftab%3D1"[^>]*>Try again<', page)


def test_the_page_has_no_text_of_the_op(failed: Any) -> None:
    page = failed.content.decode()
    assert "forged line" not in page
    assert "out_of_luck" not in page
    assert "For the developer" not in page


def test_while_debugging_the_page_has_reason_detail_hint_the_ops_error_and_the_endpoint(
    debugging: None, failed: Any, op: OP
) -> None:
    page = unescape(failed.content.decode())
    assert "op_error" in page
    assert "HTTP 400" in page
    assert errors.OP_ERROR.hint in page
    assert "<code>'out_of_luck'</code>" in page
    assert f"<code>{op.issuer}/token</code>" in page


def test_while_debugging_the_page_has_the_error_and_description_of_the_redirect_too(
    browser: Browser, op: OP, debugging: None
) -> None:
    callback = op.grant(browser.leave()["Location"]) | {"error": "<i>", "error_description": "<b>" + "y" * 200}
    page = browser.come_back(callback).content.decode()
    assert "&#x27;&lt;i&gt;&#x27;" in page
    assert "&lt;b&gt;yyy" in page
    assert "y" * 101 not in page


def test_text_of_the_op_is_escaped_and_shortened(debugging: None, failed: Any) -> None:
    page = failed.content.decode()
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page
    assert "y" * 101 not in page


def test_the_log_has_one_line_with_reason_reference_issuer_endpoint_and_error(
    failed: Any, browser: Browser, op: OP, caplog: pytest.LogCaptureFixture
) -> None:
    (line,) = [record.getMessage() for record in caplog.get_records("setup") if record.name.startswith("oidc")]
    reference = browser.refusals[0]["reference"]
    for part in ("reason=op_error", f"reference={reference}", f"issuer={op.issuer}", f"endpoint={op.issuer}/token"):
        assert part in line
    assert "op_error='out_of_luck'" in line
    assert line.endswith(f"hint={errors.OP_ERROR.hint}")
    assert "\n" not in line


def test_a_login_that_succeeds_has_one_line_too(browser: Browser, op: OP, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        browser.log_in()
    lines = [record.getMessage() for record in caplog.records if record.name == "oidc.views"]
    assert lines == [f"login succeeded user={browser.user.pk} issuer={op.issuer}"]


def test_every_refusal_has_a_reference_of_its_own(browser: Browser) -> None:
    browser.come_back({})
    browser.come_back({})
    assert len({refusal["reference"] for refusal in browser.refusals}) == 2


@pytest.mark.parametrize("claims", [{}, {"nonce": "x"}, {"aud": "x"}, {"exp": 1}, {"at_hash": "x"}, {"sub": ""}])
def test_no_log_has_a_token_a_code_or_a_secret(
    browser: Browser, op: OP, caplog: pytest.LogCaptureFixture, claims: dict[str, Any]
) -> None:
    op.claims = claims
    with caplog.at_level(logging.DEBUG):
        callback = op.grant(browser.leave()["Location"])
        browser.come_back(callback)
    tokens = [text for kind, text in op.grants if kind != "code"]
    secrets = [CLIENT[1], callback["code"], callback["state"], op.asked("/token")[0].form["code_verifier"], *tokens]
    assert len(tokens) == 3
    assert caplog.text
    assert not [secret for secret in secrets if secret in caplog.text]


def test_a_code_that_the_op_quotes_stays_out_of_the_log(
    browser: Browser, op: OP, caplog: pytest.LogCaptureFixture
) -> None:
    callback = op.grant(browser.leave()["Location"])
    op.faults["/token"] = responds({"error": "invalid_grant", "error_description": callback["code"]}, status=400)
    browser.come_back(callback)
    assert "code_refused" in caplog.text
    assert callback["code"] not in caplog.text


def test_a_receiver_that_fails_does_not_fail_the_page(browser: Browser) -> None:
    def receive(**details: Any) -> None:
        raise RuntimeError

    login_refused.connect(receive)
    try:
        assert browser.come_back({}).status_code == 400
    finally:
        login_refused.disconnect(receive)


@pytest.mark.parametrize(
    ("raised", "status", "says"),
    [
        (KeyError("email"), 503, errors.POLICY_FAILED.explanation),
        (LoginError(errors.USER_UNKNOWN), 403, errors.USER_UNKNOWN.explanation),
        (LoginError(SUSPENDED, "for the log"), 451, "Your account is suspended."),
    ],
    ids=["a mistake", "a reason of the relying party", "a reason of the site"],
)
def test_a_user_policy_that_raises_gets_a_page(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, raised: Exception, status: int, says: str
) -> None:
    def verify_claims(self: object, claims: object) -> bool:
        raise raised

    monkeypatch.setattr("oidc.backends.OIDCAuthenticationBackend.verify_claims", verify_claims)
    response = browser.log_in()
    assert response.status_code == status
    assert str(says) in unescape(response.content.decode())


def test_a_backend_that_returns_nobody_refuses(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oidc.backends.OIDCAuthenticationBackend.create_user", lambda self, claims: None)
    assert browser.outcome() == "claims_refused"


def test_an_inactive_user_reads_so(browser: Browser) -> None:
    browser.log_in()
    get_user_model().objects.update(is_active=False)
    browser.client.logout()
    assert str(errors.USER_INACTIVE.explanation) in unescape(browser.log_in().content.decode())
    assert browser.refusals[-1]["user"] == get_user_model().objects.get()


@pytest.mark.parametrize("path", ["/oidc/authenticate/", "/oidc/callback/", "/oidc/initiate/", "/admin/login/"])
def test_no_response_is_kept_by_a_cache(browser: Browser, op: OP, path: str) -> None:
    for _ in range(2):
        assert "no-store" in browser.get(path)["Cache-Control"]
        op.faults["/.well-known/openid-configuration"] = dead


def test_an_op_that_is_down_gets_a_page_before_the_browser_leaves(browser: Browser, op: OP) -> None:
    op.faults["/.well-known/openid-configuration"] = dead
    response = browser.leave("/page/")
    assert response.status_code == 503
    assert 'href="/oidc/authenticate/?next=%2Fpage%2F"' in response.content.decode()


# A login that a third party asks for (Core 4)


def test_a_third_party_can_start_a_login(browser: Browser, op: OP) -> None:
    query = {"iss": op.issuer, "target_link_uri": "http://localhost/page/", "login_hint": "kim"}
    leaving = browser.get("/oidc/initiate/", data=query)["Location"]
    assert parse_qs(urlsplit(leaving).query)["login_hint"] == ["kim"]
    assert browser.come_back(op.grant(leaving))["Location"] == "http://localhost/page/"


def test_a_third_party_can_post_too(browser: Browser, op: OP) -> None:
    """The browser then asks again by GET, as a form from another site comes without the cookie of a session."""
    response = browser.post("/oidc/initiate/", {"iss": op.issuer, "login_hint": "kim", "target_link_uri": "/page/"})
    assert response.status_code == 303
    location = browser.get(response["Location"])["Location"]
    assert location.startswith(f"{op.issuer}/authorize?")
    assert "login_hint=kim" in location


@pytest.mark.parametrize("issuer", ["", "https://evil.example"])
def test_a_third_party_cannot_choose_another_op(browser: Browser, issuer: str) -> None:
    assert browser.get("/oidc/initiate/", data={"iss": issuer}).status_code == 400
    assert browser.refusals[0]["reason"] is errors.CALLBACK_ISSUER


def test_a_third_party_cannot_choose_a_page_elsewhere(browser: Browser, op: OP) -> None:
    query = {"iss": op.issuer, "target_link_uri": "https://evil.example/"}
    leaving = browser.get("/oidc/initiate/", data=query)
    assert browser.come_back(op.grant(leaving["Location"]))["Location"] == "/"


def test_a_third_party_cannot_switch_the_person_who_is_signed_in(browser: Browser, op: OP) -> None:
    browser.log_in()
    query = {"iss": op.issuer, "target_link_uri": "/page/"}
    assert browser.get("/oidc/initiate/", data=query)["Location"] == "/page/"


# The admin


def test_the_admin_sends_to_the_op_and_comes_back(browser: Browser, op: OP) -> None:
    login = browser.get("/admin/auth/user/")["Location"]
    leaving = browser.get(browser.get(login)["Location"])
    assert browser.come_back(op.grant(leaving["Location"]))["Location"] == "/admin/auth/user/"


@pytest.mark.parametrize(
    ("next_url", "goes_to"),
    [
        ("/admin/auth/", "/admin/auth/"),
        ("", "/admin/"),
        ("https://evil.example/", "/admin/"),
        ("//evil.example/", "/admin/"),
    ],
)
def test_staff_go_on_to_the_admin(admin_client: Client, next_url: str, goes_to: str) -> None:
    assert admin_client.get("/admin/login/", {"next": next_url})["Location"] == goes_to


def test_others_get_a_page_and_no_loop(signed_in_client: Callable[[Any], Client], django_user_model: Any) -> None:
    client = signed_in_client(django_user_model.objects.create_user("visitor"))
    assert client.get("/admin/", follow=True).status_code == 403

"""The error boundary: whatever comes back, the person gets a page, the log a line, the code a signal."""

import logging
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings as site
from django.contrib.auth import get_user_model

from oidc.errors import LoginError, Reason
from oidc.signals import login_refused
from oidc.tests.conftest import Browser
from oidc.tests.op import ABSENT, CLIENT, OP, answers, changed, dead


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": ABSENT}, "attempt_unknown"),
        ({"state": ""}, "attempt_unknown"),
        ({"state": "x" * 5000}, "callback_malformed"),
        ({"state": ["a", "b"]}, "callback_malformed"),
        ({"state": "\0"}, "attempt_unknown"),
        ({"iss": ABSENT}, "callback_issuer"),
        ({"iss": "https://evil.example"}, "callback_issuer"),
        ({"iss": "https://evil.example", "error": "access_denied"}, "callback_issuer"),
        ({"error": "access_denied"}, "access_denied"),
        ({"error": "invalid_scope", "error_description": "<b>x</b>"}, "op_error"),
        ({"error": "temporarily_unavailable"}, "op_unavailable"),
        ({"error": ["a", "b"]}, "callback_malformed"),
        ({"code": ABSENT}, "callback_malformed"),
        ({"code": ""}, "callback_malformed"),
        ({"code": ["a", "b"]}, "callback_malformed"),
        ({"code": "unknown"}, "code_refused"),
    ],
)
def test_an_answer_is_checked_state_then_issuer_then_error_then_code(
    browser: Browser, op: OP, changes: dict, reason: str
) -> None:
    response = browser.come_back(changed(op.grant(browser.leave()["Location"]), changes))
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


def test_a_forged_error_changes_nothing(browser: Browser, op: OP) -> None:
    callback = op.grant(browser.leave("/?page")["Location"])
    assert browser.come_back({"error": "access_denied", "state": "forged"}).status_code == 400
    assert browser.come_back(callback)["Location"] == "/?page"
    assert browser.come_back({"error": "access_denied"}).status_code == 302
    assert browser.is_signed_in


def test_a_replayed_callback_of_somebody_signed_in_goes_on_to_the_site(browser: Browser, op: OP) -> None:
    callback = op.grant(browser.leave()["Location"])
    browser.come_back(callback)
    assert browser.come_back(callback)["Location"] == "/"
    assert len(op.asked("/token")) == 1


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_status_that_is_no_crash_and_words_for_people(reason: Reason) -> None:
    assert 400 <= reason.status < 600
    assert reason.status != 500
    assert str(reason.explanation).endswith(".")
    assert str(reason.action).endswith(".")


@pytest.fixture
def failed(browser: Browser, op: OP, caplog, settings):
    """A login that fails at the token endpoint after the OP's text has come in."""
    settings.DEBUG = True
    op.faults["/token"] = answers(
        {"error": "invalid_scope", "error_description": "<script>x</script>\r\nforged line" + "y" * 500}, status=400
    )
    with caplog.at_level(logging.DEBUG, logger="oidc"):
        return browser.log_in("/profile/?tab=1")


def test_the_page_says_what_happened_and_how_to_go_on(failed, browser: Browser) -> None:
    page, refusal = failed.content.decode(), browser.refusals[0]
    assert str(refusal["reason"].explanation) in page
    assert str(refusal["reason"].action) in page
    assert refusal["reference"] in page
    assert re.search(r'href="/oidc/authenticate/\?next=%2Fprofile%2F%3Ftab%3D1"[^>]*>Try again<', page)


def test_text_of_the_op_is_escaped_and_shortened(failed) -> None:
    page = failed.content.decode()
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page
    assert "y" * 101 not in page


def test_without_debug_the_page_has_no_text_of_the_op(browser: Browser, op: OP) -> None:
    op.faults["/token"] = answers({"error": "invalid_scope", "error_description": "details"}, status=400)
    page = browser.log_in().content.decode()
    assert "details" not in page
    assert "invalid_scope" not in page


def test_the_log_has_one_line_with_reason_reference_issuer_endpoint_and_error(
    failed, browser: Browser, op: OP, caplog
) -> None:
    (line,) = [record.getMessage() for record in caplog.get_records("setup") if record.name.startswith("oidc")]
    reference = browser.refusals[0]["reference"]
    for part in ("reason=op_error", f"reference={reference}", f"issuer={op.issuer}", f"endpoint={op.issuer}/token"):
        assert part in line
    assert "invalid_scope" in line
    assert "\n" not in line


@pytest.mark.parametrize("claims", [{}, {"nonce": "x"}, {"aud": "x"}, {"exp": 1}, {"at_hash": "x"}, {"sub": ""}])
def test_no_log_has_a_token_code_or_secret(browser: Browser, op: OP, caplog, claims: dict) -> None:
    op.claims, sign, secrets = claims, op.sign, [CLIENT[1], "access-token-1"]
    op.sign = lambda claims: secrets.append(sign(claims)) or secrets[-1]
    with caplog.at_level(logging.DEBUG):
        callback = op.grant(browser.leave()["Location"])
        browser.come_back(callback)
    secrets += [callback["code"], callback["state"], op.asked("/token")[0].form["code_verifier"]]
    assert not [secret for secret in secrets if secret in caplog.text]


def test_a_code_that_the_op_quotes_stays_out_of_the_log(browser: Browser, op: OP, caplog) -> None:
    callback = op.grant(browser.leave()["Location"])
    op.faults["/token"] = answers({"error": "invalid_grant", "error_description": callback["code"]}, status=400)
    browser.come_back(callback)
    assert callback["code"] not in caplog.text


def test_the_access_log_has_paths_without_queries() -> None:
    """The callback's query holds the code."""
    configuration = (site.BASE_DIR / "gunicorn.conf.py").read_text(encoding="utf-8")
    (line,) = re.findall(r"^access_log_format = (.+)$", configuration, re.MULTILINE)
    assert not re.search(r"%\((r|q|f)\)s", line)


def test_a_receiver_that_fails_does_not_fail_the_page(browser: Browser) -> None:
    def receive(**details) -> None:
        raise RuntimeError

    login_refused.connect(receive)
    assert browser.come_back({}).status_code == 400
    login_refused.disconnect(receive)


@pytest.mark.parametrize(
    ("raised", "reason"),
    [(KeyError("email"), "policy_failed"), (LoginError(Reason.USER_UNKNOWN), "user_unknown")],
)
def test_a_user_policy_that_raises_gets_a_page(browser: Browser, monkeypatch, raised: Exception, reason: str) -> None:
    def verify_claims(self, claims: dict) -> bool:
        raise raised

    monkeypatch.setattr("oidc.backends.OIDCAuthenticationBackend.verify_claims", verify_claims)
    assert browser.outcome() == reason


def test_an_inactive_user_is_told_so(browser: Browser) -> None:
    browser.log_in()
    get_user_model().objects.update(is_active=False)
    browser.client.logout()
    assert browser.outcome() == "user_inactive"


@pytest.mark.parametrize("path", ["/oidc/authenticate/", "/oidc/callback/"])
def test_no_answer_is_kept_by_a_cache(browser: Browser, op: OP, path: str) -> None:
    for _ in range(2):
        assert "no-store" in browser.client.get(path)["Cache-Control"]
        op.faults["/.well-known/openid-configuration"] = dead
    assert "no-store" in Browser(op).leave()["Cache-Control"]


@pytest.mark.parametrize("method", ["post", "put", "head", "options"])
def test_the_callback_takes_no_other_method(browser: Browser, op: OP, method: str) -> None:
    """A link scanner's HEAD must not spend the code; POST is for form_post."""
    callback = op.grant(browser.leave()["Location"])
    assert getattr(browser.client, method)("/oidc/callback/", query_params=callback).status_code == 405
    browser.come_back(callback)
    assert browser.is_signed_in


def test_nothing_is_tried_again_by_itself(browser: Browser, op: OP) -> None:
    op.faults["/token"] = dead
    browser.log_in()
    assert len(op.asked("/token")) == 1


def test_the_session_key_changes_at_every_login(browser: Browser) -> None:
    seen = {browser.client.session.session_key}
    for _ in range(3):
        browser.log_in()
        seen.add(browser.client.session.session_key)
    assert len(seen) == 4


def test_a_renewal_that_needs_the_person_asks_the_person_once(browser: Browser, op: OP) -> None:
    browser.log_in()
    session = browser.client.session
    session["oidc_id_token_expiration"] = 0
    session.save()
    silent = parse_qs(urlsplit(browser.client.get("/profile/")["Location"]).query)
    assert silent["prompt"] == ["none"]
    answer = {"error": "login_required", "state": silent["state"][0], "iss": op.issuer}
    asked = browser.come_back(answer)["Location"]
    assert "prompt=" not in asked
    assert browser.come_back(op.grant(asked) | {"error": "login_required"}).status_code == 400

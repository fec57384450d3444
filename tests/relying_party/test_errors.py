"""The reasons for which a login can fail: a closed list, and open to a site for reasons of its own."""

import logging
import re
from dataclasses import FrozenInstanceError

import pytest
from django.utils.translation import gettext_lazy as _

from oidc import errors
from oidc.errors import Kind, LoginError, Reason, shorten
from oidc.logs import WithoutSecrets
from oidc.testing.browser import Browser
from oidc.testing.op import OP, responds
from tests.relying_party.stub.backends import Backend

# code: (HTTP status, whose problem it is). Logs, signals and the records of logins name the codes, so none may change.
REASONS = {
    "attempt_unknown": (400, Kind.INVALID),
    "attempt_expired": (400, Kind.INVALID),
    "callback_malformed": (400, Kind.INVALID),
    "callback_issuer": (400, Kind.INVALID),
    "too_many_failures": (429, Kind.OUTAGE),
    "access_denied": (403, Kind.REFUSED),
    "login_required": (403, Kind.REFUSED),
    "consent_required": (403, Kind.REFUSED),
    "account_selection_required": (403, Kind.REFUSED),
    "scope_refused": (502, Kind.MISCONFIGURED),
    "op_error": (400, Kind.MISCONFIGURED),
    "op_unavailable": (503, Kind.OUTAGE),
    "op_unreachable": (503, Kind.OUTAGE),
    "op_timeout": (504, Kind.OUTAGE),
    "keys_changing": (503, Kind.OUTAGE),
    "op_response": (502, Kind.MISCONFIGURED),
    "metadata_invalid": (502, Kind.MISCONFIGURED),
    "code_refused": (400, Kind.INVALID),
    "client_refused": (502, Kind.MISCONFIGURED),
    "id_token_missing": (403, Kind.MISCONFIGURED),
    "id_token_malformed": (403, Kind.INVALID),
    "id_token_algorithm": (403, Kind.MISCONFIGURED),
    "id_token_key": (403, Kind.MISCONFIGURED),
    "id_token_signature": (403, Kind.INVALID),
    "id_token_issuer": (403, Kind.INVALID),
    "id_token_audience": (403, Kind.INVALID),
    "id_token_time": (403, Kind.INVALID),
    "id_token_subject": (403, Kind.INVALID),
    "id_token_nonce": (403, Kind.INVALID),
    "id_token_access_token": (403, Kind.INVALID),
    "authentication_too_old": (403, Kind.INVALID),
    "authentication_too_weak": (403, Kind.INVALID),
    "userinfo_invalid": (403, Kind.INVALID),
    "userinfo_subject": (403, Kind.INVALID),
    "claims_refused": (403, Kind.REFUSED),
    "groups_missing": (403, Kind.REFUSED),
    "logged_out": (403, Kind.REFUSED),
    "user_unknown": (403, Kind.REFUSED),
    "user_ambiguous": (403, Kind.REFUSED),
    "user_inactive": (403, Kind.REFUSED),
    "policy_failed": (503, Kind.MISCONFIGURED),
}

every_reason = pytest.mark.parametrize("reason", errors.REASONS, ids=[reason.code for reason in errors.REASONS])


def test_the_list_is_closed() -> None:
    assert {reason.code: (reason.status, reason.kind) for reason in errors.REASONS} == REASONS


def test_no_two_reasons_have_the_same_code_or_say_the_same() -> None:
    for field in ("code", "explanation", "hint"):
        assert len({str(getattr(reason, field)) for reason in errors.REASONS}) == len(errors.REASONS)


@every_reason
def test_a_reason_is_the_constant_with_the_name_of_its_code(reason: Reason) -> None:
    assert getattr(errors, reason.code.upper()) is reason


@every_reason
def test_a_reason_is_not_a_crash(reason: Reason) -> None:
    assert 400 <= reason.status < 600
    assert reason.status != 500


@every_reason
def test_a_reason_has_words_for_people(reason: Reason) -> None:
    """They know no OP, no token and no claim: they know a sign-in service."""
    words = f"{reason.explanation} {reason.action}"
    assert str(reason.explanation).endswith(".")
    assert str(reason.action).endswith(".")
    assert not re.search(r"\b(OP|OIDC|token|claim|issuer|nonce|JWT|metadata|endpoint)", words)


@every_reason
def test_a_reason_has_a_hint_for_developers(reason: Reason) -> None:
    assert len(reason.hint) > 15
    assert reason.hint.endswith((".", "?"))
    assert "\n" not in reason.hint


# What no setting of the site can have caused.
WITHOUT_A_SETTING = {
    "attempt_expired",
    "callback_malformed",
    "access_denied",
    "op_unavailable",
    "id_token_malformed",
    "id_token_time",
    "id_token_subject",
    "id_token_nonce",
    "id_token_access_token",
    "userinfo_subject",
    "keys_changing",
    "logged_out",
}


@every_reason
def test_a_hint_names_the_setting_or_the_part_of_the_policy_to_look_at(reason: Reason) -> None:
    named = re.search(r"\b(OIDC_[A-Z_]+|SITE_URL|filter_users_by_claims|is_active|the backend)\b", reason.hint)
    assert bool(named) is (reason.code not in WITHOUT_A_SETTING)


@every_reason
def test_a_hint_reaches_the_log_whole(reason: Reason) -> None:
    """The filter against secrets cuts nothing out of it."""
    record = logging.makeLogRecord({"msg": "login refused hint=%s", "args": (reason.hint,)})
    assert WithoutSecrets().filter(record)
    assert record.getMessage() == f"login refused hint={reason.hint}"


@pytest.mark.parametrize(
    ("op_error", "reason"),
    [
        ("access_denied", "access_denied"),
        ("account_selection_required", "account_selection_required"),
        ("consent_required", "consent_required"),
        ("interaction_required", "login_required"),
        ("invalid_client", "client_refused"),
        ("invalid_grant", "code_refused"),
        ("invalid_scope", "scope_refused"),
        ("login_required", "login_required"),
        ("server_error", "op_unavailable"),
        ("temporarily_unavailable", "op_unavailable"),
        ("unauthorized_client", "client_refused"),
        ("something_else", "op_error"),
    ],
)
@pytest.mark.parametrize("is_token_endpoint", [False, True], ids=["authorization", "token"])
def test_an_error_of_the_op_has_its_reason(
    browser: Browser, op: OP, op_error: str, reason: str, is_token_endpoint: bool
) -> None:
    callback = op.grant(browser.leave()["Location"])
    if is_token_endpoint:
        op.faults["/token"] = responds({"error": op_error}, status=400)
        browser.come_back(callback)
    else:
        browser.come_back({"state": callback["state"], "iss": callback["iss"], "error": op_error})
    assert [refusal["reason"].code for refusal in browser.refusals] == [reason]


def test_a_reason_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        errors.USER_UNKNOWN.status = 200


def test_an_error_says_reason_and_detail() -> None:
    error = LoginError(errors.OP_RESPONSE, "HTTP 500", op_error="oops", endpoint="https://op.example.org/", user=None)
    assert str(error) == "op_response: HTTP 500"
    assert (error.reason, error.detail, error.op_error) == (errors.OP_RESPONSE, "HTTP 500", "oops")


def test_a_sites_own_reason_refuses_the_person_unless_it_says_otherwise() -> None:
    """So a session whose renewal fails for it ends."""
    reason = Reason("suspended", 403, "Your account is suspended.")
    assert reason.kind is Kind.REFUSED
    assert "administrator" in str(reason.action)
    assert reason not in errors.REASONS


SUSPENDED = Reason("suspended", 409, _("Your account is suspended."), _("It is open again on Monday."), "Ask HR.")


class SuspendingBackend(Backend):
    def verify_claims(self, claims: object) -> bool:
        raise LoginError(SUSPENDED, "since Friday")


def test_a_sites_own_reason_reaches_page_log_and_signal(browser: Browser, settings, caplog) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.SuspendingBackend"]
    response = browser.log_in()
    page = response.content.decode()
    (refusal,) = browser.refusals
    assert response.status_code == 409
    assert "Your account is suspended." in page
    assert "It is open again on Monday." in page
    assert refusal["reference"] in page
    assert f"reason=suspended reference={refusal['reference']}" in caplog.text
    assert "detail=since Friday" in caplog.text
    assert refusal["reason"] is SUSPENDED


def test_a_developer_reads_detail_and_hint_of_a_sites_own_reason(browser: Browser, settings) -> None:
    settings.AUTHENTICATION_BACKENDS, settings.DEBUG = [f"{__name__}.SuspendingBackend"], True
    page = browser.log_in().content.decode()
    assert "<code>suspended</code> since Friday" in page
    assert "Ask HR." in page


@pytest.mark.parametrize(
    ("text", "shortened"),
    [
        ("plain", "'plain'"),
        ("", "''"),
        (None, "'None'"),
        (7, "'7'"),
        (["a"], "\"['a']\""),
        ("two\r\nlines", r"'two\r\nlines'"),
        ("é\x1b[31m\u202e", r"'\xe9\x1b[31m\u202e'"),
        ("x" * 98, f"'{'x' * 98}'"),
        ("x" * 200, f"'{'x' * 99}..."),
    ],
)
def test_text_from_outside_is_escaped_and_cut(text: object, shortened: str) -> None:
    """A line break would forge a line of the log, an escape sequence would reach the terminal of whoever reads it."""
    assert shorten(text) == shortened

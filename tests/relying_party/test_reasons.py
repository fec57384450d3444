"""Every reason for which a login fails: what triggers it, and what the person, the developer and the log read then.

`reasons.py` makes docs/reasons.md of the same table.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import RequestFactory

from oidc import errors
from oidc.errors import Kind, LoginError, Reason
from oidc.internal import documents, limits, verification
from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, OP, changed, dead, private_key, responds, slow
from tests.relying_party.stub.backends import Backend


@dataclass
class Site:
    """What a trigger may change before, or while, somebody logs in."""

    op: OP
    browser: Browser
    settings: Any
    patch: pytest.MonkeyPatch
    later: Callable[..., None]

    def log_in(self, **changes: Any) -> Any:
        """Log in with `changes` to the OP's response in the browser; return what the site says to it."""
        leaving = self.browser.leave("/page/")
        return self.browser.come_back(changed(self.op.grant(leaving["Location"]), changes))

    def set(self, **values: Any) -> Any:
        """Log in with other settings."""
        for name, value in values.items():
            setattr(self.settings, name, value)
        return self.log_in()

    def op_has(self, **values: Any) -> Any:
        """Log in at an OP with other attributes."""
        for name, value in values.items():
            setattr(self.op, name, value)
        return self.log_in()

    def policy(self, method: str, result: Any) -> Any:
        """Log in with a policy whose `method` returns, or raises, `result`."""

        def decide(backend: object, claims: object) -> Any:
            if isinstance(result, Exception):
                raise result
            return result

        self.patch.setattr(Backend, method, decide)
        return self.log_in()

    def discover(self) -> Any:
        """Begin a login at an OP that says another issuer."""
        self.op.metadata["issuer"] = "https://evil.example"
        return self.browser.leave()

    def wait(self) -> Any:
        """Come back after eleven minutes."""
        callback = self.op.grant(self.browser.leave()["Location"])
        self.later(minutes=11)
        return self.browser.come_back(callback)

    def time_out(self) -> Any:
        """Log in at an OP that swallows token requests."""
        self.op.faults["/token"] = slow
        return self.set(OIDC_TIMEOUT=0.2)

    def use_up_refetches(self) -> Any:
        """Log in with an unknown key when the key set may not be fetched again."""
        self.patch.setattr(documents, "REFETCHES", 0)
        return self.op_has(header={"kid": "unknown"})

    def sign_otherwise(self) -> Any:
        """Log in at an OP that signs with another algorithm."""
        self.op.sign_with("ES256")
        return self.log_in()

    def log_out_meanwhile(self) -> Any:
        """Log in while the OP ends the person's session there."""
        verify = verification.verify

        def and_log_out(*arguments: Any) -> Any:
            self.browser.post("/oidc/backchannel-logout/", {"logout_token": self.op.logout_token()})
            return verify(*arguments)

        self.patch.setattr(verification, "verify", and_log_out)
        return self.log_in()

    def fail_before(self) -> Any:
        """Begin a login where one has failed in this minute, and one may."""
        self.settings.OIDC_FAILED_LOGINS_PER_MINUTE = 1
        self.patch.setattr(time, "time", lambda: 1_800_000_000.0)
        with suppress(LoginError), limits.exchange(RequestFactory().get("/")):
            raise LoginError(errors.CODE_REFUSED)
        return self.browser.leave()

    def deactivate(self) -> Any:
        """Log in as somebody who has been deactivated."""
        self.log_in()
        get_user_model().objects.update(is_active=False)
        self.browser.client.logout()
        return self.log_in()

    def ask(self, **claims: Any) -> Any:
        """Log in with `max_age` and `acr_values` asked for."""
        self.op.claims = claims
        return self.set(OIDC_AUTH_REQUEST_EXTRA_PARAMS={"max_age": 60, "acr_values": "gold"})

    def userinfo(self, **claims: Any) -> Any:
        """Log in at an OP with other userinfo, signed."""
        return self.op_has(userinfo=claims, userinfo_is_signed=True)


TRIGGERS: dict[str, tuple[str, Callable[[Site], Any]]] = {
    "attempt_unknown": ("a `state` that this browser did not send", lambda site: site.log_in(state="forged")),
    "attempt_expired": ("somebody comes back after eleven minutes", Site.wait),
    "callback_malformed": ("neither `code` nor `error`", lambda site: site.log_in(code=ABSENT)),
    "callback_issuer": ("another `iss` beside the code", lambda site: site.log_in(iss="https://evil.example")),
    "too_many_failures": ("more codes from one address than may fail in a minute", Site.fail_before),
    "access_denied": ("`error=access_denied`", lambda site: site.log_in(error="access_denied")),
    "login_required": ("`error=login_required`", lambda site: site.log_in(error="login_required")),
    "consent_required": ("`error=consent_required`", lambda site: site.log_in(error="consent_required")),
    "account_selection_required": (
        "`error=account_selection_required`",
        lambda site: site.log_in(error="account_selection_required"),
    ),
    "scope_refused": ("`error=invalid_scope`", lambda site: site.log_in(error="invalid_scope")),
    "op_error": ("an `error` that no specification names", lambda site: site.log_in(error="out_of_luck")),
    "op_unavailable": ("`error=temporarily_unavailable`", lambda site: site.log_in(error="temporarily_unavailable")),
    "op_unreachable": ("the token endpoint hangs up", lambda site: site.op_has(faults={"/token": dead})),
    "op_timeout": ("the token endpoint does not respond within OIDC_TIMEOUT", Site.time_out),
    "op_response": ("a token response in HTML", lambda site: site.op_has(faults={"/token": responds(b"<p>Hello")})),
    "metadata_invalid": ("the discovery document names another issuer", Site.discover),
    "code_refused": ("a code that the OP did not issue", lambda site: site.log_in(code="unknown")),
    "client_refused": ("a wrong client secret", lambda site: site.set(OIDC_RP_CLIENT_SECRET="wrong")),
    "id_token_missing": ("no `id_token`", lambda site: site.op_has(token_response={"id_token": ABSENT})),
    "id_token_malformed": ("an `id_token` that is no JWT", lambda site: site.op_has(token_response={"id_token": "x"})),
    "id_token_algorithm": ("ES256 in place of RS256", Site.sign_otherwise),
    "id_token_key": ("a `kid` that is not in the key set", lambda site: site.op_has(header={"kid": "unknown"})),
    "keys_changing": ("the same, and the key set was fetched too often", Site.use_up_refetches),
    "id_token_signature": ("signed with another key", lambda site: site.op_has(key=private_key("RSA", 2))),
    "id_token_issuer": ("another `iss`", lambda site: site.op_has(claims={"iss": "https://evil.example"})),
    "id_token_audience": ("`aud` is another client", lambda site: site.op_has(claims={"aud": "another"})),
    "id_token_time": ("`exp` is long past", lambda site: site.op_has(claims={"exp": 1})),
    "id_token_subject": ("an empty `sub`", lambda site: site.op_has(claims={"sub": ""})),
    "id_token_nonce": ("the `nonce` of another login", lambda site: site.op_has(claims={"nonce": "x"})),
    "id_token_access_token": ("`at_hash` of another token", lambda site: site.op_has(claims={"at_hash": "x"})),
    "authentication_too_old": ("`auth_time` older than `max_age`", lambda site: site.ask(acr="gold", auth_time=1)),
    "authentication_too_weak": ("`acr` is not what was asked for", lambda site: site.ask(acr="silver")),
    "userinfo_invalid": ("signed userinfo of another issuer", lambda site: site.userinfo(iss="https://evil.example")),
    "userinfo_subject": ("userinfo of another person", lambda site: site.userinfo(sub="another")),
    "claims_refused": ("`verify_claims` returns False", lambda site: site.policy("verify_claims", False)),
    "groups_missing": (
        "a policy that needs groups raises it",
        lambda site: site.policy("verify_claims", LoginError(errors.GROUPS_MISSING)),
    ),
    "logged_out": ("a logout token comes while the login is being finished", Site.log_out_meanwhile),
    "user_unknown": ("a first login, OIDC_CREATE_USER off", lambda site: site.set(OIDC_CREATE_USER=False)),
    "user_ambiguous": (
        "`filter_users_by_claims` finds two users",
        lambda site: site.policy("filter_users_by_claims", [object(), object()]),
    ),
    "user_inactive": ("somebody whose `is_active` is off", Site.deactivate),
    "policy_failed": ("`verify_claims` raises KeyError", lambda site: site.policy("verify_claims", KeyError("email"))),
}


def test_every_reason_has_its_trigger() -> None:
    assert list(TRIGGERS) == [reason.code for reason in errors.REASONS]


@pytest.mark.parametrize("reason", errors.REASONS, ids=[reason.code for reason in errors.REASONS])
def test_what_is_read_when_a_login_fails(
    op: OP,
    browser: Browser,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    later: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    reason: Reason,
) -> None:
    settings.DEBUG = True
    response = TRIGGERS[reason.code][1](Site(op, browser, settings, monkeypatch, later))
    (refusal,) = browser.refusals
    assert refusal["reason"] is reason
    assert response.status_code == reason.status

    page = unescape(response.content.decode())
    assert all(str(text) in page for text in (reason.explanation, reason.action, refusal["reference"]))
    manual = f"oidc/TROUBLESHOOTING.md#{reason.code}"
    assert all(text in page for text in (f"<code>{reason.code}</code>", reason.hint, f"<code>{manual}</code>"))
    assert ("Use another account" in page) == (reason.kind is Kind.REFUSED)

    (line,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("login refused")]
    assert f"reason={reason.code} reference={refusal['reference']} " in line
    assert line.endswith(f"hint={reason.hint}")

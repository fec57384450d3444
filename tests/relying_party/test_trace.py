"""The record of this browser's logins: it says why, it holds nothing secret, and production has none."""

import re
from collections.abc import Callable, Iterable
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client

from oidc import errors
from oidc.backends import OIDCAuthenticationBackend
from oidc.errors import LoginError, Reason
from oidc.internal import trace
from oidc.internal.trace import MAX_BROWSERS, MAX_CHARACTERS, MAX_LOGINS, Login, Watched
from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, CLIENT, OP, dead, private_key, responds

PAGE = "/oidc/logins/"
SUSPENDED = Reason("suspended", 403, "Your account is suspended.", hint="Ask in room 7.")


class ByGroups(OIDCAuthenticationBackend):
    """A policy as a site has one, with rights by groups."""

    def update_user(self, user: Any, claims: Any) -> Any:
        user.email = claims.get("email", "")
        user.save()
        declared = {"staff": ["staff"], "superusers": ["admins"], "managed": {"/editors": "Editors"}}
        self.apply_groups(user, claims, "groups", **declared)
        return user


class Refusing(OIDCAuthenticationBackend):
    def verify_claims(self, claims: Any) -> bool:
        return False


class Suspending(OIDCAuthenticationBackend):
    def verify_claims(self, claims: Any) -> bool:
        raise LoginError(SUSPENDED, "since Monday")


class Failing(OIDCAuthenticationBackend):
    def update_user(self, user: Any, claims: Any) -> Any:
        raise RuntimeError


class Ambiguous(OIDCAuthenticationBackend):
    def filter_users_by_claims(self, claims: Any) -> Iterable[Any]:
        return [User(pk=1), User(pk=2)]


class NobodyActive(OIDCAuthenticationBackend):
    def filter_users_by_claims(self, claims: Any) -> Iterable[Any]:
        return [User(pk=1, is_active=False)]


@pytest.fixture(autouse=True)
def development(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEBUG = True
    monkeypatch.setattr(trace, "_kept", {})


def policy(settings: Any, backend: type) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{backend.__module__}.{backend.__qualname__}"]


def outcomes(browser: Browser) -> list[str]:
    """Return how the logins ended, the newest first."""
    return [login.steps[-1].title for login in logins(browser)]


def logins(browser: Browser) -> list[Login]:
    return trace.logins_of(browser.get(PAGE).wsgi_request)


def text_of(browser: Browser) -> str:
    """Return the page as somebody reads it, a fact as `name: value`."""
    html = browser.get(PAGE).content.decode()
    html = re.sub(r"(?s)</dt>\s*<dd>", ": ", html)
    lines = unescape(re.sub("<[^>]+>", "", html)).splitlines()
    return "\n".join(line.strip() for line in lines if line.strip())


def test_a_login_reads_from_top_to_bottom(browser: Browser, op: OP) -> None:
    browser.log_in()
    (login,) = logins(browser)
    assert [step.title for step in login.steps] == [
        "The browser was sent to the sign-in service",
        "The sign-in service sent the browser back",
        "The site asks for tokens",
        "The token endpoint responds",
        "A token came; nothing of it is believed yet",
        "The ID Token keeps every rule",
        "Userinfo says more",
        "verify_claims lets the person in",
        "No user is found, so one is made",
        "Issuer and subject name this user",
        "Which claims the user policy read",
        "The login succeeded",
    ]
    assert [text for text in (step.title for step in login.steps) if text not in text_of(browser)] == []


@pytest.mark.parametrize(
    "fact",
    [
        "address: {op.issuer}/authorize",
        "scope: openid email profile",
        "redirect_uri: http://localhost/oidc/callback/",
        "then on to: /page/",
        "OIDC_RP_SCOPES: openid email profile",
        "grant_type: authorization_code",
        "token_type: Bearer",
        'header: {{"alg": "RS256", "kid": "key-1", "typ": "JWT"}}',
        "aud: site-under-test",
        "OIDC_RP_SIGN_ALGO: RS256",
        "email: person@example.org",
        "email_verified: true",
        "policy: tests.relying_party.stub.backends.Backend",
        "OIDC_CREATE_USER: true",
        "since: now",
        "user: person-1",
    ],
)
def test_it_says_what_was_sent_what_came_and_which_settings_mattered(
    browser: Browser, op: OP, settings: Any, fact: str
) -> None:
    settings.OIDC_USERNAME_ALGO = lambda text: "person-1"
    browser.log_in(next_url="/page/")
    assert fact.format(op=op) in text_of(browser).splitlines()


def test_a_time_is_readable(browser: Browser, op: OP) -> None:
    op.claims["iat"] = op.claims["auth_time"] = "2026"
    browser.log_in()
    assert "iat: 2026\n" in text_of(browser)
    op.claims.clear()
    browser.log_in()
    assert re.search(r"iat: \d{10} \(\d\d \w+ 20\d\d \d\d:\d\d:\d\d\)", text_of(browser))


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_no_page_holds_a_code_a_token_or_a_secret(browser: Browser, op: OP, settings: Any, method: str) -> None:
    settings.OIDC_TOKEN_ENDPOINT_AUTH_METHOD = method
    # An OP that repeats secrets where nobody expects them.
    op.token_response["device_secret"] = "a-secret-of-the-device"
    leaving = browser.leave()["Location"]
    callback = op.grant(leaving)
    sent = dict(parse_qsl(urlsplit(leaving).query))
    op.userinfo |= {"code_again": f"it was {callback['code']}", "deep": [{"access_token": "a-token-deep-inside"}]}
    browser.come_back(callback)
    (form,) = [asked.form for asked in op.asked("/token")]
    secrets = [callback["code"], callback["state"], sent["nonce"], form["code_verifier"], CLIENT[1]]
    secrets += [text for _, text in op.grants] + [browser.client.session["oidc_id_token"]]
    secrets += ["a-secret-of-the-device", "a-token-deep-inside"]
    secrets += [part for part in browser.client.session["oidc_id_token"].split(".") if len(part) > 100]
    assert len(secrets) > 10
    page = text_of(browser)
    assert [secret for secret in secrets if secret in page] == []
    assert "code: [cut: 43 characters]" in page
    assert "code_again: it was [cut]" in page


def test_a_refused_code_is_not_shown_although_the_op_repeats_it(browser: Browser, op: OP) -> None:
    callback = op.grant(browser.leave()["Location"])
    described = f"the code {callback['code']} is unknown"
    op.faults["/token"] = responds({"error": "invalid_grant", "error_description": described}, status=400)
    browser.come_back(callback)
    assert "The login is refused: code_refused" in text_of(browser)
    assert callback["code"] not in text_of(browser)


def forge(op: OP) -> None:
    op.key = private_key("RSA", 2)


REFUSALS: dict[str, tuple[Callable[[OP], object], type | None, list[str]]] = {
    "id_token_audience": (lambda op: op.claims.update(aud="other"), None, ["aud: other", "detail: aud is 'other'"]),
    "id_token_issuer": (lambda op: op.claims.update(iss="https://x"), None, ["iss: https://x", "OIDC_OP_ISSUER: {op}"]),
    "id_token_nonce": (lambda op: op.claims.update(nonce="x"), None, ["detail: nonce differs"]),
    "id_token_time": (lambda op: op.claims.update(exp=1), None, ["exp: 1 (", "detail: expired"]),
    "id_token_subject": (lambda op: op.claims.update(sub=""), None, ["detail: sub is missing"]),
    "id_token_signature": (forge, None, ["sub: person-1", "detail: the signature does not verify"]),
    "id_token_algorithm": (lambda op: op.sign_with("ES256"), None, ['"alg": "ES256"', "expected RS256"]),
    "id_token_malformed": (lambda op: op.token_response.update(id_token="x"), None, ["not a readable JWT"]),
    "id_token_missing": (lambda op: op.token_response.update(id_token=ABSENT), None, ["no id_token"]),
    "id_token_access_token": (lambda op: op.claims.update(at_hash="x"), None, ["at_hash: x", "at_hash differs"]),
    "userinfo_subject": (lambda op: op.userinfo.update(sub="x"), None, ["sub: x", "sub is another person's"]),
    "op_unreachable": (lambda op: op.faults.update({"/token": dead}), None, ["address: {op}/token"]),
    "op_response": (lambda op: op.faults.update({"/userinfo": responds(b"x")}), None, ["endpoint: {op}/userinfo"]),
    "claims_refused": (lambda op: None, Refusing, ["detail: verify_claims returned False"]),
    "suspended": (lambda op: None, Suspending, ["detail: since Monday", "hint: Ask in room 7."]),
    "user_ambiguous": (lambda op: None, Ambiguous, ["verify_claims lets the person in", "detail: several users match"]),
    "user_inactive": (lambda op: None, NobodyActive, ["A user is found", "hint: is_active is off."]),
    "policy_failed": (lambda op: None, Failing, ["detail: RuntimeError", "its traceback is in the log"]),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_refusal_shows_its_rule_and_what_led_to_it(browser: Browser, op: OP, settings: Any, reason: str) -> None:
    misbehave, backend, told = REFUSALS[reason]
    misbehave(op)
    if backend:
        policy(settings, backend)
    assert browser.outcome() == reason
    page = text_of(browser)
    assert outcomes(browser) == [f"The login is refused: {reason}"]
    assert [text for text in told if text.format(op=op.issuer) not in page] == []
    manual = f"manual: {errors.MANUAL}#{reason}"
    assert (manual in page) is (reason != "suspended")


def test_a_person_without_an_account_sees_which_setting_made_none(browser: Browser, settings: Any) -> None:
    settings.OIDC_CREATE_USER = False
    assert browser.outcome() == "user_unknown"
    assert "OIDC_CREATE_USER is off, and nobody has subject person-1" in text_of(browser)


def test_what_fails_before_the_op_is_reached_is_told_too(browser: Browser, op: OP) -> None:
    op.faults["/.well-known/openid-configuration"] = dead
    page = browser.leave().content.decode()
    assert f'href="{PAGE}"' in page
    assert "The login is refused: op_unreachable" in text_of(browser)


def test_the_ops_own_no_is_told(browser: Browser, op: OP) -> None:
    url = browser.leave()["Location"]
    browser.come_back(dict(parse_qsl(urlsplit(browser.visit_op(url, deny=True)).query)))
    assert "error: access_denied" in text_of(browser)
    assert "The login is refused: access_denied" in text_of(browser)


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (["interns"], ["groups: interns", "that make staff: staff", "so the person is: –"]),
        (["/staff", "editors"], ["groups: editors, staff", "so the person is: Editors, is_staff"]),
        (["admins"], ["that make superusers: admins", "so the person is: is_staff, is_superuser"]),
        ([], ["groups: –", "so the person is: –"]),
        (ABSENT, ["groups: they did not come", "Rights stay as they are, as nothing is known of groups"]),
    ],
)
def test_it_answers_why_somebody_is_not_staff(
    log_in: Callable[..., Browser], settings: Any, groups: object, told: list[str]
) -> None:
    policy(settings, ByGroups)
    settings.OIDC_STAFF_GROUPS = ["staff"]
    page = text_of(log_in({"groups": groups}))
    assert [
        text for text in [*told, "claim: groups", "OIDC_STAFF_GROUPS: staff"] if text not in page.splitlines()
    ] == []


def test_it_says_which_claims_came_and_nobody_used(log_in: Callable[..., Browser], settings: Any) -> None:
    policy(settings, ByGroups)
    page = text_of(log_in({"sub": "kim", "email": "kim@example.org", "locale": "de", "picture": "x"}))
    assert "used by nobody: email_verified, locale, picture" in page.splitlines()
    assert "read: email, iss, preferred_username, sub" not in page  # it did not come
    assert "asked for, but not there: _claim_names, groups, hasgroups, preferred_username" in page.splitlines()


@pytest.mark.parametrize(
    "walk", [dict, list, lambda claims: claims.copy() | {}, "{**claims}", "values", "items", "keys"]
)
def test_whoever_goes_through_all_claims_has_read_all(walk: Any) -> None:
    claims = Watched({"a": 1, "b": 2})
    if walk == "{**claims}":
        assert {**claims} == {"a": 1, "b": 2}
    elif isinstance(walk, str):
        list(getattr(claims, walk)())
    else:
        walk(claims)
    assert claims.read == {"a", "b"}


def test_claims_that_are_watched_are_as_ever() -> None:
    plain = {"a": 1, "b": [2]}
    claims = Watched(plain)
    assert (claims["a"], claims.get("c", 3), "a" in claims, "c" in claims) == (1, 3, True, False)
    assert claims.read == {"a", "c"}
    assert isinstance(claims, dict)
    assert claims == plain
    with pytest.raises(KeyError):
        claims["d"]


def test_later_logins_and_renewals_are_told_apart(browser: Browser, op: OP) -> None:
    browser.log_in()
    browser.log_in()
    browser.age(1000)
    browser.follow(browser.get("/page/"))
    assert outcomes(browser) == ["The login renewed", "The login succeeded", "The login succeeded"]
    renewal, second, _ = logins(browser)
    assert renewal.steps[0].title == "The browser was sent to the sign-in service, to renew without a page"
    assert ("prompt", "none") in renewal.steps[0].facts
    titles = [step.title for step in second.steps]
    assert "A user is found" in titles
    assert "No user is found, so one is made" not in titles


def test_after_the_ops_no_to_a_renewal_the_next_login_has_steps_of_its_own(browser: Browser, op: OP) -> None:
    browser.log_in()
    op.sessions.clear()
    browser.age(1000)
    leaving = browser.get("/page/")
    browser.get(browser.visit_op(leaving["Location"]).removeprefix("http://localhost"))
    anew, renewal, _ = logins(browser)
    assert ("error", "login_required") in renewal.steps[-1].facts
    assert anew.steps[-1].title == "The browser was sent to the sign-in service"


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [(None, "The login is renewed in the background"), (dead, "The renewal failed: op_unreachable")],
)
def test_renewals_in_the_background_are_told(browser: Browser, op: OP, settings: Any, fault: Any, outcome: str) -> None:
    settings.OIDC_RENEWAL = "refresh_token"
    browser.log_in()
    browser.age(1000)
    op.faults |= {"/token": fault} if fault else {}
    assert browser.get("/page/").status_code == 200
    assert outcomes(browser)[0] == outcome


def test_a_renewal_without_an_id_token_claims_no_rule_for_one(browser: Browser, op: OP, settings: Any) -> None:
    settings.OIDC_RENEWAL = "refresh_token"
    browser.log_in()
    browser.age(1000)
    op.token_response["id_token"] = ABSENT
    browser.get("/page/")
    assert outcomes(browser)[0] == "The login is renewed in the background"
    assert "The ID Token keeps every rule" not in [step.title for step in logins(browser)[0].steps]


def test_only_this_browser_sees_its_logins(browser: Browser, op: OP) -> None:
    browser.log_in()
    cookie = browser.client.cookies[trace.COOKIE]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    stranger = Client(SERVER_NAME="localhost")
    for value in ("", "x", cookie.value + "x", next(iter(trace._kept))):
        stranger.cookies[trace.COOKIE] = value
        assert "Nobody has logged in with this browser" in stranger.get(PAGE).content.decode()


def test_the_page_stands_where_logins_fail(browser: Browser, op: OP) -> None:
    op.claims["aud"] = "other"
    page = browser.log_in().content.decode()
    assert f'<a href="{PAGE}">' in page
    assert browser.get(PAGE).status_code == 200


def test_a_response_by_form_post_finds_its_login(browser: Browser, op: OP, settings: Any) -> None:
    settings.OIDC_RESPONSE_MODE = "form_post"
    browser.log_in()
    cookie = browser.client.cookies[trace.COOKIE]
    assert (cookie["secure"], cookie["samesite"]) == (True, "None")
    assert outcomes(browser)[0] == "The login succeeded"


def test_without_debug_there_is_no_page_no_cookie_and_no_record(browser: Browser, op: OP, settings: Any) -> None:
    settings.DEBUG = False
    browser.log_in()
    op.claims["aud"] = "other"
    assert PAGE not in browser.log_in().content.decode()
    assert browser.get(PAGE).status_code == 404
    assert trace.COOKIE not in browser.client.cookies
    assert trace._kept == {}


def test_what_was_recorded_is_closed_when_debug_is_off(browser: Browser, settings: Any) -> None:
    browser.log_in()
    settings.DEBUG = False
    assert browser.get(PAGE).status_code == 404


def test_without_debug_a_policy_gets_the_claims_themselves(settings: Any) -> None:
    settings.DEBUG = False
    claims = {"sub": "kim"}
    with trace.reading(claims) as given:
        assert given is claims


def test_no_setting_but_debug_opens_it(browser: Browser, settings: Any) -> None:
    settings.DEBUG = False
    settings.OIDC_TRACE = settings.OIDC_DEBUG = settings.TEMPLATE_DEBUG = True
    browser.log_in()
    assert browser.get(PAGE).status_code == 404
    assert trace._kept == {}


def test_memory_is_bounded(op: OP, db: None, log_in: Callable[..., Browser]) -> None:
    browsers = [log_in({"long": "x" * 5000}) for _ in range(MAX_BROWSERS + 2)]
    assert len(trace._kept) == MAX_BROWSERS
    page = text_of(browsers[-1])
    assert "x" * MAX_CHARACTERS + "… (5000 characters)" in page
    assert "x" * (MAX_CHARACTERS + 1) not in page
    for _ in range(MAX_LOGINS + 2):
        browsers[-1].leave()
    assert len(logins(browsers[-1])) == MAX_LOGINS


def test_hostile_claims_are_text(log_in: Callable[..., Browser]) -> None:
    html = log_in({"<b>name</b>": "<script>alert(1)</script>"}).get(PAGE).content.decode()
    assert "<script>" not in html
    assert "<b>name" not in html

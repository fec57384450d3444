"""The testing kit itself: its OP checks what a real one checks, and its fixtures do what the manual says."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
import pytest
import requests
from django.contrib.auth.models import User
from requests.auth import HTTPBasicAuth

from oidc.models import Identity, LoginSession
from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, CLIENT, DISCOVERY, OP, PERSON, dead, digest, responds

SITE = "http://localhost"
CALLBACK = f"{SITE}/oidc/callback/"
VERIFIER = "v" * 43
REQUEST = {
    "response_type": "code",
    "client_id": CLIENT[0],
    "redirect_uri": CALLBACK,
    "scope": "openid",
    "state": "a state",
    "nonce": "a nonce",
    "code_challenge": digest(VERIFIER),
    "code_challenge_method": "S256",
}
SUB = PERSON["sub"]


@pytest.fixture
def provider() -> Iterator[OP]:
    """An OP that no site is set up for."""
    with OP() as op:
        yield op


def new_browser() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxy of this machine
    return session


WEB = new_browser()


@pytest.fixture
def person() -> requests.Session:
    """Somebody with a browser, of which the OP remembers who is logged in."""
    return new_browser()


def ask(op: OP, person: requests.Session, form: dict[str, str] | None = None, **changes: Any) -> requests.Response:
    """Bring an authorization request to the OP: look at its page, or send its `form`."""
    request = {name: value for name, value in (REQUEST | changes).items() if value is not ABSENT}
    url, method = f"{op.issuer}/authorize?{urlencode(request)}", "GET" if form is None else "POST"
    return person.request(method, url, data=form, allow_redirects=False, timeout=10)


def callback(response: requests.Response) -> dict[str, str]:
    """Return the parameters with which the OP sends a browser back to the site."""
    assert response.status_code == 302, response.text
    url = urlsplit(response.headers["Location"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == CALLBACK
    return dict(parse_qsl(url.query))


def get_code(op: OP, person: requests.Session, **changes: Any) -> str:
    return callback(ask(op, person, {"sub": SUB}, **changes))["code"]


def exchange(op: OP, code: str, client: tuple[str, str] = CLIENT, /, **changes: Any) -> requests.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    form |= {"client_id": client[0], "client_secret": client[1]} | changes
    return WEB.post(f"{op.issuer}/token", {k: v for k, v in form.items() if v is not ABSENT}, timeout=10)


def refresh(op: OP, token: str) -> requests.Response:
    return exchange(op, "", grant_type="refresh_token", refresh_token=token)


def get_tokens(op: OP, person: requests.Session, **changes: Any) -> dict[str, Any]:
    return dict(exchange(op, get_code(op, person, **changes)).json())


def userinfo(op: OP, access_token: str) -> requests.Response:
    return WEB.get(f"{op.issuer}/userinfo", headers={"Authorization": f"Bearer {access_token}"}, timeout=10)


def read(op: OP, token: str) -> dict[str, Any]:
    """Return the claims of a token that one of the OP's published keys verifies."""
    keys = {key["kid"]: key for key in WEB.get(f"{op.issuer}/jwks", timeout=10).json()["keys"]}
    key = jwt.PyJWK(keys[jwt.get_unverified_header(token)["kid"]])
    return dict(jwt.decode(token, key, [op.algorithm], audience=CLIENT[0], issuer=op.issuer))


# The OP: logging in


def test_a_faultless_login_yields_tokens_that_verify(provider: OP, person: requests.Session) -> None:
    back = callback(ask(provider, person, {"sub": SUB}))
    assert (back["state"], back["iss"]) == ("a state", provider.issuer)
    tokens = exchange(provider, back["code"]).json()
    claims = read(provider, tokens["id_token"])
    assert (claims["sub"], claims["nonce"]) == (SUB, "a nonce")
    assert claims["at_hash"] == digest(tokens["access_token"], octets=16)
    assert userinfo(provider, tokens["access_token"]).json() == PERSON


def test_discovery_names_the_issuer_and_every_endpoint(provider: OP) -> None:
    document = WEB.get(f"{provider.issuer}/.well-known/openid-configuration", timeout=10).json()
    assert document["issuer"] == provider.issuer
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "end_session_endpoint", "jwks_uri"):
        assert document[name].startswith(f"{provider.issuer}/")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"client_id": "another"}, id="unknown-client"),
        pytest.param({"client_id": ABSENT}, id="no-client"),
        pytest.param({"redirect_uri": "https://evil.example.org/"}, id="another-site"),
        pytest.param({"redirect_uri": f"{CALLBACK}?more"}, id="almost-the-redirect-uri"),
        pytest.param({"redirect_uri": ABSENT}, id="no-redirect-uri"),
    ],
)
@pytest.mark.parametrize("form", [None, {"sub": SUB}])
def test_it_sends_nobody_to_a_site_that_it_does_not_know(provider: OP, person, form: dict | None, changes) -> None:
    response = ask(provider, person, form, **changes)
    assert (response.status_code, response.headers.get("Location")) == (400, None)
    assert not provider.sessions


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"response_type": "id_token"}, "unsupported_response_type", id="implicit-flow"),
        pytest.param({"scope": "email"}, "invalid_scope", id="without-openid"),
        pytest.param({"code_challenge": ABSENT}, "invalid_request", id="without-pkce"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="plain-pkce"),
        pytest.param({"response_mode": "fragment"}, "invalid_request", id="unknown-response-mode"),
        pytest.param({"prompt": "none login"}, "invalid_request", id="contradiction"),
        pytest.param({"max_age": "soon"}, "invalid_request", id="max-age-that-is-no-number"),
    ],
)
def test_it_refuses_a_request_that_breaks_a_rule(provider: OP, person, changes: dict, error: str) -> None:
    assert callback(ask(provider, person, {"sub": SUB}, **changes))["error"] == error


def test_somebody_can_say_no(provider: OP, person: requests.Session) -> None:
    assert callback(ask(provider, person, {"deny": "1"}))["error"] == "access_denied"


def test_anybody_can_log_in_with_claims_that_are_typed(provider: OP, person: requests.Session) -> None:
    typed = {"sub": "somebody", "groups": ["staff"], "email": "somebody@example.org"}
    code = callback(ask(provider, person, {"typed": json.dumps(typed)}))["code"]
    assert userinfo(provider, exchange(provider, code).json()["access_token"]).json() == typed


@pytest.mark.parametrize("typed", ["", "{", "[]", "7", "{}", '{"sub": 7}', '{"email": "x"}'])
def test_typed_claims_that_name_nobody_are_asked_for_again(provider: OP, person, typed: str) -> None:
    response = ask(provider, person, {"typed": typed})
    assert response.status_code == (400 if typed else 200)
    assert "Log in with these claims" in response.text
    assert not provider.sessions


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        pytest.param('{"sub": "x",\n  "groups": [}', "not JSON: Expecting value: line 2 column 14", id="broken"),
        pytest.param("[" * 100_000, "not JSON", id="nested-too-deep"),
        pytest.param('{"sub": 7}', 'a JSON object with a text "sub"', id="no-sub"),
    ],
)
def test_what_is_wrong_with_typed_claims_is_told_and_nothing_is_lost(provider: OP, person, typed, problem) -> None:
    page = unescape(ask(provider, person, {"typed": typed, "remember": "on"}).text)
    assert problem in re.search('<p class="alert"[^>]*>([^\n]*)</p>', page)[1]
    assert typed in page
    assert '<input type="checkbox" name="remember" checked>' in page


def test_what_tokens_say_about_themselves_cannot_be_typed(provider: OP, person: requests.Session) -> None:
    mine = {
        "sub": "somebody",
        "iss": "https://evil.example.org",
        "aud": "another",
        "nonce": "x",
        "exp": 1,
        "acr": "gold",
    }
    tokens = exchange(provider, callback(ask(provider, person, {"typed": json.dumps(mine)}))["code"]).json()
    claims = read(provider, tokens["id_token"])
    assert (claims["sub"], claims["nonce"], "acr" in claims) == ("somebody", "a nonce", False)
    assert userinfo(provider, tokens["access_token"]).json() == {"sub": "somebody"}


def test_a_user_who_does_not_exist_does_not_get_in(provider: OP, person: requests.Session) -> None:
    assert ask(provider, person, {"sub": "nobody"}).status_code == 400
    assert not provider.sessions


def test_a_form_brings_the_response_if_it_was_asked_for(provider: OP, person: requests.Session) -> None:
    page = ask(provider, person, {"sub": SUB}, response_mode="form_post").text
    assert f'action="{CALLBACK}"' in page
    assert 'name="code"' in page
    assert 'name="state" value="a state"' in page


# The OP: codes and tokens


@pytest.mark.parametrize(
    ("changes", "client"),
    [
        pytest.param({}, ("another", CLIENT[1]), id="unknown-client"),
        pytest.param({}, (CLIENT[0], "wrong"), id="wrong-secret"),
        pytest.param({}, (CLIENT[0], ""), id="empty-secret"),
        pytest.param({"client_secret": ABSENT}, CLIENT, id="no-secret"),
        pytest.param({"client_id": ABSENT, "client_secret": ABSENT}, CLIENT, id="nobody"),
    ],
)
def test_it_refuses_a_wrong_client(provider: OP, person, changes: dict, client: tuple[str, str]) -> None:
    response = exchange(provider, get_code(provider, person), client, **changes)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_basic_authentication_is_form_encoded_first(provider: OP, person: requests.Session) -> None:
    form = {"grant_type": "authorization_code", "code": get_code(provider, person), "redirect_uri": CALLBACK}
    plain = HTTPBasicAuth(CLIENT[0].encode(), CLIENT[1].encode())
    response = WEB.post(f"{provider.issuer}/token", form, auth=plain, timeout=10)
    assert response.json()["error"] == "invalid_client"


def test_a_method_that_it_does_not_offer_is_refused(provider: OP, person: requests.Session) -> None:
    provider.auth_methods = ["client_secret_basic"]
    assert exchange(provider, get_code(provider, person)).json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"code_verifier": "w" * 43}, id="wrong-verifier"),
        pytest.param({"code_verifier": digest(VERIFIER)}, id="the-challenge-as-verifier"),
        pytest.param({"code_verifier": ABSENT}, id="no-verifier"),
        pytest.param({"redirect_uri": f"{SITE}/elsewhere/"}, id="another-redirect-uri"),
        pytest.param({"redirect_uri": ABSENT}, id="no-redirect-uri"),
        pytest.param({"code": "unknown"}, id="unknown-code"),
        pytest.param({"code": ABSENT}, id="no-code"),
    ],
)
def test_it_refuses_a_code_that_is_not_presented_as_it_was_given(provider: OP, person, changes: dict) -> None:
    response = exchange(provider, get_code(provider, person), **changes)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("first", [{}, {"code_verifier": "wrong"}])
def test_a_code_is_good_once(provider: OP, person: requests.Session, first: dict) -> None:
    code = get_code(provider, person)
    exchange(provider, code, **first)
    assert exchange(provider, code).json()["error"] == "invalid_grant"


def test_a_code_expires(provider: OP, person: requests.Session, monkeypatch) -> None:
    code = get_code(provider, person)
    monkeypatch.setattr("oidc.testing.op.CODE_SECONDS", -1)
    assert exchange(provider, code).json()["error"] == "invalid_grant"


def test_another_grant_type_is_refused(provider: OP, person: requests.Session) -> None:
    response = exchange(provider, get_code(provider, person), grant_type="password")
    assert response.json()["error"] == "unsupported_grant_type"


def test_a_refresh_token_yields_new_tokens_of_the_same_person(provider: OP, person: requests.Session) -> None:
    tokens = get_tokens(provider, person)
    renewed = refresh(provider, tokens["refresh_token"]).json()
    first, second = read(provider, tokens["id_token"]), read(provider, renewed["id_token"])
    assert [second[name] for name in ("sub", "auth_time", "sid")] == [first[n] for n in ("sub", "auth_time", "sid")]
    assert "nonce" not in second
    assert renewed["refresh_token"] != tokens["refresh_token"]


def test_it_refuses_an_unknown_refresh_token_and_one_that_was_used(provider: OP, person: requests.Session) -> None:
    token = get_tokens(provider, person)["refresh_token"]
    assert refresh(provider, "unknown").json()["error"] == "invalid_grant"
    assert refresh(provider, token).status_code == 200
    assert refresh(provider, token).json()["error"] == "invalid_grant"


def test_one_kind_of_token_does_not_pass_for_another(provider: OP, person: requests.Session) -> None:
    tokens = get_tokens(provider, person)
    assert refresh(provider, tokens["access_token"]).json()["error"] == "invalid_grant"
    assert userinfo(provider, tokens["refresh_token"]).status_code == 401
    assert userinfo(provider, tokens["id_token"]).status_code == 401
    assert userinfo(provider, "").status_code == 401


def close_account(op: OP, sub: str) -> None:
    op.users = list


@pytest.mark.parametrize("void", [close_account, OP.end_sessions])
def test_tokens_are_void_when_the_account_or_the_session_is(provider: OP, person, void: Callable) -> None:
    tokens, code = get_tokens(provider, person), get_code(provider, person)
    void(provider, SUB)
    assert userinfo(provider, tokens["access_token"]).status_code == 401
    assert refresh(provider, tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert exchange(provider, code).json()["error"] == "invalid_grant"


# The OP: its sessions


def test_without_a_session_nobody_is_logged_in_silently(provider: OP, person: requests.Session) -> None:
    assert callback(ask(provider, person, prompt="none"))["error"] == "login_required"


def test_with_a_session_somebody_is_logged_in_silently(provider: OP, person: requests.Session) -> None:
    first = read(provider, get_tokens(provider, person)["id_token"])
    code = callback(ask(provider, person, prompt="none"))["code"]
    second = read(provider, exchange(provider, code).json()["id_token"])
    assert (second["sub"], second["sid"], second["auth_time"]) == (first["sub"], first["sid"], first["auth_time"])


def test_with_a_session_no_page_is_shown_unless_it_is_asked_for(provider: OP, person: requests.Session) -> None:
    get_code(provider, person)
    assert "code" in callback(ask(provider, person))
    for prompt in ("login", "select_account"):
        assert ask(provider, person, prompt=prompt).status_code == 200


def test_a_session_that_is_older_than_max_age_is_not_good_enough(provider: OP, person: requests.Session) -> None:
    get_code(provider, person)
    (session,) = provider.sessions.values()
    session.auth_time -= 100
    assert "code" in callback(ask(provider, person, max_age="1000"))
    assert ask(provider, person, max_age="10").status_code == 200
    assert callback(ask(provider, person, max_age="10", prompt="none"))["error"] == "login_required"


def test_sessions_belong_to_browsers(provider: OP, person: requests.Session) -> None:
    get_code(provider, person)
    assert callback(ask(provider, new_browser(), prompt="none"))["error"] == "login_required"


def test_a_session_is_remembered_if_the_person_wants_it(provider: OP, person: requests.Session) -> None:
    assert "Max-Age" not in ask(provider, person, {"sub": SUB}).headers["Set-Cookie"]
    assert "Max-Age" in ask(provider, person, {"sub": SUB, "remember": "on"}, prompt="login").headers["Set-Cookie"]


def test_acr_is_what_was_asked_for_and_can_be_had(provider: OP, person: requests.Session) -> None:
    assert "acr" not in read(provider, get_tokens(provider, person, acr_values="gold")["id_token"])
    provider.acr_values = ["silver", "gold"]
    assert read(provider, get_tokens(provider, person, acr_values="platinum gold")["id_token"])["acr"] == "gold"


@pytest.mark.parametrize("hint", [True, False])
def test_logout_ends_the_session_and_asks_unless_the_request_proves_whose_it_is(provider: OP, person, hint) -> None:
    id_token = get_tokens(provider, person)["id_token"]
    request = {"post_logout_redirect_uri": f"{SITE}/bye/", "state": "s", "client_id": CLIENT[0]}
    request |= {"id_token_hint": id_token} if hint else {}
    url = f"{provider.issuer}/end-session"
    response = person.get(url, params=request, allow_redirects=False, timeout=10)
    if not hint:
        assert response.status_code == 200
        assert provider.sessions
        response = person.post(url, {**request, "confirm": "1"}, allow_redirects=False, timeout=10)
    assert response.headers["Location"] == f"{SITE}/bye/?state=s"
    assert not provider.sessions


@pytest.mark.parametrize("target", ["https://evil.example.org/", "http://localhost.evil.example.org/", "/bye/"])
def test_logout_leads_to_the_site_only(provider: OP, person: requests.Session, target: str) -> None:
    request = {"id_token_hint": get_tokens(provider, person)["id_token"], "post_logout_redirect_uri": target}
    response = person.get(f"{provider.issuer}/end-session", params=request, allow_redirects=False, timeout=10)
    assert response.status_code == 400
    assert provider.sessions


def test_after_a_rotation_tokens_before_and_after_verify(provider: OP, person: requests.Session) -> None:
    before = get_tokens(provider, person)["id_token"]
    provider.rotate_keys()
    after = get_tokens(provider, person)["id_token"]
    assert jwt.get_unverified_header(before)["kid"] != jwt.get_unverified_header(after)["kid"]
    assert read(provider, before)["sub"] == read(provider, after)["sub"] == SUB


# The OP: its pages


class Html(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_pages_show_what_they_are_given_as_text(person: requests.Session) -> None:
    hostile = """"'><script>alert(1)</script>"""
    user = {"sub": hostile, "name": hostile, "email": hostile, "groups": [hostile]}
    with OP(users=lambda: [user]) as op:
        choose = ask(op, person, login_hint=hostile, state=hostile)
        problem = ask(op, person, {"typed": hostile})
        form = ask(op, person, {"sub": hostile}, response_mode="form_post", state=hostile)
    for page in (choose, problem):
        assert "script" not in [tag for tag, _ in Html(page.text).tags]
    scripts = re.findall("<script>(.*?)</script>", form.text)
    assert scripts == ["document.forms[0].submit()"]
    assert hostile in [attributes.get("value") for _, attributes in Html(form.text).tags]


def test_a_card_says_what_its_person_stands_for(provider: OP, person: requests.Session) -> None:
    sam = PERSON | {"given_name": "Sam", "family_name": "Staff", "about": "Opens the admin", "groups": ["staff"]}
    provider.users, provider.users_file = lambda: [sam, {"sub": "nobody"}], "users.json"
    page = ask(provider, person).text
    for text in ("Sam Staff", "Opens the admin", "groups: staff", "person@example.org", "users.json"):
        assert text in page
    for text in ("no e-mail address", "groups unknown"):
        assert page.count(text) == 1
    tokens = get_tokens(provider, person)
    assert userinfo(provider, tokens["access_token"]).json() == {k: v for k, v in sam.items() if k != "about"}
    assert "about" not in WEB.get(provider.issuer + DISCOVERY, timeout=10).json()["claims_supported"]


def test_the_page_marks_who_is_logged_in_and_tells_a_problem_with_the_users(provider: OP, person) -> None:
    get_code(provider, person)
    provider.users_problem = "line 3 is broken"
    page = ask(provider, person, prompt="login")
    assert page.status_code == 200
    assert "logged in here" in page.text
    assert '<p class="alert" id="problem" role="alert">line 3 is broken</p>' in page.text


def test_a_site_that_is_not_registered_reads_what_was_expected(provider: OP, person: requests.Session) -> None:
    page = unescape(ask(provider, person, redirect_uri="http://localhost:1/<b>").text)
    assert f"Expected was client_id {CLIENT[0]} and redirect_uri {CALLBACK}" in page
    assert f"what came was {CLIENT[0]} and http://localhost:1/<b>" in page


def test_the_page_that_asks_whether_to_log_out_says_whom(provider: OP, person: requests.Session) -> None:
    provider.users = lambda: [PERSON | {"name": "Kim & Co"}]
    get_code(provider, person)
    assert "Log out Kim &amp; Co?" in person.get(f"{provider.issuer}/end-session", timeout=10).text


def test_pages_need_nothing_from_elsewhere_and_can_be_framed_by_nobody(provider: OP, person) -> None:
    response = ask(provider, person)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not [1 for tag, attributes in Html(response.text).tags if tag == "link" or attributes.get("src")]


# The OP: misbehaviour


def test_changes_are_made_to_what_it_says(provider: OP, person: requests.Session) -> None:
    provider.metadata["jwks_uri"] = ABSENT
    provider.claims["aud"] = "another"
    provider.token_response["token_type"] = "mac"
    provider.userinfo["email"] = ABSENT
    tokens = get_tokens(provider, person)
    claims = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    document = WEB.get(f"{provider.issuer}/.well-known/openid-configuration", timeout=10).json()
    assert "jwks_uri" not in document
    assert (claims["aud"], tokens["token_type"]) == ("another", "mac")
    assert "email" not in userinfo(provider, tokens["access_token"]).json()


def test_faults_take_the_place_of_a_response(provider: OP) -> None:
    provider.faults["/token"] = responds({"error": "out of order"}, status=503, Retry_After="7")
    provider.faults["/userinfo"] = dead
    response = exchange(provider, "x")
    assert (response.status_code, response.json(), response.headers["Retry-After"]) == (
        503,
        {"error": "out of order"},
        "7",
    )
    with pytest.raises(requests.ConnectionError):
        userinfo(provider, "x")


def test_it_keeps_a_record_of_what_it_was_asked(provider: OP) -> None:
    WEB.get(f"{provider.issuer}/jwks", params={"a": "1"}, headers={"X-Test": "yes"}, timeout=10)
    (asked,) = provider.asked("/jwks")
    assert (asked.query, asked.headers["X-Test"]) == ({"a": "1"}, "yes")


# Fixtures


def test_log_in_is_a_real_code_flow_with_the_sites_policy(log_in, op: OP) -> None:
    browser = log_in({"sub": "kim", "email": "kim@example.org"})
    assert browser.get("/page/").status_code == 200
    assert browser.user.email == "kim@example.org"
    assert [len(op.asked(path)) for path in ("/authorize", "/token", "/userinfo")] == [2, 1, 1]


def test_log_in_can_go_on_to_a_page(log_in) -> None:
    browser = log_in({}, next_url="/page/")
    assert browser.is_signed_in


def test_people_who_log_in_have_browsers_of_their_own(log_in) -> None:
    first, second = log_in({"sub": "first"}), log_in({"sub": "second"})
    assert first.user != second.user
    first.log_out()
    assert (first.is_signed_in, second.is_signed_in) == (False, True)


def test_a_signed_in_client_has_a_session_as_a_login_begins_it(signed_in_client, op: OP) -> None:
    user = User.objects.create(username="kim")
    client = signed_in_client(user)
    assert client.get("/page/").content.decode() == f"user {user.pk}"
    assert LoginSession.objects.get().session_key == client.session.session_key
    assert op.requests == []


def test_the_session_of_a_signed_in_client_is_renewed_and_ended_by_the_op(signed_in_client, op: OP) -> None:
    client = signed_in_client(User.objects.create(username="kim"))
    browser = Browser(op, client)
    subject = Identity.objects.get().subject
    browser.age(15 * 60 + 1)
    assert "prompt=none" in client.get("/page/")["Location"]
    response = client.post("/oidc/backchannel-logout/", {"logout_token": op.logout_token(sub=subject)})
    assert response.status_code == 200
    assert not browser.is_signed_in


def test_a_user_whom_the_op_knows_keeps_that_identity(signed_in_client, op: OP) -> None:
    user = User.objects.create(username="kim")
    Identity.objects.create(user=user, issuer=op.issuer, subject="known")
    signed_in_client(user)
    assert (Identity.objects.get().subject, LoginSession.objects.get().subject) == ("known", "known")


def test_misbehaviour_has_an_outcome(op: OP, browser: Browser) -> None:
    assert browser.outcome() == "signed_in"
    op.claims["aud"] = "another-client"
    assert browser.outcome() == "id_token_audience"


def test_a_browser_knows_who_is_signed_in(browser: Browser) -> None:
    assert browser.user.is_anonymous
    browser.log_in()
    assert browser.user == User.objects.get()


def test_a_browser_stays_logged_in_at_the_op(browser: Browser, op: OP) -> None:
    browser.log_in("person-1")
    browser.client.logout()
    browser.log_in()
    assert browser.is_signed_in
    # The second time there is a session at the OP, which asks nothing.
    assert [asked.form for asked in op.asked("/authorize")] == [{}, {"sub": SUB}, {}]


def test_a_logout_goes_the_whole_way(browser: Browser, op: OP) -> None:
    browser.log_in()
    page = browser.log_out()
    assert page.status_code == 200
    assert not browser.is_signed_in
    assert not op.sessions


def test_redirects_that_go_round_in_a_circle_end_a_test(browser: Browser, op: OP) -> None:
    op.faults["/authorize"] = responds(b"", status=302, Location=f"{op.issuer}/authorize")
    with pytest.raises(AssertionError, match="circle"):
        browser.follow(browser.leave())


def test_a_login_can_come_back_by_a_form(browser: Browser, settings) -> None:
    settings.OIDC_RESPONSE_MODE = "form_post"
    browser.log_in()
    assert browser.is_signed_in


def test_a_person_can_say_no(browser: Browser) -> None:
    browser.get(browser.visit_op(browser.leave()["Location"], deny=True))
    assert browser.refusals[-1]["reason"].code == "access_denied"


# A site that runs


@pytest.fixture
def running_site(live_server: Any, settings: Any, request: pytest.FixtureRequest) -> Browser:
    """A browser in front of a site that runs, and of an OP that knows where."""
    settings.SITE_URL = live_server.url
    return Browser(request.getfixturevalue("op"), url=live_server.url)


def test_a_browser_drives_a_site_that_runs(running_site: Browser) -> None:
    assert running_site.log_in(next_url="/page/").headers["Location"] == "/page/"
    assert running_site.get("/page/").status_code == 200
    assert running_site.log_out().status_code == 200
    assert running_site.get("/page/").status_code == 302


def test_the_op_logs_people_out_of_a_site_that_runs(running_site: Browser) -> None:
    op = running_site.op
    running_site.log_in()
    url = "/oidc/backchannel-logout/"
    assert running_site.post(url, {"logout_token": op.logout_token(sub="somebody-else")}).status_code == 200
    assert running_site.get("/page/").status_code == 200
    assert running_site.post(url, {"logout_token": op.logout_token(sub=SUB)}).status_code == 200
    assert running_site.get("/page/").status_code == 302


def test_a_logout_at_the_op_reaches_the_site_if_it_is_told(running_site: Browser) -> None:
    op = running_site.op
    op.backchannel = True
    running_site.log_in()
    running_site.at_op.post(f"{op.issuer}/end-session", {"confirm": "1"}, timeout=10)
    assert not op.sessions
    assert running_site.get("/page/").status_code == 302


# Imports


def modules_after(code: str) -> set[str]:
    """Return what a new Python process has imported after `code`."""
    code += "\nimport sys; print('modules:', *sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.partition("modules:")[2].split())


def test_the_op_imports_neither_django_nor_pytest() -> None:
    modules = modules_after("import oidc.testing.op")
    assert "oidc.testing.pages" in modules
    assert not {name for name in modules if name.split(".")[0] in ("django", "pytest", "mozilla_django_oidc")}


def test_production_imports_nothing_of_the_kit() -> None:
    code = """
import importlib, os, pathlib, django, oidc
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.relying_party.stub.settings"
django.setup()
package = pathlib.Path(oidc.__path__[0])
for path in package.rglob("*.py"):
    if "testing" not in path.parts:
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        importlib.import_module(name.removesuffix(".__init__"))
django.core.management.call_command("check")
"""
    modules = modules_after(code)
    assert {"oidc.views", "oidc.internal.session", "oidc.management.commands.clean_up"} <= modules
    assert not {name for name in modules if name.startswith(("oidc.testing", "pytest", "tests.relying_party.test_"))}

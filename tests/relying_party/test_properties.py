"""Whatever the OP, a browser or an old database has: parsers raise nothing but their own errors, no page is a 500.

`FUZZ=40 python -m tests.relying_party -- test_properties.py` tries 40 times as many inputs and says how many.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any
from urllib.parse import quote_from_bytes, urlencode, urljoin, urlsplit

import jwt
import pytest
from django.http import HttpRequest
from django.test import Client
from hypothesis import HealthCheck, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from oidc import logout
from oidc.building_blocks import claims, users
from oidc.errors import LoginError, shorten
from oidc.internal import discovery, keys, redirects, session, token_rules, transport
from oidc.internal.token_rules import Expected, TokenError
from oidc.internal.transport import Response
from oidc.logs import WithoutSecrets
from oidc.testing.browser import Browser
from oidc.testing.fixtures import forget
from oidc.testing.op import ABSENT, DISCOVERY, OP, jwk, private_key, responds
from tests.relying_party.hostile import TRIED, raw
from tests.relying_party.test_token_rules import CLAIMS, EXPECTED, encoded


def given(*strategies: Any, **named: Any) -> Callable[[Any], Any]:
    """Decorate as `hypothesis.given` does, and count the inputs; fixtures stay the same for all of a test."""

    def decorate(test: Any) -> Any:
        @wraps(test)
        def counted(*args: Any, **kwargs: Any) -> None:
            TRIED[test.__name__] += 1
            test(*args, **kwargs)

        checks = settings(suppress_health_check=[*HealthCheck])
        return checks(hypothesis_given(*strategies, **named)(counted))

    return decorate


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
WORDS = st.sampled_from(["RSA", "EC", "OKP", "RS256", "sig", "P-256", "k", "AQAB", "https://op.example.org/"])


def objects(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return JSON objects that have some of the members `names`, with values right, almost right and wrong."""
    return st.dictionaries(st.sampled_from(names) | st.text(max_size=5), WORDS | JSON, max_size=len(names))


HEADERS = objects("alg", "kid", "typ", "crit", "jwk", "x5c")
KEYS = objects("kty", "use", "key_ops", "alg", "kid", "n", "e", "crv", "x", "y")
TOKENS = st.tuples(HEADERS | JSON, JSON, st.binary()).map(lambda parts: ".".join(map(encoded, parts)))


@given(TOKENS | JSON | st.binary())
def test_no_token_breaks_the_reader(token: object) -> None:
    with suppress(TokenError):
        token_rules.read(token, "RS256", lambda header: [private_key("RSA", 1).public_key()])


@given(objects(*CLAIMS, "azp", "nbf", "auth_time", "acr", "at_hash"))
def test_no_signed_claims_break_the_rules(changes: dict[str, Any]) -> None:
    expected = Expected(**EXPECTED, max_age=10, acr_values=("a",))
    token = jwt.PyJWS().encode(json.dumps(CLAIMS | changes).encode(), private_key("Ed25519", 1), "EdDSA")
    with suppress(TokenError):
        found = token_rules.read(token, "EdDSA", lambda header: [private_key("Ed25519", 1).public_key()])
        with suppress(TokenError):
            token_rules.check_id_token(found, expected)
        with suppress(TokenError):
            token_rules.check_refreshed_id_token(found, CLAIMS, expected)
    with suppress(TokenError):
        token_rules.check_access_token_hash(changes, "access-token-1", "EdDSA")
    token_rules.merge_claims(CLAIMS, changes)


@given(st.lists(KEYS, max_size=4), st.sampled_from([*keys.KEY_TYPES]), JSON)
def test_no_key_set_breaks_the_choice_of_a_key(jwks: list[dict[str, Any]], algorithm: str, kid: object) -> None:
    keys.select([*jwks, *(jwk("RSA", 1) | key for key in jwks)], {"alg": algorithm, "kid": kid})


@given(st.text() | st.binary() | st.binary().map(lambda data: b"-----BEGIN CERTIFICATE-----\n" + data))
def test_no_configured_key_raises_anything_but_value_error(text: str | bytes) -> None:
    with suppress(ValueError):
        keys.load_public_key(text)


@given(objects("issuer", *discovery.ENDPOINTS))
def test_no_metadata_breaks_discovery(document: dict[str, Any]) -> None:
    with suppress(LoginError):
        discovery.check_metadata(document | {"issuer": "i"}, "i")


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_body_breaks_the_parser(body: bytes) -> None:
    with suppress(LoginError):
        Response("https://op.example.org/", 200, "", body).json_object()


@given(objects("email", "email_verified", "groups", "a", "_claim_names", "hasgroups", "preferred_username"))
def test_no_claims_break_the_reading_of_a_person(found: dict[str, Any]) -> None:
    found = {"iss": "i", "sub": "s"} | found
    for path in ("groups", "a.b.c", "email"):
        assert isinstance(claims.groups(found, path), set | None)
        claims.has_group_overage(found, path)
    assert claims.verified_email(found) in ("", claims.email(found))
    assert 0 < len(users.username_from(found, "preferred_username")) <= users.MAX_USERNAME_CHARACTERS


@given(objects("sub", "sid", "jti", "events", "nonce", "exp"))
def test_no_logout_token_breaks_its_checks(found: dict[str, Any]) -> None:
    for check in (logout.check_event, logout.check_person, logout.check_type):
        with suppress(TokenError):
            check(found)


def stays_here(location: str) -> bool:
    """Tell whether a browser on a page of the site would stay there; to browsers a backslash is a slash."""
    return urlsplit(urljoin("http://localhost/page/", location.replace("\\", "/"))).netloc == "localhost"


@given(st.text(st.characters(codec="utf-8")), st.sampled_from(["", "//", "http://localhost", "/\\"]))
def test_no_url_leads_to_another_site(url: str, start: str) -> None:
    request = HttpRequest()
    request.META |= {"SERVER_NAME": "localhost", "SERVER_PORT": "80"}
    assert stays_here(redirects.page_of(request, start + url))


@given(st.text())
def test_text_from_outside_is_one_short_line_of_ascii(text: str) -> None:
    short = shorten(text)
    assert short.isascii()
    assert short.isprintable()
    assert len(short) <= 103
    WithoutSecrets().clean(text)


BODIES = st.builds(responds, st.binary() | JSON, st.sampled_from(["application/json", "application/jwt", "text/html"]))
RESPONSES = st.builds(
    lambda status, headers, body: raw(b"HTTP/1.1 " + status + b"\r\n" + headers + b"\r\n\r\n" + body),
    st.sampled_from([b"200 OK", b"204 No", b"302 x", b"999", b"x"]) | st.binary(max_size=8),
    st.sampled_from([b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"Content-Length: -1"]) | st.binary(),
    st.binary() | st.sampled_from([b"0\r\n\r\n", b"zz\r\n", b"{}"]),
)


@pytest.mark.parametrize("path", [DISCOVERY, "/token", "/jwks", "/userinfo"])
@given(fault=BODIES | RESPONSES | st.builds(raw, st.binary()))
def test_no_response_of_the_op_is_a_crash(browser: Browser, op: OP, path: str, fault) -> None:
    forget()
    op.faults[path] = fault
    leaving = browser.leave()
    if leaving.status_code == 302:
        leaving = browser.come_back(op.grant(leaving["Location"]))
    assert leaving.status_code != 500


@given(changes=objects(*CLAIMS, "email", "sid", "acr", "auth_time", "groups", "preferred_username"))
def test_no_claims_crash_a_login(browser: Browser, op: OP, changes: dict[str, Any]) -> None:
    op.claims = changes
    assert browser.come_back(op.grant(browser.leave()["Location"])).status_code != 500


PARAMETERS = st.dictionaries(st.sampled_from(["state", "code", "error", "iss", "error_description"]), st.binary())


@given(PARAMETERS, st.sampled_from([["state"], ["state", "iss"], []]), st.text(st.characters(codec="latin-1")))
def test_no_forged_callback_crashes_or_logs_in(
    browser: Browser, changes: dict[str, bytes], known: list[str], cookie: str
) -> None:
    callback = browser.op.grant(browser.leave()["Location"])
    # As it comes over the wire: newer releases of Python write no cookie with control characters.
    sent = [f"{name}={morsel.coded_value}" for name, morsel in browser.client.cookies.items()]
    query = changes | {name: callback[name].encode() for name in known}
    encoded_query = "&".join(f"{name}={quote_from_bytes(value)}" for name, value in query.items())
    cookies = "; ".join([*sent, f"oidc_attempt_x={cookie}"])
    response = browser.get(f"/oidc/callback/?{encoded_query}", HTTP_COOKIE=cookies)
    assert response.status_code < 500
    assert not browser.is_signed_in


@given(st.text(st.characters(codec="utf-8")), st.sampled_from(["/", "//", "/\\", "http://localhost/", ""]))
def test_no_next_leads_to_another_site(browser: Browser, text: str, start: str) -> None:
    leaving = browser.leave(start + text)
    location = browser.come_back(browser.op.grant(leaving["Location"]))["Location"]
    assert stays_here(location)


# A finished site, and every value that reaches it from outside

LATIN = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=40)
TEXTS = st.text(st.characters(exclude_categories=[]), max_size=20)
PATHS = [
    *("/", "/page/", "/api/", "/recent/", "/strong/", "/admin/", "/admin/login/", "/admin/logout/", "/admin/password/"),
    *(f"/oidc/{name}/" for name in ("authenticate", "callback", "initiate", "logout", "logged-out")),
    *("/oidc/backchannel-logout/", "/oidc/frontchannel-logout/"),
]
METHODS = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"]
AUTH_KEYS = ("_auth_user_id", "_auth_user_backend", "_auth_user_hash")


@pytest.fixture(autouse=True)
def everything_is_on(settings: Any) -> None:
    settings.BREAK_GLASS_LOGIN = settings.OIDC_FRONTCHANNEL_LOGOUT = settings.OIDC_STORE_ACCESS_TOKEN = True
    settings.OIDC_RENEWAL_GRACE_SECONDS = 60


@pytest.fixture(params=["redirect", "refresh_token"])
def signed_in(request: pytest.FixtureRequest, settings: Any, browser: Browser) -> Browser:
    """Somebody who is logged in."""
    settings.OIDC_RENEWAL = request.param
    browser.log_in()
    return browser


def visit(client: Client, method: str, path: str, body: bytes = b"", **environ: Any) -> Any:
    response = client.generic(method, path, body, **environ)
    assert response.status_code < 500, response.status_code
    assert stays_here(response.get("Location", "")) or response["Location"].startswith("http://127.0.0.1:")
    return response


@given(
    values=st.dictionaries(
        st.sampled_from([*session.KEYS, *AUTH_KEYS]),
        JSON | TEXTS | st.sampled_from([1, "1", 10**400, -1e308, float("nan"), 1e10]),
        min_size=1,
    ),
    path=st.sampled_from(PATHS),
    method=st.sampled_from(METHODS),
)
def test_no_session_of_an_old_database_crashes_or_logs_in(
    signed_in: Browser, op: OP, values: dict[str, Any], path: str, method: str
) -> None:
    signed_in.log_in()
    store = signed_in.client.session
    is_changed = any(str(store[key]) != values.get(key, str(store[key])) for key in AUTH_KEYS)
    store.update(values)
    store.save()
    response = visit(signed_in.client, method, path)
    assert not (is_changed and path == "/page/" and method == "GET" and response.status_code == 200)


@given(
    values=st.dictionaries(st.sampled_from(["sessionid", "csrftoken", "oidc_attempt_x", "messages"]) | LATIN, LATIN),
    raw_cookie=st.none() | LATIN,
    path=st.sampled_from(PATHS),
    method=st.sampled_from(METHODS),
)
def test_no_cookie_crashes_or_logs_in(
    browser: Browser, values: dict[str, str], raw_cookie: str | None, path: str, method: str
) -> None:
    cookie = raw_cookie if raw_cookie is not None else "; ".join(f"{name}={value}" for name, value in values.items())
    visit(Client(SERVER_NAME="localhost"), method, path, HTTP_COOKIE=cookie)
    assert visit(Client(SERVER_NAME="localhost"), "GET", "/page/", HTTP_COOKIE=cookie).status_code == 302


CHARSETS = st.sampled_from(["utf-8", "rot13", "utf-7", "idna", "punycode", "undefined", "x", "\0", "é"]) | LATIN
TYPES = st.sampled_from(["application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"]) | LATIN
CONTENT_TYPES = st.builds("{}; charset{}={}".format, TYPES, st.sampled_from(["", "*"]), CHARSETS) | TYPES
STARTS = ["http://localhost/", "//", "http://[", "http://localhost:"]
URLS = LATIN | st.builds("{}{}".format, st.sampled_from(STARTS), LATIN)
SENT = st.fixed_dictionaries(
    {},
    optional={
        "HTTP_REFERER": URLS,
        "HTTP_HX_CURRENT_URL": URLS,
        "HTTP_HX_REQUEST": st.sampled_from(["true", "x"]),
        "HTTP_ACCEPT": LATIN | st.just("application/json"),
        "HTTP_ACCEPT_LANGUAGE": LATIN,
        "HTTP_SEC_FETCH_MODE": LATIN | st.sampled_from(["cors", "navigate"]),
        "HTTP_SEC_PURPOSE": LATIN | st.just("prefetch"),
        "HTTP_X_REQUESTED_WITH": LATIN | st.just("XMLHttpRequest"),
        "HTTP_ORIGIN": URLS,
        "HTTP_X_CSRFTOKEN": LATIN,
        "HTTP_HOST": LATIN | st.just("localhost"),
        "HTTP_AUTHORIZATION": LATIN,
        "QUERY_STRING": LATIN,
    },
)


@given(
    headers=SENT,
    path=st.sampled_from(PATHS) | LATIN.map(lambda text: f"/{text}"),
    method=st.sampled_from(METHODS),
    age=st.sampled_from([0, 910, 1000]),
)
def test_no_header_crashes_a_session(
    signed_in: Browser, headers: dict[str, str], path: str, method: str, age: int
) -> None:
    if not signed_in.is_signed_in:
        signed_in.log_in()
    signed_in.age(age)
    visit(signed_in.client, method, quote_from_bytes(path.encode("latin-1")), **headers)


NAMES = [
    "state",
    "code",
    "error",
    "iss",
    "logout_token",
    "target_link_uri",
    "login_hint",
    "username",
    "password",
    "next",
]
FORMS = st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=20)), max_size=6).map(
    lambda fields: "&".join(f"{name}={quote_from_bytes(value)}" for name, value in fields).encode()
)


@pytest.mark.parametrize("mode", ["query", "form_post"])
@given(
    body=FORMS | st.binary(),
    query=FORMS,
    content_type=CONTENT_TYPES,
    path=st.sampled_from([path for path in PATHS if path.startswith(("/oidc/", "/admin/"))]),
)
def test_no_form_crashes_or_logs_in(
    browser: Browser, settings: Any, mode: str, body: bytes, query: bytes, content_type: str, path: str
) -> None:
    settings.OIDC_RESPONSE_MODE = mode
    visit(browser.client, "POST", path, body, CONTENT_TYPE=content_type, QUERY_STRING=query.decode())
    visit(browser.client, "GET", path, body, CONTENT_TYPE=content_type, QUERY_STRING=query.decode())
    assert not browser.is_signed_in


@pytest.mark.parametrize("path", [path for path in PATHS if path.startswith(("/oidc/", "/admin/login/"))])
@given(query=st.dictionaries(st.sampled_from([*NAMES, "sid", "prompt"]), URLS | TEXTS.filter(str.isprintable)))
def test_no_query_crashes(browser: Browser, op: OP, path: str, query: dict[str, str]) -> None:
    response = browser.get(path, query | ({"iss": op.issuer} if "iss" not in query else {}))
    assert response.status_code < 500


TOKEN_RESPONSES = st.dictionaries(
    st.sampled_from(["access_token", "id_token", "refresh_token", "token_type", "expires_in", "scope", "error"]),
    JSON | TEXTS | TOKENS | st.just(ABSENT),
)
USERINFO = st.dictionaries(
    st.sampled_from(["sub", "email", "email_verified", "iss", "aud", "groups", "preferred_username"]) | TEXTS,
    JSON | TEXTS | st.just(ABSENT),
)
IDENTITIES = st.dictionaries(
    st.sampled_from([*CLAIMS, "email", "sid", "acr", "auth_time", "at_hash", "azp"]),
    JSON | TEXTS | st.just(ABSENT) | st.sampled_from([-1e308, 2**63, 10**400]),
)


def come_in(browser: Browser, op: OP) -> None:
    """Log in if the OP says enough for that, stay for two pages, one of them when the session is due, and log out."""
    op.sessions.clear()
    leaving = browser.leave()
    if leaving.status_code == 302 and leaving["Location"].startswith(f"{op.issuer}/authorize"):
        leaving = browser.come_back(op.grant(leaving["Location"]))
    assert leaving.status_code in (200, 302, 400, 403, 502, 503, 504)
    if browser.is_signed_in:
        assert browser.user.identities.get().subject == "person-1"
        for age in (0, 910):
            browser.age(age)
            visit(browser.client, "GET", "/page/")
            visit(browser.client, "POST", "/page/")
    browser.post("/oidc/logout/")
    assert not browser.is_signed_in


@pytest.mark.parametrize("renewal", ["redirect", "refresh_token"])
@given(response=TOKEN_RESPONSES)
def test_no_token_response_crashes_or_logs_somebody_else_in(
    browser: Browser, op: OP, settings: Any, renewal: str, response: dict[str, Any]
) -> None:
    settings.OIDC_RENEWAL, op.token_response = renewal, response
    come_in(browser, op)


@pytest.mark.parametrize("is_signed", [False, True])
@given(userinfo=USERINFO)
def test_no_userinfo_crashes_or_logs_somebody_else_in(
    browser: Browser, op: OP, is_signed: bool, userinfo: dict[str, Any]
) -> None:
    op.userinfo, op.userinfo_is_signed = userinfo, is_signed
    come_in(browser, op)


@given(identity=IDENTITIES)
def test_no_id_token_crashes_or_logs_somebody_else_in(browser: Browser, op: OP, identity: dict[str, Any]) -> None:
    op.claims = {name: value for name, value in identity.items() if name != "sub"}
    come_in(browser, op)


@given(
    metadata=st.dictionaries(
        st.sampled_from([
            *discovery.ENDPOINTS, "issuer", "jwks_uri", "token_endpoint_auth_methods_supported",
            "authorization_response_iss_parameter_supported", "prompt_values_supported",
        ]),
        JSON | TEXTS | st.just(ABSENT) | st.sampled_from(["http://[", "https://op.example:x/", "https://\ud800/"]),
        max_size=3,
    )
)  # fmt: skip
def test_no_metadata_crashes_a_login(browser: Browser, op: OP, metadata: dict[str, Any]) -> None:
    forget()
    transport.forget_breakers()
    op.metadata = metadata
    come_in(browser, op)


@given(
    changes=st.dictionaries(
        st.sampled_from(["iss", "aud", "iat", "exp", "jti", "events", "sub", "sid", "nonce", "header"]),
        JSON | TEXTS | st.just(ABSENT) | st.sampled_from(["person-1", 2**63, -1e308, 10**400]),
    ),
)
def test_no_logout_token_crashes(browser: Browser, op: OP, changes: dict[str, Any]) -> None:
    header = changes.pop("header", None)
    token = op.logout_token(header if isinstance(header, dict) else None, **changes)
    assert browser.post("/oidc/backchannel-logout/", {"logout_token": token}).status_code in (200, 400)


@given(username=TEXTS, password=TEXTS, next_url=URLS)
def test_no_password_form_crashes_or_logs_in(browser: Browser, username: str, password: str, next_url: str) -> None:
    form = {"username": username, "password": password, "next": next_url}
    body = urlencode(form, errors="surrogatepass").encode()
    visit(browser.client, "POST", "/admin/password/", body, CONTENT_TYPE="application/x-www-form-urlencoded")
    assert not browser.is_signed_in

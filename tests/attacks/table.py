"""The attacks: what each is called, what is done, and what must be true of the last response.

Beside that, after every attack: no HTTP 500, nobody is signed in who should not be, no session has ended that should
go on, every page has its headers, nothing leads off the site, and no page shows a traceback or the OP's words.
"""

import gzip
import hmac
import json
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from oidc.testing.op import ABSENT, LOGOUT_EVENT, Claims, Fault, Handler, dead, jwk, private_key, responds, slow
from tests.attacks.arena import (
    CANARY,
    EVIL,
    FORGED_LINE,
    HOST,
    SITE_URL,
    Arena,
    ForgingOP,
    Response,
    base64url,
    jws,
    rs256,
    session_cookie,
    set_cookie,
)
from tests.relying_party import hostile

Attack = Callable[[Arena], Response]
Must = Callable[[Arena, Response], None]
Forge = Callable[[ForgingOP, Claims], str]
NOW, DAY = int(time.time()), 24 * 60 * 60
AUTHENTICATE, CALLBACK, INITIATE = "/oidc/authenticate/", "/oidc/callback/", "/oidc/initiate/"
FORM = "application/x-www-form-urlencoded"
LOGOUT, BACK_CHANNEL = "/oidc/logout/", "/oidc/backchannel-logout/"


# What must be true


def refused(*reasons: str) -> Must:
    """The login gets a page with a reference, for which the log has one of these reasons."""

    def must(arena: Arena, response: Response) -> None:
        reason = arena.reason(response)
        is_refusal = 400 <= response.status_code <= 504
        assert is_refusal and reason in reasons, f"HTTP {response.status_code}, {reason}"  # noqa: PT018

    return must


def status(*codes: int) -> Must:
    """The response has one of these; 0 stands for a server that hangs up."""

    def must(arena: Arena, response: Response) -> None:
        assert response.status_code in codes, f"HTTP {response.status_code}"

    return must


def admits(arena: Arena, response: Response) -> None:
    """A good login gets as far as the policy."""
    assert arena.reaches_the_policy(response), f"HTTP {response.status_code}, {arena.reason(response)}"


def asks_nobody(arena: Arena, response: Response) -> None:
    """The login is refused, and nothing was fetched from, or sent to, an address that the attacker gave."""
    assert response.status_code >= 400, f"HTTP {response.status_code}"
    assert not arena.op.asked("/stolen"), "the attacker's address was asked"


def is_safe(arena: Arena, response: Response) -> None:
    """What holds after every attack is enough."""


# What is done


def login(forge: Forge | None = None, is_good: bool = False, **changes: Any) -> Attack:
    """Come back from the OP while it is changed: `changes` are to its attributes, `forge` writes the ID Token."""

    def attack(arena: Arena) -> Response:
        parameters = arena.leave(browser := arena.browser())
        arena.op.forge = forge
        for name, value in changes.items():
            getattr(arena.op, name).update(value)
        response = arena.come_back(browser, parameters)
        if is_good:
            arena.admit(browser)
        return response

    return attack


def forged(sign: Callable[[ForgingOP, bytes], bytes] | None = None, payload: bytes = b"", **header: Any) -> Forge:
    """Write a token with another header, payload or signature than the OP's."""

    def forge(op: ForgingOP, honest: Claims) -> str:
        by = partial(sign, op) if sign else partial(rs256, op.key)
        return jws({"alg": "RS256", **op.header, **header}, payload or json.dumps(honest).encode(), by)

    return forge


def unsigned(op: ForgingOP, data: bytes) -> bytes:
    return b""


def other_key(op: ForgingOP, data: bytes) -> bytes:
    return rs256(private_key("RSA", 66), data)


def public_key(op: ForgingOP, data: bytes) -> bytes:
    pem = op.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hmac.new(pem, data, sha256).digest()


def altered(op: ForgingOP, honest: Claims) -> str:
    header, _, signature = forged()(op, honest).split(".")
    return f"{header}.{base64url(json.dumps(honest | {'sub': 'admin'}).encode())}.{signature}"


def key_elsewhere(op: ForgingOP, honest: Claims) -> str:
    return forged(other_key, jku=f"{op.issuer}/stolen", x5u=f"{op.issuer}/stolen", kid="evil")(op, honest)


def callback(change: Callable[[dict[str, str]], Any]) -> Attack:
    """Come back from a good login at the OP with other parameters."""
    return lambda arena: arena.come_back(browser := arena.browser(), change(arena.leave(browser)))


def error(code: str, **more: str) -> Attack:
    described = {"error": code, "error_description": f"{CANARY}\r\n{FORGED_LINE} line\0\u2028", **more}
    return callback(lambda good: {name: good[name] for name in ("state", "iss")} | described)


def without(name: str) -> Attack:
    return callback(lambda good: {key: value for key, value in good.items() if key != name})


def replay(arena: Arena) -> Response:
    first, thief = arena.browser(), arena.browser()
    parameters = arena.leave(first)
    thief.at_site.cookies.update(first.at_site.cookies)
    arena.come_back(first, parameters)
    arena.admit(first)
    return arena.come_back(thief, parameters)


def code_of_another_login(arena: Arena) -> Response:
    victim, attacker = arena.browser(), arena.browser()
    return arena.come_back(victim, arena.leave(victim) | {"code": arena.leave(attacker, sub="attacker")["code"]})


def go_on_to(*urls: str) -> Attack:
    def attack(arena: Arena) -> Response:
        for url in urls:
            response = arena.log_in(browser := arena.browser(), url)
            arena.admit(browser)
        return response

    return attack


def open_each(*targets: str, method: str = "GET", as_member: bool = False, body: bytes = b"", **headers: str) -> Attack:
    """Send requests byte by byte as they are, from a stranger's browser or with the cookies of a member."""

    def attack(arena: Arena) -> Response:
        browser = arena.member() if as_member else arena.browser()
        return [arena.raw(target, method, body, browser, **headers) for target in targets][-1]

    return attack


def send(*targets: str, body: bytes, content_type: str = FORM) -> Attack:
    return open_each(*targets, method="POST", body=body, Content_Type=content_type)


def renew_at(*targets: str, **headers: str) -> Attack:
    """Open addresses with a session that is due, by way of the OP where that is asked for."""

    def attack(arena: Arena) -> Response:
        member = arena.member()
        time.sleep(1.1)
        replies = [arena.raw(target, "GET", b"", member, **headers) for target in targets]
        for reply in replies:
            if (url := reply.headers.get("Location", "")).startswith(arena.op.issuer):
                arena.come_back(member, arena.op.grant(url))
            elif url := reply.headers.get("HX-Redirect", ""):
                arena.log_in(member, url)
        return replies[-1]

    return attack


def form_after_the_no(referer: str) -> Attack:
    """Send a form from elsewhere after the OP has said that nobody is logged in there."""

    def attack(arena: Arena) -> Response:
        member = arena.member()
        time.sleep(1.1)
        to_the_op = arena.raw("/", browser=member).headers.get("Location", "")
        assert to_the_op.startswith(arena.op.issuer), "a session that is due is not renewed"
        arena.op.end_sessions("person-1")
        arena.come_back(member, arena.op.grant(to_the_op))
        return arena.post("/", member, ("a", "1"), Referer=referer)

    return attack


def token_from_elsewhere(arena: Arena) -> Response:
    member = arena.member()
    member.get(LOGOUT)
    tokens = [str(cookie.value) for cookie in member.at_site.cookies if "csrf" in cookie.name]
    return arena.post(LOGOUT, member, X_CSRFToken=tokens[0], Origin=f"https://{EVIL}", Referer=f"https://{EVIL}/")


def planted_session(arena: Arena) -> Response:
    """Log in with a session cookie that somebody else made up, or has."""
    (name, of_attacker), (_, former) = session_cookie(arena.member("attacker")), session_cookie(arena.member())
    # They become the victim's for a moment, so they end.
    arena.expel_all()
    for planted in ("a" * 32, of_attacker, former):
        victim, thief = arena.browser(), arena.browser()
        for browser in (victim, thief):
            set_cookie(browser, name, planted)
        arena.member(browser=victim)
        assert session_cookie(victim)[1] != planted, "the planted session was taken over"
    return arena.replies[-1]


def session_of_a_subdomain(arena: Arena) -> Response:
    name, value = session_cookie(arena.member())
    assert name.startswith("__Host-"), f"any host of the domain can plant {name}"
    set_cookie(arena.browser(), name.removeprefix("__Host-"), value)
    return arena.replies[-1]


def stolen_before_logout(arena: Arena) -> Response:
    member, thief = arena.member(), arena.browser()
    thief.at_site.cookies.update(member.at_site.cookies)
    member.get(LOGOUT)
    arena.expel_all()
    response: Response = member.post(LOGOUT)
    return response


def logout_token(forge: Forge | None = None, header: Claims | None = None, **claims: Any) -> Attack:
    """Send a logout token to the back channel while a member is logged in: a good one with changes."""

    def attack(arena: Arena) -> Response:
        login(is_good=True)(arena)
        arena.op.forge = forge
        return arena.post(BACK_CHANNEL, None, ("logout_token", arena.op.logout_token(header, **claims)))

    return attack


def id_token(op: ForgingOP, honest: Claims) -> str:
    return next(token for token in reversed(op.signed) if "nonce" in claims_of(token))


def claims_of(token: str) -> Claims:
    claims: Claims = jwt.decode(token, options={"verify_signature": False})
    return claims


def logout_token_twice(arena: Arena) -> Response:
    login(is_good=True)(arena)
    form = ("logout_token", arena.op.logout_token())
    assert arena.post(BACK_CHANNEL, None, form).status_code == 200, "a good one is not obeyed"
    arena.expel_all()
    login(is_good=True)(arena)
    other = ("logout_token", arena.op.logout_token())
    assert arena.post(BACK_CHANNEL, None, other, other).status_code == 400, "two at once are obeyed"
    return arena.post(BACK_CHANNEL, None, form)


def front_channel(arena: Arena) -> Response:
    """Open the front-channel URL with the name of a session that there is, but from another issuer."""
    login(is_good=True)(arena)
    sid = claims_of(arena.op.signed[-1])["sid"]
    return arena.raw(f"/oidc/frontchannel-logout/?iss=https://{EVIL}&sid={sid}")


def flood(arena: Arena) -> Response:
    """Send tokens with keys that nobody knows; the OP may be asked for its keys a handful of times."""
    before = len(arena.op.requests)
    for number in range(100):
        form = ("logout_token", arena.op.logout_token({"kid": f"unknown-{number}"}))
        assert arena.post(BACK_CHANNEL, None, form).status_code == 400
    asked = len(arena.op.requests) - before
    assert asked <= 12, f"the OP was asked {asked} times"
    return login(is_good=True)(arena)


def bogus_codes(arena: Arena) -> Response:
    """Come back with made-up codes from one address, which lies about itself; the OP may see few of them.

    Half of the logins are begun before, so that they are not stopped as they begin.
    """
    ahead = [(browser := arena.browser(), arena.leave(browser)) for _ in range(50)]
    before = len(arena.op.asked("/token"))
    for number in range(100):
        liar = {"X-Forwarded-For": f"198.51.100.{number}, 203.0.113.6"}
        browser, good = ahead.pop() if ahead else (arena.browser(), {})
        if not good and (leaving := browser.get(AUTHENTICATE, headers=liar)).status_code == 302:
            good = arena.op.grant(leaving.headers["Location"])
        if good:
            response = browser.get(CALLBACK, good | {"code": "made-up"}, headers=liar)
            # A site may take its responses as forms.
            browser.post(CALLBACK, good | {"code": "made-up"}, headers=liar) if response.status_code == 405 else None
    # The minutes of the limit go by the clock, and this may have met two.
    assert (asked := len(arena.op.asked("/token")) - before) <= 20, f"the OP was asked {asked} times"
    return login(is_good=True)(arena)


def redirecting(handler: Handler) -> None:
    handler.reply(b"", "text/plain", 307, Location=f"{handler.server.op.issuer}/stolen")


def writing(start: bytes, again: bytes, seconds: float = 0.05) -> Fault:
    """Return a fault that begins a response and never ends it."""

    def write(handler: Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + start)
        while not handler.server.op.closed.wait(seconds):
            handler.wfile.write(again)

    return write


def quoting(handler: Handler) -> None:
    """Quote everything that is secret in an error, as no OP should."""
    asked = handler.server.op.requests[-1]
    everything = f"{asked.form} {asked.headers['Authorization']} {CANARY}\n{FORGED_LINE} line"
    responds({"error": "invalid_client", "error_description": everything}, status=401)(handler)


def quoting_as_code(handler: Handler) -> None:
    responds({"error": handler.server.op.requests[-1].form["code"]}, status=400)(handler)


def pages(arena: Arena) -> Response:
    """Open pages of all kinds: that each has its headers is checked after every attack."""
    browser = arena.browser()
    for path in ("/", LOGOUT, "/oidc/logged-out/", CALLBACK, AUTHENTICATE, INITIATE, "/admin/login/", "/missing"):
        kept = browser.get(path).headers.get("Cache-Control", "")
        assert "no-store" in kept or "/oidc/" not in path, f"{path} may be kept by caches"
    response: Response = browser.post(LOGOUT)
    return response


def log(arena: Arena) -> Response:
    """Search everything that the site has written, in all of these attacks, for what opens something."""
    text, found = arena.log(), arena.secrets | {part for token in arena.op.signed for part in token.split(".")[1:]}
    for asked in arena.op.requests:
        secret = asked.form.keys() - {"grant_type", "redirect_uri", "client_id"}
        found |= {asked.headers.get("Authorization", "").partition(" ")[2], *(asked.form[name] for name in secret)}
    leaked = tuple(secret for secret in found if len(secret) > 8 and secret in text)
    lines = [line for line in text.splitlines() if any(secret in line for secret in leaked)]
    assert not lines, f"{len(lines)} lines such as {lines[0][:300]}"
    assert f"\n{FORGED_LINE}" not in text, "an attacker has written a line of the log"
    return arena.raw("/healthz")


# Values

DEEP = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
BOMB = responds(gzip.compress(b"0" * 50_000_000, 1), Content_Encoding="gzip")
STRANGE = dict.fromkeys(("email", "name", "given_name", "groups"), "\ud800\0") | {"family_name": [10**400, {}]}
EVILS = [f"//{EVIL}/x", f"https://{EVIL}/", f"/\\{EVIL}", f"\\\\{EVIL}", f"///{EVIL}", f"/\t/{EVIL}", f"http:{EVIL}"]
EVILS += [f"https:{EVIL}", f"javascript:alert('{EVIL}')", f"{SITE_URL}@{EVIL}/", f"\x01//{EVIL}", f" //{EVIL}", "//["]
EVILS += [f"{SITE_URL}.{EVIL}/", f"//{EVIL}\\@{HOST}", f"/oidc/authenticate/?next=//{EVIL}", f"//{HOST}:x@{EVIL}"]
STARTS = [f"{AUTHENTICATE}?next=", f"{INITIATE}?iss=ISSUER&target_link_uri=", "/admin/login/?next=", f"{LOGOUT}?next="]
LINKS = [start + quote(url, safe="") for start in STARTS for url in EVILS]
REFERERS = (f"https://{EVIL}/x", f"{SITE_URL}//{EVIL}/", "//[")
PATHS = [f"//{EVIL}/x", f"/%2F{EVIL}/", f"/\\{EVIL}", f"/%5C{EVIL}/", f"///{EVIL}/", f"/.//{EVIL}", f"/%09/{EVIL}"]
QUERIES = ["next=%00", "state=%ED%A0%80", "state=%zz&code=%", "iss=%00&login_hint=%ED%A0%80", "next=//["]
QUERIES += ["target_link_uri=http://[", "&".join(["a=b"] * 1200)]
BROKEN = [f"{path}?{query}" for path in (AUTHENTICATE, CALLBACK, INITIATE, "/%00", "/%ED%A0%80") for query in QUERIES]
BAD_COOKIES = "__Host-sessionid=\0; __Host-oidc_attempt_x=a:b:c; =; __Host-csrftoken=\xff; a=" + "%00" * 99
FILES = ("/.env", "/static/../config/settings.py", "/static/%2e%2e/%2e%2e/etc/passwd", "/static/..%5cdb.sqlite3")
KEY, SIGNATURE = ("id_token_key", "keys_changing"), ("id_token_signature", "keys_changing")
# Reason -> ID Tokens that are refused for it: Core 3.1.3.7, RFC 8725
FORGERIES: dict[tuple[str, ...], dict[str, Forge]] = {
    ("id_token_algorithm",): {
        "with alg none": forged(unsigned, alg="none"),
        "with alg nOnE": forged(unsigned, alg="nOnE"),
        "signed by HS256 with the public key": forged(public_key, alg="HS256"),
    },
    SIGNATURE: {
        "without a signature": forged(unsigned),
        "signed by another key": forged(other_key),
        "with its own key in jwk": forged(other_key, jwk=jwk("RSA", 66)),
        "altered after it was signed": altered,
    },
    ("id_token_malformed",): {
        "with crit": forged(crit=["exp"], exp=1),
        "with b64": forged(b64=False),
        "of 50,000 objects in one another": forged(payload=DEEP),
        "that is no JSON": forged(payload=b"\xff\0"),
        "with Infinity": forged(payload=b'{"exp": Infinity}'),
    },
}
# Reason -> changes to the claims
CLAIMS: dict[str, list[Claims]] = {
    "id_token_issuer": [{"iss": f"https://{EVIL}"}, {"iss": [f"https://{EVIL}"]}],
    "id_token_audience": [{"aud": "another"}, {"aud": ["site-under-test", EVIL]}, {"azp": "another"}],
    "id_token_time": [
        *({"exp": value} for value in (NOW - DAY, ABSENT, str(NOW + DAY))),
        *({"iat": value} for value in (NOW - DAY, NOW + DAY)),
        *({"nbf": NOW + DAY}, {"auth_time": NOW + DAY}, {"auth_time": NOW * 1000}),
    ],
    "id_token_nonce": [{"nonce": "n" * 32}, {"nonce": ABSENT}],
    "id_token_access_token": [{"at_hash": "a" * 22}, {"at_hash": 1}],
    "id_token_subject": [{"sub": value} for value in (ABSENT, "", 1, "person-1\0", "s" * 256)],
}
# Reason -> what comes back from the OP: RFC 9700 4
CALLBACKS: dict[str, dict[str, Attack]] = {
    "attempt_unknown": {
        "forged state": callback(lambda good: good | {"state": "s" * 32}),
        "no state": without("state"),
        "state with a surrogate and NUL": callback(lambda good: good | {"state": b"\xed\xa0\x80\0"}),
        "error with another state": error("access_denied", state="s"),
        "replayed": replay,
        "of another browser": lambda arena: arena.come_back(arena.browser(), arena.leave(arena.browser())),
    },
    "callback_malformed": {
        "neither code nor error": without("code"),
        "two codes": callback(lambda good: [*good.items(), ("code", "x")]),
        "two states": callback(lambda good: [*good.items(), ("state", "x")]),
    },
    "callback_issuer": {
        "iss of another OP": callback(lambda good: good | {"iss": f"https://{EVIL}"}),
        "no iss, though announced": without("iss"),
    },
    "code_refused": {
        "made-up code": callback(lambda good: good | {"code": "c\0\r\n" * 20}),
        "code of somebody else's login": code_of_another_login,
    },
    "access_denied": {"error injected": error("access_denied")},
    "op_error": {"error that is HTML": error(f"<b>{CANARY}</b>\n{FORGED_LINE}")},
}
# Claims of logout tokens that break a rule: Back-Channel Logout 1.0, 2.6
LOGOUT_CLAIMS: list[Claims] = [
    *({"iss": f"https://{EVIL}"}, {"aud": "another"}, {"exp": NOW - DAY}, {"iat": ABSENT}, {"nonce": "n"}),
    *({"iat": NOW - DAY, "exp": ABSENT}, {"iat": NOW + DAY, "exp": NOW + 2 * DAY}, {"sub": ABSENT}, {"jti": ABSENT}),
    *({"events": {}}, {"events": [LOGOUT_EVENT]}, {"events": {LOGOUT_EVENT: ""}}, {"events": {"urn:other": {}}}),
]
FAULTS: dict[str, tuple[str, Fault, Must]] = {
    "redirects with the code": ("/token", redirecting, asks_nobody),
    "redirects with the token": ("/userinfo", redirecting, asks_nobody),
    "sends a gzip bomb": ("/token", BOMB, refused("op_response")),
    "sends a gzip bomb as userinfo": ("/userinfo", BOMB, refused("op_response")),
    "sends 50,000 objects in one another": ("/userinfo", responds(DEEP), refused("op_response")),
    "sends spaces without end": ("/token", writing(b"\r\n", b" " * 9999, 0), refused("op_response")),
    "sends no HTTP": ("/token", hostile.raw(b"\0" * 99), refused("op_unreachable", "op_response")),
    "quotes secrets": ("/token", quoting, refused("client_refused")),
    "says the code as the error": ("/token", quoting_as_code, refused("op_error")),
    "hangs up": ("/token", dead, refused("op_unreachable")),
    "drips its response": ("/token", writing(b"Content-Length: 99999\r\n\r\n", b" "), refused("op_timeout")),
    "drips its header": ("/userinfo", writing(b"", b"X-Drip: 1\r\n"), refused("op_timeout")),
    "never responds": ("/token", slow, refused("op_timeout")),
}


def told(claims: Claims) -> str:
    return " and ".join(
        f"without {name}" if value is ABSENT else f"{name}={str(value)[:40]!r}" for name, value in claims.items()
    )


# fmt: off
ATTACKS: list[tuple[str, Attack, Must]] = [
    ("a good login reaches the policy", login(is_good=True), admits),
    *((f"ID Token {name}", login(forge), refused(*reasons))
      for reasons, forgeries in FORGERIES.items() for name, forge in forgeries.items()),
    *((f"ID Token, {told(claims)}", login(claims=claims), refused(reason))
      for reason, changes in CLAIMS.items() for claims in changes),
    ("ID Token with its key at jku and x5u", login(key_elsewhere), asks_nobody),
    ("ID Token with a key from a bomb", login(forged(kid="new"), faults={"/jwks": BOMB}), refused("op_response", *KEY)),
    ("no ID Token", login(token_response={"id_token": ABSENT}), refused("id_token_missing")),
    ("ID Token of another type", login(token_response={"id_token": ["a", {}]}), refused("id_token_malformed")),
    ("userinfo of somebody else", login(userinfo={"sub": "attacker"}), refused("userinfo_subject")),
    ("claims with surrogates, NUL and numbers", login(is_good=True, userinfo=STRANGE), is_safe),
    *((f"callback, {name}", attack, refused(reason))
      for reason, attacks in CALLBACKS.items() for name, attack in attacks.items()),
    # Open redirects: RFC 9700 4.11
    ("login that goes on to another site", go_on_to(*LINKS[: 2 * len(EVILS)]), admits),
    ("member's links to another site", open_each(*LINKS, as_member=True), is_safe),
    ("paths that are another site's URL", open_each(*PATHS), is_safe),
    ("the same with a session that is due", renew_at(*PATHS[:4]), is_safe),
    ("more of them", renew_at(*PATHS[4:]), is_safe),
    *((f"HX-Current-URL {url}", renew_at("/", HX_Request="true", HX_Current_URL=url), status(200)) for url in REFERERS),
    *((f"form from {url} after the OP's no", form_after_the_no(url), status(401)) for url in REFERERS),
    # Requests that other sites forge, and sessions that attackers know
    ("logout by a link", open_each(LOGOUT, as_member=True), is_safe),
    ("logout by a form elsewhere", open_each(LOGOUT, method="POST", as_member=True, Origin="null"), status(403)),
    ("logout of the admin likewise", open_each("/admin/logout/", method="POST", as_member=True), status(403, 404)),
    ("logout by a form elsewhere, with a token", token_from_elsewhere, status(403)),
    ("switched login", open_each(f"{INITIATE}?iss=ISSUER&login_hint=attacker", as_member=True), is_safe),
    ("planted session cookie", planted_session, is_safe),
    ("session cookie of a sub-domain", session_of_a_subdomain, is_safe),
    ("session copied before the logout", stolen_before_logout, status(302)),
    # Logout by the OP
    *((f"logout token, {told(claims)}", logout_token(**claims), status(400)) for claims in LOGOUT_CLAIMS),
    ("logout token with another typ", logout_token(header={"typ": "at+jwt"}), status(400)),
    ("logout token with alg none", logout_token(forged(unsigned, alg="none")), status(400)),
    ("logout token signed by another key", logout_token(forged(other_key)), status(400)),
    ("logout token of 50,000 objects in one another", logout_token(forged(payload=DEEP)), status(400)),
    ("ID Token as logout token", logout_token(id_token), status(400)),
    ("logout token twice", logout_token_twice, status(400)),
    ("logout token by GET", open_each(BACK_CHANNEL), status(405)),
    ("front channel, iss of another OP", front_channel, status(404, 400)),
    # Hosts, and what is too large or no HTTP that anybody means
    *((f"Host {host!r}", open_each(AUTHENTICATE, Host=host), status(400))
      for host in (EVIL, f"{HOST}@{EVIL}", f"{HOST},{EVIL}", f"{HOST}:x", "")),
    ("X-Forwarded-Host", open_each(AUTHENTICATE, X_Forwarded_Host=EVIL, Forwarded=f"host={EVIL}"), status(302)),
    ("absolute URL of another site", open_each(f"http://{EVIL}{AUTHENTICATE}"), is_safe),
    ("plain http", open_each("/", X_Forwarded_Proto=""), status(301)),
    *((f"charset={name}", send(BACK_CHANNEL, INITIATE, body=b"a=b", content_type=f"{FORM}; charset={name}"), is_safe)
      for name in ("rot13", "utf-16", "x\0")),
    ("broken parameters", open_each(*BROKEN), is_safe),
    ("cookie of 1 MB", open_each("/", Cookie="a=" + "b" * 2**20), status(0, 400, 431)),
    ("broken cookies", open_each(f"{CALLBACK}?state=x", "/", Cookie=BAD_COOKIES), is_safe),
    ("form of 5 MB", send(BACK_CHANNEL, body=b"logout_token=" + b"a" * 5_000_000), status(0, 400, 413)),
    ("form of 5,000 fields", send(BACK_CHANNEL, body=b"a=b&" * 5_000), status(400)),
    ("broken multipart", send(BACK_CHANNEL, body=b"-", content_type="multipart/form-data; boundary=\xff"), status(400)),
    *((f"method {method}", open_each(CALLBACK, method=method), status(405)) for method in ("TRACE", "PUT", "PROPFIND")),
    # An OP that does harm
    *((f"the OP {name}", login(faults={path: fault}), must) for name, (path, fault, must) in FAULTS.items()),
    # What anybody can read
    ("headers on every page", pages, status(403, 302)),
    ("files of the site", open_each(*FILES), status(404, 400)),
    ("password form of the admin", open_each("/admin/password/"), status(404)),
    ("/healthz tells nothing", open_each("/healthz", Host=EVIL), status(200)),
    ("100 logout tokens with unknown keys", flood, admits),
    ("100 made-up codes of one address", bogus_codes, admits),
    ("secrets and forged lines in the log", log, status(200)),
]

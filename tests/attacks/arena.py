"""The site that is attacked, an OP that forges, and browsers: what the attacks are made of and judged by."""

import json
import re
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, urlencode, urljoin, urlsplit

import requests
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from requests.structures import CaseInsensitiveDict

from oidc import errors
from oidc.testing.browser import Browser
from oidc.testing.op import OP, PERSON, Claims

HOST, EVIL = "attacked.example", "evil.example"
SITE_URL = f"https://{HOST}"
# What no page may repeat, and what no line of the log may begin with.
CANARY, FORGED_LINE = "what-the-op-said", "FORGED"
POLICY = {
    errors.CLAIMS_REFUSED,
    errors.GROUPS_MISSING,
    errors.USER_UNKNOWN,
    errors.USER_AMBIGUOUS,
    errors.USER_INACTIVE,
}
BEFORE_POLICY = {"", *(reason.code for reason in set(errors.REASONS) - POLICY)}
ON_EVERY_PAGE = {"Content-Security-Policy": "frame-ancestors", "X-Content-Type-Options": "nosniff"}
ON_EVERY_PAGE |= {"Strict-Transport-Security": "max-age", "Referrer-Policy": "", "Cross-Origin-Opener-Policy": ""}
NEVER = ("Traceback (most", CANARY, "Django Version", "DEBUG = True")
LINK = re.compile(r"""\b(?:href|src|action|content)=["']?([^"'\s>]+)""")

Response = requests.Response


class NobodyAdmittedError(Exception):
    """An attack needs a session, and the policy of the site gives one to nobody."""


class ForgingOP(OP):
    """The OP of the kit with two users; `forge`, where it is set, writes its tokens."""

    forge: Callable[["ForgingOP", Claims], str] | None = None

    def __init__(self, *, claims_of_everybody: Claims, **options: Any) -> None:
        self.signed, self.usual = list[str](), claims_of_everybody
        attacker = {"sub": "attacker", "email": "attacker@example.org"}
        super().__init__(users=lambda: [PERSON | self.usual, PERSON | attacker | self.usual], **options)
        self.be_honest()

    def be_honest(self) -> None:
        self.forge, self.claims, self.token_response, self.userinfo, self.faults = None, dict(self.usual), {}, {}, {}

    def sign(self, claims: Claims, header: Claims | None = None) -> str:
        self.signed.append(self.forge(self, claims) if self.forge else super().sign(claims, header))
        return self.signed[-1]


def rs256(key: Any, data: bytes) -> bytes:
    return bytes(key.sign(data, PKCS1v15(), SHA256()))


def jws(header: Claims, payload: bytes, sign: Callable[[bytes], bytes]) -> str:
    """Return a JSON Web Signature that no library would write (RFC 7515 3.1)."""
    start = f"{base64url(json.dumps(header).encode())}.{base64url(payload)}"
    return f"{start}.{base64url(sign(start.encode()))}"


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def leads_off(url: str) -> bool:
    """Tell whether a browser that is on the site leaves it by `url` (WHATWG URL: backslashes, tabs, line breaks)."""
    plain = re.sub(r"[\t\r\n]", "", url.strip("".join(map(chr, range(33))))).replace("\\", "/")
    target = urlsplit(urljoin(SITE_URL, re.sub("^/{2,}", "//", plain)))
    return (target.scheme, target.netloc) != ("https", HOST)


class Arena:
    """One site under attack. `strangers` may not be signed in when an attack is over, `members` have to be."""

    def __init__(self, op: ForgingOP, address: str, log: Path, secret_key: str) -> None:
        self.op, self.address, self.log_file, self.started = op, address, log, time.monotonic()
        self.secrets = {secret_key, op.client[1], quote_plus(op.client[1])}
        self.replies: list[Response] = []
        self.strangers: list[Browser] = []
        self.members: list[Browser] = []

    def run(self, attack: Callable[["Arena"], Response], must: Callable[["Arena", Response], None]) -> None:
        """Run one attack; raises `AssertionError` if the site has not withstood it."""
        self.replies, self.strangers, self.members = [], [], []
        try:
            must(self, attack(self))
        finally:
            was_faulty = bool(self.op.faults)
            self.op.be_honest()
        assert not any(map(self.is_signed_in, self.strangers)), "somebody is signed in"
        assert all(map(self.is_signed_in, self.members)), "a session has ended that should go on"
        for reply in self.replies:
            self._check(reply)
        until = time.monotonic() + 5
        while was_faulty and not self.reaches_the_policy(self.log_in(self.browser())):
            assert time.monotonic() < until, "logins go on failing when it is over"
            time.sleep(0.2)

    def browser(self) -> Browser:
        """Return the browser of a stranger."""
        browser = Browser(self.op, url=self.address)
        browser.at_site.headers["X-Forwarded-Proto"] = "https"
        browser.at_site.auth = partial(_with_secure_cookies, browser)
        browser.at_site.hooks["response"].append(lambda response, **options: self.replies.append(response))
        self.strangers.append(browser)
        return browser

    def member(self, sub: str | None = None, browser: Browser | None = None) -> Browser:
        """Return the browser of somebody who has logged in; raises `NobodyAdmittedError`."""
        browser = browser or self.browser()
        if self.log_in(browser, sub=sub).status_code != 302:
            raise NobodyAdmittedError
        self.admit(browser)
        return browser

    def admit(self, browser: Browser) -> None:
        """A stranger has logged in for good reasons, if the policy is for it."""
        self.strangers.remove(browser)
        if self.is_signed_in(browser):
            self.members.append(browser)

    def expel_all(self) -> None:
        """The sessions of all members have to be over now."""
        self.strangers, self.members = self.strangers + self.members, []

    def leave(self, browser: Browser, path: str = "/oidc/authenticate/", sub: str | None = None) -> dict[str, str]:
        """Begin a login and return what the OP sends the browser back with.

        After an outage that was another attack's the site may need a moment to see that the OP responds again.
        """
        ends = time.monotonic() + 10
        while (leaving := browser.get(path.replace("ISSUER", quote(self.op.issuer)))).status_code in (503, 504):
            if time.monotonic() > ends:
                break
            time.sleep(0.1)
        assert leaving.status_code == 302, f"a login does not even begin: HTTP {leaving.status_code} at {path}"
        return self.op.grant(leaving.headers["Location"], sub)

    def come_back(self, browser: Browser, parameters: Any) -> Response:
        self.secrets |= {value for name, value in dict(parameters).items() if name in ("code", "state")}
        response: Response = browser.come_back(parameters)
        return browser.come_back(parameters, "post") if response.status_code == 405 else response

    def log_in(self, browser: Browser, path: str = "/oidc/authenticate/", sub: str | None = None) -> Response:
        return self.come_back(browser, self.leave(browser, path, sub))

    def is_signed_in(self, browser: Browser) -> bool:
        """Ask a page that every site has: whoever is logged in is not sent to the OP by it."""
        reply = self.raw("/oidc/initiate/?iss=ISSUER", Cookie=cookie_header(browser))
        return reply.status_code == 302 and not reply.headers["Location"].startswith(self.op.issuer)

    def post(self, target: str, browser: Browser | None = None, *form: tuple[str, str], **headers: str) -> Response:
        headers = {"Content_Type": "application/x-www-form-urlencoded"} | headers
        return self.raw(target, "POST", urlencode(form).encode(), browser, **headers)

    def raw(
        self, target: str, method: str = "GET", body: bytes = b"", browser: Browser | None = None, **headers: str
    ) -> Response:
        """Send a request byte by byte as it is given; an underscore in the name of a header becomes a hyphen.

        ISSUER in the target is the OP's. The status is 0 if the site hangs up.
        """
        given = {"Host": HOST, "X-Forwarded-Proto": "https", "Connection": "close", "Content-Length": str(len(body))}
        given |= {"Cookie": cookie_header(browser)} if browser else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        target = target.replace("ISSUER", quote(self.op.issuer))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items() if value), "", ""]
        reply, cookies = Response(), list[str]()
        reply.status_code, reply._content, reply.url = 0, b"", target
        with socket.create_connection(("127.0.0.1", urlsplit(self.address).port or 0), timeout=15) as connection:
            with suppress(OSError):  # it may have heard enough
                connection.sendall("\r\n".join(lines).encode() + body)
            with suppress(OSError, HTTPException):
                received = HTTPResponse(connection, method=method)
                received.begin()
                reply.status_code, reply.headers = received.status, CaseInsensitiveDict(received.msg.items())
                cookies, reply._content = received.msg.get_all("Set-Cookie", []), received.read()
        if browser:
            for cookie in cookies:
                set_cookie(browser, *cookie.partition(";")[0].split("=", 1))
        self.replies.append(reply)
        return reply

    def reason(self, response: Response) -> str:
        """Return the reason that the log gives for the reference on a page, "" if there is none."""
        references = [f"reference={text}" for text in re.findall(r"\b[0-9A-F]{8}\b", response.text)]
        lines = [line for line in self.log().splitlines() if any(reference in line for reference in references)]
        return lines[0].partition("reason=")[2].partition(" ")[0] if lines else ""

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def reaches_the_policy(self, response: Response) -> bool:
        """Tell whether a login got as far as the policy of the site, whatever that has said."""
        is_refused = response.status_code == 403 and self.reason(response) not in BEFORE_POLICY
        return response.status_code == 302 or is_refused

    def _check(self, reply: Response) -> None:
        """Raise `AssertionError` for what no response may be, whatever the attack was."""
        where = f" at {reply.url.removeprefix(self.address)[:80]!r}"
        assert reply.status_code != 500, f"HTTP 500{where}"
        # The server itself refuses some raw requests, and its pages are plain.
        missing = [
            name for name, text in ON_EVERY_PAGE.items() if reply.raw and text not in reply.headers.get(name, "\0")
        ]
        assert not missing, f"a page without {', '.join(missing)}{where}"
        for cookie in reply.raw.headers.getlist("Set-Cookie") if reply.raw else ():
            self.secrets.add(cookie.partition(";")[0].partition("=")[2].strip('"'))
            is_hidden = "httponly" in cookie.lower() or "csrf" in cookie or "max-age=0" in cookie.lower()
            assert is_hidden and "; secure" in cookie.lower(), f"a cookie that others can read: {cookie[:40]}"  # noqa: PT018
        for text in (*NEVER, self.op.client[1]):
            assert text not in f"{reply.text} {reply.headers}", f"{text!r}{where}"
        for name in ("Location", "HX-Redirect", "Refresh"):
            query = parse_qs(urlsplit(target := reply.headers.get(name, "/")).query)
            back = query.get("redirect_uri", []) + query.get("post_logout_redirect_uri", [])
            assert not any(map(leads_off, back)), f"the OP is told to go back to {back}{where}"
            is_to_op = target.startswith(f"{self.op.issuer}/")
            assert is_to_op or not leads_off(target), f"{name} leads off the site: {target!r}{where}"
        links = [link for link in LINK.findall(reply.text) if EVIL in link and leads_off(link)]
        assert not links, f"a link to {links}{where}"


def _with_secure_cookies(browser: Browser, request: Any) -> Any:
    """Send all cookies, as to the https of the proxy that is not there."""
    request.headers["Cookie"] = cookie_header(browser)
    return request


def cookie_header(browser: Browser) -> str:
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.at_site.cookies)


def set_cookie(browser: Browser, name: str, value: str) -> None:
    browser.at_site.cookies.set(name, value, domain=HOST, secure=True)


def session_cookie(browser: Browser) -> tuple[str, str]:
    """Return the name and the value of the session cookie."""
    others = ("csrf", "oidc_attempt", "oidc_browser", "messages", "language")
    cookies = [cookie for cookie in browser.at_site.cookies if not any(other in cookie.name for other in others)]
    assert len(cookies) == 1, f"which one is the session cookie? {[cookie.name for cookie in cookies]}"
    return cookies[0].name, str(cookies[0].value)

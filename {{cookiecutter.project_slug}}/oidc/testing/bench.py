"""The bench of the development OP: mishaps to try on purpose, one at a time, and the way back to normal."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from ipaddress import ip_address

from oidc.testing import pages
from oidc.testing.op import DISCOVERY, OP
from oidc.testing.pages import Page
from oidc.testing.server import Asked, check, dead, slow

PATH = "/"


@dataclass(frozen=True, slots=True)
class Mishap:
    """What the OP can do wrong: `begin` starts it, `site_says` is the message on the site's page, "" for none."""

    title: str
    shows: str
    site_says: str
    begin: Callable[[OP], object]


# fmt: off
MISHAPS = {
    "deny": Mishap("Refuse everybody", "What people meet who are not assigned to the site at the sign-in service.",
        "The login was cancelled, or the sign-in service did not allow it.",
        lambda op: setattr(op, "error", "access_denied")),
    "audience": Mishap("Wrong audience", "The identity was made for another site, where it may have been stolen.",
        "The identity was made for another site.", lambda op: op.claims.update(aud="another-site")),
    "expired": Mishap("Expired token", "The identity expired an hour ago. A clock that is wrong looks the same.",
        "The identity is not valid at this time.", lambda op: op.claims.update(exp=int(time.time()) - 3600)),
    "subject": Mishap("Somebody else’s details", "Userinfo is about another person than the identity.",
        "The sign-in service sent details about somebody else.", lambda op: op.userinfo.update(sub="somebody-else")),
    "slow": Mishap("Slow", "The site asks for the tokens and gets no response; after some seconds it gives up.",
        "The sign-in service did not respond in time.", lambda op: op.faults.update({"/token": slow})),
    "down": Mishap("Down", "The site reaches nothing but these pages. Whoever is logged in stays so for a while.",
        "The sign-in service cannot be reached at the moment.",
        lambda op: op.faults.update(dict.fromkeys((DISCOVERY, "/jwks", "/token", "/userinfo"), dead))),
    "keys": Mishap("New keys", "Identities are signed with a new key. The site fetches it, and logins go on.",
        "", OP.rotate_keys),
}
# fmt: on


class Bench:
    """The page of `op`, at PATH, on which a developer makes things go wrong."""

    def __init__(self, op: OP) -> None:
        """Raises `ValueError` for an OP that other machines can reach."""
        if not ip_address(str(op.server.server_address[0])).is_loopback:
            raise ValueError("The bench is for development, so its OP has to listen on this machine alone.")
        self.op = op
        self.be_normal()
        op.endpoints[PATH] = self.respond

    def be_normal(self) -> None:
        """Switch every mishap off and let everybody in again."""
        self.op.mishap = self.op.error = ""
        for changes in (self.op.claims, self.op.userinfo, self.op.faults, self.op.disabled):
            changes.clear()

    def respond(self, asked: Asked) -> Page:
        """Do what a form says, and show the page; whoever was about to log in goes on with that."""
        issuer, told = self.op.issuer, "Try what can go wrong"
        if asked.form:
            # A page of another site has no business here, and the browser says where a form comes from.
            check(asked.headers.get("Origin", issuer) == issuer, "access_denied", "the form is from another site", 403)
            told = self._act(asked.form)
            if (came_from := asked.headers.get("Referer", "")).startswith(f"{issuer}/authorize?"):
                return pages.redirect(came_from, {})
        return pages.page(told, self._content(), action=PATH, mishap=self.op.mishap)

    def _act(self, form: dict[str, str]) -> str:
        """Do what a form says, after whatever went wrong before is normal again; return what has been done."""
        op, sub, mishap = self.op, form.get("disable"), MISHAPS.get(form.get("mishap", ""))
        self.be_normal()
        if person := form.get("log_out"):
            op.end_sessions(person)
            status = op.send_logout(sub=person)
            return f"Logged out here. The site {f'said {status}' if status else 'cannot be reached'}"
        if sub:
            op.disabled.add(sub)
            op.mishap = f"{sub} is disabled"
        elif mishap:
            mishap.begin(op)
            op.mishap = mishap.title if mishap.site_says else ""
            return f"{mishap.title}: now log in at the site"
        return op.mishap or "Everything is normal"

    def _content(self) -> str:
        sessions, site = self.op.sessions, escape(self.op.site_url)
        people = {session.sub: self.op.person(cookie) for cookie, session in sessions.items()}
        cards = "".join(_person(sub, person) for sub, person in people.items() if person)
        return f"""<p>What you choose goes wrong until you go back to normal. Log in at <a href="{site}/">{site}</a> and
            compare what the site says.</p>
            <ul class="cards">{"".join(_mishap(*item, self.op.mishap) for item in MISHAPS.items())}</ul>
            <h2>Who is logged in</h2><p>Log somebody out everywhere, and the site is told (back-channel logout): it logs
            them out in every browser. Disable an account, and the site ends the session when it next asks;
            <code>OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS=10</code> in <code>.env</code> makes that soon.</p>
            <ul class="cards">{cards or "<li>Nobody is.</li>"}</ul>"""


def _mishap(name: str, mishap: Mishap, current: str | None) -> str:
    says = f"<p>The site says: “{escape(mishap.site_says)}”</p>" if mishap.site_says else ""
    is_on, title = mishap.title == current, escape(mishap.title)
    button = f'<button name="mishap" value="{name}" aria-label="Try: {title}">Try</button>'
    return f"""<li><article><h2>{title}</h2><p class="quiet">{escape(mishap.shows)}</p>{says}
        {'<em class="mark">switched on</em>' if is_on else button}</article></li>"""


def _person(sub: str, person: pages.Claims) -> str:
    sub, name = escape(sub), escape(pages.full_name(person))
    return f"""<li><article><h3>{name}</h3><button name="log_out" value="{sub}" aria-label="Log out everywhere: {name}">
        Log out everywhere</button><button class="plain" name="disable" value="{sub}" aria-label="Disable: {name}">
        Disable</button></article></li>"""

"""The pages of the development OP: plain HTML, everything escaped, nothing from another host."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import urlencode

STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
* { box-sizing: border-box }
body { max-width: 34rem; margin: 0 auto; padding: 2rem 1rem; overflow-wrap: anywhere }
button { font: inherit; color: inherit; background: #8881; border: 1px solid #888; border-radius: .6rem }
button { padding: .6rem 1rem; min-height: 2.8rem; cursor: pointer }
button:hover { background: #8883 }
.person { display: block; width: 100%; margin: .6rem 0; text-align: left }
label, details, textarea, .person * { display: block; margin: .5rem 0; width: 100% }
.person * { margin: 0 }
[role=alert] { border-left: .3rem solid #d33; padding-left: .8rem }
"""
SUBMIT = "document.forms[0].submit()"
EXAMPLE = '{"sub": "somebody", "email": "somebody@example.org", "email_verified": true}'
STYLE_HASH, SUBMIT_HASH = (b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (STYLE, SUBMIT))
POLICY = (
    f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; script-src 'sha256-{SUBMIT_HASH}'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self' "
)


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser gets: HTML, or a redirect by its `Location` header."""

    html: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def redirect(url: str, parameters: Mapping[str, str]) -> Page:
    """Return a redirect to `url` with further `parameters`."""
    separator = ("&" if "?" in url else "?") if parameters else ""
    return Page(status=302, headers={"Location": url + separator + urlencode(parameters)})


def page(heading: str, content: str = "", status: int = 200, goes_on_to: str = "") -> Page:
    """Return a whole page; `goes_on_to` is the origin to which its form leads, beside the OP itself."""
    html = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Development sign-in</title><style>{STYLE}</style>"
        f"<main><p>Development sign-in</p><h1>{escape(heading)}</h1>{content}</main></html>"
    )
    return Page(html, status, {"Content-Security-Policy": POLICY + goes_on_to})


def choose(people: Sequence[Mapping[str, Any]], request: Mapping[str, str], site_url: str, problem: str = "") -> Page:
    """Return the page on which a person logs in as one of `people`, as anybody else, or not at all."""
    content = f"""{f'<p role="alert">{escape(problem)}</p>' if problem else ""}
        {"".join(_button(person, request.get("login_hint")) for person in people)}
        <label><input type="checkbox" name="remember"> Remember me when the browser closes</label>
        <details{" open" if problem else ""}><summary>Log in as somebody else</summary>
        <label>Claims, as JSON <textarea name="typed" rows="5" spellcheck="false">{escape(EXAMPLE)}</textarea></label>
        <button>Log in with these claims</button></details>
        <button name="deny" value="1">Cancel</button>"""
    return _form(f"Log in to {site_url}", content, request, site_url, 400 if problem else 200)


def _button(claims: Mapping[str, Any], hint: str | None) -> str:
    names = [str(claims[name]) for name in ("name", "preferred_username", "email", "sub") if claims.get(name)]
    focus = " autofocus" if hint in names else ""
    groups = f"groups: {', '.join(map(str, claims['groups']))}" if claims.get("groups") else ""
    return f"""<button class="person" name="sub" value="{escape(str(claims.get("sub")))}"{focus}>
        <strong>{escape(names[0])}</strong><span>{escape(", ".join(names[1:]))}</span><span>{escape(groups)}</span>
        </button>"""


def confirm(request: Mapping[str, str], site_url: str) -> Page:
    """Return the question whether to log out, for a request that does not prove who it comes from."""
    return _form("Log out?", '<button name="confirm" value="1">Log out</button>', request, site_url)


def _form(heading: str, content: str, request: Mapping[str, str], site_url: str, status: int = 200) -> Page:
    form = f'<form method="post" action="?{escape(urlencode(request))}">{content}</form>'
    return page(heading, form, status, goes_on_to=site_url)


def form_post(url: str, parameters: Mapping[str, str], site_url: str) -> Page:
    """Return the page that posts `parameters` to `url` (Form Post Response Mode), by itself or by its button."""
    fields = "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in parameters.items())
    form = f'<form method="post" action="{escape(url)}">{fields}<button>Continue</button></form>'
    return page(f"Back to {site_url}", f"{form}<script>{SUBMIT}</script>", goes_on_to=site_url)

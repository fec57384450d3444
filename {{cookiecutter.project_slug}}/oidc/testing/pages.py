"""The pages of the development OP: plain HTML, everything escaped, nothing from another host."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import urlencode

Claims = Mapping[str, Any]
STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 34rem; margin: 0 auto; padding: 2rem 1rem; overflow-wrap: anywhere }
button, textarea { font: inherit; padding: .6rem; cursor: pointer }
label, details, .person, .person *, textarea { display: block; width: 100%; text-align: left; box-sizing: border-box }
label, details, .person, textarea { margin: .7rem 0 }
"""
SUBMIT = "document.forms[0].submit()"
EXAMPLE = '{"sub": "somebody", "email": "somebody@example.org", "email_verified": true}'
STYLE_HASH, SUBMIT_HASH = (b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (STYLE, SUBMIT))
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; script-src 'sha256-{SUBMIT_HASH}'; base-uri 'none'"


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser gets: HTML, or a redirect by its `Location` header."""

    html: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def page(heading: str, content: str = "", status: int = 200, action: str = "", site_url: str = "") -> Page:
    """Return a whole page; with an `action` its content is a form, which may lead to the site."""
    form = f'<form method="post" action="{escape(action)}">{content}</form>' if action else content
    html = f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
        <title>Development sign-in</title><style>{STYLE}</style>
        <main><p>Development sign-in</p><h1>{escape(heading)}</h1>{form}</main></html>"""
    policy = f"{POLICY}; frame-ancestors 'none'; form-action 'self' {site_url}"
    return Page(html, status, {"Content-Security-Policy": policy, "Cache-Control": "no-store"})


def choose(people: Sequence[Claims], request: Claims, site_url: str, problem: str = "", typed: str = EXAMPLE) -> Page:
    """Return the page on which a person logs in as one of `people`, as anybody else, or not at all."""
    content = f"""{f'<p role="alert">{escape(problem)}</p>' if problem else ""}
        {"".join(_button(person, request.get("login_hint")) for person in people)}
        <label><input type="checkbox" name="remember"> Remember me when the browser closes</label>
        <details{" open" if problem else ""}><summary>Log in as somebody else</summary>
        <label>Claims, as JSON <textarea name="typed" rows="5" spellcheck="false">{escape(typed)}</textarea></label>
        <button>Log in with these claims</button></details>
        <button name="deny" value="1">Cancel</button>"""
    return page(f"Log in to {site_url}", content, 400 if problem else 200, f"?{urlencode(request)}", site_url)


def _button(claims: Claims, hint: str | None) -> str:
    names = [str(claims[name]) for name in ("name", "preferred_username", "email", "sub") if claims.get(name)]
    groups = f"groups: {', '.join(map(str, claims['groups']))}" if claims.get("groups") else ""
    return f"""<button class="person" name="sub" value="{escape(names[-1])}"{" autofocus" if hint in names else ""}>
        <strong>{escape(names[0])}</strong><span>{escape(", ".join(names[1:]))}</span><span>{escape(groups)}</span>
        </button>"""


def redirect(url: str, parameters: Mapping[str, str]) -> Page:
    """Return a redirect to `url` with further `parameters`."""
    separator = ("&" if "?" in url else "?") if parameters else ""
    return Page(status=302, headers={"Location": url + separator + urlencode(parameters)})


def form_post(url: str, parameters: Mapping[str, str]) -> Page:
    """Return the page that posts `parameters` to `url` (Form Post Response Mode), by itself or by its button."""
    fields = "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in parameters.items())
    return page("Back to the site", f"{fields}<button>Continue</button><script>{SUBMIT}</script>", 200, url, url)

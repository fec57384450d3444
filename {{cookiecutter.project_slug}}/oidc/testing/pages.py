"""The pages of the OP: plain HTML that needs no script, everything escaped, nothing from another host."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

Claims = Mapping[str, Any]
STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
BACK = '<button name="mishap" value="none">Back to normal</button>'
SUBMIT = "document.forms[0].submit()"
EXAMPLE = '{\n  "sub": "somebody",\n  "preferred_username": "sue",\n  "given_name": "Sue",\n'
EXAMPLE += '  "email": "sue@example.org",\n  "email_verified": true,\n  "groups": ["staff"]\n}'
STYLE_HASH, SUBMIT_HASH = (b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (STYLE, SUBMIT))
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; script-src 'sha256-{SUBMIT_HASH}'; base-uri 'none'"


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser gets: HTML, or a redirect by its `Location` header."""

    html: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def page(heading: str, *content: str, status: int = 200, action: str = "", site_url: str = "", **state: Any) -> Page:
    """Return a whole page; with an `action` its content is a form, which may lead to the site.

    `mishap` in `state` is what goes wrong on purpose, "" for nothing; without it there is no bench to link to.
    """
    body, mishap = "".join(content), state.get("mishap")
    form = f'<form method="post" action="{escape(action)}">{body}</form>' if action else body
    link = "" if mishap is None else '<a href="/">Try what can go wrong</a>'
    notice = f'<form class="notice" method="post" action="/"><p>On purpose: {escape(mishap or "")}</p>{BACK}</form>'
    html = f"""<!doctype html><html lang="en"><head><meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{escape(heading)} – Development sign-in</title><style>{STYLE}</style></head>
        <body><header><p>Development sign-in</p>{link}</header>{notice if mishap else ""}
        <main><h1>{escape(heading)}</h1>{form}</main></body></html>"""
    policy = f"{POLICY}; frame-ancestors 'none'; form-action 'self' {site_url}"
    return Page(html, status, {"Content-Security-Policy": policy, "Cache-Control": "no-store"})


def login(cards: Iterable[str], form: Mapping[str, str], problem: str, source: str) -> str:
    """Return the login form; `form` was sent before and led to the `problem`, `source` is the file of the people."""
    is_typed = "typed" in form and "sub" not in form
    alert = f'<p class="alert" id="problem" role="alert">{escape(problem)}</p>' if problem else ""
    state = ' autofocus aria-invalid="true" aria-describedby="problem"' if is_typed else ""
    return f"""{"" if is_typed else alert}<p>Choose who you are. There are no passwords: this is for development.</p>
        <label><input type="checkbox" name="remember"{" checked" if "remember" in form else ""}>
        Remember me when the browser closes</label>
        <ul class="cards">{"".join(cards)}</ul>
        {f'<p class="quiet">These people are in {escape(source)}: change them as you like.</p>' if source else ""}
        <details{" open" if is_typed else ""}><summary>Log in as somebody else</summary>{alert if is_typed else ""}
        <label for="typed">Claims, as JSON</label><textarea id="typed" name="typed" rows="12" spellcheck="false"{state}>
{escape(form.get("typed", EXAMPLE))}</textarea>
        <p class="quiet"><code>iss</code>, <code>aud</code>, <code>exp</code>, <code>nonce</code> and the like come from
        the sign-in service, whatever you type.</p><button>Log in with these claims</button></details>
        <button class="plain" name="deny" value="1">Cancel</button>"""


def card(person: Claims, hint: str | None, mark: str | None) -> str:
    """Return the button with which to log in as `person`; `hint` is the site's guess who it will be."""
    names = [str(person[name]) for name in ("preferred_username", "email", "sub") if person.get(name)]
    groups = person.get("groups")
    told = ", ".join(map(str, groups)) if isinstance(groups, list) else str(groups)
    tags = ["groups unknown" if groups is None else f"groups: {told}" if groups else "no groups"]
    if not person.get("email_verified"):
        tags.append("address not verified" if person.get("email") else "no e-mail address")
    return f"""<li><button name="sub" value="{escape(names[-1])}"{" autofocus" if hint in names else ""}>
        <strong>{escape(full_name(person))}</strong>{f'<em class="mark">{mark}</em>' if mark else ""}
        <span>{escape(str(person.get("about", "")))}</span><span class="quiet">{escape(" · ".join(names[:-1]))}</span>
        <span class="tags">{"".join(f"<span>{escape(tag)}</span>" for tag in tags)}</span></button></li>"""


def full_name(person: Claims | None) -> str:
    """Return what to call a person, or nobody."""
    person = person or {"sub": ""}
    parts = " ".join(str(person[name]) for name in ("given_name", "family_name") if person.get(name))
    return str(person.get("name") or parts or person.get("preferred_username") or person["sub"])


def redirect(url: str, parameters: Mapping[str, str]) -> Page:
    """Return a redirect to `url` with further `parameters`."""
    separator = ("&" if "?" in url else "?") if parameters else ""
    return Page(status=302, headers={"Location": url + separator + urlencode(parameters)})


def form_post(url: str, parameters: Mapping[str, str]) -> Page:
    """Return the page that posts `parameters` to `url` (Form Post Response Mode), by itself or by its button."""
    fields = "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in parameters.items())
    script = f"<button>Continue</button><script>{SUBMIT}</script>"
    return page("Back to the site", fields, script, action=url, site_url=url)

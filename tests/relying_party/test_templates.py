"""The pages of the package: one source for both of Django's template engines, escaped, translatable, accessible."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.http import HttpRequest
from django.template import engines
from django.template.backends.jinja2 import Jinja2
from django.test import RequestFactory
from django.utils import translation
from jinja2 import Environment

import oidc
from oidc import errors
from oidc.internal.trace import Login, Step

TEMPLATES = Path(oidc.__path__[0]) / "templates"
HOSTILE = """<script>alert("1")</script>' onclick=alert(1) {{ 7 * 7 }} {% now "Y" %}"""
CONTEXTS: dict[str, dict[str, Any]] = {
    "login_failed.html": {
        "explanation": HOSTILE,
        "action": errors.OP_TIMEOUT.action,
        "reference": HOSTILE,
        "retry_url": f"/oidc/authenticate/?next={HOSTILE}",
        "other_account_url": f"/oidc/authenticate/?prompt=select_account&next={HOSTILE}",
        "developer": dict.fromkeys(("reason", "detail", "hint", "op_error", "endpoint", "logins_url"), HOSTILE),
    },
    "log_out.html": {},
    "logged_out.html": {},
    "logins.html": {"logins": [(0, Login(HOSTILE, [Step(HOSTILE, [(HOSTILE, HOSTILE)], [(HOSTILE, HOSTILE)])]))]},
    "session_ended.html": {"login_url": f"/oidc/authenticate/?next={HOSTILE}"},
}
# How many of the values are hostile, and have to be shown as they are.
HOSTILE_VALUES = {"login_failed.html": 10, "logins.html": 7, "log_out.html": 0, "logged_out.html": 0}
HOSTILE_VALUES |= {"session_ended.html": 1}
ENGINES = ["django", "jinja2"]

every_template = pytest.mark.parametrize("name", CONTEXTS)
both_engines = pytest.mark.parametrize("engine", ENGINES)


class Visitor:
    def __init__(self, is_authenticated: bool) -> None:
        self.is_authenticated = is_authenticated


def environment(**options: Any) -> Environment:
    """Return the Jinja2 environment of a site: what Django recommends, and translations."""
    environment = Environment(**options, extensions=["jinja2.ext.i18n"])
    environment.install_gettext_callables(translation.gettext, translation.ngettext)  # type: ignore[attr-defined]
    return environment


def request(is_authenticated: bool = False) -> HttpRequest:
    request = RequestFactory().get("/")
    request.user = Visitor(is_authenticated)  # type: ignore[assignment]
    return request


def render(engine: str, name: str, context: dict[str, Any] | None = None, is_authenticated: bool = False) -> str:
    """Return a page of the package as a site with one of the engines renders it, without its one-time CSRF token."""
    if engine == "django":
        template = engines["django"].get_template(f"oidc/{name}")
    else:
        folders = [*django_settings.TEMPLATES[0]["DIRS"], TEMPLATES]
        options = {"environment": f"{__name__}.environment"}
        site = Jinja2({"NAME": "jinja2", "DIRS": folders, "APP_DIRS": False, "OPTIONS": options})
        template = site.get_template(f"oidc/{name}")
    # A copy, as Django's Jinja2 puts the request into what it is given.
    html = template.render({**(CONTEXTS[name] if context is None else context)}, request(is_authenticated))
    return re.sub('(?<=name="csrfmiddlewaretoken" value=")[^"]{64}', "TOKEN", html)


def saying(value: Any, text: str) -> Any:
    """Return a context with `text` in the place of every text in it."""
    match value:
        case dict():
            return {name: saying(member, text) for name, member in value.items()}
        case Login() | Step():
            return type(value)(*(saying(member, text) for member in value))
        case list() | tuple():
            return type(value)(saying(member, text) for member in value)
    return value if isinstance(value, int) else text


class Page(HTMLParser):
    """What a browser makes of a page: tags with their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_no_page_is_left_out_here() -> None:
    assert {path.name for path in (TEMPLATES / "oidc").iterdir()} == set(CONTEXTS)


@every_template
@pytest.mark.parametrize("is_authenticated", [True, False])
def test_both_engines_render_the_same(name: str, is_authenticated: bool) -> None:
    django, jinja2 = (render(engine, name, is_authenticated=is_authenticated) for engine in ENGINES)
    # The engines differ in the line breaks at the end of a file, and in how they write a quote.
    assert jinja2.replace("&#34;", "&quot;").replace("&#39;", "&#x27;").split() == django.split()
    assert "<h1>" in django


@both_engines
def test_the_part_for_developers_comes_only_where_there_is_something_to_say(engine: str) -> None:
    with_it = render(engine, "login_failed.html")
    without = render(engine, "login_failed.html", CONTEXTS["login_failed.html"] | {"developer": None})
    assert "For the developer" in with_it
    assert "For the developer" not in without


@both_engines
def test_what_is_not_known_or_not_offered_leaves_no_empty_line(engine: str) -> None:
    developer = {**CONTEXTS["login_failed.html"]["developer"], "op_error": "", "endpoint": ""}
    html = render(
        engine, "login_failed.html", CONTEXTS["login_failed.html"] | {"other_account_url": "", "developer": developer}
    )
    assert not [text for text in ("Use another account", "Error of the sign-in service", "Endpoint") if text in html]


@both_engines
@pytest.mark.parametrize(("is_authenticated", "heading"), [(True, "You are logged in"), (False, "You are logged out")])
def test_the_page_after_a_logout_tells_the_truth(engine: str, is_authenticated: bool, heading: str) -> None:
    page = Page(render(engine, "logged_out.html", is_authenticated=is_authenticated))
    assert any(text.startswith(heading) for text in page.texts)


@every_template
@both_engines
def test_whatever_comes_from_outside_is_text(engine: str, name: str) -> None:
    page = Page(render(engine, name))
    assert not page.all("script")
    assert not [attributes for _, attributes in page.tags if "onclick" in attributes]
    shown = [*page.texts, *(str(link["href"]) for link in page.all("a"))]
    assert sum(HOSTILE in text for text in shown) == HOSTILE_VALUES[name]


@every_template
@both_engines
def test_every_text_can_be_translated(engine: str, name: str, monkeypatch) -> None:
    monkeypatch.setattr(translation._trans, "gettext", lambda message: f"«{message}»")
    texts = Page(render(engine, name, saying(CONTEXTS[name], "«of the context»"))).texts
    assert [text for text in texts if not re.fullmatch("(«[^«»]+»[: ]*)+", text)] == []


@every_template
@both_engines
def test_a_page_has_one_heading_a_title_and_a_way_on(engine: str, name: str) -> None:
    page = Page(render(engine, name))
    assert len(page.all("h1")) == len(page.all("title")) == 1
    assert page.all("a") or page.all("form")


@every_template
@both_engines
def test_pages_need_no_script_no_style_of_their_own_and_no_other_host(engine: str, name: str) -> None:
    page = Page(render(engine, name, saying(CONTEXTS[name], "x")))
    assert not page.all("script") + page.all("style") + page.all("link") + page.all("img")
    assert not [attributes for _, attributes in page.tags if "style" in attributes]
    links = [str(link["href"]) for link in page.all("a")]
    assert [link for link in links if "//" in link] == []


@both_engines
def test_the_logout_form_posts_with_a_csrf_token(engine: str) -> None:
    page = Page(render(engine, "log_out.html"))
    assert [form["method"] for form in page.all("form")] == ["post"]
    assert {"type": "hidden", "name": "csrfmiddlewaretoken", "value": "TOKEN"} in page.all("input")


@every_template
def test_people_read_one_pair_of_words(name: str) -> None:
    texts = re.findall(r'_\("(.+?)"\)', (TEMPLATES / "oidc" / name).read_text())
    assert texts
    assert not [text for text in texts if re.search(r"\bsign(ed)?[ -]?(in|out)\b(?! service)|\bOP\b|logon", text, re.I)]

"""What people see: every page in Chromium, on a phone and a wide screen, light and dark, judged by axe."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from oidc.testing.op import OP
from tests.rendering import REPOSITORY
from tests.sites.site import Site, free_port

AXE = REPOSITORY / "tests" / "sites" / "interop" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
NAME = "Reading Room"
# Pages that fail, beside those of the site.
MODULE = f"""
from config.settings import *

ROOT_URLCONF, STATIC_ROOT, SITE_NAME = "failing_pages", "{{folder}}/static", "{NAME}"
OIDC_STAFF_GROUPS = ["staff"]
"""
URLS = """
from django.core.exceptions import SuspiciousOperation
from django.urls import path

from config.urls import *

def bad(request):
    raise SuspiciousOperation

def broken(request):
    raise RuntimeError

urlpatterns = [*urlpatterns, path("bad/", bad), path("broken/", broken)]
"""
PEOPLE = [
    {"sub": "kim", "preferred_username": "kim", "email": "kim@example.org", "email_verified": True, "groups": []},
    {"sub": "sam", "preferred_username": "sam", "email": "sam@example.org", "groups": ["staff"]},
]


@dataclass(frozen=True)
class Served:
    """The default site under gunicorn, with DEBUG or without, and its sign-in service."""

    url: str
    op: OP


@pytest.fixture(scope="module", params=["django", "jinja2"])
def site(request: pytest.FixtureRequest, installed: Callable[..., Site]) -> Site:
    return installed() if request.param == "django" else installed(template_engine="jinja2")


@pytest.fixture(scope="module")
def serve(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Served]]:
    with ExitStack() as stack:
        served: dict[str, Served] = {}

        def start(debug: str) -> Served:
            if debug not in served:
                url, folder = f"http://localhost:{free_port()}", tmp_path_factory.mktemp("pages")
                op = stack.enter_context(OP(site_url=url, users=lambda: PEOPLE))
                environment = variables(folder, url, op, debug)
                for command in (["migrate"], ["collectstatic", "--no-input"]):
                    site.run("uv", "run", "manage.py", *command, **environment)
                stack.enter_context(site.running("uv", "run", "gunicorn", "config.wsgi", url=url, **environment))
                served[debug] = Served(url, op)
            return served[debug]

        yield start


def variables(folder: Path, url: str, op: OP, debug: str) -> dict[str, str]:
    (folder / "failing_settings.py").write_text(MODULE.format(folder=folder))
    (folder / "failing_pages.py").write_text(URLS)
    return {
        "SITE_URL": url,
        "BIND": f"127.0.0.1:{urlsplit(url).port}",
        "WEB_CONCURRENCY": "1",
        "DEBUG": debug,
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        "OIDC_OP_ISSUER": op.issuer,
        "OIDC_RP_CLIENT_ID": op.client[0],
        "OIDC_RP_CLIENT_SECRET": op.client[1],
        "PYTHONPATH": str(folder),
        "DJANGO_SETTINGS_MODULE": "failing_settings",
    }


@pytest.fixture
def production(serve: Callable[[str], Served]) -> Served:
    return serve("false")


@pytest.fixture
def development(serve: Callable[[str], Served]) -> Served:
    return serve("true")


def log_in(served: Served, page, sub: str, path: str = "/") -> None:
    page.goto(f"{served.url}/oidc/authenticate/?prompt=login&next={path}")
    page.locator(f"button[name=sub][value='{sub}']").click()
    page.wait_for_url(f"{served.url}{path}")


def violations(page) -> list[str]:
    """Return what axe finds wrong on a page, in each width and colour scheme, and what is too wide for its screen."""
    found = []
    for width in (320, 1280):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found.append(f"{page.url} is wider than {width}")
            page.evaluate(AXE.read_text(encoding="utf-8"))
            result = page.evaluate("rules => axe.run({runOnly: rules})", RULES)
            assert len(result["passes"]) > 10
            for rule in result["violations"]:
                places = [node["html"] for node in rule["nodes"]]
                found.append(f"{page.url} {width} {scheme}: {rule['id']}, {rule['help']}: {places}")
    return found


@pytest.fixture
def axe(require: Callable[[object, str], None]) -> Callable[..., list[str]]:
    require(AXE.exists(), "no axe-core: npm install --no-package-lock --prefix tests/sites/interop")
    return violations


EVERYBODYS = {
    "/": NAME,
    "/nowhere/": "Page not found",
    "/bad/": "Bad request",
    "/broken/": "Something went wrong",
    "/oidc/callback/?state=x&code=y": "Login failed",
    "/oidc/logout/": "Log out?",
    "/oidc/logged-out/": "You are logged out of this site",
}


@pytest.mark.parametrize("path", EVERYBODYS)
def test_pages_for_everybody_are_accessible_and_offer_a_login(production: Served, page, axe, path: str) -> None:
    page.goto(production.url + path)
    assert page.get_by_role("heading", level=1).inner_text() == EVERYBODYS[path]
    assert page.locator("header").get_by_role("link", name="Log in").is_visible()
    assert page.locator("header").get_by_role("link", name=NAME).get_attribute("href") == "/"
    assert axe(page) == []


def test_pages_of_a_person_are_accessible_and_say_who_it_is(production: Served, page, axe) -> None:
    log_in(production, page, "kim")
    assert "Current user: kim@example.org" in page.inner_text("main")
    for path, heading in {
        "/": NAME,
        "/profile/": "Profile",
        "/nowhere/": "Page not found",
        "/broken/": "Something went wrong",
        "/admin/login/": "No access",
        "/oidc/logout/": "Log out?",
        "/oidc/logged-out/": "You are logged in",
    }.items():
        page.goto(production.url + path)
        assert page.get_by_role("heading", level=1).inner_text() == heading
        assert page.locator("header").get_by_role("link", name="kim").is_visible()
        assert page.locator("header").get_by_role("button", name="Log out").is_visible()
        assert axe(page) == []


def test_production_shows_nothing_for_developers(production: Served, page) -> None:
    log_in(production, page, "kim")
    for path in ("/", "/profile/", "/oidc/callback/?state=x"):
        page.goto(production.url + path)
        assert "developer" not in page.content()
        assert "/oidc/logins/" not in page.content()
    assert page.goto(f"{production.url}/oidc/logins/").status == 404
    assert not [cookie for cookie in page.context.cookies() if "trace" in cookie["name"]]


def test_a_form_that_is_out_of_date_gets_a_page_of_the_site(production: Served, page, axe) -> None:
    page.goto(f"{production.url}/oidc/logout/")
    page.context.clear_cookies()
    page.locator("main").get_by_role("button", name="Log out").click()
    assert page.get_by_role("heading", level=1).inner_text() == "This form is out of date"
    assert axe(page) == []


def test_everything_works_without_javascript(development: Served, chromium) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    log_in(development, page, "kim")
    page.get_by_role("link", name="see that login step by step").click()
    summary = page.locator("summary").first
    assert page.locator("details li").first.is_visible()
    summary.click()
    assert not page.locator("details li").first.is_visible()
    page.locator("header").get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{development.url}/?state=*")
    assert page.get_by_role("link", name="Log in").is_visible()
    context.close()


def test_the_admin_bears_the_sites_name(production: Served, page) -> None:
    log_in(production, page, "sam", "/admin/")
    assert page.locator("#site-name").inner_text() == NAME
    assert page.title().endswith(NAME)


def test_the_start_page_tells_a_developer_what_comes_next(development: Served, page, axe) -> None:
    page.goto(development.url)
    text = page.inner_text("main")
    told = [development.op.issuer, f"{development.url}/oidc/callback/", f"{development.url}/oidc/backchannel-logout/"]
    assert [line for line in [*told, "accounts/backends.py", "oidc_doctor"] if line not in text] == []
    assert axe(page) == []


def test_a_developer_sees_why_a_person_is_not_staff(development: Served, page, axe) -> None:
    log_in(development, page, "kim", "/profile/")
    page.get_by_role("link", name="See your logins step by step").click()
    text = page.inner_text("details[open]")
    facts = page.locator("li:has(h2:text('Groups give rights')) dd").all_inner_texts()
    # The groups that came, those that make staff, and what the person is.
    assert (facts[0], facts[1], facts[-1]) == ("–", "staff", "–")
    assert "OIDC_STAFF_GROUPS" in text
    assert axe(page) == []


def test_the_page_of_a_failed_login_leads_to_its_steps(development: Served, page, axe) -> None:
    development.op.claims["aud"] = "another"
    try:
        page.goto(f"{development.url}/oidc/authenticate/?prompt=login")
        page.locator("button[name=sub]").first.click()
        page.wait_for_url(f"{development.url}/**")
        assert axe(page) == []
        page.get_by_role("link", name="See this login step by step").click()
        assert "The login is refused: id_token_audience" in page.locator("summary").first.inner_text()
        assert "aud is 'another', expected 'site-under-test'" in page.inner_text("details[open]")
        assert axe(page) == []
    finally:
        development.op.claims.clear()

"""What a person in a browser notices when a session has to be renewed at the OP, and what is lost: nothing."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.sites.npm_op import INSTALL, MODULES, npm_op, sign_in
from tests.sites.site import free_port

SECONDS = "3"
STATUS_FOR_A_SCRIPT = "async () => (await fetch('/profile/')).status"


@contextmanager
def expiring_site(tmp_path_factory, installed, require, *, grace: int) -> Iterator[str]:
    """Run the default site with sessions that have to be renewed after seconds; the value is its URL."""
    site, url, folder = installed(), f"http://localhost:{free_port()}", tmp_path_factory.mktemp("expiry")
    (folder / "expiring.py").write_text(f"from config.settings import *\n\nOIDC_RENEWAL_GRACE_SECONDS = {grace}\n")
    settings = {
        "SITE_URL": url,
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        "OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS": SECONDS,
        "PYTHONPATH": str(folder),
        "DJANGO_SETTINGS_MODULE": "expiring",
    }
    with (
        npm_op(require, site.python, url) as client,
        site.running("uv", "run", "manage.py", "dev", url=url, **settings, **client),
    ):
        yield url


@pytest.fixture(scope="module")
def strict(tmp_path_factory, installed, require) -> Iterator[str]:
    """A site that gives no grace."""
    with expiring_site(tmp_path_factory, installed, require, grace=0) as url:
        yield url


@pytest.fixture(scope="module")
def lenient(tmp_path_factory, installed, require) -> Iterator[str]:
    """A site whose grace outlasts the test."""
    with expiring_site(tmp_path_factory, installed, require, grace=900) as url:
        yield url


@pytest.fixture
def page(chromium) -> Iterator:
    """A page into which a test may put scripts that the site's policy (CSP) does not allow."""
    context = chromium.new_context(bypass_csp=True)
    yield context.new_page()
    context.close()


def log_in(page, url: str, path: str = "/profile/") -> None:
    page.goto(f"{url}/oidc/authenticate/?next={path}")
    # Staff and superuser, by the groups at the OP.
    sign_in(page, "ada")
    page.wait_for_url(url + path)


def wait_for_expiry(page) -> None:
    """Wait until the session has to be renewed: a script is told so, and renews nothing by asking."""
    for _ in range(300):
        if page.evaluate(STATUS_FOR_A_SCRIPT) == 401:
            return
        page.wait_for_timeout(100)
    raise AssertionError("the session does not expire")


def session_of(page) -> str:
    return next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "sessionid")


def silent_round_trip(page) -> AbstractContextManager:
    """Return a context in which the browser is expected to go to the OP with prompt=none."""
    return page.expect_request(lambda request: "/auth?" in request.url and "prompt=none" in request.url)


def login_round_trip(page) -> AbstractContextManager:
    """Return a context in which the browser is expected to go to the OP for a login that may ask the person."""
    return page.expect_request(lambda request: "/auth?" in request.url and "prompt=" not in request.url)


def open_own_user_form(page, url: str) -> None:
    """Log in and open the admin's form of the person who is logged in."""
    log_in(page, url, "/admin/accounts/user/")
    page.get_by_role("link", name="ada").first.click()
    page.wait_for_url("**/change/")


def test_a_page_comes_back_to_itself_in_the_same_session(strict: str, page) -> None:
    log_in(page, strict)
    before = session_of(page)
    wait_for_expiry(page)
    with silent_round_trip(page):
        page.goto(f"{strict}/profile/?tab=groups&x=%C3%A9")
    assert page.url == f"{strict}/profile/?tab=groups&x=%C3%A9"
    assert "ada@example.org" in page.inner_text("main")
    assert session_of(page) == before


def test_a_page_asks_the_person_if_the_session_at_the_op_is_over_too(strict: str, page) -> None:
    log_in(page, strict)
    wait_for_expiry(page)
    page.context.clear_cookies(name="_session")
    page.context.clear_cookies(name="_session.sig")
    with silent_round_trip(page):
        page.goto(f"{strict}/profile/?tab=groups")
    page.fill("input[name=login]", "ada")
    page.fill("input[name=password]", "any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(f"{strict}/profile/?tab=groups")


def test_fetch_is_told_where_to_log_in(strict: str, page) -> None:
    log_in(page, strict)
    wait_for_expiry(page)
    answer = page.evaluate(
        """async () => {
            const response = await fetch("/profile/");
            return [response.status, response.headers.get("Content-Type"), await response.json()];
        }"""
    )
    assert answer == [401, "application/json", {"login_url": "/oidc/authenticate/"}]


@pytest.mark.parametrize("release", ["htmx-2", "htmx-4"])
def test_htmx_goes_to_the_op_and_back_to_the_page(strict: str, page, require, release: str) -> None:
    script = MODULES / release / "dist" / "htmx.js"
    require(script.is_file(), f"{release} is not there: {INSTALL}")
    log_in(page, strict, "/profile/?tab=groups")
    page.add_script_tag(path=script)
    page.evaluate(
        """() => {
            const button = document.createElement("button");
            button.id = "part";
            button.setAttribute("hx-get", "/profile/?part=1");
            document.querySelector("main").append(button);
            htmx.process(button);
        }"""
    )
    wait_for_expiry(page)
    with page.expect_navigation(url=f"{strict}/profile/?tab=groups"), login_round_trip(page):
        page.click("#part")
    # A new page, without what the test put into the old one.
    assert page.locator("#part").count() == 0
    assert "ada@example.org" in page.inner_text("main")


def test_a_form_passes_within_the_grace(lenient: str, page) -> None:
    open_own_user_form(page, lenient)
    page.fill("input[name=last_name]", "Lovelace")
    wait_for_expiry(page)
    with silent_round_trip(page):
        page.locator("input[name=_save]").click()
    page.wait_for_url(f"{lenient}/admin/accounts/user/")
    assert "Lovelace" in page.inner_text("#result_list")


def test_a_form_after_the_grace_is_not_saved_and_the_way_back_is_offered(strict: str, page) -> None:
    open_own_user_form(page, strict)
    form = page.url
    page.fill("input[name=last_name]", "Lovelace")
    wait_for_expiry(page)
    with page.expect_response(form) as answer:
        page.locator("input[name=_save]").click()
    assert answer.value.status == 401
    assert page.get_by_role("heading", level=1).inner_text() == "Your session has ended"
    with login_round_trip(page):
        page.get_by_role("link", name="Log in").click()
    page.wait_for_url(form)
    assert page.input_value("input[name=last_name]") == ""

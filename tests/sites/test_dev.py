"""`manage.py dev` and the sign-in service that it starts: what a developer sees, tries, breaks and stops."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from oidc.testing.bench import MISHAPS
from tests.rendering import render
from tests.sites.site import Running, Site, free_port, is_free
from tests.sites.test_pages import AXE, violations

RENEWAL_SECONDS = 2


@dataclass(frozen=True)
class Development:
    """A site of its own that `manage.py dev` runs, with its address and the sign-in service's in `.env`."""

    site: Site
    server: Running
    url: str
    op_url: str

    def wait_for_log(self, text: str, after: int = 0) -> str:
        """Return the log from the character `after` on as soon as `text` is in it."""
        for _ in range(300):
            if text in (log := self.server.log.read_text()[after:]):
                return log
            time.sleep(0.1)
        raise AssertionError(f"{text!r} is not in {log}")


@contextmanager
def started(base: Site, folder: Path, **variables: object) -> Iterator[Development]:
    """Render a site, give `variables` to its `.env`, and run it with the environment of `base`."""
    site = Site(render(folder), base.python)
    url, op_url = (f"http://localhost:{free_port()}" for _ in range(2))
    for name, value in {"SITE_URL": url, "OIDC_OP_ISSUER": op_url, **variables}.items():
        set_variable(site, name, value)
    python = str(base.folder / ".venv" / "bin" / "python")
    with site.running(python, "manage.py", "dev", url=url) as server:
        yield Development(site, server, url, op_url)


def set_variable(site: Site, name: str, value: object) -> None:
    env = site.folder / ".env"
    env.write_text(re.sub(rf"^{name}=.*$", f"{name}={value}", env.read_text(), flags=re.MULTILINE))


@pytest.fixture(scope="module")
def dev(installed: Callable[..., Site], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    renewal = {"OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS": RENEWAL_SECONDS}
    with started(installed(), tmp_path_factory.mktemp("dev"), **renewal) as dev:
        yield dev


@pytest.fixture
def short_lived(installed: Callable[..., Site], tmp_path: Path) -> Iterator[Development]:
    """One that a test may break or kill."""
    with started(installed(), tmp_path) as dev:
        yield dev


def open_login_page(dev: Development, page) -> None:
    page.goto(f"{dev.url}/oidc/authenticate/?next=/profile/&prompt=login")
    assert page.url.startswith(dev.op_url)


def log_in(dev: Development, page, sub: str = "staff", remember: bool = False) -> None:
    open_login_page(dev, page)
    if remember:
        page.get_by_label("Remember me").check()
    page.locator(f"button[name=sub][value='{sub}']").click()
    page.wait_for_url(f"{dev.url}/**")


def people(dev: Development) -> list[dict]:
    return json.loads((dev.site.folder / "dev" / "users.json").read_text())


def test_everybody_on_a_card_can_log_in(dev: Development, page) -> None:
    for person in people(dev):
        open_login_page(dev, page)
        card = page.locator(f"button[name=sub][value='{person['sub']}']")
        assert person["about"] in card.inner_text()
        card.click()
        page.wait_for_url(f"{dev.url}/profile/")
        assert f"{person['given_name']} {person['family_name']}" in page.inner_text("main")


def test_staff_looks_at_users_and_logins_in_the_admin_and_changes_nothing(dev: Development, page) -> None:
    log_in(dev, page, "staff")
    page.goto(f"{dev.url}/admin/")
    assert page.get_by_role("link", name="Users").is_visible()
    assert page.get_by_role("link", name="Add").count() == 0
    page.goto(f"{dev.url}/admin/accounts/user/")
    page.get_by_role("link", name="sam").click()
    assert "sam@example.org" in page.inner_text("#content")
    assert page.locator("input[type=submit]").count() == 0


def test_anybody_can_log_in_by_typing_claims_and_a_mistake_loses_nothing(dev: Development, page) -> None:
    open_login_page(dev, page)
    page.get_by_label("Remember me").check()
    page.get_by_text("Log in as somebody else").click()
    typed = page.get_by_label("Claims, as JSON")
    claims = json.loads(typed.input_value()) | {"given_name": "Zoe", "iss": "https://evil.example.org"}
    typed.fill(json.dumps(claims, indent=2)[:-1])
    page.get_by_role("button", name="Log in with these claims").click()
    assert re.fullmatch(r"This is not JSON: .*line \d+ column \d+.*", page.get_by_role("alert").inner_text())
    assert page.get_by_label("Remember me").is_checked()
    assert typed.evaluate("field => field === document.activeElement")
    assert typed.input_value() == json.dumps(claims, indent=2)[:-1]
    typed.press("Control+End")
    typed.press("}")
    page.get_by_role("button", name="Log in with these claims").click()
    page.wait_for_url(f"{dev.url}/profile/")
    assert "Zoe" in page.inner_text("main")


def test_a_login_needs_no_mouse(dev: Development, page) -> None:
    open_login_page(dev, page)
    for _ in range(10):
        page.keyboard.press("Tab")
        if "Ada Administrator" in page.locator(":focus").inner_text():
            break
    page.keyboard.press("Enter")
    page.wait_for_url(f"{dev.url}/profile/")
    assert "Ada Administrator" in page.inner_text("main")


@pytest.mark.parametrize("remember", [True, False])
def test_whoever_is_remembered_is_renewed_silently_after_the_browser_was_closed(
    dev: Development, chromium, page, remember: bool
) -> None:
    log_in(dev, page, "staff", remember=remember)
    cookies = [cookie for cookie in page.context.cookies() if cookie["expires"] > 0]
    time.sleep(RENEWAL_SECONDS + 1)
    context = chromium.new_context()
    context.add_cookies(cookies)
    later, urls = context.new_page(), list[str]()
    later.on("request", lambda request: urls.append(request.url))
    later.goto(f"{dev.url}/profile/")
    assert any(url.startswith(f"{dev.op_url}/authorize") and "prompt=none" in url for url in urls)
    assert (later.url == f"{dev.url}/profile/") is remember
    assert later.get_by_label("Remember me").count() == (not remember)
    context.close()


@pytest.mark.parametrize("name", MISHAPS)
def test_a_mishap_shows_what_the_bench_says_until_all_is_normal(dev: Development, page, name: str) -> None:
    open_login_page(dev, page)
    page.get_by_role("link", name="Try what can go wrong").click()
    page.get_by_role("button", name=f"Try: {MISHAPS[name].title}").click()
    page.get_by_role("link", name=dev.url).click()
    page.get_by_role("link", name="Log in").click()
    page.locator("button[name=sub][value='ordinary']").click()
    page.wait_for_url(f"{dev.url}/**")
    if says := MISHAPS[name].site_says:
        assert says in page.inner_text("main")
        page.get_by_role("link", name="Try again").click()
        page.get_by_role("button", name="Back to normal").click()
        # The service remembers who has logged in there, so the login goes on.
        page.wait_for_url(f"{dev.url}/**")
    for _ in range(20):  # the site finds out within a moment that the service responds again
        if page.get_by_role("button", name="Log out").is_visible():
            return
        time.sleep(0.5)
        page.goto(f"{dev.url}/oidc/authenticate/")
    raise AssertionError(page.inner_text("body"))


def test_a_logout_at_the_service_reaches_the_site(dev: Development, page) -> None:
    log_in(dev, page, "ordinary")
    page.goto(f"{dev.op_url}/")
    page.get_by_role("button", name="Log out everywhere: Olivia Ordinary").click()
    assert "The site said 200" in page.inner_text("h1")
    page.goto(dev.url)
    assert page.get_by_role("link", name="Log in").is_visible()


def test_a_person_who_is_disabled_is_out_at_the_next_renewal_and_cannot_come_back(dev: Development, page) -> None:
    log_in(dev, page, "ordinary")
    page.goto(f"{dev.op_url}/")
    page.get_by_role("button", name="Disable: Olivia Ordinary").click()
    time.sleep(RENEWAL_SECONDS + 1)
    page.goto(f"{dev.url}/profile/")
    assert page.url.startswith(dev.op_url)
    assert "On purpose: ordinary is disabled" in page.inner_text(".notice")
    page.locator("button[name=sub][value='ordinary']").click()
    page.wait_for_url(f"{dev.url}/**")
    assert MISHAPS["deny"].site_says in page.inner_text("main")
    page.goto(f"{dev.op_url}/")
    page.get_by_role("button", name="Back to normal").click()
    log_in(dev, page, "ordinary")
    assert page.url == f"{dev.url}/profile/"


def test_the_page_that_ends_a_session_says_whose(dev: Development, page) -> None:
    log_in(dev, page, "staff")
    page.goto(f"{dev.op_url}/end-session")
    assert page.inner_text("h1") == "Log out Sam Staff?"
    page.get_by_role("button", name="Log out").click()
    assert page.inner_text("h1") == "You are logged out"
    page.goto(dev.url)
    assert page.get_by_role("link", name="Log in").is_visible()


def test_pages_of_the_service_are_accessible(dev: Development, page, require: Callable[[object, str], None]) -> None:
    require(AXE.exists(), "no axe-core: npm install --no-package-lock --prefix tests/sites/interop")
    open_login_page(dev, page)
    assert violations(page) == []
    for path in ("/", "/end-session", "/authorize"):
        page.goto(dev.op_url + path)
        assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_pages_fit_and_can_be_read(dev: Development, page, scheme: str, width: int) -> None:
    errors = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("request", lambda request: errors.extend([request.url] * (not request.url.startswith("http://localhost:"))))
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 700})
    log_in(dev, page, "staff")
    for url in (f"{dev.url}/oidc/authenticate/?prompt=login", f"{dev.op_url}/", f"{dev.op_url}/end-session"):
        page.goto(url)
        page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for text, colours in page.evaluate(COLOURS):
            assert contrast(*colours) >= 4.5, (text, colours)
    assert errors == []


# For each element with text of its own: the text, its colour, and the colour behind it.
COLOURS = """Array.from(document.querySelectorAll('body *'))
    .filter(element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
    .map(element => {
        let behind = element;
        while (behind && getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
        return [element.innerText, [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor]];
    })"""


def test_people_are_read_anew_and_a_broken_file_is_told_in_one_line(dev: Development, page) -> None:
    file = dev.site.folder / "dev" / "users.json"
    before, log_before = file.read_text(), len(dev.server.log.read_text())
    try:
        file.write_text(before.replace("Olivia", "Olga")[:-3])
        open_login_page(dev, page)
        assert re.fullmatch(
            r"dev/users\.json cannot be read: .*line \d+ column \d+.*", page.get_by_role("alert").inner_text()
        )
        assert page.get_by_role("button", name="Olivia Ordinary").is_visible()
        log = dev.wait_for_log("dev/users.json cannot be read", log_before)
        assert log.count("users.json cannot be read") == 1
        assert "Traceback" not in log
        file.write_text('[{"sub": "one"}, {"sub": "one"}]')
        page.reload()
        assert 'each with a text "sub" of its own' in page.get_by_role("alert").inner_text()
        file.write_text(before.replace("Olivia", "Olga"))
        page.reload()
        assert page.get_by_role("alert").count() == 0
        assert page.get_by_role("button", name="Olga Ordinary").is_visible()
    finally:
        file.write_text(before)


def test_it_says_what_runs_and_who_there_is(dev: Development) -> None:
    log = dev.server.log.read_text()
    for text in (f"{dev.url}/", dev.op_url, "Ctrl-C stops everything"):
        assert text in log
    for person in people(dev):
        assert re.search(rf"{person['preferred_username']} +{re.escape(person['about'])}", log)


# Changes of .env, and the end


def test_a_change_of_env_takes_effect_and_a_mistake_does_not(short_lived: Development) -> None:
    site, server = short_lived.site, short_lived.server
    login = f"{short_lived.url}/oidc/authenticate/"
    set_variable(site, "OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS", "soon")
    log = short_lived.wait_for_log("The site goes on with .env as it was before.")
    assert "OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS is wrong: must be a whole number" in log
    assert requests.get(short_lived.url, timeout=5).status_code == 200
    set_variable(site, "OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS", "60")
    set_variable(site, "OIDC_RP_CLIENT_ID", "another-client")
    short_lived.wait_for_log(".env has changed")
    for _ in range(150):
        try:
            location = requests.get(login, allow_redirects=False, timeout=5).headers["Location"]
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            break
    # Site and sign-in service agree on what is new.
    assert "client_id=another-client" in location
    assert requests.get(location, timeout=5).status_code == 200
    assert "Traceback" not in server.log.read_text()
    assert server.interrupt() == 0
    assert all(is_free(int(url.rpartition(":")[2])) for url in (short_lived.url, short_lived.op_url))


def test_nothing_is_left_behind_even_if_it_is_killed(short_lived: Development) -> None:
    os.kill(short_lived.server.process.pid, signal.SIGKILL)
    short_lived.server.process.wait(10)
    ports = [int(url.rpartition(":")[2]) for url in (short_lived.url, short_lived.op_url)]
    for _ in range(50):
        if all(map(is_free, ports)):
            return
        time.sleep(0.1)
    raise AssertionError("The site goes on without the command that started it.")


def end_of(installed: Callable[..., Site], **environment: str) -> subprocess.CompletedProcess[str]:
    """Return how `manage.py dev` ends that cannot start."""
    return installed().try_to_run("uv", "run", "manage.py", "dev", **environment)


@pytest.mark.parametrize("name", ["SITE_URL", "OIDC_OP_ISSUER"])
def test_a_port_that_is_taken_is_told_in_one_line(installed: Callable[..., Site], name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        urls = {"SITE_URL": f"http://localhost:{free_port()}", "OIDC_OP_ISSUER": f"http://localhost:{free_port()}"}
        end = end_of(installed, **urls | {name: f"http://localhost:{port}"})
    assert end.returncode == 1
    assert re.search(
        f"^CommandError: Port {port} of {name} cannot be used .*choose another port", end.stderr, re.MULTILINE
    )
    assert "Traceback" not in end.stderr


def test_it_serves_plain_http_only(installed: Callable[..., Site]) -> None:
    end = end_of(installed, SITE_URL="https://app.example.org")
    assert (end.returncode, "set SITE_URL=http://localhost:8000" in end.stderr) == (1, True)


def test_a_database_that_is_missing_is_told_in_one_line(installed: Callable[..., Site]) -> None:
    url = f"http://localhost:{free_port()}"
    end = end_of(installed, SITE_URL=url, DATABASE_URL=f"postgres://nobody@localhost:{free_port()}/none")
    assert end.returncode == 1
    assert re.search(r"^CommandError: No database at localhost \(.*correct DATABASE_URL", end.stderr, re.MULTILINE)
    assert "Traceback" not in end.stderr


def contrast(*colours: str) -> float:
    """Return the contrast ratio of two CSS colours (WCAG 2.2, 1.4.3)."""

    def luminance(colour: str) -> float:
        channels = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted(map(luminance, colours))
    return (lighter + 0.05) / (darker + 0.05)

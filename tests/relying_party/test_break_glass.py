"""Break-glass: the admin's own password form, for the day on which the OP is down."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from oidc.break_glass import MAX_ATTEMPTS, WINDOW
from oidc.models import SignIn
from oidc.testing.browser import Browser
from oidc.testing.fixtures import forget
from oidc.testing.op import OP, dead

PASSWORD = "correct horse battery staple"
CLOSED, FORM, IN = 429, 200, 302


@pytest.fixture
def is_open(settings: Any) -> None:
    """A site with break-glass on, as its settings put it together."""
    settings.BREAK_GLASS_LOGIN = True
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, "django.contrib.auth.backends.ModelBackend"]
    settings.OIDC_OP_ISSUER = "https://op.invalid"


@pytest.fixture
def client() -> Client:
    return Client(SERVER_NAME="localhost")


@pytest.fixture
def root(db: None) -> User:
    """A superuser who has a password."""
    return User.objects.create_superuser("root", password=PASSWORD)


def enter(client: Client, password: str, username: str = "root", next_url: str = "/admin/") -> HttpResponse:
    return client.post(f"/admin/password/?next={next_url}", {"username": username, "password": password})


def test_it_does_not_exist_unless_a_setting_turns_it_on(client: Client, root: User) -> None:
    assert client.get("/admin/password/").status_code == 404
    assert enter(client, PASSWORD).status_code == 404
    assert not SignIn.objects.exists()


@pytest.mark.usefixtures("is_open")
def test_it_shows_the_admins_own_form(client: Client, db: None) -> None:
    response = client.get("/admin/password/")
    assert response.status_code == FORM
    assert 'name="password"' in response.content.decode()
    assert "no-store" in response["Cache-Control"]


@pytest.mark.usefixtures("is_open")
def test_staff_with_a_password_get_in_for_an_hour(client: Client, root: User, caplog) -> None:
    assert enter(client, PASSWORD)["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200
    assert client.session.get_expiry_age() <= 60 * 60
    assert f"password login succeeded user={root.pk}" in caplog.text


@pytest.mark.usefixtures("is_open")
def test_the_login_is_recorded_as_one_by_password(client: Client, root: User) -> None:
    enter(client, PASSWORD)
    assert list(SignIn.objects.values_list("user", "by_password", "refused")) == [(root.pk, True, "")]


@pytest.mark.usefixtures("is_open")
def test_such_a_session_needs_no_op_until_it_ends(client: Client, root: User, settings) -> None:
    settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = settings.OIDC_SESSION_MAX_SECONDS = 0.001
    enter(client, PASSWORD)
    assert client.get("/admin/").status_code == 200


@pytest.mark.usefixtures("is_open")
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"is_staff": False}, id="not-staff"),
        pytest.param({"is_staff": True, "is_active": False}, id="deactivated"),
    ],
)
def test_others_do_not_get_in_whatever_their_password(client: Client, db: None, fields: dict) -> None:
    User.objects.create_user("visitor", password=PASSWORD, **fields)
    assert enter(client, PASSWORD, "visitor").status_code == FORM
    assert "_auth_user_id" not in client.session


@pytest.mark.usefixtures("is_open")
@pytest.mark.parametrize("password", ["", "!", PASSWORD])
def test_a_user_who_only_logs_in_at_the_op_has_no_password_to_guess(client: Client, db: None, password: str) -> None:
    user = User(username="kim", is_staff=True)
    user.set_unusable_password()
    user.save()
    assert enter(client, password, "kim").status_code == FORM


@pytest.mark.usefixtures("is_open")
@pytest.mark.parametrize("username", ["root", "nobody"])
def test_five_wrong_passwords_close_it_for_that_name(client: Client, root: User, username: str, caplog) -> None:
    for _ in range(MAX_ATTEMPTS):
        assert enter(client, "wrong password", username).status_code == FORM
    response = enter(client, PASSWORD, username)
    assert response.status_code == CLOSED
    assert "Wait a quarter of an hour." in response.content.decode()
    assert "_auth_user_id" not in client.session
    assert "password login refused" in caplog.text
    assert "password login closed" in caplog.text


@pytest.mark.usefixtures("is_open")
def test_names_and_passwords_are_not_logged(client: Client, root: User, caplog) -> None:
    with caplog.at_level(logging.DEBUG, "oidc"):
        enter(client, "wrong password", "a name that may be a password")
        enter(client, PASSWORD)
    assert "wrong password" not in caplog.text
    assert "a name that may be a password" not in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.usefixtures("is_open")
@pytest.mark.parametrize("spelling", [" root", "root ", "\uff52\uff4f\uff4f\uff54", "ro\0ot"])
def test_another_spelling_of_a_name_gets_no_attempts_of_its_own(client: Client, root: User, spelling: str) -> None:
    for _ in range(MAX_ATTEMPTS):
        enter(client, "wrong password")
    assert enter(client, PASSWORD, spelling).status_code == CLOSED


@pytest.mark.usefixtures("is_open")
def test_it_stays_open_for_other_names(client: Client, root: User) -> None:
    for _ in range(MAX_ATTEMPTS + 1):
        enter(client, "wrong password", "nobody")
    assert enter(client, PASSWORD).status_code == IN


@pytest.mark.usefixtures("is_open")
def test_it_is_closed_in_every_browser(client: Client, root: User) -> None:
    for _ in range(MAX_ATTEMPTS):
        enter(Client(SERVER_NAME="localhost"), "wrong password")
    assert enter(client, PASSWORD).status_code == CLOSED


@pytest.mark.usefixtures("is_open")
def test_it_opens_again_after_a_quarter_of_an_hour(client: Client, root: User) -> None:
    for _ in range(MAX_ATTEMPTS):
        enter(client, "wrong password")
    SignIn.objects.update(at=timezone.now() - WINDOW - timedelta(seconds=1))
    assert enter(client, PASSWORD).status_code == IN


@pytest.mark.usefixtures("is_open")
def test_knocking_at_a_closed_door_does_not_keep_it_closed(client: Client, root: User) -> None:
    for _ in range(MAX_ATTEMPTS + 3):
        enter(client, "wrong password")
    assert SignIn.objects.filter(refused="wrong_password").count() == MAX_ATTEMPTS


@pytest.mark.usefixtures("is_open")
def test_a_right_password_costs_no_attempt(client: Client, root: User) -> None:
    for _ in range(MAX_ATTEMPTS + 1):
        assert enter(Client(SERVER_NAME="localhost"), PASSWORD).status_code == IN


@pytest.mark.usefixtures("is_open")
@pytest.mark.parametrize("username", ["", "x" * 10_000, "%ED%A0%80", "%FF", "%00", "%F0%9F%94%91"])
def test_no_name_breaks_it(client: Client, db: None, username: str) -> None:
    form = "application/x-www-form-urlencoded"
    assert client.post("/admin/password/", f"username={username}&password=x", form).status_code == FORM
    assert client.post("/admin/password/", "", form).status_code == FORM


@pytest.mark.usefixtures("is_open")
@pytest.mark.parametrize("next_url", ["https://evil.example.org/", "//evil.example.org/"])
def test_it_leads_to_no_other_site(client: Client, root: User, settings, next_url: str) -> None:
    assert enter(client, PASSWORD, next_url=next_url)["Location"] == settings.LOGIN_REDIRECT_URL


@pytest.mark.usefixtures("is_open")
def test_the_form_is_protected_against_other_sites(db: None, root: User) -> None:
    assert enter(Client(enforce_csrf_checks=True, SERVER_NAME="localhost"), PASSWORD).status_code == 403


@pytest.mark.usefixtures("is_open")
def test_attempts_at_the_same_time_are_counted_too(shared_database: None) -> None:
    User.objects.create_superuser("root", password=PASSWORD)

    def guess(number: int) -> int:
        try:
            return enter(Client(SERVER_NAME="localhost"), f"wrong password {number}").status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(guess, range(16)))
    assert outcomes.count(FORM) <= MAX_ATTEMPTS
    assert set(outcomes) <= {FORM, CLOSED}


@pytest.fixture
def overdue_staff(browser: Browser, op: OP, is_open: None, settings: Any) -> Browser:
    """Somebody of the staff, with a password, whose session at the OP was due long ago, and an OP that is down."""
    settings.OIDC_OP_ISSUER = op.issuer
    browser.log_in()
    User.objects.update(is_staff=True, is_superuser=True, password=make_password(PASSWORD))
    browser.client.logout()
    browser.log_in()
    browser.age(5_000)
    op.faults = dict.fromkeys(op.endpoints, dead)
    forget()
    return browser


def test_staff_whose_session_is_overdue_get_in_by_password(overdue_staff: Browser) -> None:
    assert overdue_staff.get("/admin/").status_code == 503
    assert 'name="password"' in overdue_staff.get("/admin/password/?next=/admin/").content.decode()
    form = {"username": overdue_staff.user.username, "password": PASSWORD, "next": "/admin/"}
    assert overdue_staff.post("/admin/password/", form).status_code == 302
    assert overdue_staff.get("/admin/").status_code == 200


def test_staff_whose_session_is_overdue_can_log_out_of_the_admin(overdue_staff: Browser) -> None:
    assert overdue_staff.post("/admin/logout/").status_code == 302
    assert not overdue_staff.is_signed_in

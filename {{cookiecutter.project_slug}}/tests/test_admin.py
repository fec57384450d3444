"""The admin behind the OP, its emergency door, and what it shows of people."""

import logging

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts.models import Identity, SignIn, User
from tests.browser import Browser

PASSWORD = "correct horse battery staple"


@pytest.fixture
def administrator(browser: Browser) -> Browser:
    browser.log_in("administrator")
    return browser


@pytest.fixture
def emergency(db, client, settings):
    """A client of a site whose emergency door is open, and a superuser with a password."""
    settings.BREAK_GLASS_LOGIN = True
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, "django.contrib.auth.backends.ModelBackend"]
    User.objects.create_superuser("root", password=PASSWORD)
    return client


def enter(client, password: str, username: str = "root"):
    return client.post("/admin/password/?next=/admin/", {"username": username, "password": password})


def test_staff_reach_the_admin_through_the_op(browser: Browser) -> None:
    login = browser.get("/admin/login/?next=/admin/")["Location"]
    assert browser.log_in("staff", login)["Location"] == "/admin/"
    assert browser.get("/admin/").status_code == 200


def test_others_get_a_page_that_says_so_and_no_loop(browser: Browser) -> None:
    browser.log_in("ordinary")
    response = browser.client.get("/admin/", follow=True)
    assert response.status_code == 403
    assert "not as staff" in response.content.decode()


def test_the_password_form_is_closed_unless_the_environment_opens_it(client, db) -> None:
    assert client.get("/admin/password/").status_code == 404
    assert enter(client, PASSWORD).status_code == 404


def test_the_emergency_door_lets_staff_with_a_password_in_for_an_hour(emergency, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        assert enter(emergency, PASSWORD)["Location"] == "/admin/"
    assert emergency.get("/admin/").status_code == 200
    assert emergency.session.get_expiry_age() <= 3600
    assert SignIn.objects.get().by_password
    assert "password login succeeded user=" in caplog.text


def test_the_emergency_door_is_for_staff_only(emergency) -> None:
    User.objects.create_user("visitor", password=PASSWORD)
    assert enter(emergency, PASSWORD, "visitor").status_code == 200
    assert "_auth_user_id" not in emergency.session


@pytest.mark.parametrize("username", ["root", "nobody"])
def test_wrong_passwords_close_the_emergency_door_for_that_name(emergency, username: str, caplog) -> None:
    for _ in range(5):
        assert enter(emergency, "wrong", username).status_code == 200
    assert enter(emergency, PASSWORD, username).status_code == 429
    assert "password login refused" in caplog.text
    assert PASSWORD not in caplog.text


def test_another_spelling_of_a_name_gets_no_attempts_of_its_own(emergency) -> None:
    for _ in range(5):
        enter(emergency, "wrong")
    assert enter(emergency, PASSWORD, " \uff52oot ").status_code == 429


def test_wrong_passwords_for_one_name_leave_the_door_open_for_another(emergency) -> None:
    for _ in range(6):
        enter(emergency, "wrong", "nobody")
    assert enter(emergency, PASSWORD).status_code == 302


def test_a_user_can_be_made_ahead_of_the_first_login(administrator: Browser, op: str, person) -> None:
    form = {
        "username": "prepared",
        "email": "",
        "identities-TOTAL_FORMS": "1",
        "identities-INITIAL_FORMS": "0",
        "identities-0-issuer": op,
        "identities-0-subject": "person",
    }
    response = administrator.client.post(reverse("admin:accounts_user_add"), form)
    assert response.status_code == 302, response.content.decode()
    newcomer = Browser()
    newcomer.log_in(person({}))
    assert newcomer.user.username == "prepared"
    assert not newcomer.user.has_usable_password()


def test_identities_are_shown_and_cannot_be_changed(administrator: Browser) -> None:
    identity = Identity.objects.get()
    page = administrator.get(reverse("admin:accounts_user_change", args=[identity.user_id])).content.decode()
    assert identity.issuer in page
    assert 'name="identities-0-subject"' not in page
    assert 'name="identities-0-DELETE"' in page


def test_recent_sign_ins_are_shown(administrator: Browser, person) -> None:
    known = Browser()
    known.log_in(person({}))
    user = known.user
    User.objects.filter(pk=user.pk).update(is_active=False)
    Browser().log_in("person")
    page = administrator.get(reverse("admin:accounts_user_change", args=[user.pk])).content.decode()
    assert "signed in" in page
    assert "user_inactive" in page


@pytest.mark.parametrize("who", ["kim@example.org", "person"])
def test_a_person_can_be_shut_out_by_address_or_subject(browser: Browser, person, who: str, capsys, caplog) -> None:
    browser.log_in(person({"email": "kim@example.org"}))
    key = browser.client.session.session_key
    with caplog.at_level(logging.INFO):
        call_command("deactivate_user", who)
    assert not User.objects.get().is_active
    assert not browser.client.session.exists(key)
    assert "1 session" in capsys.readouterr().out
    assert "user deactivated user=" in caplog.text


@pytest.mark.parametrize(("who", "says"), [("nobody", "No user"), ("kim@example.org", "2 users")])
def test_shutting_out_names_nobody_by_guess(db, who: str, says: str) -> None:
    for name in ("first", "second"):
        User.objects.create_user(name, "kim@example.org")
    with pytest.raises(CommandError, match=says):
        call_command("deactivate_user", who)
    assert User.objects.filter(is_active=True).count() == 2


def test_each_event_has_one_line_in_the_log(browser: Browser, person, settings, caplog, transactional_db) -> None:
    settings.OIDC_MANAGED_GROUPS = ["editors"]
    with caplog.at_level(logging.INFO):
        browser.log_in(person({"email": "kim@example.org", "groups": ["editors"]}))
        browser.log_in(person({"email": "kim@example.org", "groups": []}))
        user = browser.user
        browser.client.post(reverse("oidc_logout"))
    lines = [record.getMessage() for record in caplog.records if record.name in ("accounts.audit", "oidc.views")]
    assert lines == [
        f"rights changed user={user.pk} gained=editors lost=-",
        f"user created user={user.pk}",
        f"identity linked user={user.pk} issuer={browser.issuer}",
        f"login succeeded user={user.pk} issuer={browser.issuer}",
        f"rights changed user={user.pk} gained=- lost=editors",
        f"login succeeded user={user.pk} issuer={browser.issuer}",
        f"logout user={user.pk}",
    ]
    assert "kim@example.org" not in caplog.text

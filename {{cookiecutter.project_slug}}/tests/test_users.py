"""The user policy, as whole logins: who a person is here, and what she may do."""

import pytest

from accounts import usernames
from accounts.models import Identity, User
from tests.browser import Browser

OLIVIA = "olivia@example.org"
ADA = "ada@example.org"


@pytest.mark.parametrize(
    ("matching", "sub", "email", "finds"),
    [
        ("subject", "ordinary", OLIVIA, False),
        ("verified_email", "ordinary", OLIVIA, True),
        ("verified_email", "ordinary", OLIVIA.upper(), True),
        ("verified_email", "unverified-email", ADA, False),
        ("verified_email", "no-email", "", False),
        ("email", "unverified-email", ADA, True),
        ("email", "no-email", "", False),
    ],
)
def test_first_login_finds_an_existing_user(browser: Browser, settings, matching, sub, email, finds) -> None:
    settings.OIDC_USER_MATCHING = matching
    existing = User.objects.create_user("existing", email)
    browser.log_in(sub)
    assert (browser.user == existing) is finds


def test_a_verified_address_does_not_open_a_staff_account(browser: Browser, settings) -> None:
    settings.OIDC_USER_MATCHING = "verified_email"
    boss = User.objects.create_user("boss", OLIVIA, is_staff=True)
    browser.log_in("ordinary")
    assert browser.user != boss


def test_an_account_that_belongs_to_a_subject_is_not_given_to_another(browser: Browser, settings) -> None:
    settings.OIDC_USER_MATCHING = "verified_email"
    owner = User.objects.create_user("owner", OLIVIA)
    Identity.objects.create(user=owner, issuer="https://other.example.org", subject="owner")
    browser.log_in("ordinary")
    assert browser.user != owner


def test_two_accounts_with_one_address_let_nobody_in(browser: Browser, settings) -> None:
    settings.OIDC_USER_MATCHING = "verified_email"
    User.objects.create_user("first", OLIVIA)
    User.objects.create_user("second", OLIVIA)
    assert browser.log_in("ordinary").status_code == 403


def test_a_changed_address_keeps_the_account(browser: Browser, op: str) -> None:
    user = User.objects.create_user("olivia", "before@example.org")
    Identity.objects.create(user=user, issuer=op, subject="ordinary")
    browser.log_in("ordinary")
    assert browser.user == user
    assert browser.user.email == OLIVIA


def test_a_closed_account_cannot_log_in(browser: Browser, op: str) -> None:
    user = User.objects.create_user("olivia", is_active=False)
    Identity.objects.create(user=user, issuer=op, subject="ordinary")
    response = browser.log_in("ordinary")
    assert response.status_code == 403
    assert "deactivated" in response.content.decode()


@pytest.mark.parametrize(
    ("source", "sub", "username"),
    [
        ("preferred_username", "ordinary", "olivia"),
        ("email", "ordinary", OLIVIA),
        ("email", "no-email", None),
        ("hash", "ordinary", None),
    ],
)
def test_usernames_come_from_the_chosen_claim(browser: Browser, settings, source, sub, username) -> None:
    settings.OIDC_USERNAME = source
    browser.log_in(sub)
    if username:
        assert browser.user.username == username
    else:
        assert len(browser.user.username) >= 20


def test_a_username_that_is_taken_gets_a_number(browser: Browser) -> None:
    User.objects.create_user("olivia")
    browser.log_in("ordinary")
    assert browser.user.username == "olivia-2"


@pytest.mark.parametrize(
    ("value", "clean"), [("Zoë O'Hara", "Zoë-O-Hara"), ("\uff41\0b", "a-b"), ("x" * 200, "x" * 150), (7, ""), ("'", "")]
)
def test_usernames_hold_what_django_allows(value: object, clean: str) -> None:
    assert usernames.clean(value) == clean


def test_groups_at_the_op_give_and_take_rights(browser: Browser, op: str) -> None:
    demoted = User.objects.create_user("olivia", is_staff=True, is_superuser=True)
    Identity.objects.create(user=demoted, issuer=op, subject="ordinary")
    browser.log_in("ordinary")
    assert (browser.user.is_staff, browser.user.is_superuser) == (False, False)
    browser.log_in("administrator")
    assert (browser.user.is_staff, browser.user.is_superuser) == (True, True)

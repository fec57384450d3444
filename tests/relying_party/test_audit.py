"""What happened to whom: one line in the log for each event, and a record of each login."""

import importlib
import logging
import pkgutil
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.core.management import call_command
from django.test import Client

import oidc
from oidc.backends import OIDCAuthenticationBackend
from oidc.building_blocks import rights, users
from oidc.building_blocks.claims import groups
from oidc.models import Identity, LoginSession, SignIn
from oidc.signals import login_refused
from oidc.testing.browser import Browser
from oidc.testing.op import OP, PERSON

KIM = {"given_name": "Kimberly", "preferred_username": "kim", "groups": ["editors"]}


class Audited(OIDCAuthenticationBackend):
    """Copies what people are called, and gives rights by groups."""

    def update_user(self, user: Any, claims: Any) -> Any:
        users.copy_claims(user, claims, {"email": "email", "given_name": "first_name"})
        user.save()
        managed = {"editors": "Editors", "authors": "Authors"}
        rights.apply(user, groups(claims, "groups"), superusers=["administrators"], managed=managed)
        return user


@pytest.fixture
def policy(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Audited"]


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of this package, from INFO."""
    caplog.set_level(logging.INFO, "oidc")
    return caplog


@pytest.fixture
def user(op: OP, db: None) -> User:
    """A user whom the OP knows as `PERSON`."""
    user = User.objects.create_user("kim")
    Identity.objects.create(user=user, issuer=op.issuer, subject=PERSON["sub"])
    return user


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("oidc")]


# Lines


@pytest.mark.usefixtures("transactional_db", "policy")
def test_each_event_has_one_line(log_in, caplog) -> None:
    log_in(KIM)
    browser = log_in(KIM | {"groups": ["authors", "administrators"]})
    key, issuer = User.objects.get().pk, browser.op.issuer
    browser.post("/oidc/logout/")
    call_command("deactivate_user", "kim")
    assert lines(caplog) == [
        f"rights changed user={key} gained=Editors lost=-",
        f"user created user={key}",
        f"identity linked user={key} issuer={issuer}",
        f"login succeeded user={key} issuer={issuer}",
        f"rights changed user={key} gained=Authors,is_staff,is_superuser lost=Editors",
        f"login succeeded user={key} issuer={issuer}",
        f"logout user={key}",
        # The session of the first login.
        f"user deactivated user={key} sessions=1",
    ]


@pytest.mark.usefixtures("transactional_db", "policy")
def test_an_identity_that_moves_has_a_line_for_its_new_user(log_in, caplog, settings) -> None:
    log_in(KIM)
    other = User.objects.create_user("other", "other@example.org")
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.ByAddress"]
    caplog.clear()
    browser = log_in(KIM | {"email": "other@example.org"})
    assert lines(caplog) == [
        f"identity linked user={other.pk} issuer={browser.op.issuer}",
        f"login succeeded user={other.pk} issuer={browser.op.issuer}",
    ]


class ByAddress(OIDCAuthenticationBackend):
    def filter_users_by_claims(self, claims: Any) -> Any:
        return users.by_email(claims)


@pytest.mark.usefixtures("transactional_db")
def test_a_refusal_has_one_line_and_changes_nothing(log_in, caplog, settings) -> None:
    settings.OIDC_CREATE_USER = False
    log_in(KIM)
    (line,) = lines(caplog)
    assert re.match(r"login refused reason=user_unknown reference=[0-9A-F]{8} issuer=http\S+ endpoint=- ", line)


@pytest.mark.usefixtures("transactional_db", "policy")
def test_lines_name_users_by_their_key_and_tell_nothing_else_of_them(log_in, caplog) -> None:
    log_in(KIM).post("/oidc/logout/")
    User.objects.update(is_active=False)
    log_in(KIM)
    for personal in (PERSON["email"], "Kimberly", "kim"):
        assert personal not in caplog.text


@pytest.mark.usefixtures("transactional_db", "policy")
def test_a_renewal_has_a_line_of_its_own(log_in, caplog) -> None:
    browser = log_in(KIM)
    browser.age(15 * 60 + 1)
    caplog.clear()
    browser.get(browser.visit_op(browser.get("/page/")["Location"]))
    assert lines(caplog) == [f"login renewed user={browser.user.pk} issuer={browser.op.issuer}"]


def test_every_logger_of_the_package_is_below_its_name() -> None:
    names = [module.name for module in pkgutil.walk_packages(oidc.__path__, "oidc.")]
    loggers = [vars(importlib.import_module(name)).get("logger") for name in names if ".migrations" not in name]
    found = [logger.name for logger in loggers if logger is not None]
    assert "oidc.audit" in found
    assert all(name.startswith("oidc.") for name in found)


# Records


@pytest.mark.usefixtures("user")
def test_a_login_is_recorded(log_in) -> None:
    user = log_in().user
    assert list(SignIn.objects.values_list("user", "by_password", "refused")) == [(user.pk, False, "")]


@pytest.mark.usefixtures("user")
def test_a_renewal_is_not_recorded_as_a_login(browser: Browser) -> None:
    browser.log_in()
    browser.age(15 * 60 + 1)
    browser.get(browser.visit_op(browser.get("/page/")["Location"]))
    assert SignIn.objects.count() == 1


def test_the_refusal_of_somebody_who_is_known_is_recorded(log_in, user: User) -> None:
    User.objects.update(is_active=False)
    log_in()
    assert list(SignIn.objects.values_list("user", "by_password", "refused")) == [(user.pk, False, "user_inactive")]


def test_refusals_of_strangers_leave_no_record(log_in, settings, caplog) -> None:
    settings.OIDC_CREATE_USER = False
    for number in range(3):
        log_in({"sub": f"stranger-{number}"})
    assert not SignIn.objects.exists()
    assert len(lines(caplog)) == 3


class NewPeopleWait(OIDCAuthenticationBackend):
    """Makes new users inactive, so the login that makes them is refused and takes them back."""

    def create_user(self, claims: Any) -> Any:
        user = super().create_user(claims)
        user.is_active = False
        user.save()
        return user


@pytest.mark.usefixtures("transactional_db")
def test_the_refusal_of_a_user_who_is_taken_back_leaves_no_record(log_in, settings, caplog) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.NewPeopleWait"]
    browser = log_in()
    assert browser.refusals[-1]["reason"].code == "user_inactive"
    assert not SignIn.objects.exists()
    assert len(lines(caplog)) == 1
    # Not even an attempt of one, which would fail on the foreign key.
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_the_page_the_line_and_the_signal_of_a_refusal_have_one_reference(browser: Browser, op: OP, caplog) -> None:
    op.claims["aud"] = "another-client"
    page = browser.log_in().content.decode()
    reference = browser.refusals[-1]["reference"]
    assert f"<code>{reference}</code>" in page
    assert f"reference={reference}" in caplog.text


def test_a_receiver_that_fails_costs_nobody_the_page(browser: Browser, op: OP) -> None:
    def fail(**kwargs: object) -> None:
        raise RuntimeError("a bug of the site")

    op.claims["aud"] = "another-client"
    login_refused.connect(fail)
    try:
        assert browser.log_in().status_code == 403
    finally:
        login_refused.disconnect(fail)


def test_djangos_own_signal_is_sent_once_for_a_login(browser: Browser) -> None:
    told: list[object] = []

    def note(user: object, **kwargs: object) -> None:
        told.append(user)

    user_logged_in.connect(note)
    try:
        browser.log_in()
        browser.age(15 * 60 + 1)
        browser.get(browser.visit_op(browser.get("/page/")["Location"]))
    finally:
        user_logged_in.disconnect(note)
    assert told == [browser.user]


# Sessions


def test_a_logout_forgets_the_session(browser: Browser) -> None:
    browser.log_in()
    assert LoginSession.objects.count() == 1
    browser.post("/oidc/logout/")
    assert not LoginSession.objects.exists()


def test_a_logout_of_nobody_is_no_event(client: Client, db: None, caplog) -> None:
    client.post("/oidc/logout/", SERVER_NAME="localhost")
    client.logout()
    assert lines(caplog) == []


def test_a_session_that_a_test_makes_is_recorded_without_a_password(client: Client, db: None) -> None:
    user = User.objects.create_user("kim")
    client.force_login(user)
    assert list(SignIn.objects.values_list("user", "by_password")) == [(user.pk, False)]

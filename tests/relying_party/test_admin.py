"""The admin behind the OP, and what it shows of people and their logins."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.admin import AdminSite
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import include, path, reverse

from oidc.admin import IdentityInline, SignInAdmin, SignInInline
from oidc.models import Identity, SignIn
from oidc.testing.browser import Browser
from oidc.testing.op import OP, PERSON
from oidc.views import admin_login


class PeopleAdmin(UserAdmin):
    """A team's own `UserAdmin`, as the manual recommends it."""

    inlines = (IdentityInline, SignInInline)


site = AdminSite()
site.register(User, PeopleAdmin)
site.register(SignIn, SignInAdmin)
urlpatterns = [
    path("oidc/", include("oidc.urls")),
    path("admin/login/", admin_login),
    path("admin/", site.urls),
]

with_people = pytest.mark.urls(__name__)


@pytest.fixture
def administrator(db: None) -> Client:
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.create_superuser("administrator"))
    return client


@pytest.fixture
def user(db: None, settings: Any) -> User:
    """A user whom the OP knows as `PERSON`."""
    settings.OIDC_OP_ISSUER = "https://op.example.org"
    user = User.objects.create_user("kim", PERSON["email"])
    Identity.objects.create(user=user, issuer="https://op.example.org", subject=PERSON["sub"])
    return user


def forms(prefix: str, *rows: dict[str, str], initial: int = 0) -> dict[str, str]:
    """Return the fields of an inline as a browser sends them."""
    fields = {f"{prefix}-TOTAL_FORMS": str(len(rows)), f"{prefix}-INITIAL_FORMS": str(initial)}
    return fields | {f"{prefix}-{i}-{name}": value for i, row in enumerate(rows) for name, value in row.items()}


def page_of(user: User, client: Client) -> str:
    return client.get(reverse("admin:auth_user_change", args=[user.pk])).content.decode()


def save(user: User, client: Client, **changes: str) -> None:
    """Save the page of a user, all else as it is."""
    identities = [{"id": str(identity.pk), "user": str(user.pk)} for identity in user.identities.all()]
    fields = {"username": user.username, "email": user.email, "is_active": "on"}
    fields |= {"date_joined_0": "2025-01-01", "date_joined_1": "00:00:00"}
    fields |= forms("identities", *identities, initial=len(identities)) | forms("sign_ins") | changes
    response = client.post(reverse("admin:auth_user_change", args=[user.pk]), fields)
    assert response.status_code == 302, response.content.decode()


# The way in and out


def test_staff_reach_the_admin_through_the_op(browser: Browser, op: OP) -> None:
    user = User.objects.create_user("kim", is_staff=True)
    Identity.objects.create(user=user, issuer=op.issuer, subject=PERSON["sub"])
    login = browser.get("/admin/?page=2")["Location"]
    leaving = browser.get(browser.get(login)["Location"])
    assert leaving["Location"].startswith(f"{op.issuer}/authorize?")
    assert browser.get(browser.visit_op(leaving["Location"]))["Location"] == "/admin/?page=2"
    assert browser.get("/admin/?page=2").status_code == 200


def test_those_who_are_not_staff_are_told_so_and_go_round_in_no_circle(browser: Browser) -> None:
    browser.log_in()
    response = browser.get("/admin/", follow=True)
    assert response.status_code == 403


def test_staff_who_open_the_login_page_go_on(administrator: Client) -> None:
    assert administrator.get("/admin/login/?next=/page/")["Location"] == "/page/"
    assert administrator.get("/admin/login/")["Location"] == "/admin/"


@pytest.mark.parametrize("next_url", ["https://evil.example.org/", "//evil.example.org/", "javascript:alert(1)"])
def test_the_login_page_leads_to_no_other_site(administrator: Client, next_url: str) -> None:
    assert administrator.get("/admin/login/", {"next": next_url})["Location"] == "/admin/"


def test_there_is_no_password_form(client: Client) -> None:
    response = client.post("/admin/login/", {"username": "administrator", "password": "x"})
    assert urlsplit(response["Location"]).path == "/oidc/authenticate/"


def test_logging_out_of_the_admin_goes_on_to_the_op(browser: Browser, op: OP) -> None:
    browser.log_in()
    response = browser.post("/admin/logout/")
    assert response["Location"].startswith(f"{op.issuer}/end-session?")
    assert not browser.is_signed_in


# Identities


@with_people
def test_a_user_can_be_made_ahead_of_the_first_login(administrator: Client, op: OP, log_in) -> None:
    identity = {"issuer": op.issuer, "subject": PERSON["sub"]}
    fields = {"username": "prepared", "usable_password": "false"} | forms("identities", identity) | forms("sign_ins")
    response = administrator.post(reverse("admin:auth_user_add"), fields)
    assert response.status_code == 302, response.content.decode()
    newcomer = log_in()
    assert newcomer.user.username == "prepared"
    assert not newcomer.user.has_usable_password()


@with_people
def test_the_issuer_of_a_new_identity_is_filled_in(administrator: Client, user: User) -> None:
    page = administrator.get(reverse("admin:auth_user_add")).content.decode()
    assert 'name="identities-__prefix__-issuer" value="https://op.example.org"' in page


@with_people
def test_an_identity_can_be_seen_and_not_be_changed(administrator: Client, user: User) -> None:
    page = page_of(user, administrator)
    assert "https://op.example.org" in page
    assert PERSON["sub"] in page
    assert 'name="identities-0-subject"' not in page
    save(
        user, administrator, **{"identities-0-subject": "somebody-else", "identities-0-issuer": "https://evil.example"}
    )
    assert Identity.objects.get().subject == PERSON["sub"]


@with_people
def test_an_identity_can_be_unlinked(administrator: Client, user: User) -> None:
    save(user, administrator, **{"identities-0-DELETE": "on"})
    assert not Identity.objects.exists()


@with_people
def test_an_identity_of_somebody_else_cannot_be_given_to_a_second_user(administrator: Client, user: User) -> None:
    identity = {"issuer": "https://op.example.org", "subject": PERSON["sub"]}
    fields = {"username": "thief", "usable_password": "false"} | forms("identities", identity) | forms("sign_ins")
    assert administrator.post(reverse("admin:auth_user_add"), fields).status_code == 200
    assert not User.objects.filter(username="thief").exists()


# Logins


@with_people
def test_the_logins_of_a_user_are_shown_the_newest_first(administrator: Client, user: User) -> None:
    SignIn.objects.create(user=user, refused="older_reason")
    SignIn.objects.create(user=user, refused="newer_reason")
    SignIn.objects.create(user=User.objects.create_user("other"), refused="reason_of_another")
    page = page_of(user, administrator)
    assert page.index("newer_reason") < page.index("older_reason")
    assert "reason_of_another" not in page


@with_people
def test_the_logins_of_a_user_cannot_be_changed(administrator: Client, user: User) -> None:
    record = SignIn.objects.create(user=user, refused="user_inactive")
    assert not re.search('name="sign_ins-0-(at|refused|by_password|DELETE)"', page_of(user, administrator))
    row = {"id": str(record.pk), "user": str(user.pk), "refused": "", "DELETE": "on"}
    new = {"user": str(user.pk), "refused": "forged"}
    save(user, administrator, **forms("sign_ins", row, new, initial=1))
    assert list(user.sign_ins.values_list("pk", "refused")) == [(record.pk, "user_inactive")]


def test_the_record_of_logins_can_be_read(administrator: Client, user: User) -> None:
    record = SignIn.objects.create(user=user, refused="user_inactive")
    page = administrator.get(reverse("admin:oidc_signin_changelist")).content.decode()
    assert "user_inactive" in page
    assert administrator.get(reverse("admin:oidc_signin_change", args=[record.pk])).status_code == 200


def test_the_record_of_logins_is_for_reading_even_to_superusers(administrator: Client, user: User) -> None:
    record = SignIn.objects.create(user=user, refused="user_inactive")
    change, delete = (reverse(f"admin:oidc_signin_{name}", args=[record.pk]) for name in ("change", "delete"))
    assert administrator.post(change, {"refused": ""}).status_code == 403
    assert administrator.post(delete, {"post": "yes"}).status_code == 403
    assert administrator.post(reverse("admin:oidc_signin_add"), {"refused": ""}).status_code == 403
    selected = {"action": "delete_selected", "_selected_action": str(record.pk), "post": "yes"}
    administrator.post(reverse("admin:oidc_signin_changelist"), selected)
    assert list(user.sign_ins.values_list("pk", "refused")) == [(record.pk, "user_inactive")]


@with_people
def test_a_user_can_be_deleted_with_identities_and_records(administrator: Client, user: User) -> None:
    SignIn.objects.create(user=user, refused="user_inactive")
    administrator.post(reverse("admin:auth_user_delete", args=[user.pk]), {"post": "yes"})
    assert not User.objects.filter(pk=user.pk).exists()
    assert not Identity.objects.exists()
    assert not SignIn.objects.filter(refused="user_inactive").exists()


@with_people
@pytest.mark.parametrize("codename", ["view_identity", "view_signin"])
def test_staff_see_what_their_permissions_allow(user: User, client: Client, codename: str) -> None:
    SignIn.objects.create(user=user, refused="user_inactive")
    helper = User.objects.create_user("helper", is_staff=True)
    helper.user_permissions.set(Permission.objects.filter(codename__in=["view_user", codename]))
    client.force_login(helper)
    page = page_of(user, client)
    assert (PERSON["sub"] in page) is (codename == "view_identity")
    assert ("user_inactive" in page) is (codename == "view_signin")

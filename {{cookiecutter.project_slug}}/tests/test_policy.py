"""Who may log in, who they are here, and what they may do: the policy of `accounts/backends.py` as a table.

Change this file together with the policy; no other test knows it.
"""

import pytest
from django.urls import reverse

from accounts.models import User
from oidc.models import Identity
from oidc.testing.op import ABSENT

KIM = {"sub": "kim", "preferred_username": "kim", "given_name": "Kim", "family_name": "O'Hara", "groups": ["staff"]}
KIM |= {"email": "kim@example.org", "email_verified": True}
# What becomes of a person whom no user matches.
STRANGER = "{{ "new" if cookiecutter.create_users else "refused" }}"


@pytest.fixture
def kim(op, db) -> User:
    """A user who is bound to Kim's subject."""
    user = User.objects.create_user("known", "former@example.org", is_staff=True)
    Identity.objects.create(user=user, issuer=op.issuer, subject="kim")
    return user


@pytest.mark.parametrize(("groups", "may"), [(["staff"], True), ([], True), (ABSENT, True)])
def test_who_may_log_in(kim, log_in, groups: object, may: bool) -> None:
    assert log_in(KIM | {"groups": groups}).is_signed_in is may


@pytest.mark.parametrize(
    ("users", "claims", "who"),
    [
        pytest.param([{"email": "other@example.org"}], {}, STRANGER, id="another-address"),
        pytest.param([{}], {}, {{ "STRANGER" if cookiecutter.user_matching == "subject" else '"existing"' }}, id="same-address"),
        pytest.param([{}], {"email_verified": False}, {{ '"existing"' if cookiecutter.user_matching == "email" else "STRANGER" }}, id="same-address-not-verified"),
        pytest.param([{"is_staff": True}], {}, {{ '"existing"' if cookiecutter.user_matching == "email" else "STRANGER" }}, id="same-address-of-staff"),
        pytest.param([{}, {}], {}, {{ "STRANGER" if cookiecutter.user_matching == "subject" else '"refused"' }}, id="same-address-of-two-users"),
    ],
)
def test_who_a_person_is_at_the_first_login(log_in, users: list[dict], claims: dict, who: str) -> None:
    there = [User.objects.create_user(f"user-{n}", **{"email": KIM["email"]} | user) for n, user in enumerate(users)]
    browser = log_in(KIM | claims)
    found = "existing" if browser.user == there[0] else "new" if browser.is_signed_in else "refused"
    assert found == who


def test_the_username_of_a_new_user(log_in, settings) -> None:
    settings.OIDC_CREATE_USER = True
    username = log_in(KIM).user.username
    {{ {"preferred_username": 'assert username == "kim"', "email": 'assert username == "kim@example.org"', "hash": 'assert "kim" not in username'}[cookiecutter.username] }}


def test_a_later_login_finds_the_same_user_and_brings_it_up_to_date(kim, log_in) -> None:
    user = log_in(KIM).user
    assert user == kim
    assert (user.email, user.first_name, user.last_name) == ("kim@example.org", "Kim", "O'Hara")
    assert user.username == "known"


@pytest.mark.parametrize(
    ("groups", "is_staff", "is_superuser"),
    [
        (["staff"], True, False),
        (["staff", "administrators"], True, True),
        ([], False, False),
        (ABSENT, {{ "False, False),  # no claim, no group" if cookiecutter | preset("no_groups_why") else "True, False),  # no claim changes nothing" }}
    ],
)
def test_which_groups_give_rights(kim, log_in, groups: object, is_staff: bool, is_superuser: bool) -> None:
    log_in(KIM | {"groups": groups})
    kim.refresh_from_db()
    assert (kim.is_staff, kim.is_superuser) == (is_staff, is_superuser)


def test_an_administrator_can_make_a_user_before_the_first_login(admin_client, op, log_in) -> None:
    form = {"username": "prepared", "email": "", "identities-TOTAL_FORMS": "1", "identities-INITIAL_FORMS": "0"}
    form |= {"identities-0-issuer": op.issuer, "identities-0-subject": "kim"}
    form |= {"sign_ins-TOTAL_FORMS": "0", "sign_ins-INITIAL_FORMS": "0"}
    response = admin_client.post(reverse("admin:accounts_user_add"), form)
    assert response.status_code == 302, response.content.decode()
    user = log_in(KIM).user
    assert (user.username, user.has_usable_password()) == ("prepared", False)
    assert admin_client.get(reverse("admin:accounts_user_change", args=[user.pk])).status_code == 200

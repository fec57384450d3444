"""The building blocks of a user policy: whom claims mean, what a new user is called, what is copied into it."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User

from oidc.building_blocks import users
from oidc.models import Identity

ISSUER = "https://op.example.org"
CLAIMS = {"iss": ISSUER, "sub": "person"}
ADDRESS = "mike@example.org"
VERIFIED = {**CLAIMS, "email": ADDRESS, "email_verified": True}
UNVERIFIED = VERIFIED | {"email_verified": False}
SILENT = {**CLAIMS, "email": ADDRESS}

# Letters that some databases take for the ASCII letter in other case; lower() of the last one is even "k".
LOOKALIKES = [
    pytest.param("mike@gıthub.com", "mike@github.com", id="dotless-i"),
    pytest.param("mike@gİthub.com", "mike@github.com", id="dotted-capital-i"),
    pytest.param("ſam@example.org", "sam@example.org", id="long-s"),
    pytest.param("mi\u212ae@example.org", "mike@example.org", id="kelvin-sign"),
    pytest.param("mike@example.org", "mi\u212ae@example.org", id="kelvin-sign-here"),
    pytest.param("STRASSE@example.org", "straße@example.org", id="sharp-s"),
    pytest.param("ﬁona@example.org", "fiona@example.org", id="ligature"),
    pytest.param("ÉVA@example.org", "éva@example.org", id="letter-case-beyond-ascii"),
    pytest.param("mike@examp\u00adle.org", "mike@example.org", id="soft-hyphen"),
    pytest.param("mi_e@example.org", "mike@example.org", id="underscore-is-no-wildcard"),
    pytest.param("mi%@example.org", "mike@example.org", id="percent-is-no-wildcard"),
]

pytestmark = pytest.mark.django_db


def make(**fields: Any) -> User:
    return User.objects.create_user("existing", **{"email": ADDRESS} | fields)


def make_bound(**fields: Any) -> User:
    """Return a user who has logged in before."""
    user = make(**fields)
    Identity.objects.create(user=user, issuer=ISSUER, subject="the-person-before")
    return user


def make_member() -> User:
    """Return a user with a group, which may give permissions."""
    user = make()
    user.groups.add(Group.objects.create(name="Editors"))
    return user


def make_permitted() -> User:
    """Return a user with a permission of their own."""
    user = make()
    user.user_permissions.add(Permission.objects.get(codename="delete_user"))
    return user


@pytest.mark.parametrize(
    ("issuer", "subject", "is_found"),
    [
        pytest.param(ISSUER, "person", True, id="both"),
        pytest.param(ISSUER, "Person", False, id="letter-case-of-the-subject"),
        pytest.param(ISSUER, "person ", False, id="a-space-more"),
        pytest.param(ISSUER + "/", "person", False, id="a-slash-more"),
        pytest.param("https://other.example.org", "person", False, id="another-issuer"),
    ],
)
def test_a_person_is_known_by_exactly_issuer_and_subject(issuer: str, subject: str, is_found: bool) -> None:
    user = make()
    Identity.objects.create(user=user, issuer=ISSUER, subject="person")
    assert users.by_identity({"iss": issuer, "sub": subject}) == ([user] if is_found else [])


def test_identity_is_not_mixed_from_two_bindings() -> None:
    user = make()
    Identity.objects.create(user=user, issuer=ISSUER, subject="one")
    Identity.objects.create(user=user, issuer="https://other.example.org", subject="two")
    assert users.by_identity({"iss": ISSUER, "sub": "two"}) == []


def test_a_user_with_several_bindings_is_known_by_each() -> None:
    user = make()
    for subject in ("one", "two"):
        Identity.objects.create(user=user, issuer=ISSUER, subject=subject)
        assert users.by_identity({"iss": ISSUER, "sub": subject}) == [user]


def test_identity_finds_the_deactivated_too_so_that_they_can_be_told() -> None:
    user = make(is_active=False)
    Identity.objects.create(user=user, issuer=ISSUER, subject="person")
    assert users.by_identity(CLAIMS) == [user]


@pytest.mark.parametrize(
    ("claims", "existing", "is_found"),
    [
        pytest.param(VERIFIED, make, True, id="verified"),
        pytest.param(VERIFIED | {"email_verified": "true"}, make, True, id="verified-as-text"),
        pytest.param(VERIFIED | {"email": "MIKE@Example.ORG"}, make, True, id="letter-case-in-the-claim"),
        pytest.param(VERIFIED, lambda: make(email="Mike@Example.Org"), True, id="letter-case-here"),
        pytest.param(UNVERIFIED, make, False, id="unverified"),
        pytest.param(SILENT, make, False, id="silent"),
        pytest.param(VERIFIED | {"email_verified": 1}, make, False, id="one-is-not-true"),
        pytest.param(VERIFIED | {"email": "other@example.org"}, make, False, id="another-address"),
        pytest.param(VERIFIED | {"email": ""}, lambda: make(email=""), False, id="no-address-is-no-match"),
        pytest.param(CLAIMS | {"email_verified": True}, lambda: make(email=""), False, id="nor-is-an-absent-one"),
        pytest.param(VERIFIED, lambda: make(is_staff=True), False, id="staff"),
        pytest.param(VERIFIED, lambda: make(is_superuser=True), False, id="superuser"),
        pytest.param(VERIFIED, make_member, False, id="with-a-group"),
        pytest.param(VERIFIED, make_permitted, False, id="with-a-permission"),
        pytest.param(VERIFIED, make_bound, False, id="bound-already"),
        pytest.param(VERIFIED, lambda: make(is_active=False), True, id="deactivated-to-be-told"),
        pytest.param(VERIFIED, lambda: make_bound(is_active=False), False, id="deactivated-and-bound"),
    ],
)
def test_a_verified_address_opens_an_account_that_nobody_guards(claims: dict, existing: Any, is_found: bool) -> None:
    user = existing()
    assert users.by_verified_email(claims) == ([user] if is_found else [])


def test_who_is_bound_to_an_account_keeps_nobody_with_the_same_address_out() -> None:
    """They may have entered it at the OP, where nobody has verified it."""
    bound, prepared = make_bound(), User.objects.create_user("second", ADDRESS.upper())
    assert users.by_verified_email(VERIFIED) == [prepared]
    assert {*users.by_email(VERIFIED)} == {bound, prepared}


@pytest.mark.parametrize("existing", [make, make_member])
def test_two_accounts_with_one_address_are_both_returned_so_that_neither_is_guessed(existing: Any) -> None:
    first = existing()
    second = User.objects.create_user("second", ADDRESS.upper())
    assert {*users.by_verified_email(VERIFIED)} == {*users.by_email(VERIFIED)} == {first, second}


def test_of_many_accounts_two_are_enough_to_say_so() -> None:
    for number in range(5):
        User.objects.create_user(f"user-{number}", ADDRESS)
    assert len(users.by_verified_email(VERIFIED)) == 2


@pytest.mark.parametrize("claims", [UNVERIFIED, SILENT, VERIFIED])
def test_an_op_that_hands_out_the_addresses_can_be_trusted_with_them(claims: dict) -> None:
    user = make()
    assert users.by_verified_email(claims, every_address_is_verified=True) == [user]


@pytest.mark.parametrize("existing", [make_bound, make_member, make_permitted, lambda: make(is_staff=True)])
def test_guards_stand_also_where_every_address_is_verified(existing: Any) -> None:
    existing()
    assert users.by_verified_email(SILENT, every_address_is_verified=True) == []


@pytest.mark.parametrize("existing", [make, make_bound, make_member, make_permitted, lambda: make(is_superuser=True)])
@pytest.mark.parametrize("claims", [VERIFIED, UNVERIFIED, SILENT])
def test_by_email_takes_any_address_and_any_account(existing: Any, claims: dict) -> None:
    user = existing()
    assert users.by_email(claims) == [user]


@pytest.mark.parametrize("address", ["", " ", None, 7, "mike@example.org\nx", "mike @example.org", [ADDRESS]])
@pytest.mark.parametrize("stored", ["", ADDRESS])
def test_by_email_needs_an_address(stored: str, address: object) -> None:
    make(email=stored)
    assert users.by_email(CLAIMS | {"email": address}) == []


@pytest.mark.parametrize(("claimed", "stored"), LOOKALIKES)
def test_an_address_that_only_looks_alike_opens_nothing(claimed: str, stored: str) -> None:
    make(email=stored)
    claims = VERIFIED | {"email": claimed}
    assert users.by_verified_email(claims) == users.by_email(claims) == []


def test_an_account_that_only_looks_alike_does_not_hide_the_right_one() -> None:
    for number, address in enumerate(["mi\u212ae@example.org", "mıke@example.org"]):
        User.objects.create_user(f"lookalike-{number}", address)
    user = make()
    assert users.by_verified_email(VERIFIED) == [user]


@pytest.mark.parametrize(
    ("claim", "value", "username"),
    [
        pytest.param("preferred_username", "kim", "kim", id="preferred-username"),
        pytest.param("email", "kim@example.org", "kim@example.org", id="address"),
        pytest.param("preferred_username", "ＫＩＭ o'hara", "KIM-o-hara", id="normalised"),
        pytest.param("preferred_username", "DOMAIN\\kim", "DOMAIN-kim", id="backslash"),
        pytest.param("preferred_username", "Þórdís_þ.+@-", "Þórdís_þ.+@", id="what-django-allows"),
        pytest.param("preferred_username", "<script>", "script", id="markup"),
        pytest.param("preferred_username", "kim\n\0kim", "kim-kim", id="control-characters"),
        pytest.param("preferred_username", "k" * 200, "k" * 150, id="cut"),
    ],
)
def test_a_claim_becomes_a_valid_username(claim: str, value: str, username: str) -> None:
    name = users.username_from(CLAIMS | {claim: value}, claim)
    assert name == username
    User(username=name).full_clean(exclude=["password"])


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        pytest.param(None, {"preferred_username": "kim"}, id="wanted"),
        pytest.param("email", {}, id="absent"),
        pytest.param("email", {"email": None}, id="null"),
        pytest.param("email", {"email": ""}, id="empty"),
        pytest.param("email", {"email": ["kim"]}, id="not-text"),
        pytest.param("email", {"email": "!?/ "}, id="nothing-that-a-username-may-contain"),
    ],
)
def test_a_hash_of_issuer_and_subject_serves_where_a_claim_does_not(claim: str | None, claims: dict) -> None:
    name = users.username_from(CLAIMS | claims, claim)
    assert re.fullmatch(r"[\w-]{27}", name)
    assert name == users.username_from(CLAIMS, None)
    assert name != users.username_from(CLAIMS | {"sub": "another"}, None)
    assert name != users.username_from(CLAIMS | {"iss": "https://other.example.org"}, None)


@pytest.mark.parametrize(
    ("taken", "name", "unused"),
    [
        pytest.param([], "kim", "kim", id="free"),
        pytest.param(["kim"], "kim", "kim-2", id="taken"),
        pytest.param(["kim", "kim-2", "kim-3"], "kim", "kim-4", id="taken-with-numbers"),
        pytest.param(["KIM"], "kim", "kim-2", id="letter-case-aside"),
        pytest.param(["k" * 150], "k" * 150, "k" * 148 + "-2", id="never-too-long"),
    ],
)
def test_a_username_that_is_taken_gets_a_number(taken: list[str], name: str, unused: str) -> None:
    for username in taken:
        User.objects.create_user(username)
    assert users.unused_username(name) == unused


@pytest.mark.parametrize(
    ("claims", "first_name"),
    [
        pytest.param({"given_name": "Kimberly"}, "Kimberly", id="text"),
        pytest.param({"given_name": " Kimberly "}, "Kimberly", id="spaces-around-go"),
        pytest.param({"given_name": "K\0im"}, "Kim", id="nul-goes"),
        pytest.param({"given_name": "k" * 150}, "k" * 150, id="longest"),
        pytest.param({"given_name": ""}, "", id="empty-empties"),
        pytest.param({}, "Before", id="missing-keeps"),
        pytest.param({"given_name": None}, "Before", id="null-keeps"),
        pytest.param({"given_name": 7}, "Before", id="number-keeps"),
        pytest.param({"given_name": True}, "Before", id="boolean-keeps"),
        pytest.param({"given_name": ["Kim"]}, "Before", id="list-keeps"),
        pytest.param({"given_name": {"en": "Kim"}}, "Before", id="object-keeps"),
        pytest.param({"given_name": "k" * 151}, "Before", id="overlong-keeps"),
    ],
)
def test_claims_and_fields(claims: dict, first_name: str) -> None:
    user = make(first_name="Before")
    users.copy_claims(user, CLAIMS | claims, {"given_name": "first_name"})
    user.save()
    assert User.objects.get().first_name == first_name


@pytest.mark.parametrize(
    ("value", "address"),
    [
        pytest.param("kim@example.org", "kim@example.org", id="address"),
        pytest.param("", "", id="empty-empties"),
        pytest.param("kim", ADDRESS, id="what-is-no-address-keeps"),
        pytest.param("kim@example.org\nbcc: all@example.org", ADDRESS, id="line-break-keeps"),
        pytest.param("k" * 250 + "@example.org", ADDRESS, id="overlong-keeps"),
        pytest.param(None, ADDRESS, id="null-keeps"),
    ],
)
def test_an_address_is_copied_only_if_it_can_be_one(value: object, address: str) -> None:
    user = make()
    users.copy_claims(user, CLAIMS | {"email": value}, {"email": "email"})
    assert user.email == address


def test_copying_does_not_save() -> None:
    user = make(first_name="Before")
    users.copy_claims(user, CLAIMS | {"given_name": "After"}, {"given_name": "first_name"})
    assert User.objects.get().first_name == "Before"


def test_fields_that_are_not_named_stay() -> None:
    user = make(first_name="Before", last_name="Before")
    users.copy_claims(user, CLAIMS | {"given_name": "After", "family_name": "After"}, {"given_name": "first_name"})
    assert (user.first_name, user.last_name) == ("After", "Before")

"""The user policy, row by row, as whole logins: who may log in, who they are here, and what they may do."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache

from accounts import usernames
from accounts.models import Identity, User
from oidc.tests.op import ABSENT, CLIENT, OP
from tests.browser import Browser as DevelopmentBrowser

ADDRESS = "kim@example.org"
VERIFIED = {"email": ADDRESS, "email_verified": True}
UNVERIFIED = {"email": ADDRESS, "email_verified": False}


class Browser(DevelopmentBrowser):
    """The browser of a person at the OP of `oidc.tests`: it says whatever a row of the policy needs, and at once."""

    def __init__(self, op: OP, people: dict[str, dict[str, Any]]) -> None:
        super().__init__()
        self.op, self.people = op, people

    def answer(self, authorization_url: str, sub: str) -> str:
        self.op.claims["sub"] = sub
        self.op.userinfo = {"email": ABSENT, "email_verified": ABSENT} | self.people[sub] | {"sub": sub}
        return f"/oidc/callback/?{urlencode(self.op.grant(authorization_url))}"


@pytest.fixture
def people() -> dict[str, dict[str, Any]]:
    return {}


@pytest.fixture
def person(people: dict[str, dict[str, Any]]) -> Callable[..., str]:
    """Return a function that gives the OP a person with `claims` and returns the person's subject."""

    def make(claims: dict[str, Any], sub: str = "person") -> str:
        people[sub] = claims
        return sub

    return make


@pytest.fixture
def browser(db: None, settings, people: dict[str, dict[str, Any]]) -> Iterator[Browser]:
    cache.clear()
    op = OP()
    settings.OIDC_OP_ISSUER = op.issuer
    settings.OIDC_RP_CLIENT_ID, settings.OIDC_RP_CLIENT_SECRET = CLIENT
    people["administrator"] = {"groups": ["administrators"]}
    yield Browser(op, people)
    op.close()


@pytest.fixture
def op(browser: Browser) -> str:
    """The issuer."""
    return browser.issuer


@pytest.mark.parametrize(
    ("matching", "claims", "existing", "outcome"),
    [
        pytest.param("subject", VERIFIED, {}, "new", id="subject-never-goes-by-address"),
        pytest.param("verified_email", VERIFIED, {}, "same", id="verified-address-links"),
        pytest.param("verified_email", VERIFIED | {"email": "KIM@Example.ORG"}, {}, "same", id="case-is-no-difference"),
        pytest.param("verified_email", VERIFIED | {"email_verified": "true"}, {}, "same", id="verified-as-text"),
        pytest.param("verified_email", UNVERIFIED, {}, "new", id="unverified-address-does-not-link"),
        pytest.param("verified_email", {"email": ADDRESS}, {}, "new", id="silence-is-not-verified"),
        pytest.param("verified_email", {"email_verified": True}, {"email": ""}, "new", id="no-address-links-nobody"),
        pytest.param("verified_email", VERIFIED, {"is_staff": True}, "new", id="staff-are-never-linked"),
        pytest.param("verified_email", VERIFIED, {"is_superuser": True}, "new", id="superusers-are-never-linked"),
        pytest.param("verified_email", VERIFIED, {"is_active": False}, "refused", id="deactivated-stays-closed"),
        pytest.param("email", UNVERIFIED, {}, "same", id="email-takes-any-address"),
        pytest.param("email", {}, {"email": ""}, "new", id="email-needs-an-address"),
    ],
)
def test_a_first_login_and_a_user_with_the_same_address(
    browser: Browser, person, settings, matching: str, claims: dict, existing: dict, outcome: str
) -> None:
    settings.OIDC_USER_MATCHING = matching
    user = User.objects.create_user("existing", **{"email": ADDRESS} | existing)
    response = browser.log_in(person(claims))
    if outcome == "refused":
        assert response.status_code == 403
        assert not user.identities.exists()
    else:
        assert (browser.user == user) is (outcome == "same")


def test_an_op_that_hands_out_addresses_can_be_trusted_with_them(browser: Browser, person, settings) -> None:
    settings.OIDC_USER_MATCHING, settings.OIDC_EMAILS_ARE_VERIFIED = "verified_email", True
    user = User.objects.create_user("existing", ADDRESS)
    browser.log_in(person({"email": ADDRESS}))
    assert browser.user == user


@pytest.mark.parametrize("matching", ["verified_email", "email"])
def test_two_accounts_with_one_address_let_nobody_in(browser: Browser, person, settings, matching: str) -> None:
    settings.OIDC_USER_MATCHING = matching
    User.objects.create_user("first", ADDRESS)
    User.objects.create_user("second", ADDRESS)
    response = browser.log_in(person(VERIFIED))
    assert response.status_code == 403
    assert "More than one account" in response.content.decode()


def test_a_recycled_address_does_not_inherit_the_account(browser: Browser, person, settings) -> None:
    settings.OIDC_USER_MATCHING = "verified_email"
    browser.log_in(person(VERIFIED, "first-owner"))
    first = browser.user
    browser.log_in(person(VERIFIED, "second-owner"))
    assert browser.user != first


def test_a_changed_address_keeps_the_account(browser: Browser, person) -> None:
    browser.log_in(person(VERIFIED))
    before = browser.user
    browser.log_in(person({"email": "new@example.org"}))
    assert (browser.user.pk, browser.user.email) == (before.pk, "new@example.org")


def test_subjects_of_two_issuers_are_two_people(browser: Browser, person) -> None:
    other = User.objects.create_user("other")
    Identity.objects.create(user=other, issuer="https://other.example.org", subject="person")
    browser.log_in(person({}))
    assert browser.user != other


def test_without_creation_a_stranger_is_refused_and_told_why(browser: Browser, person, settings, caplog) -> None:
    settings.OIDC_CREATE_USER = False
    response = browser.log_in(person(VERIFIED))
    assert response.status_code == 403
    assert "accounts are made by an administrator" in response.content.decode()
    assert "nobody has subject person" in caplog.text
    assert not User.objects.exists()


def test_without_creation_a_user_who_is_known_by_subject_gets_in(browser: Browser, person, settings, op: str) -> None:
    settings.OIDC_CREATE_USER = False
    user = User.objects.create_user("prepared")
    Identity.objects.create(user=user, issuer=op, subject="person")
    browser.log_in(person(VERIFIED))
    assert browser.user == user


def test_without_creation_a_first_login_binds_the_user_with_the_verified_address(
    browser: Browser, person, settings
) -> None:
    settings.OIDC_CREATE_USER, settings.OIDC_USER_MATCHING = False, "verified_email"
    user = User.objects.create_user("prepared", ADDRESS)
    browser.log_in(person(VERIFIED))
    assert Identity.objects.get().user == browser.user == user


@pytest.mark.parametrize(
    ("source", "claims", "username"),
    [
        pytest.param("preferred_username", {"preferred_username": "kim"}, "kim", id="preferred-username"),
        pytest.param("email", VERIFIED, ADDRESS, id="email"),
        pytest.param("hash", {"preferred_username": "kim"}, None, id="hash"),
        pytest.param("email", {}, None, id="missing-claim-is-hashed"),
        pytest.param("preferred_username", {"preferred_username": "ＫＩＭ o'hara"}, "KIM-o-hara", id="normalised"),
        pytest.param("preferred_username", {"preferred_username": "k" * 200}, "k" * 150, id="cut"),
        pytest.param("preferred_username", {"preferred_username": ["kim"]}, None, id="no-text-is-hashed"),
        pytest.param("preferred_username", {"preferred_username": "Taken"}, "Taken-2", id="taken-gets-a-number"),
    ],
)
def test_usernames(browser: Browser, person, settings, source: str, claims: dict, username: str | None) -> None:
    settings.OIDC_USERNAME = source
    User.objects.create_user("taken")
    browser.log_in(person(claims))
    assert browser.user.username == (username or usernames.propose({"iss": browser.issuer, "sub": "person"}, "hash"))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        pytest.param("Kimberly", "Kimberly", id="text"),
        pytest.param("", "", id="empty-empties"),
        pytest.param(None, "Before", id="null-keeps"),
        pytest.param(7, "Before", id="number-keeps"),
        pytest.param(["Kim"], "Before", id="list-keeps"),
        pytest.param("k" * 151, "Before", id="overlong-keeps"),
        pytest.param("K\0im", "Kim", id="nul-goes"),
        pytest.param(..., "Before", id="missing-keeps"),
    ],
)
def test_claims_and_fields(browser: Browser, person, value: object, kept: str) -> None:
    browser.log_in(person({"given_name": "Before"}))
    browser.log_in(person({} if value is ... else {"given_name": value}))
    assert browser.user.first_name == kept


@pytest.mark.parametrize(
    ("rule", "allowed", "claims", "enters"),
    [
        pytest.param("OIDC_ALLOWED_EMAIL_DOMAINS", ["Example.org"], VERIFIED, True, id="domain"),
        pytest.param("OIDC_ALLOWED_EMAIL_DOMAINS", ["example.org"], UNVERIFIED, False, id="domain-unverified"),
        pytest.param("OIDC_ALLOWED_EMAIL_DOMAINS", ["ample.org"], VERIFIED, False, id="domain-is-no-ending"),
        pytest.param("OIDC_ALLOWED_EMAIL_DOMAINS", ["example.org"], {"email_verified": True}, False, id="no-address"),
        pytest.param("OIDC_ALLOWED_HOSTED_DOMAINS", ["example.org"], {"hd": "example.org"}, True, id="hd"),
        pytest.param("OIDC_ALLOWED_HOSTED_DOMAINS", ["example.org"], VERIFIED, False, id="no-hd"),
        pytest.param("OIDC_ALLOWED_TENANTS", ["t-1", "t-2"], {"tid": "t-2"}, True, id="tid"),
        pytest.param("OIDC_ALLOWED_TENANTS", ["t-1"], {"tid": ["t-1"]}, False, id="tid-is-text"),
        pytest.param("OIDC_REQUIRED_GROUPS", ["a", "b"], {"groups": ["a", "b", "c"]}, True, id="all-groups"),
        pytest.param("OIDC_REQUIRED_GROUPS", ["a", "b"], {"groups": ["a"]}, False, id="not-all-groups"),
        pytest.param("OIDC_REQUIRED_ANY_GROUP", ["a", "b"], {"groups": ["b"]}, True, id="any-group"),
        pytest.param("OIDC_REQUIRED_ANY_GROUP", ["/a"], {"groups": ["/a"]}, True, id="slashes-are-no-difference"),
        pytest.param("OIDC_REQUIRED_ANY_GROUP", ["a", "b"], {"groups": []}, False, id="no-group"),
        pytest.param("OIDC_REQUIRED_ANY_GROUP", ["a"], {}, False, id="no-groups-claim"),
    ],
)
def test_admission(browser: Browser, person, settings, rule: str, allowed: list, claims: dict, enters: bool) -> None:
    setattr(settings, rule, allowed)
    response = browser.log_in(person(claims))
    assert response.status_code == (302 if enters else 403)
    assert User.objects.exists() is enters


def test_group_overage_is_explained(browser: Browser, person, settings) -> None:
    settings.OIDC_REQUIRED_ANY_GROUP, settings.DEBUG = ["a"], True
    page = browser.log_in(person({"_claim_names": {"groups": "src1"}})).content.decode()
    assert "did not say which groups you are in" in page
    assert "group overage" in page


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        pytest.param("groups", {"groups": ["staff", "editors"]}, id="list"),
        pytest.param("groups", {"groups": ["/staff", "/editors"]}, id="list-with-slashes"),
        pytest.param("groups", {"groups": "staff editors"}, id="text"),
        pytest.param("groups", {"groups": {"staff": {}, "editors": {}}}, id="object-keys"),
        pytest.param("groups", {"groups": [{"name": "staff"}, {"id": "editors"}]}, id="list-of-objects"),
        pytest.param("realm_access.roles", {"realm_access": {"roles": ["staff", "editors"]}}, id="path"),
        pytest.param("https://example.org/groups", {"https://example.org/groups": ["staff", "editors"]}, id="url"),
    ],
)
def test_groups_in_every_shape_give_rights(browser: Browser, person, settings, claim: str, claims: dict) -> None:
    settings.OIDC_GROUPS_CLAIM, settings.OIDC_MANAGED_GROUPS = claim, ["editors=Editors"]
    browser.log_in(person(claims))
    assert browser.user.is_staff
    assert [group.name for group in browser.user.groups.all()] == ["Editors"]


@pytest.mark.parametrize(
    ("claims", "remain"),
    [
        pytest.param({"groups": []}, ["by-hand"], id="empty-takes"),
        pytest.param({"groups": ["strangers"]}, ["by-hand"], id="others-take"),
        pytest.param({"groups": 7}, ["by-hand"], id="nonsense-takes"),
        pytest.param({"groups": None}, ["by-hand", "editors", "is_staff", "is_superuser"], id="null-keeps"),
        pytest.param({}, ["by-hand", "editors", "is_staff", "is_superuser"], id="absent-keeps"),
        pytest.param(
            {"_claim_names": {"groups": "src1"}},
            ["by-hand", "editors", "is_staff", "is_superuser"],
            id="overage-keeps",
        ),
    ],
)
def test_rights_follow_the_op_at_the_next_login(browser: Browser, person, settings, claims: dict, remain: list) -> None:
    settings.OIDC_MANAGED_GROUPS = ["editors"]
    browser.log_in(person({"groups": ["administrators", "editors"]}))
    browser.user.groups.add(Group.objects.create(name="by-hand"))
    browser.log_in(person(claims))
    user = browser.user
    rights = [name for name in ("is_staff", "is_superuser") if getattr(user, name)]
    assert sorted([*user.groups.values_list("name", flat=True), *rights]) == sorted(remain)


def test_an_absent_claim_takes_rights_where_the_site_says_that_it_means_none(browser, person, settings) -> None:
    settings.OIDC_ABSENT_GROUPS_REVOKE = True
    browser.log_in(person({"groups": ["administrators"]}))
    browser.log_in(person({}))
    assert (browser.user.is_staff, browser.user.is_superuser) == (False, False)


def test_rights_follow_the_op_at_the_next_renewal(browser: Browser, person) -> None:
    browser.log_in(person({"groups": ["administrators"]}))
    session = browser.client.session
    session["oidc_id_token_expiration"] = 0
    session.save()
    # The development OP keeps no session of its own, so its yes is had by asking without the prompt.
    renewal = browser.start("/profile/").removesuffix("&prompt=none")
    browser.get(browser.answer(renewal, person({"groups": []})))
    assert (browser.user.is_staff, browser.user.is_superuser) == (False, False)


def test_rights_that_no_group_is_declared_for_are_left_alone(browser: Browser, person, settings, op: str) -> None:
    settings.OIDC_STAFF_GROUPS = settings.OIDC_SUPERUSER_GROUPS = []
    user = User.objects.create_user("boss", is_staff=True, is_superuser=True)
    Identity.objects.create(user=user, issuer=op, subject="person")
    browser.log_in(person({"groups": []}))
    assert (browser.user.is_staff, browser.user.is_superuser) == (True, True)


def test_staff_by_hand_stay_where_only_superusers_are_declared(browser: Browser, person, settings, op: str) -> None:
    settings.OIDC_STAFF_GROUPS = []
    user = User.objects.create_user("boss", is_staff=True)
    Identity.objects.create(user=user, issuer=op, subject="person")
    browser.log_in(person({"groups": []}))
    assert browser.user.is_staff
    browser.log_in(person({"groups": ["administrators"]}))
    browser.log_in(person({"groups": []}))
    assert (browser.user.is_staff, browser.user.is_superuser) == (False, False)


def test_a_deactivated_user_is_out_at_the_next_request_and_told_why_at_login(browser: Browser, person) -> None:
    browser.log_in(person({}))
    User.objects.update(is_active=False)
    assert browser.get("/profile/").status_code == 302
    response = browser.log_in("person")
    assert response.status_code == 403
    assert "deactivated" in response.content.decode()

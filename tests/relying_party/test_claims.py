"""What claims say, in whatever shape an OP gives them."""

import pytest

from oidc.building_blocks import claims as read

STAFF_AND_EDITORS = {"staff", "editors"}


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        pytest.param("groups", {"groups": ["staff", "editors"]}, id="list"),
        pytest.param("groups", {"groups": ["/staff", "/editors"]}, id="list-with-slashes"),
        pytest.param("groups", {"groups": [" staff ", "editors"]}, id="list-with-spaces-around"),
        pytest.param("groups", {"groups": "staff,editors"}, id="one-text-with-commas"),
        pytest.param("groups", {"groups": "staff, editors, "}, id="one-text-with-commas-and-spaces"),
        pytest.param("groups", {"groups": "/staff;/editors"}, id="one-text-with-semicolons"),
        pytest.param("groups", {"groups": "; staff ;editors;"}, id="one-text-with-empty-parts"),
        pytest.param("groups", {"groups": {"staff": {}, "editors": {}}}, id="object-with-names-as-keys"),
        pytest.param("groups", {"groups": {"staff": 1, "editors": "", "no": None, "nor": False}}, id="object-of-flags"),
        pytest.param("groups", {"groups": [{"name": "staff"}, {"id": "editors"}]}, id="list-of-objects"),
        pytest.param("groups", {"groups": [{"displayName": "staff", "id": "1"}, {"value": "editors"}]}, id="scim"),
        pytest.param("groups", {"groups": ["staff", 7, None, "", ["x"], {}, {"name": 1}, "editors"]}, id="nonsense"),
        pytest.param("realm_access.roles", {"realm_access": {"roles": ["staff", "editors"]}}, id="path"),
        pytest.param("a.b.c.d", {"a": {"b": {"c.d": ["staff", "editors"]}}}, id="path-to-a-name-with-dots"),
        pytest.param("https://example.org/groups", {"https://example.org/groups": "staff,editors"}, id="url"),
        pytest.param("urn:a.b:roles", {"urn:a.b:roles": {"staff": {}, "editors": {}}}, id="urn"),
    ],
)
def test_groups_are_read_in_every_shape(path: str, claims: dict) -> None:
    assert read.groups(claims, path) == STAFF_AND_EDITORS


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("Back office, Sales", {"Back office", "Sales"}),
        ("CN=Sales,OU=Groups;CN=Back office,OU=Groups", {"CN=Sales,OU=Groups", "CN=Back office,OU=Groups"}),
        (" , ", set()),
    ],
)
def test_what_separates_names_may_not_be_part_of_them(text: str, groups: set) -> None:
    assert read.groups({"groups": text}, "groups") == groups


@pytest.mark.parametrize(
    ("claims", "groups"),
    [
        pytest.param({}, None, id="absent"),
        pytest.param({"groups": None}, None, id="null"),
        pytest.param({"groups": []}, set(), id="empty-list"),
        pytest.param({"groups": ""}, set(), id="empty-text"),
        pytest.param({"groups": {}}, set(), id="empty-object"),
        pytest.param({"groups": 7}, set(), id="number"),
        pytest.param({"groups": True}, set(), id="boolean"),
    ],
)
def test_silence_about_groups_is_told_apart_from_no_groups(claims: dict, groups: set | None) -> None:
    assert read.groups(claims, "groups") == groups


@pytest.mark.parametrize("claims", [{}, {"realm_access": None}, {"realm_access": []}, {"realm_access": {}}])
def test_a_path_that_leads_nowhere_is_silence(claims: dict) -> None:
    assert read.groups(claims, "realm_access.roles") is None


@pytest.mark.parametrize(
    ("claims", "is_overage"),
    [
        pytest.param({"_claim_names": {"groups": "src1"}}, True, id="claim-names"),
        pytest.param({"hasgroups": True}, True, id="hasgroups"),
        pytest.param({"hasgroups": "true"}, False, id="hasgroups-as-text"),
        pytest.param({"_claim_names": {"address": "src1"}}, False, id="another-claim"),
        pytest.param({"_claim_names": ["groups"]}, False, id="not-an-object"),
        pytest.param({"groups": ["staff"]}, False, id="groups"),
        pytest.param({}, False, id="silence"),
    ],
)
def test_group_overage_is_recognised(claims: dict, is_overage: bool) -> None:
    assert read.has_group_overage(claims, "groups") is is_overage


@pytest.mark.parametrize(
    ("value", "address"),
    [
        pytest.param("kim@example.org", "kim@example.org", id="address"),
        pytest.param("Kim@Example.ORG", "Kim@Example.ORG", id="letter-case-is-kept"),
        pytest.param(" kim@example.org ", "kim@example.org", id="spaces-around-go"),
        pytest.param("kim@exämple.org", "kim@exämple.org", id="international"),
        pytest.param("kim@localhost", "kim@localhost", id="without-a-dot"),
        pytest.param("kim@example.org\nbcc: all@example.org", "", id="line-break"),
        pytest.param("kim@exam ple.org", "", id="space"),
        pytest.param("kim\u2028@example.org", "", id="line-separator"),
        pytest.param("kim\x1b@example.org", "", id="escape"),
        pytest.param("kim\u202e@example.org", "", id="right-to-left-override"),
        pytest.param("kim@example.org@example.com", "", id="two-at-signs"),
        pytest.param("@example.org", "", id="nobody"),
        pytest.param("kim@", "", id="nowhere"),
        pytest.param("kim", "", id="no-at-sign"),
        pytest.param("k" * 243 + "@example.org", "", id="255-characters"),
        pytest.param("k" * 242 + "@example.org", "k" * 242 + "@example.org", id="254-characters"),
        pytest.param("", "", id="empty"),
        pytest.param(None, "", id="null"),
        pytest.param(["kim@example.org"], "", id="list"),
        pytest.param({"value": "kim@example.org"}, "", id="object"),
    ],
)
def test_an_address_is_one_that_mail_can_be_sent_to(value: object, address: str) -> None:
    assert read.email({"email": value}) == address


def test_an_address_that_does_not_come_is_empty() -> None:
    assert read.email({}) == ""


@pytest.mark.parametrize(
    ("claims", "is_verified"),
    [
        pytest.param({"email_verified": True}, True, id="true"),
        pytest.param({"email_verified": "true"}, True, id="true-as-text"),
        pytest.param({"email_verified": False}, False, id="false"),
        pytest.param({"email_verified": "false"}, False, id="false-as-text"),
        pytest.param({"email_verified": "True"}, False, id="capital-letter"),
        pytest.param({"email_verified": "yes"}, False, id="yes"),
        pytest.param({"email_verified": 1}, False, id="one"),
        pytest.param({"email_verified": "1"}, False, id="one-as-text"),
        pytest.param({"email_verified": [True]}, False, id="list"),
        pytest.param({"email_verified": {"kim@example.org": True}}, False, id="object"),
        pytest.param({"email_verified": None}, False, id="null"),
        pytest.param({}, False, id="silence"),
    ],
)
def test_an_address_is_verified_if_the_op_says_so_as_a_boolean_or_its_text(claims: dict, is_verified: bool) -> None:
    address = read.verified_email({"email": "kim@example.org", **claims})
    assert address == ("kim@example.org" if is_verified else "")


def test_verification_does_not_make_an_address_of_something_else() -> None:
    assert read.verified_email({"email": "kim @example.org", "email_verified": True}) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("Kim", "Kim", id="text"),
        pytest.param("", "", id="empty"),
        pytest.param("  Kim ", "Kim", id="spaces-around-go"),
        pytest.param("Björk Guðmundsdóttir", "Björk Guðmundsdóttir", id="unicode"),
        pytest.param("K\0im", "Kim", id="nul-goes"),
        pytest.param("Kim\ud800", "Kim", id="half-a-character-goes"),
        pytest.param("k" * 150, "k" * 150, id="longest"),
        pytest.param("k" * 151, None, id="too-long"),
        pytest.param(7, None, id="number"),
        pytest.param(True, None, id="boolean"),
        pytest.param(None, None, id="null"),
        pytest.param(["Kim"], None, id="list"),
        pytest.param({"name": "Kim"}, None, id="object"),
    ],
)
def test_text_fits_into_the_database_or_is_none(value: object, text: str | None) -> None:
    assert read.text(value, 150) == text


def test_text_without_a_limit_may_be_long() -> None:
    assert read.text("k" * 10_000) == "k" * 10_000


def test_a_space_belongs_to_the_name_of_a_group() -> None:
    """AD FS sends one group as text."""
    assert read.groups({"groups": "Office staff"}, "groups") == {"Office staff"}

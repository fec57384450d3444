"""What the OP's groups give and take: staff and superuser status, and Django groups."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, Permission, User

from oidc.building_blocks import rights
from oidc.signals import rights_changed

DECLARED = {"staff": ["staff"], "superusers": ["administrators"], "managed": {"editors": "Editors"}}


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("kim")


def rights_of(user: User) -> set[str]:
    """Return the user's groups and status, as the database has them."""
    user = User.objects.get(pk=user.pk)
    status = {name for name in ("is_staff", "is_superuser") if getattr(user, name)}
    return status | set(user.groups.values_list("name", flat=True))


@pytest.mark.parametrize(
    ("groups", "given"),
    [
        pytest.param({"staff"}, {"is_staff"}, id="staff"),
        pytest.param({"administrators"}, {"is_staff", "is_superuser"}, id="a-superuser-is-staff-too"),
        pytest.param({"editors"}, {"Editors"}, id="managed-group"),
        pytest.param({"staff", "editors"}, {"is_staff", "Editors"}, id="both"),
        pytest.param({"strangers"}, set(), id="a-group-that-nobody-has-declared"),
        pytest.param({"Staff", "Editors"}, set(), id="names-are-exact"),
        pytest.param(set(), set(), id="none"),
        pytest.param(None, set(), id="silence"),
    ],
)
def test_groups_give_what_is_declared_for_them(user: User, groups: set | None, given: set) -> None:
    rights.apply(user, groups, **DECLARED)
    assert rights_of(user) == given


@pytest.mark.parametrize(
    ("groups", "remaining"),
    [
        pytest.param(set(), {"By hand"}, id="empty-takes"),
        pytest.param({"strangers"}, {"By hand"}, id="others-take"),
        pytest.param({"staff"}, {"By hand", "is_staff"}, id="a-superuser-becomes-staff"),
        pytest.param({"editors"}, {"By hand", "Editors"}, id="a-group-stays-while-the-status-goes"),
        pytest.param(None, {"By hand", "Editors", "is_staff", "is_superuser"}, id="silence-leaves-everything"),
    ],
)
def test_groups_that_went_take_what_they_gave(user: User, groups: set | None, remaining: set) -> None:
    rights.apply(user, {"administrators", "editors"}, **DECLARED)
    user.groups.add(Group.objects.create(name="By hand"))
    rights.apply(user, groups, **DECLARED)
    assert rights_of(user) == remaining


def test_a_status_that_no_group_is_declared_for_is_left_alone(user: User) -> None:
    User.objects.update(is_staff=True, is_superuser=True)
    user.refresh_from_db()
    rights.apply(user, {"strangers"}, managed={"editors": "Editors"})
    assert rights_of(user) == {"is_staff", "is_superuser"}


def test_a_superuser_by_hand_stays_where_only_staff_are_declared(user: User) -> None:
    User.objects.update(is_staff=True, is_superuser=True)
    user.refresh_from_db()
    rights.apply(user, set(), staff=["staff"])
    assert rights_of(user) == {"is_superuser"}


def test_staff_by_hand_stay_where_only_superusers_are_declared(user: User) -> None:
    User.objects.update(is_staff=True)
    user.refresh_from_db()
    rights.apply(user, set(), superusers=["administrators"])
    assert rights_of(user) == {"is_staff"}


def test_who_was_staff_as_a_superuser_goes_with_it(user: User) -> None:
    rights.apply(user, {"administrators"}, superusers=["administrators"])
    assert rights_of(user) == {"is_staff", "is_superuser"}
    rights.apply(user, set(), superusers=["administrators"])
    assert rights_of(user) == set()


def test_permissions_by_hand_are_left_alone(user: User) -> None:
    permission = Permission.objects.get(codename="add_group")
    user.user_permissions.add(permission)
    rights.apply(user, set(), **DECLARED)
    assert list(user.user_permissions.all()) == [permission]


def test_a_group_by_hand_with_the_name_of_one_at_the_op_is_left_alone(user: User) -> None:
    user.groups.add(Group.objects.create(name="strangers"))
    rights.apply(user, set(), **DECLARED)
    assert rights_of(user) == {"strangers"}


@pytest.mark.parametrize("there", ["/teams/editors", "teams/editors"])
@pytest.mark.parametrize(
    ("declared", "given"),
    [
        (lambda there: {"staff": [there]}, {"is_staff"}),
        (lambda there: {"superusers": [there]}, {"is_staff", "is_superuser"}),
        (lambda there: {"managed": {there: "Editors"}}, {"Editors"}),
    ],
    ids=["staff", "superusers", "managed"],
)
def test_the_slash_that_keycloak_puts_before_a_group_makes_no_difference(
    user: User, there: str, declared: Callable[[str], dict], given: set
) -> None:
    rights.apply(user, {"teams/editors"}, **declared(there))
    assert rights_of(user) == given


def test_two_groups_of_the_op_can_give_the_same_group_here(user: User) -> None:
    managed = {"editors": "Editors", "chief-editors": "Editors"}
    rights.apply(user, {"chief-editors"}, managed=managed)
    assert rights_of(user) == {"Editors"}
    rights.apply(user, set(), managed=managed)
    assert rights_of(user) == set()


def test_a_group_is_made_once(user: User) -> None:
    before = Group.objects.create(name="Editors")
    rights.apply(user, {"editors"}, **DECLARED)
    assert list(user.groups.all()) == [before]


def test_a_group_that_nobody_is_in_is_not_made(user: User) -> None:
    rights.apply(user, {"staff"}, **DECLARED)
    assert not Group.objects.exists()


def test_other_fields_of_the_user_are_not_saved(user: User) -> None:
    user.first_name = "not to be saved here"
    rights.apply(user, {"staff"}, **DECLARED)
    assert User.objects.get().first_name == ""


def test_people_who_keep_their_rights_cost_no_write(user: User, django_assert_num_queries) -> None:
    rights.apply(user, {"staff", "editors"}, **DECLARED)
    user = User.objects.get()
    with django_assert_num_queries(1):
        rights.apply(user, {"staff", "editors"}, **DECLARED)


def test_a_change_of_rights_is_told_once_and_when_it_is_certain(
    user: User, django_capture_on_commit_callbacks: Callable
) -> None:
    told: list[tuple[list[str], list[str]]] = []

    def note(gained: list[str], lost: list[str], **kwargs: object) -> None:
        told.append((gained, lost))

    rights_changed.connect(note)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            rights.apply(user, {"administrators", "editors"}, **DECLARED)
            assert told == []
        with django_capture_on_commit_callbacks(execute=True):
            rights.apply(user, {"staff"}, **DECLARED)
        with django_capture_on_commit_callbacks(execute=True):
            rights.apply(user, {"staff"}, **DECLARED)
    finally:
        rights_changed.disconnect(note)
    assert told == [(["Editors", "is_staff", "is_superuser"], []), ([], ["Editors", "is_superuser"])]

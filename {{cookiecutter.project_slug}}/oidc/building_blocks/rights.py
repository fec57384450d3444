"""What a person may do: the OP's groups as staff and superuser status and as Django groups."""

from collections.abc import Iterable, Mapping
from functools import partial

from django.contrib.auth.models import AbstractUser, Group
from django.db import transaction

from oidc.building_blocks.claims import plain_group
from oidc.internal import trace
from oidc.signals import rights_changed


def apply(
    user: AbstractUser,
    groups: set[str] | None,
    *,
    staff: Iterable[str] = (),
    superusers: Iterable[str] = (),
    managed: Mapping[str, str] | None = None,
) -> None:
    """Give and take rights by the names of the OP's groups, as `oidc.building_blocks.claims.groups` returns them.

    `staff` and `superusers` name groups of the OP; a superuser is staff too. `managed` maps groups of the OP to Django
    groups, which are made where they are missing. What none of them names is left alone, and so is everything if
    `groups` is None: the OP says nothing. The user has to be saved before, and is saved here if its status changes.
    """
    if groups is None:
        trace.step("Rights stay as they are, as nothing is known of groups")
        return
    before = _status(user)
    staff, superusers = set(map(plain_group, staff)), set(map(plain_group, superusers))
    if superusers:
        user.is_superuser = not groups.isdisjoint(superusers)
    if staff:
        user.is_staff = not groups.isdisjoint(staff | superusers)
    elif user.is_superuser is not ("is_superuser" in before):
        # Without groups for staff, only what comes or goes with being a superuser changes.
        user.is_staff = user.is_superuser
    after = _status(user)
    if after != before:
        user.save(update_fields=["is_staff", "is_superuser"])
    here = {plain_group(there): name for there, name in (managed or {}).items()}
    wanted = {name for there, name in here.items() if there in groups}
    present = set(user.groups.filter(name__in=here.values()).values_list("name", flat=True)) if here else set()
    user.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in wanted - present))
    user.groups.remove(*Group.objects.filter(name__in=present - wanted))
    meaning = {"that make staff": staff, "that make superusers": superusers, "that are groups here": set(here)}
    trace.step("Groups give rights", {"groups": groups, **meaning, "so the person is": after | wanted})
    gained, lost = sorted((after | wanted) - (before | present)), sorted((before | present) - (after | wanted))
    if gained or lost:
        transaction.on_commit(partial(rights_changed.send_robust, type(user), user=user, gained=gained, lost=lost))


def _status(user: AbstractUser) -> set[str]:
    return {name for name in ("is_staff", "is_superuser") if getattr(user, name)}

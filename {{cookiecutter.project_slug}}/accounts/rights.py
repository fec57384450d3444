"""What a person may do: the OP's groups as Django groups, staff and superuser status."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.contrib.auth.models import Group

from accounts.claims import plain
from accounts.models import User


@dataclass(frozen=True, slots=True)
class Mapped:
    """Which groups of the OP mean what here. Groups that are not named are left alone."""

    staff: frozenset[str]
    superuser: frozenset[str]
    groups: Mapping[str, str]  # the OP's name -> the name of the Django group

    @classmethod
    def from_words(cls, staff: Iterable[str], superuser: Iterable[str], managed: Iterable[str]) -> "Mapped":
        """Read the words of the environment; a managed group is written `name` or `name at the OP=name here`."""
        pairs = (word.partition("=") for word in managed)
        groups = {plain(there): (here or there).strip() for there, _, here in pairs}
        return cls(frozenset(map(plain, staff)), frozenset(map(plain, superuser)), groups)


def apply(user: User, names: set[str], mapped: Mapped) -> tuple[list[str], list[str]]:
    """Give and take rights by the names of the OP's groups; return what was gained and lost.

    A superuser is staff too. The user has to be saved before, and is saved here if its status changes.
    """
    before = _status(user)
    if mapped.superuser:
        user.is_superuser = not names.isdisjoint(mapped.superuser)
    if mapped.staff:
        user.is_staff = not names.isdisjoint(mapped.staff | mapped.superuser)
    elif user.is_superuser is not ("is_superuser" in before):
        # Without groups for staff, only what came or goes with being a superuser changes.
        user.is_staff = user.is_superuser
    if _status(user) != before:
        user.save(update_fields=["is_staff", "is_superuser"])
    wanted = {here for there, here in mapped.groups.items() if there in names}
    present = set(user.groups.filter(name__in=mapped.groups.values()).values_list("name", flat=True))
    user.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in wanted - present))
    user.groups.remove(*Group.objects.filter(name__in=present - wanted))
    after = _status(user) | wanted
    before |= present
    return sorted(after - before), sorted(before - after)


def _status(user: User) -> set[str]:
    return {name for name in ("is_staff", "is_superuser") if getattr(user, name)}

"""Building blocks of a user policy: whom claims mean, what a new user is called, what is copied into it.

All that find users lock the rows they return, so that two logins of one person at once cannot mix their changes.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db.models import QuerySet, Value
from django.db.models.functions import Upper
from django.db.models.lookups import Exact
from mozilla_django_oidc.auth import default_username_algo

from oidc.building_blocks import claims as read
from oidc.building_blocks.claims import Claims
from oidc.models import Identity

MAX_USERNAME_CHARACTERS = 150
NOT_IN_USERNAMES = re.compile(r"[^\w.@+-]+")


def by_identity(claims: Claims) -> list[AbstractUser]:
    """Return the user to whom issuer and subject are bound (Core 5.7): nobody, or one."""
    return list(_users().filter(identities__issuer=claims["iss"], identities__subject=claims["sub"]))


def by_verified_email(claims: Claims, *, every_address_is_verified: bool = False) -> list[AbstractUser]:
    """Return the users whom a first login may take over because they have the same verified address.

    An address can be given to somebody else, so it opens neither an account that is bound to a person already nor a
    privileged one: staff, superusers, and whoever has groups or permissions. `every_address_is_verified` is for an OP
    that alone hands out its users' addresses, and does not send `email_verified`.
    """
    address = read.email(claims) if every_address_is_verified else read.verified_email(claims)
    # Nor can somebody stand in the way who has claimed the address at the OP without a proof, and has an account.
    # Asked once more of each that is locked now, as another login may have bound it meanwhile.
    unbound = _with_email(address, identities=None)
    found = [user for user in unbound if not Identity.objects.filter(user=user.pk).exists()]
    return [] if len(found) == 1 and _is_privileged(found[0]) else found


def by_email(claims: Claims) -> list[AbstractUser]:
    """Return the users with the same address, verified or not, whatever they may do.

    UNSAFE unless the OP is your organisation's alone and hands out the addresses itself: whoever can enter an address
    of their choice there takes over the account of that address, administrators included.
    """
    return _with_email(read.email(claims))


def username_from(claims: Claims, claim: str | None) -> str:
    """Return a valid username from a claim, normalised (NFKC), at most 150 characters.

    A hash of issuer and subject serves where `claim` is None or missing, or leaves nothing that a username may contain.
    """
    value = claims.get(claim) if claim else None
    text = unicodedata.normalize("NFKC", value) if isinstance(value, str) else ""
    name = NOT_IN_USERNAMES.sub("-", text).strip("-")[:MAX_USERNAME_CHARACTERS]
    return name or str(default_username_algo(f"{claims['iss']} {claims['sub']}"))


def unused_username(name: str) -> str:
    """Return `name`, or `name-2`, `name-3` ... if it is taken, letter case aside."""
    model = get_user_model()
    candidate, number = name, 1
    while _alike(model._default_manager.all(), model.USERNAME_FIELD, candidate).exists():
        number += 1
        suffix = f"-{number}"
        candidate = name[: MAX_USERNAME_CHARACTERS - len(suffix)] + suffix
    return candidate


def copy_claims(user: AbstractUser, claims: Claims, fields: Mapping[str, str]) -> None:
    """Copy claims into fields of `user`, which is not saved; `fields` maps a claim to the field that takes it.

    A claim that is missing, null, not text or too long leaves the field as it is; an empty one empties it.
    """
    for claim, name in fields.items():
        max_length = getattr(user._meta.get_field(name), "max_length", None)
        value = read.text(claims.get(claim), max_length)
        if value is not None and (claim != "email" or not value or read.email(claims)):
            setattr(user, name, value)


def _users() -> QuerySet[Any]:
    return get_user_model()._default_manager.select_for_update(of=("self",))


def _alike(found: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
    """Return the rows with a value in any letter case, by an index on `Upper(name)` where the model has one."""
    return found.filter(Exact(Upper(name), Upper(Value(value))))


def _with_email(address: str, **conditions: Any) -> list[AbstractUser]:
    """Return up to two users with an address, the case of ASCII letters aside, who meet `conditions`.

    Databases find more alike: to PostgreSQL the dotless i and the long s are I and S in other letter case.
    """
    alike = _alike(_users().filter(**conditions), "email", address) if address else []
    return [user for user in alike if _folded(user.email) == _folded(address)][:2]


def _folded(address: str) -> bytes:
    # bytes.lower knows ASCII only.
    return address.encode(errors="surrogatepass").lower()


def _is_privileged(user: Any) -> bool:
    return bool(user.is_staff or user.is_superuser or user.groups.exists() or user.user_permissions.exists())

"""What claims say, whatever shape the OP gives them."""

from collections.abc import Mapping
from typing import Any

Claims = Mapping[str, Any]

# The members of an object that may hold a group's name, as OPs differ.
NAME_MEMBERS = ("name", "displayName", "value", "id")


def at_path(claims: object, path: str) -> Any:
    """Return the claim at a path with dots, e.g. resource_access.site.roles; raises `KeyError` if there is none.

    A claim whose name has dots itself, such as https://example.org/groups, is found too.
    """
    if not isinstance(claims, Mapping):
        raise KeyError(path)
    if path in claims:
        return claims[path]
    for position in (index for index, character in enumerate(path) if character == "."):
        if path[:position] in claims:
            return at_path(claims[path[:position]], path[position + 1 :])
    raise KeyError(path)


def groups(claims: Claims, path: str) -> set[str] | None:
    """Return the names of a person's groups, None if the OP says nothing about them.

    Shapes: a list of names or of objects with a name, an object whose keys are names, one text with spaces.
    A slash that begins a name (Keycloak) is dropped.
    """
    try:
        value = at_path(claims, path)
    except KeyError:
        return None
    if value is None:
        return None
    if isinstance(value, str):
        names: list[object] = list(value.split())
    elif isinstance(value, Mapping):
        names = [name for name, member in value.items() if member is not None and member is not False]
    elif isinstance(value, list):
        names = [_name(item) if isinstance(item, Mapping) else item for item in value]
    else:
        names = []
    return {plain(name) for name in names if isinstance(name, str) and name}


def plain(group: str) -> str:
    """Return a group's name as it is compared: without the slash that Keycloak puts before it."""
    return group.strip().removeprefix("/")


def too_many_groups(claims: Claims, path: str) -> bool:
    """Tell whether Entra ID has left out the groups, as it does for people in more than 200 (group overage)."""
    distributed = claims.get("_claim_names")
    return claims.get("hasgroups") is True or (isinstance(distributed, Mapping) and path in distributed)


def email(claims: Claims) -> str:
    """Return the e-mail address, "" if there is none that can be one."""
    address = text(claims.get("email"), 254)
    return address if address and "@" in address and address.count("@") == 1 else ""


def email_is_verified(claims: Claims) -> bool:
    """Tell whether the OP says so; some write the boolean as text."""
    return claims.get("email_verified") in (True, "true")


def text(value: object, longest: int | None) -> str | None:
    """Return a claim as text for the database, without NUL and halves of characters; None for anything but text.

    Text beyond `longest` characters is None too: a part of an address or a name is another one.
    """
    if not isinstance(value, str):
        return None
    cleaned = value.replace("\0", "").encode(errors="ignore").decode().strip()
    return cleaned if longest is None or len(cleaned) <= longest else None


def _name(group: Mapping[str, Any]) -> object:
    return next((group[member] for member in NAME_MEMBERS if isinstance(group.get(member), str)), None)

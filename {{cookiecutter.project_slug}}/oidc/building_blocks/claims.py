"""What claims say, whatever shape the OP gives them."""

import re
from collections.abc import Mapping
from typing import Any

Claims = Mapping[str, Any]

# The members of an object that may hold a group's name, as OPs differ.
NAME_MEMBERS = ("name", "displayName", "value", "id")
MAX_EMAIL_CHARACTERS = 254
EMAIL = re.compile(r"[^\s@]+@[^\s@]+")


def groups(claims: Claims, path: str) -> set[str] | None:
    """Return the names of a person's groups, None if the OP says nothing about them.

    `path` names the claim, with dots for what lies deeper: realm_access.roles. Shapes: a list of names or of objects
    with a name, an object whose keys are names, one text with semicolons or else commas between names: a space belongs
    to a name, or "Office staff" would be staff. A slash that begins a name (Keycloak) is dropped.
    """
    names: list[object] = []
    match _at_path(claims, path):
        case None:
            return None
        case str(words):
            names = [*words.split(";" if ";" in words else ",")]
        case Mapping() as members:
            names = [name for name, member in members.items() if member is not None and member is not False]
        case list(items):
            names = [_name(item) if isinstance(item, Mapping) else item for item in items]
    return {plain_group(name) for name in names if isinstance(name, str) and name.strip()}


def has_group_overage(claims: Claims, path: str) -> bool:
    """Tell whether Entra ID has left out the groups, as it does for people in more than 200."""
    distributed = claims.get("_claim_names")
    return claims.get("hasgroups") is True or (isinstance(distributed, Mapping) and path in distributed)


def plain_group(name: str) -> str:
    """Return a group's name as it is compared: without the slash that Keycloak puts before it."""
    return name.strip().removeprefix("/")


def email(claims: Claims) -> str:
    """Return the e-mail address, "" if there is none or it cannot be one, as with a space or a line break in it."""
    address = text(claims.get("email"), MAX_EMAIL_CHARACTERS)
    return address if address and EMAIL.fullmatch(address) and address.isprintable() else ""


def verified_email(claims: Claims) -> str:
    """Return the e-mail address if the OP says that it has verified it, else ""; some OPs write the boolean as text."""
    verified = claims.get("email_verified")
    return email(claims) if verified is True or verified == "true" else ""


def text(value: object, max_length: int | None = None) -> str | None:
    """Return a claim as text for the database, without NUL and halves of characters; None for anything but text.

    Text of more than `max_length` characters is None too: a part of an address or a name is another one.
    """
    if not isinstance(value, str):
        return None
    cleaned = value.replace("\0", "").encode(errors="ignore").decode().strip()
    return cleaned if max_length is None or len(cleaned) <= max_length else None


def _at_path(claims: object, path: str) -> Any:
    """Return the claim at a path with dots, None if there is none; dots may be part of a name, as in a URL, too."""
    if not isinstance(claims, Mapping):
        return None
    if path in claims:
        return claims[path]
    for dot in re.finditer(r"\.", path):
        if path[: dot.start()] in claims:
            return _at_path(claims[path[: dot.start()]], path[dot.end() :])
    return None


def _name(group: Mapping[str, Any]) -> object:
    return next((group[member] for member in NAME_MEMBERS if isinstance(group.get(member), str)), None)

"""Usernames from claims. A username is for people to read; it never identifies anybody."""

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from mozilla_django_oidc.auth import default_username_algo

MAX_LENGTH = 150
NOT_ALLOWED = re.compile(r"[^\w.@+-]+")


def propose(claims: dict[str, Any], source: str) -> str:
    """Return a valid username, at most 150 characters.

    `source` is "preferred_username", "email" or "hash"; where the claim is missing or leaves nothing
    that a username may contain, a hash of issuer and subject serves.
    """
    if source != "hash" and (name := clean(claims.get(source))):
        return name
    return default_username_algo(f"{claims['iss']} {claims['sub']}")


def clean(value: object) -> str:
    """Return `value` normalised (NFKC) and without what Django's username rule refuses; "" for anything but text."""
    if not isinstance(value, str):
        return ""
    return NOT_ALLOWED.sub("-", unicodedata.normalize("NFKC", value)).strip("-")[:MAX_LENGTH]


def unused(name: str, taken: Callable[[str], bool]) -> str:
    """Return `name`, or `name-2`, `name-3` ... if it is `taken`."""
    candidate, number = name, 1
    while taken(candidate):
        number += 1
        suffix = f"-{number}"
        candidate = name[: MAX_LENGTH - len(suffix)] + suffix
    return candidate

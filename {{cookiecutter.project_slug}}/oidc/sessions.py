"""Sessions that logins have begun: found by the person, and ended, whatever engine keeps them."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.db.models import Q
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from oidc.conf import conf
from oidc.models import LoginSession, SpentToken
from oidc.refresh import encrypt

MAX_NAME_CHARACTERS = 255


def remember(session_key: str, claims: Mapping[str, Any], refresh_token: object = None) -> None:
    """Note whose session it is by the `claims` of an ID Token; `sid` in them is the OP's name for the session.

    The refresh token is kept, encrypted, where OIDC_RENEWAL uses it.
    """
    sid = claims.get("sid")
    is_kept = conf.OIDC_RENEWAL == "refresh_token" and isinstance(refresh_token, str)
    LoginSession.objects.update_or_create(
        session_key=session_key,
        defaults={
            "issuer": claims["iss"],
            "subject": claims["sub"],
            "sid": sid if is_name(sid) else "",
            "refresh_token": encrypt(refresh_token) if is_kept else "",
        },
    )


def is_name(value: object) -> bool:
    """Tell whether a claim can name a session or a token in the database: text that is neither empty nor too long."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARACTERS and value.isprintable()


def end(issuer: str, *, subject: str = "", sid: str = "") -> int:
    """End the sessions of a person, or only the one that the OP calls `sid`; return how many that were."""
    if not subject and not sid:
        return 0
    store = import_module(conf.SESSION_ENGINE).SessionStore
    found = LoginSession.objects.filter(issuer=issuer, **({"subject": subject} if subject else {}))
    if sid:
        # A session whose name the OP did not say at login may be the one that it means.
        found = found.filter(Q(sid=sid) | Q(sid="") if subject else Q(sid=sid))
    keys = list(found.values_list("session_key", flat=True))
    for key in keys:
        store(key).delete()
    LoginSession.objects.filter(session_key__in=keys).delete()
    return len(keys)


def clean() -> int:
    """Drop notes of sessions that are over, and logout tokens that could not be sent again anyway; return how many."""
    store = import_module(conf.SESSION_ENGINE).SessionStore
    rows = LoginSession.objects.values_list("pk", "session_key").iterator(chunk_size=1000)
    over = [pk for pk, key in rows if not store().exists(key)]
    for start in range(0, len(over), 500):
        LoginSession.objects.filter(pk__in=over[start : start + 500]).delete()
    spent, _ = SpentToken.objects.filter(expires__lt=timezone.now()).delete()
    return len(over) + spent


def forget(session_key: str | None) -> None:
    """Drop the note of a session that ends here."""
    if session_key:
        LoginSession.objects.filter(session_key=session_key).delete()


@receiver(user_logged_out)
def forget_at_logout(request: HttpRequest | None, **kwargs: Any) -> None:
    if request is not None:
        forget(request.session.session_key)

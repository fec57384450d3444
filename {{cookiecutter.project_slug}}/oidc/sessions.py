"""Sessions that logins have begun: found by the person, and ended, whatever engine keeps them."""

from importlib import import_module
from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest
from oidc.conf import conf
from oidc.models import LoginSession


def remember(session_key: str, issuer: str, subject: str, sid: str = "", refresh_token: str = "") -> None:
    """Note whose session it is; `sid` is the OP's name for it, `refresh_token` is encrypted already."""
    LoginSession.objects.update_or_create(
        session_key=session_key,
        defaults={"issuer": issuer, "subject": subject, "sid": sid, "refresh_token": refresh_token},
    )


def end(issuer: str, *, subject: str = "", sid: str = "") -> int:
    """End the sessions of a person, or only the one that the OP calls `sid`; return how many that were."""
    wanted = {name: value for name, value in (("subject", subject), ("sid", sid)) if value}
    if not wanted:
        return 0
    store = import_module(conf.SESSION_ENGINE).SessionStore
    found = LoginSession.objects.filter(issuer=issuer, **wanted)
    keys = list(found.values_list("session_key", flat=True))
    for key in keys:
        store(key).delete()
    LoginSession.objects.filter(session_key__in=keys).delete()
    return len(keys)


def forget(session_key: str | None) -> None:
    """Drop the note of a session that ends here."""
    if session_key:
        LoginSession.objects.filter(session_key=session_key).delete()


@receiver(user_logged_out)
def forget_at_logout(request: HttpRequest | None, **kwargs: Any) -> None:
    if request is not None:
        forget(request.session.session_key)

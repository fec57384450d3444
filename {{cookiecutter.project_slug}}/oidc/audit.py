"""What happened to whom: one line in the log for each event, and a record of each login.

Lines name users by their key, never by name or address. `oidc.views` itself logs logins and refusals.
"""

import logging
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import Signal, receiver
from django.http import HttpRequest

from oidc.errors import Reason
from oidc.internal import session
from oidc.models import SignIn
from oidc.signals import identity_linked, login_refused, rights_changed, user_created, user_deactivated

PASSWORD_BACKEND = "django.contrib.auth.backends.ModelBackend"
LINES = {
    user_created: "user created user={user.pk}",
    identity_linked: "identity linked user={user.pk} issuer={issuer}",
    rights_changed: "rights changed user={user.pk} gained={gained} lost={lost}",
    user_deactivated: "user deactivated user={user.pk} sessions={sessions}",
}

logger = logging.getLogger(__name__)


@receiver(list(LINES))
def log_event(signal: Signal, **details: Any) -> None:
    """Write the line of a signal; lists are written with commas."""
    lists = {name: ",".join(value) or "-" for name, value in details.items() if isinstance(value, list)}
    logger.info(LINES[signal].format(**details | lists))


@receiver(user_logged_in)
def record_login(user: Any, **kwargs: Any) -> None:
    """Record a login; a session that a test makes with `force_login` names no backend of its own."""
    SignIn.objects.create(user=user, by_password=getattr(user, "backend", "") == PASSWORD_BACKEND)


@receiver(login_refused)
def record_refusal(reason: Reason, user: Any = None, **kwargs: Any) -> None:
    """Record the refusal of somebody who is known; of others there may be any number, and the log has them."""
    # A user whom the refused login itself has made is gone with it.
    if user is not None and type(user)._default_manager.filter(pk=user.pk).exists():
        SignIn.objects.create(user=user, refused=reason.code)


@receiver(user_logged_out)
def log_logout(user: Any, request: HttpRequest | None, **kwargs: Any) -> None:
    """Write the line, and forget the session that ends here."""
    if request is not None and hasattr(request, "session"):
        # In this order, as each may fail: a session of which nothing is remembered could not be ended.
        session.stored(request.session.session_key).delete()
        session.forget(request.session.session_key)
    if user is not None:
        logger.info("logout user=%s", user.pk)

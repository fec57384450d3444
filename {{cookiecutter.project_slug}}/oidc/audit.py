"""What happened to whom: one line in the log for each event, and a record of each login.

Lines name users by their key; tokens, addresses and names stay out. A login and its refusal are logged where they
happen, in `oidc.views`.
"""

import logging
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from oidc.errors import Reason
from oidc.internal import session
from oidc.models import SignIn
from oidc.signals import identity_linked, login_refused, rights_changed, user_created, user_deactivated

PASSWORD_BACKEND = "django.contrib.auth.backends.ModelBackend"  # noqa: S105 - the path of a class

logger = logging.getLogger(__name__)


@receiver(user_logged_in)
def record_login(user: Any, **kwargs: Any) -> None:
    """Record a login; a session that a test makes with `force_login` names no backend of its own."""
    SignIn.objects.create(user=user, by_password=getattr(user, "backend", "") == PASSWORD_BACKEND)


@receiver(login_refused)
def record_refusal(reason: Reason, user: Any = None, **kwargs: Any) -> None:
    """Record the refusal of somebody who is known; of others there may be any number, and the log has them."""
    if user is not None:
        SignIn.objects.create(user=user, refused=reason.code)


@receiver(user_logged_out)
def log_logout(user: Any, request: HttpRequest | None, **kwargs: Any) -> None:
    """Write the line, and forget the session that ends here."""
    if request is not None and hasattr(request, "session"):
        session.forget(request.session.session_key)
    if user is not None:
        logger.info("logout user=%s", user.pk)


@receiver(user_created)
def log_creation(user: Any, **kwargs: Any) -> None:
    logger.info("user created user=%s", user.pk)


@receiver(identity_linked)
def log_link(user: Any, issuer: str, **kwargs: Any) -> None:
    logger.info("identity linked user=%s issuer=%s", user.pk, issuer)


@receiver(user_deactivated)
def log_deactivation(user: Any, sessions: int, **kwargs: Any) -> None:
    logger.info("user deactivated user=%s sessions=%d", user.pk, sessions)


@receiver(rights_changed)
def log_rights(user: Any, gained: list[str], lost: list[str], **kwargs: Any) -> None:
    logger.info("rights changed user=%s gained=%s lost=%s", user.pk, ",".join(gained) or "-", ",".join(lost) or "-")

"""What happened to whom: one line in the log for each event, and a record of each sign-in.

Lines name users by their key; tokens, addresses and names stay out. A login and its refusal are logged
where they happen, in `oidc.views`.
"""

import logging
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver

from accounts.models import SignIn, User
from accounts.signals import identity_linked, rights_changed, user_created, user_deactivated
from oidc.errors import Reason
from oidc.signals import login_refused

PASSWORD_BACKEND = "django.contrib.auth.backends.ModelBackend"

logger = logging.getLogger(__name__)


@receiver(user_logged_in)
def record_login(user: User, **kwargs: Any) -> None:
    SignIn.objects.create(user=user, by_password=user.backend == PASSWORD_BACKEND)


@receiver(login_refused)
def record_refusal(reason: Reason, user: User | None = None, **kwargs: Any) -> None:
    """Record the refusal of somebody who is known; of others there may be any number, and the log has them."""
    if user is not None:
        SignIn.objects.create(user=user, refused=reason.code)


@receiver(user_logged_out)
def log_logout(user: AbstractBaseUser | None, **kwargs: Any) -> None:
    if user is not None:
        logger.info("logout user=%s", user.pk)


@receiver(user_created)
def log_creation(user: User, **kwargs: Any) -> None:
    logger.info("user created user=%s", user.pk)


@receiver(identity_linked)
def log_link(user: User, issuer: str, **kwargs: Any) -> None:
    logger.info("identity linked user=%s issuer=%s", user.pk, issuer)


@receiver(user_deactivated)
def log_deactivation(user: User, sessions: int, **kwargs: Any) -> None:
    logger.info("user deactivated user=%s sessions=%d", user.pk, sessions)


@receiver(rights_changed)
def log_rights(user: User, gained: list[str], lost: list[str], **kwargs: Any) -> None:
    logger.info("rights changed user=%s gained=%s lost=%s", user.pk, ",".join(gained) or "-", ",".join(lost) or "-")

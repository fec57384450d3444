"""The authentication backend: from verified claims to a user of this site.

It keeps the methods of mozilla-django-oidc's backend, so what that library documents for subclasses holds here too.
A login that the policy refuses raises `LoginError` with its reason instead of returning None.
"""

import logging
from collections.abc import Iterable, Mapping
from functools import cache, partial
from itertools import islice
from typing import Any

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import SuspiciousOperation
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from mozilla_django_oidc.auth import OIDCAuthenticationBackend as LibraryBackend

from oidc import errors
from oidc.building_blocks import claims as read
from oidc.building_blocks import rights, users
from oidc.errors import LoginError
from oidc.internal import trace
from oidc.internal.conf import conf
from oidc.models import Identity
from oidc.signals import identity_linked, user_created

logger = logging.getLogger(__name__)

Claims = Mapping[str, Any]
MAX_RACES = 5
GROUP_SETTINGS = ("OIDC_GROUPS_CLAIM", "OIDC_STAFF_GROUPS", "OIDC_SUPERUSER_GROUPS")


class OIDCAuthenticationBackend(LibraryBackend):  # type: ignore[misc]  # the library has no types
    """Finds or makes the user of verified claims; a site subclasses it in `AUTHENTICATION_BACKENDS`.

    The `claims` of all methods are those of the ID Token with userinfo merged in; `iss` and `sub` are always there.
    """

    # The claim that becomes the username of a new user; None for a hash of issuer and subject.
    username_claim: str | None = "preferred_username"
    request: HttpRequest | None = None

    def __init__(self) -> None:
        # The library reads all settings here and insists on endpoints; Django makes a backend for every
        # permission check, and discovery must not run that often, so endpoints are looked up when used.
        self.UserModel = get_user_model()

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> AbstractBaseUser | None:
        """Return the user of the credential `verified_claims`; the library asks the OP for claims here.

        Raises `LoginError`. Without claims, as in a password login, this backend stands aside.
        """
        claims: Claims | None = credentials.get("verified_claims")
        if claims is None:
            return None
        self.request = request
        try:
            with trace.reading(claims) as watched:
                return self._find_or_make(watched)
        except LoginError:
            raise
        except SuspiciousOperation as error:
            raise LoginError(errors.CLAIMS_REFUSED, type(error).__name__) from error
        except Exception as error:
            # Policy is the site's own code: whatever it raises, the person gets a page and the log the cause.
            logger.exception("the user policy failed")
            raise LoginError(errors.POLICY_FAILED, type(error).__name__) from error

    def get_user(self, user_id: Any) -> AbstractBaseUser | None:
        """Return the user of a session; the library lets those in who were deactivated meanwhile."""
        user: AbstractBaseUser | None = super().get_user(user_id)
        return user if user is not None and self.user_can_authenticate(user) else None

    def verify_claims(self, claims: Claims) -> bool:
        """Tell whether the person may log in. The library asks for an e-mail address here; OpenID Connect does not."""
        return True

    def filter_users_by_claims(self, claims: Claims) -> Iterable[AbstractBaseUser]:
        """Return the users whom the claims mean. The library goes by e-mail address, which can change hands."""
        return users.by_identity(claims)

    def create_user(self, claims: Claims) -> AbstractBaseUser:
        """Return a new user, saved. It has no password: only the OP lets it in."""
        user = self.UserModel(**{self.UserModel.USERNAME_FIELD: self.get_username(claims)})
        user.set_unusable_password()
        self.update_user(user, claims)
        if user.pk is None:
            user.save()
        return user

    def update_user(self, user: Any, claims: Claims) -> Any:
        """Bring a user up to date, at creation, at every login and at every renewal; return it, saved."""
        return user

    def apply_groups(
        self, user: Any, claims: Claims, path: str, *, no_claim_means_none: bool = False, **declared: Any
    ) -> None:
        """Give and take rights by the groups claim at `path`; `declared` is what `rights.apply` takes.

        If a claim that would give rights does not come, the log says so once, and a message tells the developer; with
        `no_claim_means_none` the person is in no group, unless the OP says that it has left the groups out.
        """
        groups = read.groups(claims, path)
        came = "they did not come" if groups is None else groups
        trace.step("The policy reads the groups", {"claim": path, "groups": came}, *GROUP_SETTINGS)
        if groups is None and no_claim_means_none and not read.has_group_overage(claims, path):
            groups = set()
        if groups is None and any(declared.values()):
            warning = _warn_of_silence(path, read.has_group_overage(claims, path))
            if conf.DEBUG and self.request:
                messages.warning(self.request, warning, fail_silently=True)
        rights.apply(user, groups, **declared)

    def get_username(self, claims: Claims) -> str:
        """Return an unused username: from OIDC_USERNAME_ALGO where it is set, else from `username_claim`."""
        if conf.OIDC_USERNAME_ALGO:
            return users.unused_username(str(super().get_username(claims)))
        return users.unused_username(users.username_from(claims, self.username_claim))

    def _find_or_make(self, claims: Claims) -> AbstractBaseUser | None:
        """Apply the policy; of two first logins of one person at once, the one that loses the race looks again."""
        for races in range(MAX_RACES):
            try:
                with transaction.atomic():
                    user, is_made = self._apply_policy(claims)
                    if user is not None:
                        _bind(user, claims, may_move=races > 0, is_made=is_made)
                    return user
            except IntegrityError:
                if races == MAX_RACES - 1:
                    raise
        return None

    def _apply_policy(self, claims: Claims) -> tuple[AbstractBaseUser | None, bool]:
        """Return the user, and whether the policy has made one."""
        if not self.verify_claims(claims):
            raise LoginError(errors.CLAIMS_REFUSED, "verify_claims returned False")
        trace.step("verify_claims lets the person in", {"policy": f"{type(self).__module__}.{type(self).__qualname__}"})
        found = list(islice(self.filter_users_by_claims(claims), 2))
        if len(found) > 1:
            raise LoginError(errors.USER_AMBIGUOUS, "several users match")
        if found:
            trace.step("A user is found", {"user": found[0], "key": found[0].pk})
            if not found[0].is_active:
                raise LoginError(errors.USER_INACTIVE, f"user {found[0].pk}", user=found[0])
            user: AbstractBaseUser | None = self.update_user(found[0], claims)
        elif conf.OIDC_CREATE_USER:
            trace.step("No user is found, so one is made", None, "OIDC_CREATE_USER")
            user = self.create_user(claims)
            transaction.on_commit(partial(user_created.send_robust, type(user), user=user))
        else:
            raise LoginError(errors.USER_UNKNOWN, f"OIDC_CREATE_USER is off, and nobody has subject {claims['sub']}")
        if user is not None and not user.is_active:
            raise LoginError(errors.USER_INACTIVE, f"user {user.pk}", user=user)
        return user, not found


@cache  # once in each process
def _warn_of_silence(path: str, is_overage: bool) -> str:
    why = "check OIDC_GROUPS_CLAIM, OIDC_RP_SCOPES and what the OP sends to this client"
    if is_overage:
        why = "Entra ID leaves it out for people in many groups: send only assigned groups, or use app roles"
    warning = f"The claim {path} did not come, so rights by groups stay as they are: {why}."
    logger.warning(warning)
    return warning


def _bind(user: Any, claims: Claims, *, may_move: bool, is_made: bool) -> None:
    """Bind issuer and subject to the user whom the policy has found.

    Raises `IntegrityError` if they are another user's: a login at the same time may have bound them, so this one
    starts anew. If the policy still finds its user then, it goes by something else than identities, and it decides.
    """
    issuer, subject = claims["iss"], claims["sub"]
    names = {"issuer": issuer, "subject": subject}
    # Nobody is asked for who has just been made: if there is one all the same, this starts anew, and then may move it.
    known = None if is_made and not may_move else Identity.objects.filter(**names).first()
    # Not get_or_create: its savepoint is of no use here, as whoever loses a race starts anew.
    identity = known or Identity.objects.create(user=user, **names)
    since = "an earlier login" if known and known.user_id == user.pk else "now"
    trace.step("Issuer and subject name this user", {"issuer": issuer, "subject": subject, "since": since})
    if identity.user_id != user.pk:
        if not may_move:
            raise IntegrityError("issuer and subject belong to another user")
        Identity.objects.filter(pk=identity.pk).update(user=user)
    elif known:
        return
    transaction.on_commit(partial(identity_linked.send_robust, type(user), user=user, issuer=issuer, subject=subject))

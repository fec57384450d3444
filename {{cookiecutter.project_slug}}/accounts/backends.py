"""Who may log in, who they are here, and what they may do. Edit this file first.

`claims` are verified: the ID Token's with userinfo merged in, `iss` and `sub` always among them.
https://mozilla-django-oidc.readthedocs.io/en/stable/installation.html#additional-optional-configuration
"""

import logging
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import admission, rights, usernames
from accounts import claims as read
from accounts.models import Identity, User
from accounts.signals import identity_linked, rights_changed, user_created
from oidc.backends import OIDCAuthenticationBackend

logger = logging.getLogger(__name__)

# Claim -> field of User, applied at creation and at every login. A claim that is missing, null or no text
# leaves the field as it is, an empty one empties it.
FIELDS = {"email": "email", "given_name": "first_name", "family_name": "last_name"}


class OIDCBackend(OIDCAuthenticationBackend):
    """The user policy of this site."""

    def verify_claims(self, claims: dict[str, Any]) -> bool:
        """May this person log in at all? Add conditions here, e.g. `"staff" in groups_of(claims)`."""
        rules = admission.Rules(
            email_domains=frozenset(map(str.lower, settings.OIDC_ALLOWED_EMAIL_DOMAINS)),
            hosted_domains=frozenset(settings.OIDC_ALLOWED_HOSTED_DOMAINS),
            tenants=frozenset(settings.OIDC_ALLOWED_TENANTS),
            all_groups=frozenset(map(read.plain, settings.OIDC_REQUIRED_GROUPS)),
            any_group=frozenset(map(read.plain, settings.OIDC_REQUIRED_ANY_GROUP)),
        )
        trust = settings.OIDC_EMAILS_ARE_VERIFIED
        admission.check(claims, rules, settings.OIDC_GROUPS_CLAIM, emails_are_verified=trust)
        return super().verify_claims(claims)

    def filter_users_by_claims(self, claims: dict[str, Any]) -> Iterable[User]:
        """Find the user: by issuer and subject; for a first login, by e-mail where OIDC_USER_MATCHING says so."""
        # Locked, so that two logins of one person at once cannot mix their changes.
        users = User.objects.select_for_update(of=["self"])
        known = users.filter(identities__issuer=claims["iss"], identities__subject=claims["sub"])
        email = read.email(claims)
        if known or not email or settings.OIDC_USER_MATCHING == "subject":
            return known
        same_address = users.filter(email__iexact=email)[:2]
        if settings.OIDC_USER_MATCHING == "email":
            return same_address
        if not (settings.OIDC_EMAILS_ARE_VERIFIED or read.email_is_verified(claims)):
            return []
        # An address can be given to somebody else, so it opens neither a privileged nor a claimed account.
        closed = [user for user in same_address if user.is_staff or user.is_superuser or user.identities.exists()]
        return [] if len(same_address) == 1 and closed else same_address

    def create_user(self, claims: dict[str, Any]) -> User:
        """Make the user of a first login. It has no password: only the OP lets it in."""
        user = User(username=self.get_username(claims))
        user.set_unusable_password()
        self.update_user(user, claims)
        transaction.on_commit(partial(user_created.send, User, user=user))
        return user

    def update_user(self, user: User, claims: dict[str, Any]) -> User:
        """Bring fields and rights up to date, at creation and at every login."""
        for claim, field in FIELDS.items():
            value = read.text(claims.get(claim), User._meta.get_field(field).max_length)
            if value is not None:
                setattr(user, field, value)
        user.save()
        self.update_rights(user, claims)
        return user

    def update_rights(self, user: User, claims: dict[str, Any]) -> None:
        """Give and take rights by the OP's groups; if it says nothing about groups, rights stay as they are."""
        groups = read.groups(claims, settings.OIDC_GROUPS_CLAIM)
        if groups is None:
            if read.too_many_groups(claims, settings.OIDC_GROUPS_CLAIM):
                logger.warning("group overage user=%s: rights stay as they were, see Reason.GROUPS_MISSING", user.pk)
                return
            if not settings.OIDC_ABSENT_GROUPS_REVOKE:
                return
            groups = set()
        mapped = rights.Mapped.from_words(
            settings.OIDC_STAFF_GROUPS, settings.OIDC_SUPERUSER_GROUPS, settings.OIDC_MANAGED_GROUPS
        )
        gained, lost = rights.apply(user, groups, mapped)
        if gained or lost:
            transaction.on_commit(partial(rights_changed.send, User, user=user, gained=gained, lost=lost))

    def get_username(self, claims: dict[str, Any]) -> str:
        """Return an unused username from OIDC_USERNAME_ALGO, or else from the claim that OIDC_USERNAME names."""
        if getattr(settings, "OIDC_USERNAME_ALGO", None):
            name = super().get_username(claims)
        else:
            name = usernames.propose(claims, settings.OIDC_USERNAME)
        return usernames.unused(name, lambda name: User.objects.filter(username__iexact=name).exists())

    def remember_identity(self, user: User, claims: dict[str, Any]) -> None:
        """Bind issuer and subject to the user, so that the next login needs no e-mail address to find it.

        Raises `IntegrityError` if a login at the same time has bound them to another user; this one starts anew.
        """
        issuer, subject = claims["iss"], claims["sub"]
        identity, is_new = Identity.objects.get_or_create(issuer=issuer, subject=subject, defaults={"user": user})
        if identity.user_id != user.pk:
            raise IntegrityError("the subject belongs to another user by now")
        if is_new:
            send = partial(identity_linked.send, User, user=user, issuer=issuer, subject=subject)
            transaction.on_commit(send)


def groups_of(claims: dict[str, Any]) -> set[str]:
    """Return the person's groups at the OP, none if it says nothing about them."""
    return read.groups(claims, settings.OIDC_GROUPS_CLAIM) or set()

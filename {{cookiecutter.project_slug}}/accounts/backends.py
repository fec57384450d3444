"""Who may log in, who they are here, and what they may do. Edit this file first.

`claims` are verified: the ID Token's with userinfo merged in, `iss` and `sub` always among them.
https://mozilla-django-oidc.readthedocs.io/en/stable/installation.html#additional-optional-configuration
"""

from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from accounts import usernames
from accounts.models import Identity, User
from oidc.backends import OIDCAuthenticationBackend

# Claim -> field of User, applied at creation and at every login.
FIELDS = {"email": "email", "given_name": "first_name", "family_name": "last_name"}


class OIDCBackend(OIDCAuthenticationBackend):
    """The user policy of this site."""

    def verify_claims(self, claims: dict[str, Any]) -> bool:
        """May this person log in at all? Add conditions here, e.g. `"staff" in groups_of(claims)`."""
        return super().verify_claims(claims)

    def filter_users_by_claims(self, claims: dict[str, Any]) -> QuerySet[User]:
        """Find the user: by issuer and subject; for a first login, by e-mail where OIDC_USER_MATCHING says so."""
        known = User.objects.filter(identities__issuer=claims["iss"], identities__subject=claims["sub"])
        if known.exists():
            return known
        email = claims.get("email")
        if not isinstance(email, str) or not email:
            return User.objects.none()
        if settings.OIDC_USER_MATCHING == "email":
            return User.objects.filter(email__iexact=email)
        if settings.OIDC_USER_MATCHING == "verified_email" and claims.get("email_verified") is True:
            # An address can be given to somebody else, so it opens neither a privileged nor a claimed account.
            return User.objects.filter(email__iexact=email, is_staff=False, is_superuser=False, identities__isnull=True)
        return User.objects.none()

    def create_user(self, claims: dict[str, Any]) -> User:
        """Make the user of a first login. It has no password: only the OP lets it in."""
        user = User(username=self.get_username(claims))
        user.set_unusable_password()
        return self.update_user(user, claims)

    def update_user(self, user: User, claims: dict[str, Any]) -> User:
        """Bring fields and rights up to date, at creation and at every login."""
        for claim, field in FIELDS.items():
            if claim in claims:
                setattr(user, field, text_for(field, claims[claim]))
        if settings.OIDC_GROUPS_CLAIM in claims:
            groups = groups_of(claims)
            if settings.OIDC_STAFF_GROUPS:
                user.is_staff = not groups.isdisjoint(settings.OIDC_STAFF_GROUPS + settings.OIDC_SUPERUSER_GROUPS)
            if settings.OIDC_SUPERUSER_GROUPS:
                user.is_superuser = not groups.isdisjoint(settings.OIDC_SUPERUSER_GROUPS)
        user.save()
        return user

    def get_username(self, claims: dict[str, Any]) -> str:
        """Return an unused username from OIDC_USERNAME_ALGO, or else from the claim that OIDC_USERNAME names."""
        if getattr(settings, "OIDC_USERNAME_ALGO", None):
            name = super().get_username(claims)
        else:
            name = usernames.propose(claims, settings.OIDC_USERNAME)
        return usernames.unused(name, lambda name: User.objects.filter(username=name).exists())

    def remember_identity(self, user: User, claims: dict[str, Any]) -> None:
        """Bind issuer and subject to the user, so that the next login needs no e-mail address to find it."""
        Identity.objects.get_or_create(issuer=claims["iss"], subject=claims["sub"], defaults={"user": user})


def groups_of(claims: dict[str, Any]) -> set[str]:
    """Return the groups in OIDC_GROUPS_CLAIM, which is a list of names or one text with spaces."""
    groups = claims.get(settings.OIDC_GROUPS_CLAIM)
    if isinstance(groups, str):
        groups = groups.split()
    return {group for group in groups if isinstance(group, str)} if isinstance(groups, list) else set()


def text_for(field: str, value: object) -> str:
    """Return a claim as text that fits the field: "" for anything but text, no NUL (PostgreSQL refuses it), cut."""
    if not isinstance(value, str):
        return ""
    plain = value.replace("\0", "").encode(errors="ignore").decode()
    return plain[: User._meta.get_field(field).max_length]

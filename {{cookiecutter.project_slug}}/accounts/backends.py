"""Who may log in, who they are here, and what they may do. Edit this file first.

`claims` is what the sign-in service says about the person; it is verified, and always has `iss` and `sub`.
The building blocks from `oidc`, and everything else that can be overridden, are explained in `oidc/README.md`.
"""

from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser

from accounts.models import User
from oidc.backends import OIDCAuthenticationBackend
from oidc.building_blocks import users
from oidc.building_blocks.claims import Claims, groups

# Claim -> field of User, copied at every login. A claim that is missing or not text leaves the field as it is.
FIELDS = {"email": "email", "given_name": "first_name", "family_name": "last_name"}


class OIDCBackend(OIDCAuthenticationBackend):
    """The user policy of this site: {{ "a first login makes a user" if cookiecutter.create_users else "an administrator makes users first" }}, unless OIDC_CREATE_USER says otherwise."""

    # The claim that becomes the username of a new user{{ "; None: a hash, which tells nothing about the person" if cookiecutter.username == "hash" }}.
    username_claim = {{ "None" if cookiecutter.username == "hash" else cookiecutter.username | quoted("python") }}

    def verify_claims(self, claims: Claims) -> bool:
        """May this person log in at all? Add conditions here, such as `and "staff" in groups_of(claims)`."""
        return super().verify_claims(claims)

    def filter_users_by_claims(self, claims: Claims) -> Iterable[AbstractBaseUser]:
        """Find the user by issuer and subject, which never change hands{{ {"subject": "", "verified_email": "; the first time by verified e-mail address", "email": "; the first time by e-mail address"}[cookiecutter.user_matching] }}."""
        {% if cookiecutter.user_matching == "email" %}
        # WARNING: whoever can enter an address of their choice at the sign-in service takes over its account here.
        {% endif %}
        return users.by_identity(claims){{ {"subject": "", "verified_email": " or users.by_verified_email(claims)", "email": " or users.by_email(claims)"}[cookiecutter.user_matching] }}

    def update_user(self, user: User, claims: Claims) -> User:
        """Bring fields and rights up to date, at the first login and at every later one."""
        users.copy_claims(user, claims, FIELDS)
        user.save()
        self.apply_groups(
            user,
            claims,
            settings.OIDC_GROUPS_CLAIM,
            staff=settings.OIDC_STAFF_GROUPS,
            superusers=settings.OIDC_SUPERUSER_GROUPS,
            # What staff may do in the admin are the permissions of this Django group.
            managed=dict.fromkeys(settings.OIDC_STAFF_GROUPS, "Staff"),
            {% if cookiecutter | preset("no_groups_why") %}
            no_claim_means_none=True,  # {{ cookiecutter | preset("no_groups_why") }}
            {% endif %}
        )
        return user


def groups_of(claims: Claims) -> set[str]:
    """Return the groups that the sign-in service puts the person in, none if it says nothing about groups."""
    return groups(claims, settings.OIDC_GROUPS_CLAIM) or set()

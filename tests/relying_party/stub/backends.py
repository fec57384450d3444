from typing import Any

from oidc.backends import OIDCAuthenticationBackend
from oidc.building_blocks import users


class Backend(OIDCAuthenticationBackend):
    """Everybody may log in, and is known by issuer and subject."""

    def update_user(self, user: Any, claims: Any) -> Any:
        users.copy_claims(user, claims, {"email": "email"})
        user.save()
        return user
